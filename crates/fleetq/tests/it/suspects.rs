//! Jobs on their last start that have ended no run: a worker runs one of them at a time, and puts
//! the others off.
//! Failure: suspects that use up turns, calls or the room under a cap in the place of healthy jobs,
//! a worker that asks for them without a pause, a suspect that never runs or runs beside another.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, FleetBackend, Handle, Lane, NewJob, Queue, QueueSettings, Settle, WorkerOptions,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::harness::{Server, job, script_calls, short_lease, until};

const STARTS_MAX: u32 = 3;
/// Of which a call looks at a few hundred.
const SUSPECTS: usize = 3000;

fn settings() -> QueueSettings {
    QueueSettings { starts_max: STARTS_MAX, ..QueueSettings::default() }
}

fn is_suspect(claim: &Claim) -> bool {
    claim.starts == STARTS_MAX
}

/// Adds suspects to `lane`, as they are after the processes of their first runs were lost.
async fn add_suspects(server: &Server, queue: &Queue, lane: Lane, count: usize) {
    add_large_suspects(server, queue, lane, count, 2).await;
}

/// With a payload of so many bytes each.
async fn add_large_suspects(
    server: &Server,
    queue: &Queue,
    lane: Lane,
    count: usize,
    bytes: usize,
) {
    let named = |n| NewJob::new(format!("suspect-{lane}-{n}"), "count", "x".repeat(bytes));
    queue.enqueue_many((0..count).map(|n| named(n).in_lane(lane)).collect()).await.unwrap();
    let mut line = server.raw().await;
    let states: BTreeMap<String, String> =
        redis::cmd("HGETALL").arg("{test:work}:state").query_async(&mut line).await.unwrap();
    let mut started = redis::pipe();
    for (id, record) in states.iter().filter(|(id, _)| id.starts_with("suspect")) {
        let again = record.replacen(" 0 0 0 ", " 2 0 0 ", 1);
        started.hset("{test:work}:state", id, again);
    }
    started.exec_async(&mut line).await.unwrap();
}

/// What is told next; fails loudly after 20 s.
async fn next(told: &mut mpsc::UnboundedReceiver<String>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let id = tokio::time::timeout(Duration::from_secs(20), told.recv()).await;
        ids.push(id.unwrap_or_else(|_| panic!("waited in vain after {ids:?}")).unwrap());
    }
    ids
}

#[derive(Clone)]
struct Gates {
    suspects: Arc<Semaphore>,
    healthy: Arc<Semaphore>,
    started: mpsc::UnboundedSender<String>,
}

/// Tells that it runs, then waits at the gate of its kind.
async fn wait_at_gate(claim: Claim, gates: Data<Gates>) {
    gates.started.send(claim.id.clone()).unwrap();
    let gate = if is_suspect(&claim) { &gates.suspects } else { &gates.healthy };
    gate.acquire().await.unwrap().forget();
    claim.settle(Settle::Done).await.unwrap();
}

struct Worker {
    handle: Handle,
    gates: Gates,
    started: mpsc::UnboundedReceiver<String>,
    running: JoinHandle<()>,
}

impl Worker {
    fn start(queue: &Queue, slots: usize) -> Self {
        let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", slots)).unwrap();
        let handle = backend.handle();
        let (sender, started) = mpsc::unbounded_channel();
        let closed = || Arc::new(Semaphore::new(0));
        let gates = Gates { suspects: closed(), healthy: closed(), started: sender };
        let worker =
            WorkerBuilder::new("w").backend(backend).data(gates.clone()).build(wait_at_gate);
        let running = tokio::spawn(async move { worker.run().await.unwrap() });
        Self { handle, gates, started, running }
    }

    /// The healthy ones among the next `count` runs.
    async fn healthy_among(&mut self, count: usize) -> Vec<String> {
        let mut healthy = next(&mut self.started, count).await;
        healthy.retain(|id| !id.starts_with("suspect"));
        healthy
    }

