//! A Redis that is over its memory limit.
//! Failure: a running job that loses its lease or cannot be settled because Redis is full, a job
//! that is lost on the way, a limit that could never be got under again, a fleet without a leader.

use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, Enqueued, FleetBackend, LeaderLease, Place, QueueError, Settle, Settled, WorkerOptions,
};
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;

use crate::harness::{Server, assert_one_place, job, let_leases_end, short_lease};

async fn limit_memory(line: &mut MultiplexedConnection, limit: &str) {
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", limit]).exec_async(line).await.unwrap();
}

#[tokio::test]
async fn only_new_jobs_are_refused() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut line = server.raw().await;
    queue.enqueue_many((0..8).map(job).collect()).await.unwrap();
    queue.enqueue(job("later").after(Duration::from_millis(1))).await.unwrap();
    let held = queue.claim("w", 6).await.unwrap();
    limit_memory(&mut line, "1").await;
    // Nobody has this script yet.
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut line).await.unwrap();

    let error = queue.enqueue_many(vec![job("new"), job("newer")]).await.unwrap_err();
    assert!(matches!(error, QueueError::Full { .. }), "{error}");
    assert!(error.is_transient() && error.to_string().contains("maxmemory"), "{error}");

    let leases: Vec<_> = held.iter().map(|claim| claim.lease.clone()).collect();
    assert_eq!(queue.renew(&leases).await.unwrap(), [true; 6]);
    let retry = |delay| Settle::RetryAfter { delay, cause: "x".repeat(4000) };
    for (claim, how) in held.iter().zip([
        Settle::Done,
        retry(Duration::ZERO),
        retry(Duration::from_mins(1)),
        Settle::Dead { cause: "no".into(), chain: vec!["y".repeat(4000)] },
        Settle::GiveBack,
    ]) {
        assert_eq!(claim.settle(how).await.unwrap(), Settled::Applied);
    }
    // The last one is left to its lease, and the delayed one has become due.
    let_leases_end(&queue, 1).await;
    let claims = queue.claim("w", 10).await.unwrap();
    assert_eq!(claims.len(), 6, "2 never held, retried, given back, lost, and the one that is due");
    assert!(queue.redrive("3").await.unwrap());
    queue.pause().await.unwrap();
    queue.resume().await.unwrap();
    assert_eq!(queue.discard("2").await.unwrap().jobs, 1);
    assert_eq!(queue.state("3").await.unwrap().unwrap().place, Place::Ready);
    let opened = server.queue(short_lease()).await;
    assert_eq!(opened.depth().await.unwrap().claimed, 6);
    limit_memory(&mut line, "0").await;
    assert_eq!(assert_one_place(&mut line).await, 7);
    queue.enqueue(job("new")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_empties_a_full_server() {
    const JOBS: usize = 300;
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
    limit_memory(&mut server.raw().await, "1").await;
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 16)).unwrap();
    let handle = backend.handle();
    let (sender, mut finished) = mpsc::channel::<Settled>(16);
    let work = async |claim: Claim, done: Data<mpsc::Sender<Settled>>| {
        done.send(claim.settle(Settle::Done).await.unwrap()).await.unwrap();
    };
    let worker =
        tokio::spawn(WorkerBuilder::new("w").backend(backend).data(sender).build(work).run());
    for _ in 0..JOBS {
        assert_eq!(finished.recv().await.unwrap(), Settled::Applied);
    }
    handle.stop();
    worker.await.unwrap().unwrap();
    assert_eq!(queue.depth().await.unwrap().totals.done, JOBS as u64);
}

#[tokio::test]
async fn jobs_that_are_there_already_are_told_of() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many(vec![job("a"), job("b").after(Duration::from_hours(1))]).await.unwrap();
    let mut line = server.raw().await;
    limit_memory(&mut line, "1").await;
    let there = [Enqueued::Duplicate(Place::Ready), Enqueued::Duplicate(Place::Scheduled)];
    assert_eq!(queue.enqueue(job("a")).await.unwrap(), there[0]);
    assert_eq!(queue.enqueue_many(vec![job("a"), job("b")]).await.unwrap(), there);
    let error = queue.enqueue_many(vec![job("a"), job("new")]).await.unwrap_err();
    assert!(matches!(error, QueueError::Full { .. }), "{error}");
    let totals = queue.depth().await.unwrap().totals;
    assert_eq!((totals.enqueued, totals.duplicates), (2, 3));
    limit_memory(&mut line, "0").await;
    assert_eq!(assert_one_place(&mut line).await, 2);
}

#[tokio::test]
async fn a_full_server_has_a_leader() {
    let server = Server::start().await;
    let connection = server.connect().await;
    limit_memory(&mut server.raw().await, "1").await;
    let lease = |owner: &str| {
        LeaderLease::new(&connection, "test", "schedule", owner, Duration::from_mins(1)).unwrap()
    };
    let (anna, bert) = (lease("anna"), lease("bert"));
    let first = anna.acquire().await.unwrap().unwrap();
    assert_eq!(anna.acquire().await.unwrap(), Some(first), "the same term again");
    assert_eq!(bert.acquire().await.unwrap(), None);
    assert!(anna.renew(first).await.unwrap());
    assert!(anna.release(first).await.unwrap());
    let second = bert.acquire().await.unwrap().expect("a released lease is free at once");
    assert!(second.token > first.token && !anna.renew(first).await.unwrap());
}
