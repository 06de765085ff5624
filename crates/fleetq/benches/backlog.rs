//! Whether a million waiting jobs cost what a thousand cost: the same number of jobs drained with
//! either behind them, in turns on one Redis, and the memory that one waiting job takes beside its
//! payload.
//! Run with `cargo bench -p fleetq --bench backlog`; it takes 20 s and 600 MB of Redis.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

mod figures;
mod server;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, NewJob, Queue, Settle, WorkerOptions};
use tokio::sync::mpsc;

use figures::{Figures, median};
use server::{Persistence, open, open_named};

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
const DRAINED: u64 = 20_000;
const ROUNDS: u64 = 7;
const SLOTS: usize = 64;
/// About what an analysis of one photo has to know.
const PAYLOAD: &str = r#"{"library":"0192f5c4-77aa-7c1e-8e39-2b7d3c0d9a10","image":"a1b2c3d4e5f6","path":"2024/05/beach/IMG_2031.jpg"}"#;

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (_server, few) = open(folder.path(), Persistence::None).await;
    let many = open_named(folder.path(), "many").await;
    let before = memory(folder.path()).await;
    fill(&many, 0, MANY).await;
    let bytes = (memory(folder.path()).await - before) / MANY as f64 - PAYLOAD.len() as f64;
    fill(&few, 0, FEW).await;

    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let mut seconds = Vec::new();
        for (queue, waiting) in [(&few, FEW), (&many, MANY)] {
            fill(queue, waiting + round * DRAINED, DRAINED).await;
            let took = drain(queue).await;
            println!("  {DRAINED} jobs of {} in {took:?}", waiting + DRAINED);
            seconds.push(took.as_secs_f64());
        }
        ratios.push(seconds[0] / seconds[1]);
    }
    let mut figures = Figures::default();
    figures.at_least("backlog/rate_with_1000000_to_rate_with_1000", median(&ratios), 0.9, "");
    figures.at_most("backlog/bytes_beside_payload", bytes, 400.0, "bytes");
    figures.finish("backlog")
}

async fn fill(queue: &Queue, from: u64, count: u64) {
    for first in (from..from + count).step_by(10_000) {
        let last = (first + 10_000).min(from + count);
        let jobs = (first..last).map(|n| NewJob::new(n.to_string(), "empty", PAYLOAD)).collect();
        queue.enqueue_many(jobs).await.unwrap();
    }
}

/// The clock stops with the settlement that completes the number; what runs then is given back.
async fn drain(queue: &Queue) -> Duration {
    let (settled, mut all_settled) = mpsc::unbounded_channel();
    let run = move |claim: Claim| {
        let settled = settled.clone();
        async move {
            claim.settle(Settle::Done).await.unwrap();
            let _ = settled.send(());
        }
    };
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("bench", SLOTS)).unwrap();
    let handle = backend.handle();
    let started = Instant::now();
    let worker = tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(run).run());
    for _ in 0..DRAINED {
        all_settled.recv().await.unwrap();
    }
    let took = started.elapsed();
    handle.stop();
    worker.await.unwrap().unwrap();
    took
}

async fn memory(folder: &Path) -> f64 {
    let socket = folder.join("redis.sock");
    let client = redis::Client::open(format!("redis+unix://{}", socket.display())).unwrap();
    let mut line = client.get_multiplexed_async_connection().await.unwrap();
    let text: String = redis::cmd("INFO").arg("memory").query_async(&mut line).await.unwrap();
    let used = text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.parse().unwrap()
}
