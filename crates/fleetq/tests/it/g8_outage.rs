//! Guarantee 8: Redis may go away.
//! Failure: a worker that ends, a lease lost to an outage, work that does not resume within a
//! second, a server that may evict jobs, a lost job that is never rescued.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, Place, QueueError, Settle, Settled, WorkerOptions, connect,
};
use tokio::sync::{Semaphore, mpsc};

use crate::harness::{Server, job, let_leases_end, short_lease, until};

type Shared = (Arc<Semaphore>, mpsc::Sender<(Settled, u32)>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_8_work_resumes_within_a_second_of_the_return_of_redis() {
    let persistent = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start_with(&persistent).await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..2).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 2)).unwrap();
    let handle = backend.handle();
    let gate = Arc::new(Semaphore::new(0));
    let (sender, mut settled) = mpsc::channel::<(Settled, u32)>(16);
    let work = async |claim: Claim, data: Data<Shared>| {
        let (gate, told) = &*data;
        gate.acquire().await.unwrap().forget();
        let settled = claim.settle(Settle::Done).await.unwrap();
        told.send((settled, claim.starts)).await.unwrap();
    };
    let worker =
        WorkerBuilder::new("w").backend(backend).data((Arc::clone(&gate), sender)).build(work);
    let worker = tokio::spawn(worker.run());
    until("both are held", || async { handle.held() == 2 }).await;

    server.kill();
    // One of the two handlers finishes while Redis is away, for longer than a lease.
    gate.add_permits(1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!worker.is_finished());
    server.start_again().await;
    let back = Instant::now();
    assert_eq!(settled.recv().await, Some((Settled::Applied, 1)));
    assert!(back.elapsed() < Duration::from_secs(1), "resumed after {:?}", back.elapsed());

    gate.add_permits(10);
    assert_eq!(settled.recv().await, Some((Settled::Applied, 1)), "its lease was kept");
    let back = Instant::now();
    queue.enqueue_many((10..15).map(job).collect()).await.unwrap();
    for _ in 0..5 {
        assert_eq!(settled.recv().await, Some((Settled::Applied, 1)));
    }
    assert!(back.elapsed() < Duration::from_secs(1), "resumed after {:?}", back.elapsed());
    assert_eq!((handle.stats().leases_lost, queue.depth().await.unwrap().totals.returned), (0, 0));
    assert!(handle.stats().redis_errors > 0);
    handle.stop();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn guarantee_8_a_server_that_may_evict_jobs_is_refused() {
    let server = Server::start_with(&["--save", "", "--maxmemory-policy", "allkeys-lru"]).await;
    let error = connect(&server.url(), ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueueError::EvictionPolicy { .. }), "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(text.contains("redis-cli config set maxmemory-policy noeviction"), "{text}");
}

#[tokio::test]
async fn guarantee_8_a_missing_server_is_waited_for_no_longer_than_asked() {
    let url = "redis+unix:///nowhere/redis.sock";
    let wait_at_open = Duration::from_millis(200);
    let started = Instant::now();
    let options = ConnectOptions { wait_at_open, ..ConnectOptions::default() };
    let error = connect(url, options).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("/nowhere/redis.sock"), "{error}");
    assert!(started.elapsed() >= wait_at_open && started.elapsed() < Duration::from_secs(2));
    let error = connect("http://host/", ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueueError::BadUrl { .. }), "{error}");
}

#[tokio::test]
async fn guarantee_8_a_silence_brings_holders_a_grace_and_then_the_lease_ends() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.reap(10).await.unwrap();
    queue.enqueue_many(vec![job("kept"), job("lost")]).await.unwrap();
    let claims = queue.claim("w", 2).await.unwrap();
    // As if Redis had been away: nobody reaps, nobody renews, the leases run out.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let reaped = queue.reap(10).await.unwrap();
    assert_eq!((reaped.returned, reaped.quarantined), (0, 0));
    assert!(reaped.next_due.unwrap() > Duration::from_millis(500), "{reaped:?}");
    assert_eq!(queue.renew(&[claims[0].lease.clone()]).await.unwrap(), [true]);
    let_leases_end(&queue, 1).await;
    assert_eq!(queue.state("lost").await.unwrap().unwrap().place, Place::Ready);
}

#[tokio::test]
async fn guarantee_8_reaps_that_are_always_far_apart_still_rescue() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue(job("lost")).await.unwrap();
    queue.claim("w", 1).await.unwrap();
    // Each of these comes after a silence of more than half a lease, within the grace of the last.
    let mut reaps = Vec::new();
    while reaps.iter().sum::<usize>() == 0 && reaps.len() < 6 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        reaps.push(queue.reap(10).await.unwrap().returned);
    }
    println!("rescued by {} reaps", reaps.len());
    assert_eq!(reaps.iter().sum::<usize>(), 1, "{reaps:?}");
    assert_eq!(queue.state("lost").await.unwrap().unwrap().place, Place::Ready);
}

#[tokio::test]
async fn guarantee_8_a_clock_set_back_within_a_grace_takes_no_later_grace_away() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut line = server.raw().await;
    queue.enqueue(job("a")).await.unwrap();
    let claim = queue.claim("w", 1).await.unwrap().remove(0);
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query_async(&mut line).await.unwrap();
    // The clock was an hour ahead when a grace began. Later Redis is away for longer than a lease.
    let (grace, reaped) = ((seconds + 3600) * 1000, (seconds - 5) * 1000);
    let mut later = redis::pipe();
    later.hset("{test:work}:meta", "grace", grace).hset("{test:work}:meta", "reaped", reaped);
    later.zadd("{test:work}:claimed:upload", "a", (seconds - 1) * 1000);
    later.exec_async(&mut line).await.unwrap();
    let rescued = queue.reap(10).await.unwrap();
    assert_eq!(rescued.returned, 0, "its holder had no moment to renew: {rescued:?}");
    assert_eq!(queue.renew(std::slice::from_ref(&claim.lease)).await.unwrap(), [true]);
}
