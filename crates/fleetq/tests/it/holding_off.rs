//! A worker that is held off, because what every job needs is away.
//! Failure: a job claimed meanwhile, a pause that never ends, a stop that waits for it, a wake-up that
//! it keeps from others.

use std::time::{Duration, Instant};

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, QueueSettings, Settle, WorkerOptions};
use tokio::sync::mpsc;

use crate::harness::{Server, job, until};
use crate::wake::waiting;

type Shared = (Duration, mpsc::UnboundedSender<String>);

async fn hold_off(claim: Claim, shared: Data<Shared>) {
    let (pause, told) = &*shared;
    claim.hold_off(*pause);
    claim.settle(Settle::Done).await.unwrap();
    told.send(claim.id.clone()).unwrap();
}

#[tokio::test]
async fn a_worker_that_is_held_off_claims_nothing_until_the_pause_is_over() {
    for (pause, claimed) in [(Duration::from_hours(1), 1), (Duration::from_millis(20), 2)] {
        let server = Server::start().await;
        let queue = server.queue(QueueSettings::default()).await;
        queue.enqueue_many(vec![job(0), job(1)]).await.unwrap();
        let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 1)).unwrap();
        let handle = backend.handle();
        let (sender, mut told) = mpsc::unbounded_channel();
        let worker = WorkerBuilder::new("w").backend(backend).data((pause, sender)).build(hold_off);
        let worker = tokio::spawn(worker.run());
        for number in 0..claimed {
            assert_eq!(told.recv().await, Some(number.to_string()));
        }
        // The slot is free: a claim would overtake these on their way.
        for _ in 0..20 {
            assert_eq!(queue.depth().await.unwrap().totals.claims, claimed);
        }
        handle.stop();
        worker.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_worker_that_is_held_off_passes_its_wake_up_on() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let line = server.raw().await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let start = |name: &str, slots, pause| {
        let backend = FleetBackend::new(queue.clone(), WorkerOptions::new(name, slots)).unwrap();
        let handle = backend.handle();
        let shared: Shared = (pause, sender.clone());
        let worker = WorkerBuilder::new(name).backend(backend).data(shared).build(hold_off);
        (handle, tokio::spawn(worker.run()))
    };
    let waiters = async |count| {
        until("they wait for work", || async { waiting(&line).await.len() == count }).await;
    };
    // It waits with its second slot when the run in the first one holds it off.
    let held_off = start("held-off", 2, Duration::from_hours(1));
    waiters(1).await;
    queue.enqueue(job("first")).await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("first"));
    waiters(1).await;
    let idle = start("idle", 1, Duration::ZERO);
    waiters(2).await;
    // Redis serves whoever has waited longest, which is the one that claims nothing.
    let added = Instant::now();
    queue.enqueue(job("second")).await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("second"));
    assert!(added.elapsed() < Duration::from_secs(1), "the timer needs 2 s: {:?}", added.elapsed());
    for (handle, worker) in [held_off, idle] {
        handle.stop();
        worker.await.unwrap().unwrap();
    }
}
