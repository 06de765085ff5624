//! How soon work goes on after Redis was killed and started again on its append-only file, while a
//! worker was at work. The clock runs from the first answer of the new server until the next
//! settlement; afterwards every job must have been settled.
//! Run with `cargo bench -p fleetq --bench outage`; it takes 20 s.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

mod figures;
mod server;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, Settle, WorkerOptions};
use tokio::sync::mpsc;

use figures::{Figures, median, quantile};
use server::{Persistence, jobs, open};

const OUTAGES: u64 = 10;
const JOBS: u64 = 4_000;

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, queue) = open(folder.path(), Persistence::EveryWrite).await;
    queue.enqueue_many(jobs(0, JOBS)).await.unwrap();
    let (settled, mut settlements) = mpsc::unbounded_channel();
    let run = move |claim: Claim| {
        let settled = settled.clone();
        async move {
            // The work itself; about 700 jobs a second with these slots.
            tokio::time::sleep(Duration::from_millis(20)).await;
            claim.settle(Settle::Done).await.unwrap();
            let _ = settled.send((claim.id.clone(), Instant::now()));
        }
    };
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("bench", 16)).unwrap();
    let handle = backend.handle();
    let worker = tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(run).run());

    let mut seen = BTreeSet::new();
    let mut took = Vec::new();
    for outage in 0..OUTAGES {
        for _ in 0..100 {
            seen.insert(settlements.recv().await.unwrap().0);
        }
        server.kill();
        tokio::time::sleep(Duration::from_millis(300 + outage * 7_919 % 1_000)).await;
        server.start_again(folder.path()).await;
        let back = Instant::now();
        let next = loop {
            let (id, at) = settlements.recv().await.unwrap();
            seen.insert(id);
            if at > back {
                break at;
            }
        };
        took.push((next - back).as_secs_f64() * 1e3);
    }
    while seen.len() < JOBS as usize {
        seen.insert(settlements.recv().await.unwrap().0);
    }
    handle.stop();
    worker.await.unwrap().unwrap();
    let mut figures = Figures::default();
    figures.at_most("outage/next_settlement_median", median(&took), 1_000.0, "ms");
    figures.at_most("outage/next_settlement_longest", quantile(&took, 1.0), 1_000.0, "ms");
    figures.finish("outage")
}
