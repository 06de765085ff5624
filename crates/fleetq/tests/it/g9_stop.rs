//! Guarantee 9: stop is polite.
//! Failure: a worker that claims after its stop, a job lost or charged a start because of it.

use std::sync::Arc;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, Ended, FleetBackend, Settle, WorkerOptions};
use tokio::sync::{Semaphore, mpsc};

use crate::harness::{Server, assert_one_place, job, short_lease, until};

#[tokio::test]
async fn guarantee_9_running_jobs_finish_and_the_rest_is_given_back_uncounted() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..6).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 4)).unwrap();
    let handle = backend.handle();
    let gate = Arc::new(Semaphore::new(0));
    let work = async |claim: Claim, gate: Data<Arc<Semaphore>>| {
        let stop = claim.cancellation();
        let how = tokio::select! {
            permit = gate.acquire() => { permit.unwrap().forget(); Settle::Done }
            () = stop.cancelled() => {
                assert_eq!(claim.ended(), Some(Ended::Interrupted));
                Settle::GiveBack
            }
        };
        claim.settle(how).await.unwrap();
    };
    let worker = WorkerBuilder::new("w").backend(backend).data(Arc::clone(&gate)).build(work);
    let worker = tokio::spawn(worker.run());
    until("four are held", || async { handle.held() == 4 }).await;

    handle.stop();
    gate.add_permits(1);
    until("one is done", || async { queue.depth().await.unwrap().totals.done == 1 }).await;
    assert!(!worker.is_finished(), "it waits for the running jobs");
    handle.interrupt();
    worker.await.unwrap().unwrap();

    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.ready(), depth.claimed, depth.totals.claims), (5, 0, 4));
    assert_eq!((depth.totals.given_back, depth.totals.returned), (3, 0));
    for id in 1..6 {
        assert_eq!(queue.state(&id.to_string()).await.unwrap().unwrap().starts, 0);
    }
    assert_eq!(assert_one_place(&mut server.raw().await).await, 5);
}

#[tokio::test]
async fn guarantee_9_a_worker_stopped_by_apalis_gives_back_what_no_handler_has_seen() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..20).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 8)).unwrap();
    let counted = backend.handle();
    let (sender, mut started) = mpsc::channel::<()>(1);
    let work = async |claim: Claim, started: Data<mpsc::Sender<()>>| {
        started.send(()).await.unwrap();
        claim.settle(Settle::Done).await.unwrap();
    };
    let worker = WorkerBuilder::new("w").backend(backend).data(sender).build(work);
    let worker = tokio::spawn(worker.run_with_ctx(|ctx| async move {
        until("the worker runs", || async { ctx.is_running() }).await;
        ctx.stop()
    }));
    while started.recv().await.is_some() {}
    worker.await.unwrap().unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.claimed, depth.ready() + depth.totals.done), (0, 20), "{depth:?}");
    assert_eq!(depth.totals.returned, 0);
    let stats = counted.stats();
    assert_eq!(
        (stats.claimed, stats.done + stats.given_back),
        (depth.totals.claims, stats.claimed)
    );
}

#[tokio::test]
async fn guarantee_9_what_is_given_back_together_stands_as_it_stood() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..6).map(job).collect()).await.unwrap();
    let claims = queue.claim("w", 4).await.unwrap();
    let given: Vec<_> =
        claims.iter().map(|claim| (claim.lease.clone(), Settle::GiveBack)).collect();
    queue.settle_many(&given).await.unwrap();
    let again = queue.claim("w", 6).await.unwrap();
    let ids: Vec<&str> = again.iter().map(|claim| claim.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4", "5"]);
}