    async fn stop(self) {
        self.handle.stop();
        self.gates.suspects.add_permits(100);
        self.gates.healthy.add_permits(100);
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn healthy_jobs_behind_suspects_are_claimed_within_a_few_calls() {
    const HEALTHY: usize = 30;
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(settings()).await;
    add_suspects(&server, &queue, Lane::Interactive, SUSPECTS).await;
    for lane in Lane::ALL {
        let jobs = (0..HEALTHY / 3).map(|n| job(format!("{lane}-{n}")).in_lane(lane));
        queue.enqueue_many(jobs.collect()).await.unwrap();
    }
    let before = script_calls(&mut line).await;
    let mut worker = Worker::start(&queue, 4);
    worker.gates.healthy.add_permits(HEALTHY);
    // One suspect runs and holds its slot.
    let healthy = worker.healthy_among(HEALTHY + 1).await;
    let calls = script_calls(&mut line).await - before;
    println!("{calls} calls for {HEALTHY} jobs behind {SUSPECTS} suspects");
    // One call for every three free slots would be a thousand.
    assert!(calls < 300, "{calls} calls");
    assert_eq!(healthy.len(), HEALTHY);
    // The other lanes had their turns meanwhile.
    let (first, last) = healthy.split_at(HEALTHY / 3 * 2);
    assert!(!first.iter().any(|id| id.starts_with("interactive")), "{healthy:?}");
    assert!(last.iter().all(|id| id.starts_with("interactive")), "{healthy:?}");
    worker.stop().await;
}

#[tokio::test]
async fn suspects_that_are_put_off_take_no_room_under_a_cap() {
    let server = Server::start().await;
    let queue = server.queue(settings()).await;
    queue.set_cap(NonZeroU32::new(4)).await.unwrap();
    add_suspects(&server, &queue, Lane::Upload, SUSPECTS).await;
    queue.enqueue_many((0..3).map(job).collect()).await.unwrap();
    let mut line = server.raw().await;
    let before = script_calls(&mut line).await;
    let mut worker = Worker::start(&queue, 8);
    assert_eq!(worker.healthy_among(4).await.len(), 3);
    let calls = script_calls(&mut line).await - before;
    let stats = worker.handle.stats();
    println!("{calls} calls until the cap is made use of, {stats:?}");
    assert!(calls < 100, "{calls} calls");
    // Jobs were left all the time; a wait after each call would be a dozen.
    assert!(stats.wakes + stats.timeouts < 6, "{stats:?}");
    assert_eq!(queue.depth().await.unwrap().claimed, 4);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_has_only_suspects_left_does_not_spin() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(settings()).await;
    add_suspects(&server, &queue, Lane::Upload, 300).await;
    let mut worker = Worker::start(&queue, 4);
    assert!(worker.healthy_among(1).await.is_empty());
    let before = script_calls(&mut line).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let calls = script_calls(&mut line).await - before;
    println!("{calls} calls in two seconds");
    assert!((4..150).contains(&calls), "{calls} calls");
    assert!(worker.started.try_recv().is_err(), "a second one beside the first");
    worker.stop().await;
}

#[tokio::test]
async fn suspects_with_large_payloads_are_put_off_unread() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(settings()).await;
    add_large_suspects(&server, &queue, Lane::Upload, 20, 1024 * 1024).await;
    let mut worker = Worker::start(&queue, 4);
    assert!(worker.healthy_among(1).await.is_empty());
    let before = script_calls(&mut line).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = script_calls(&mut line).await - before;
    println!("{calls} calls in a second");
    // Read, one of them would fill a call, and twenty calls would follow each other without a pause.
    assert!((2..40).contains(&calls), "{calls} calls");
    worker.stop().await;
}

#[tokio::test]
async fn a_suspect_that_is_put_off_keeps_its_place_in_the_line() {
    let server = Server::start().await;
    let line = server.raw().await;
    let queue = server.queue(settings()).await;
    add_suspects(&server, &queue, Lane::Upload, 4).await;
    queue.enqueue_many((0..300).map(job).collect()).await.unwrap();
    let mut worker = Worker::start(&queue, 2);
    // One of each kind runs, and no slot is left.
    assert_eq!(worker.healthy_among(2).await, ["0"]);
    until("those that were put off stand at the head again", || async {
        let mut line = line.clone();
        let lane = "{test:work}:ready:upload";
        let head: Vec<String> =
            redis::cmd("LRANGE").arg(lane).arg(0).arg(3).query_async(&mut line).await.unwrap();
        head == ["suspect-upload-1", "suspect-upload-2", "suspect-upload-3", "1"]
    })
    .await;
    assert_eq!(queue.depth().await.unwrap().totals.promoted, 0, "none of them was delayed");
    worker.stop().await;
}

type Counted = (Arc<AtomicU32>, mpsc::UnboundedSender<String>);

/// Long enough to meet another.
async fn run_alone(claim: Claim, counted: Data<Counted>) {
    let (running, done) = &*counted;
    assert!(is_suspect(&claim));
    let beside = running.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    running.fetch_sub(1, Ordering::SeqCst);
    claim.settle(Settle::Done).await.unwrap();
    let told = if beside == 0 { claim.id.clone() } else { format!("{} beside another", claim.id) };
    done.send(told).unwrap();
}

#[tokio::test]
async fn every_suspect_runs_once_and_beside_no_other_of_its_worker() {
    const EACH: usize = 4;
    let server = Server::start().await;
    let queue = server.queue(settings()).await;
    for lane in Lane::ALL {
        add_suspects(&server, &queue, lane, EACH).await;
    }
    let (sender, mut done) = mpsc::unbounded_channel();
    let workers: Vec<_> = (0..2)
        .map(|n| {
            let name = format!("w{n}");
            let backend = FleetBackend::new(queue.clone(), WorkerOptions::new(&name, 4)).unwrap();
            let handle = backend.handle();
            let counted: Counted = (Arc::default(), sender.clone());
            let worker = WorkerBuilder::new(name).backend(backend).data(counted).build(run_alone);
            (handle, tokio::spawn(worker.run()))
        })
        .collect();
    let seen: BTreeSet<String> = next(&mut done, 3 * EACH).await.into_iter().collect();
    let names =
        Lane::ALL.iter().flat_map(|lane| (0..EACH).map(move |n| format!("suspect-{lane}-{n}")));
    assert_eq!(seen, names.collect());
    until("nothing is left", || async { queue.depth().await.unwrap().unfinished() == 0 }).await;
    for (handle, worker) in workers {
        handle.stop();
        worker.await.unwrap().unwrap();
    }
    assert!(done.try_recv().is_err(), "each ran once");
}

/// A run, until it is dropped.
struct Run(Arc<AtomicU32>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn go_on_for_ever(_claim: Claim, counted: Data<Counted>) {
    let (running, begun) = &*counted;
    let beside = running.fetch_add(1, Ordering::SeqCst);
    let _run = Run(Arc::clone(running));
    begun.send(format!("beside {beside}")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_suspect_that_is_over_its_limit_is_alone_until_its_run_is_dropped() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings { starts_max: STARTS_MAX, ..short_lease() }).await;
    add_suspects(&server, &queue, Lane::Upload, 3).await;
    // The run is dropped half a lease after its limit, which is several looks for work later.
    let limit = Some(Duration::from_millis(50));
    let options = WorkerOptions { limit, ..WorkerOptions::new("w", 4) };
    let backend = FleetBackend::new(queue.clone(), options).unwrap();
    let handle = backend.handle();
    let (sender, mut begun) = mpsc::unbounded_channel();
    let counted: Counted = (Arc::default(), sender);
    let worker = WorkerBuilder::new("w").backend(backend).data(counted).build(go_on_for_ever);
    let worker = tokio::spawn(worker.run());
    assert_eq!(next(&mut begun, 3).await, ["beside 0"; 3]);
    until("all are quarantined", || async { queue.depth().await.unwrap().dead == 3 }).await;
    assert_eq!(handle.stats().over_limit, 3);
    handle.stop();
    worker.await.unwrap().unwrap();
}
