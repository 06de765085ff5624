//! An idle worker is woken by the job, not by its timer; a due job needs no new one to be noticed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, Settle, WorkerOptions};
use redis::aio::MultiplexedConnection;
use tokio::sync::{Semaphore, mpsc};

use crate::harness::{Server, job, keys, short_lease, until};

async fn done(claim: Claim, done: Data<mpsc::Sender<(String, Instant)>>) {
    let started = Instant::now();
    claim.settle(Settle::Done).await.unwrap();
    done.send((claim.id.clone(), started)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_is_woken_by_the_job() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut line = server.raw().await;
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 1)).unwrap();
    let handle = backend.handle();
    let (sender, mut finished) = mpsc::channel::<(String, Instant)>(8);
    let worker =
        tokio::spawn(WorkerBuilder::new("w").backend(backend).data(sender).build(done).run());

    let mut waits: Vec<Duration> = Vec::new();
    for n in 0..30 {
        until("the worker is blocked and waits", || async {
            let info: String =
                redis::cmd("INFO").arg("clients").query_async(&mut line.clone()).await.unwrap();
            info.contains("blocked_clients:1")
        })
        .await;
        let added = Instant::now();
        queue.enqueue(job(n)).await.unwrap();
        let (_, started) = finished.recv().await.unwrap();
        waits.push(started - added);
    }
    waits.sort();
    println!("pick-up: p50 {:?}, slowest {:?}", waits[15], waits[29]);
    assert!(waits[15] < Duration::from_millis(100), "the timer alone would need 2 s: {waits:?}");
    assert!(handle.stats().wakes >= 30, "{:?}", handle.stats());

    // Soon due: found by the reaper, which tells the worker.
    let added = Instant::now();
    queue.enqueue(job("later").after(Duration::from_millis(300))).await.unwrap();
    let (id, started) = finished.recv().await.unwrap();
    assert_eq!(id, "later");
    let wait = started - added;
    assert!(wait > Duration::from_millis(290) && wait < Duration::from_millis(1600), "{wait:?}");
    handle.stop();
    worker.await.unwrap().unwrap();
    redis::cmd("PING").exec_async(&mut line).await.unwrap();
}

#[tokio::test]
async fn a_fleet_is_woken_at_once_and_leaves_no_token() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let (sender, mut finished) = mpsc::channel::<(String, Instant)>(100);
    let workers: Vec<_> = (0..3)
        .map(|n| {
            let name = format!("w{n}");
            let backend = FleetBackend::new(queue.clone(), WorkerOptions::new(&name, 1)).unwrap();
            let handle = backend.handle();
            let worker = WorkerBuilder::new(name).backend(backend).data(sender.clone()).build(done);
            (handle, tokio::spawn(worker.run()))
        })
        .collect();
    let started = Instant::now();
    queue.enqueue_many((0..60).map(job).collect()).await.unwrap();
    for _ in 0..60 {
        finished.recv().await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    for (handle, worker) in workers {
        assert!(handle.stats().claimed > 0, "{:?}", handle.stats());
        handle.stop();
        worker.await.unwrap().unwrap();
    }
    let left: Vec<String> = keys(&mut server.raw().await).await.into_keys().collect();
    assert_eq!(left, ["{test:work}:history", "{test:work}:meta"], "no token is left either");
}

/// The connections that wait for a token, by their number.
pub async fn waiting(line: &MultiplexedConnection) -> BTreeSet<String> {
    let mut list = redis::cmd("CLIENT");
    list.arg("LIST");
    let clients: String = list.query_async(&mut line.clone()).await.unwrap();
    let waiting = clients.lines().filter(|client| client.contains(" flags=b"));
    waiting.map(|client| client.split(' ').next().unwrap().to_owned()).collect()
}

type Gated = (Arc<Semaphore>, mpsc::UnboundedSender<Instant>);

async fn wait_at_gate(claim: Claim, gated: Data<Gated>) {
    let (gate, started) = &*gated;
    started.send(Instant::now()).unwrap();
    gate.acquire().await.unwrap().forget();
    claim.settle(Settle::Done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_a_free_slot_leaves_the_token_to_an_idle_one() {
    const ROUNDS: usize = 10;
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let line = server.raw().await;
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        let gate = Arc::new(Semaphore::new(0));
        let (sender, mut started) = mpsc::unbounded_channel::<Instant>();
        let start = |name: String| {
            let backend = FleetBackend::new(queue.clone(), WorkerOptions::new(&name, 1)).unwrap();
            let handle = backend.handle();
            let gated = (Arc::clone(&gate), sender.clone());
            let worker = WorkerBuilder::new(name).backend(backend).data(gated).build(wait_at_gate);
            (handle, tokio::spawn(worker.run()))
        };
        let full = start(format!("full-{round}"));
        until("the first worker waits", || async { waiting(&line).await.len() == 1 }).await;
        let line_of_the_full = waiting(&line).await;
        queue.enqueue(job(format!("long-{round}"))).await.unwrap();
        started.recv().await.unwrap();
        // Redis serves whoever has waited longest: were the first to wait again, it would be that.
        let idle = start(format!("idle-{round}"));
        until("the second worker waits", || async {
            !waiting(&line).await.is_subset(&line_of_the_full)
        })
        .await;
        let added = Instant::now();
        queue.enqueue(job(format!("short-{round}"))).await.unwrap();
        waits.push(started.recv().await.unwrap() - added);
        gate.add_permits(2);
        for (handle, worker) in [full, idle] {
            handle.stop();
            worker.await.unwrap().unwrap();
        }
    }
    waits.sort();
    println!("pick-up beside a full worker: {waits:?}");
    assert!(waits[ROUNDS / 2] < Duration::from_secs(1), "the timer needs 2 s: {waits:?}");
}
