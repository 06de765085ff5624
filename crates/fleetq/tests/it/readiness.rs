//! A handler that panics when it is asked whether it is ready.
//! Failure: a panic that goes through the worker, and takes along what else runs in its task.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::task::{Context, Poll};

use apalis_core::backend::BackendConfig;
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use fleetq::{Claim, FleetBackend, QueueSettings, WorkerOptions};
use tower_layer::Layer;
use tower_service::Service;

use crate::harness::Server;

struct NeverReady;

impl Service<Task<Claim>> for NeverReady {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        panic!("the model is gone")
    }

    fn call(&mut self, _: Task<Claim>) -> Self::Future {
        ready(Ok(()))
    }
}

#[tokio::test]
async fn it_is_an_error_of_the_worker_and_no_panic() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut backend = FleetBackend::new(queue, WorkerOptions::new("w", 1)).unwrap();
    let mut guarded = backend.middleware(&mut WorkerContext::new("w")).layer(NeverReady);
    let error = poll_fn(|cx| guarded.poll_ready(cx)).await.unwrap_err();
    assert_eq!(error.to_string(), "the handler panicked before a job: the model is gone");
}
