//! The whole queue once through one worker.
//! Failure: a job that runs twice or not at all while nothing fails.

use std::collections::BTreeSet;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, QueueSettings, Settle, Settled, WorkerOptions};
use tokio::sync::mpsc;

use crate::harness::{Server, job, keys};

const JOBS: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_jobs_drain_exactly_once() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 64)).unwrap();
    let handle = backend.handle();
    let work = async |claim: Claim, ran: Data<mpsc::UnboundedSender<(String, u32)>>| {
        assert_eq!(claim.settle(Settle::Done).await.unwrap(), Settled::Applied);
        ran.send((claim.id.clone(), claim.starts)).unwrap();
    };
    let (sender, mut ran) = mpsc::unbounded_channel::<(String, u32)>();
    let worker = WorkerBuilder::new("w").backend(backend).data(sender).build(work);
    let worker = tokio::spawn(worker.run());
    let mut seen = BTreeSet::new();
    while seen.len() < JOBS {
        let (id, starts) = ran.recv().await.unwrap();
        assert_eq!(starts, 1, "{id}");
        assert!(seen.insert(id.clone()), "{id} ran twice");
    }
    handle.stop();
    worker.await.unwrap().unwrap();
    assert_eq!(ran.recv().await, None, "a job ran twice");
    let totals = queue.depth().await.unwrap().totals;
    let all = JOBS as u64;
    assert_eq!((totals.claims, totals.done, totals.returned), (all, all, 0));
    let left: Vec<String> = keys(&mut server.raw().await).await.into_keys().collect();
    assert_eq!(left, ["{test:work}:history", "{test:work}:meta"]);
}
