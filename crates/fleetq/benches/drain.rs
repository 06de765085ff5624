//! What a whole worker costs: jobs that do nothing, claimed, run and settled by one process in the
//! loop that the roles of a fleet have. They are enqueued before the clock starts, and it stops
//! when the last is settled.
//! Run with `cargo bench -p fleetq --bench drain`; the time is that of all jobs of a run.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench may fail loudly")]

mod server;

use std::time::{Duration, Instant};

use apalis_core::worker::builder::WorkerBuilder;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use fleetq::{Claim, FleetBackend, Queue, Settle, WorkerOptions};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use server::{Persistence, jobs, open};

const JOBS: u64 = 20_000;

fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("drain_20000_empty_jobs");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(JOBS));
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
    for (persistence, name, all_slots) in [
        (Persistence::None, "in_memory", &[4, 64][..]),
        // With few slots this would tell how fast the disk is and nothing else.
        (Persistence::EveryWrite, "on_disk", &[64, 256]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_server, queue) = runtime.block_on(open(folder.path(), persistence));
        for slots in all_slots.iter().copied() {
            let id = BenchmarkId::new(name, format!("{slots}_slots"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        runtime.block_on(queue.enqueue_many(jobs(0, JOBS))).unwrap();
                        took += runtime.block_on(drain(&queue, slots));
                    }
                    took
                });
            });
        }
    }
    group.finish();
}

/// Works as `workers/process.rs` does: a task for each job, and a settlement at its end.
async fn drain(queue: &Queue, slots: usize) -> Duration {
    let (settled, mut all_settled) = mpsc::unbounded_channel();
    let run = move |claim: Claim| {
        let settled = settled.clone();
        async move {
            let job = async move {
                claim.settle(Settle::Done).await.unwrap();
                settled.send(()).unwrap();
            };
            tokio::spawn(job).await.unwrap();
        }
    };
    let started = Instant::now();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("bench", slots)).unwrap();
    let handle = backend.handle();
    let worker = tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(run).run());
    for _ in 0..JOBS {
        all_settled.recv().await.unwrap();
    }
    let took = started.elapsed();
    handle.stop();
    worker.await.unwrap().unwrap();
    assert_eq!(queue.depth().await.unwrap().ready(), 0);
    took
}

criterion_group!(benches, bench);
criterion_main!(benches);
