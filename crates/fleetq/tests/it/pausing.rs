//! Pause, resume and drain of a whole queue.
//! Failure: a job given out while the queue is paused, a held one disturbed by it, a new one taken
//! while it is drained, a worker that does not notice the end.

use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, Enqueued, FleetBackend, Mode, QueueError, Settle, Settled, WorkerOptions};
use tokio::sync::mpsc;

use crate::harness::{Server, assert_one_place, claim_one, job, keys, short_lease, until};

async fn done(claim: Claim, done: Data<mpsc::Sender<String>>) {
    claim.settle(Settle::Done).await.unwrap();
    done.send(claim.id.clone()).await.unwrap();
}

#[tokio::test]
async fn a_paused_queue_takes_jobs_and_gives_none_out() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    assert_eq!(queue.depth().await.unwrap().mode, Mode::Running);
    queue.enqueue_many(vec![job("a"), job("b")]).await.unwrap();
    let held = claim_one(&queue, "w").await;
    queue.pause().await.unwrap();
    assert_eq!(queue.depth().await.unwrap().mode, Mode::Paused);
    assert_eq!(queue.claim("w", 10).await.unwrap().len(), 0);
    assert_eq!(queue.enqueue(job("c")).await.unwrap(), Enqueued::Added);
    assert_eq!(queue.claim("w", 10).await.unwrap().len(), 0);
    assert_eq!(queue.renew(std::slice::from_ref(&held.lease)).await.unwrap(), [true]);
    let later = Settle::RetryAfter { delay: Duration::ZERO, cause: "no".into() };
    assert_eq!(held.settle(later).await.unwrap(), Settled::Applied);
    assert_eq!(queue.claim("w", 10).await.unwrap().len(), 0);
    queue.resume().await.unwrap();
    let ids: Vec<_> = queue.claim("w", 10).await.unwrap().into_iter().map(|c| c.id).collect();
    assert_eq!(ids, ["b", "c", "a"]);
    assert_eq!(assert_one_place(&mut server.raw().await).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_workers_notice_a_pause_and_its_end() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut line = server.raw().await;
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 4)).unwrap();
    let handle = backend.handle();
    let (sender, mut finished) = mpsc::channel::<String>(8);
    let worker =
        tokio::spawn(WorkerBuilder::new("w").backend(backend).data(sender).build(done).run());
    queue.pause().await.unwrap();
    queue.enqueue(job("a")).await.unwrap();
    // The worker has taken the wake-up of this job, was given nothing, and waits again.
    until("the worker waits", || async {
        let mut line = line.clone();
        let info: String = redis::cmd("INFO").arg("clients").query_async(&mut line).await.unwrap();
        info.contains("blocked_clients:1")
            && !keys(&mut line).await.contains_key("{test:work}:wake")
    })
    .await;
    assert_eq!((handle.held(), queue.depth().await.unwrap().ready()), (0, 1));
    let wakes = handle.stats().wakes;
    queue.resume().await.unwrap();
    assert_eq!(finished.recv().await.unwrap(), "a");
    assert!(handle.stats().wakes > wakes, "it was woken, not found by the timer");
    handle.stop();
    worker.await.unwrap().unwrap();
    redis::cmd("PING").exec_async(&mut line).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_queue_takes_no_jobs_and_works_off_what_is_there() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..20).map(job).collect()).await.unwrap();
    queue.enqueue(job("later").after(Duration::from_millis(50))).await.unwrap();
    queue.drain().await.unwrap();
    assert_eq!(queue.depth().await.unwrap().mode, Mode::Draining);
    for refused in [queue.enqueue(job("new")).await, queue.enqueue(job("1")).await] {
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, QueueError::Draining { queue } if queue == "test:work"),
            "{error}"
        );
    }
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 4)).unwrap();
    let handle = backend.handle();
    let once_more = async |claim: Claim, done: Data<mpsc::Sender<String>>| {
        if claim.attempts == 0 {
            let delay = Duration::from_millis(20);
            claim.settle(Settle::RetryAfter { delay, cause: "first".into() }).await.unwrap();
        } else {
            claim.settle(Settle::Done).await.unwrap();
            done.send(claim.id.clone()).await.unwrap();
        }
    };
    let (sender, mut finished) = mpsc::channel::<String>(32);
    let worker = WorkerBuilder::new("w").backend(backend).data(sender).build(once_more);
    let worker = tokio::spawn(worker.run());
    for _ in 0..21 {
        finished.recv().await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap().unfinished(), 0);
    assert!(queue.enqueue(job("new")).await.is_err(), "it stays closed until it is resumed");
    queue.resume().await.unwrap();
    queue.enqueue(job("new")).await.unwrap();
    assert_eq!(finished.recv().await.unwrap(), "new");
    handle.stop();
    worker.await.unwrap().unwrap();
    assert_eq!(queue.depth().await.unwrap().totals.enqueued, 22);
}
