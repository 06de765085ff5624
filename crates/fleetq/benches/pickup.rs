//! How soon an idle worker starts a job, and what it uses while there is none.
//! From the call that enqueues until the handler starts, on a worker that is idle again each time;
//! then the processor time of the whole process, worker, keeper and runtime, over ten idle seconds.
//! Run with `cargo bench -p fleetq --bench pickup`; it takes 25 s.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

mod figures;
mod server;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, NewJob, Settle, WorkerOptions};
use tokio::sync::mpsc;

use figures::{Figures, quantile};
use server::{Persistence, open};

const SAMPLES: u64 = 800;
const IDLE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (_server, queue) = open(folder.path(), Persistence::None).await;
    let (started, mut starts) = mpsc::unbounded_channel();
    let run = move |claim: Claim| {
        let _ = started.send(Instant::now());
        async move { claim.settle(Settle::Done).await.map(|_| ()) }
    };
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("bench", 8)).unwrap();
    let handle = backend.handle();
    let worker = tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(run).run());

    let mut waits = Vec::new();
    for number in 0..SAMPLES {
        // The worker becomes idle again; the varying pause keeps this loop out of its step.
        tokio::time::sleep(Duration::from_micros(5_000 + number * 7_919 % 10_000)).await;
        let from = Instant::now();
        queue.enqueue(NewJob::new(number.to_string(), "empty", "")).await.unwrap();
        let at = starts.recv().await.unwrap();
        waits.push(at.saturating_duration_since(from).as_secs_f64() * 1e3);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = processor_time();
    tokio::time::sleep(IDLE).await;
    let used = processor_time().saturating_sub(before);
    handle.stop();
    worker.await.unwrap().unwrap();

    let mut figures = Figures::default();
    figures.at_most("pickup/p50", quantile(&waits, 0.5), 1.0, "ms");
    figures.at_most("pickup/p99", quantile(&waits, 0.99), 5.0, "ms");
    let share = used.as_secs_f64() * 100.0 / IDLE.as_secs_f64();
    figures.at_most("pickup/idle_worker_cpu", share, 1.0, "%");
    figures.finish("pickup")
}

/// Of this process so far, user and system; the kernel counts in ticks of 10 ms.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program stands in brackets and may hold anything.
    let (_, rest) = text.rsplit_once(") ").unwrap();
    let ticks: u32 =
        rest.split(' ').skip(11).take(2).map(|word| word.parse::<u32>().unwrap()).sum();
    Duration::from_millis(10) * ticks
}
