//! Around every handler: a run that panics, or goes on after its time limit, is ended here and
//! settled with that cause.
//! What must stay true: the other runs of the worker go on, the slot is free again, and a job that
//! only ever ends like this goes to the dead letters after as many runs as the queue allows starts.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use futures_util::FutureExt;
use tower_layer::Layer;
use tower_service::Service;

use crate::claim::{Claim, Ended, Settle, Settled};
use crate::hold::Held;
use crate::queue::Queue;

/// The layer of one worker.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    queue: Queue,
}

impl GuardLayer {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, handler: S) -> Guarded<S> {
        Guarded { handler, queue: self.queue.clone() }
    }
}

/// A handler that cannot take its worker along.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    handler: S,
    queue: Queue,
}

impl<S> Service<Task<Claim>> for Guarded<S>
where
    S: Service<Task<Claim>>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Into<BoxDynError> + Send,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        // No job is concerned: the worker ends with this error as with any other of its handler.
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.poll_ready(cx))) {
            Ok(answer) => answer.map_err(Into::into),
            Err(panic) => {
                let text = text_of(panic.as_ref());
                Poll::Ready(Err(format!("the handler panicked before a job: {text}").into()))
            }
        }
    }

    fn call(&mut self, task: Task<Claim>) -> Self::Future {
        let queue = self.queue.clone();
        let held = Arc::clone(&task.args.hold.held);
        let leases = task.args.hold.leases.clone();
        // A handler may panic before it has made its future.
        let called = std::panic::catch_unwind(AssertUnwindSafe(|| self.handler.call(task)));
        Box::pin(async move {
            // Within this block, so that the claim is dropped and its slot free before settling.
            let cause = {
                let run = async move {
                    match called {
                        Ok(running) => AssertUnwindSafe(running).catch_unwind().await,
                        Err(panic) => Err(panic),
                    }
                };
                let mut run = Box::pin(run);
                tokio::select! {
                    ended = &mut run => match ended {
                        Ok(result) => return result.map_err(Into::into),
                        Err(panic) => format!("the handler panicked: {}", text_of(panic.as_ref())),
                    },
                    () = patience_ends(&held, &queue) => {
                        "the handler went on after its time limit and was stopped".to_owned()
                    }
                }
            };
            let settled = settle(&queue, &held, &cause).await;
            if let (Some(leases), Some(settled)) = (leases, settled) {
                leases.counters().settled("crash", settled);
            }
            Err(cause.into())
        })
    }
}

/// Half a lease after the time limit, whatever it was told to stop for before: the handler had time
/// to settle, and the lease, which nobody renews any more, has some left. Without a limit nobody
/// says that a run takes too long.
async fn patience_ends(held: &Held, queue: &Queue) {
    held.cancel.cancelled().await;
    while held.ended.get() != Some(&Ended::TimeLimit) {
        match held.ends_at() {
            Some(ends_at) if ends_at <= Instant::now() => break,
            // It may be another by then.
            Some(ends_at) => tokio::time::sleep_until(ends_at.into()).await,
            None => std::future::pending().await,
        }
    }
    tokio::time::sleep(queue.settings().lease / 2).await;
}

/// Where this fails the lease ends by itself, with a less telling cause.
async fn settle(queue: &Queue, held: &Held, cause: &str) -> Option<Settled> {
    let job = &held.lease.id;
    let crashed = Settle::Crashed { cause: cause.to_owned() };
    let settled = queue.settle(&held.lease, crashed).await;
    match &settled {
        Ok(Settled::Applied) => tracing::error!(%job, cause, "a run broke down"),
        Ok(Settled::Stale) => {
            tracing::error!(%job, cause, "a run broke down after its job had ended");
        }
        Err(error) => tracing::error!(%job, cause, %error, "a run broke down, its lease will end"),
    }
    settled.ok()
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
