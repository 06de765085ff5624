//! Whether jobs that harm their worker delay the others: the 99th percentile of the time healthy
//! jobs wait, with and without poison among them, in pairs that take turns.
//! Poison comes in three kinds: it panics, it is dropped unsettled, or it hangs until its limit.
//! Each is started three times and then quarantined, all within the measured time.
//! Run with `cargo bench -p fleetq --bench poison`; it takes 60 s.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

mod figures;
mod server;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, NewJob, Queue, QueueSettings, Settle, WorkerOptions,
    connect,
};
use tokio::sync::mpsc;

use figures::{Figures, median, quantile};
use server::{Persistence, open};

const PAIRS: usize = 5;
const HEALTHY: u64 = 1_800;
/// One healthy job at a time, three milliseconds apart: longer than three leases.
const APART: Duration = Duration::from_millis(3);
/// One in this many jobs brings a poisonous one with it.
const POISON_EVERY: u64 = 60;
const LEASE: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> ExitCode {
    // What the poison says while it dies is no news.
    std::panic::set_hook(Box::new(|_| {}));
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let mut waits = Vec::new();
        let first = pair % 2 == 1;
        for poisoned in [first, !first] {
            waits.push((poisoned, wait(poisoned).await));
        }
        waits.sort_by_key(|(poisoned, _)| *poisoned);
        println!("  p99 of healthy jobs {:.2} ms, among poison {:.2} ms", waits[0].1, waits[1].1);
        ratios.push(waits[1].1 / waits[0].1);
    }
    let mut figures = Figures::default();
    figures.at_most("poison/p99_wait_ratio", median(&ratios), 1.5, "");
    figures.finish("poison")
}

/// The 99th percentile in ms, on a Redis of its own.
async fn wait(poisoned: bool) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let (_server, _) = open(folder.path(), Persistence::None).await;
    let url = format!("redis+unix://{}", folder.path().join("redis.sock").display());
    let redis = connect(&url, ConnectOptions::default()).await.unwrap();
    let settings = QueueSettings { lease: LEASE, ..QueueSettings::default() };
    let queue = Queue::open(&redis, "bench", "poison", settings).await.unwrap();

    let zero = Instant::now();
    let (waited, mut waits) = mpsc::unbounded_channel();
    let run = move |claim: Claim| {
        let waited = waited.clone();
        // A task of its own, so that a panic ends the job and not the worker.
        async move {
            let job = tokio::spawn(async move {
                let since = zero.elapsed().as_secs_f64() * 1e3;
                run_one(claim, since, &waited).await;
            });
            let _ = job.await;
        }
    };
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("bench", 32)).unwrap();
    let handle = backend.handle();
    let worker = tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(run).run());
    let poison = enqueue(&queue, zero, poisoned).await;

    let mut all = Vec::new();
    while all.len() < HEALTHY as usize {
        all.push(waits.recv().await.unwrap());
    }
    while queue.depth().await.unwrap().totals.quarantined < poison {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.stop();
    worker.await.unwrap().unwrap();
    quantile(&all, 0.99)
}

/// Returns how many poisonous jobs there are.
async fn enqueue(queue: &Queue, zero: Instant, poisoned: bool) -> u64 {
    let mut next = tokio::time::interval(APART);
    let mut poison = 0;
    for number in 0..HEALTHY {
        next.tick().await;
        // In the first half alone, so that all of it has died before the last healthy job.
        if poisoned && number % POISON_EVERY == 0 && number < HEALTHY / 2 {
            let kind = ["panic", "drop", "hang"][(poison % 3) as usize];
            queue.enqueue(NewJob::new(format!("poison-{poison}"), kind, "")).await.unwrap();
            poison += 1;
        }
        let now = (zero.elapsed().as_secs_f64() * 1e3).to_string();
        queue.enqueue(NewJob::new(number.to_string(), "healthy", now)).await.unwrap();
    }
    poison
}

async fn run_one(claim: Claim, since: f64, waited: &mpsc::UnboundedSender<f64>) {
    match claim.kind.as_str() {
        "panic" => panic!("poison"),
        "drop" => {}
        "hang" => {
            claim.set_limit(LIMIT);
            claim.cancellation().cancelled().await;
        }
        _ => {
            let enqueued: f64 = std::str::from_utf8(&claim.payload).unwrap().parse().unwrap();
            let _ = waited.send(since - enqueued);
            claim.settle(Settle::Done).await.unwrap();
        }
    }
}
