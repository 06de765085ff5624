//! What the queue costs, against a Redis of its own on a unix socket, payloads empty.
//! Run with `cargo bench -p fleetq`; the numbers are jobs per second of one client.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench may fail loudly")]

mod server;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fleetq::{Queue, Settle};
use tokio::runtime::Runtime;

use server::{Persistence, jobs, open};

fn bench(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let (_server, queue) = runtime.block_on(open(folder.path(), Persistence::None));
    let mut next = 0;
    for batch in [1_u64, 10, 200] {
        let mut group = criterion.benchmark_group(format!("batches_of_{batch}"));
        group.throughput(Throughput::Elements(batch));
        group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
        group.bench_function("enqueue", |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        let new = jobs(next, batch);
                        next += batch;
                        let started = Instant::now();
                        queue.enqueue_many(new).await.unwrap();
                        took += started.elapsed();
                        work_off(&queue, batch).await;
                    }
                    took
                })
            });
        });
        group.bench_function("claim_and_settle", |bencher| {
            bencher.iter_custom(|rounds| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        queue.enqueue_many(jobs(next, batch)).await.unwrap();
                        next += batch;
                        let started = Instant::now();
                        work_off(&queue, batch).await;
                        took += started.elapsed();
                    }
                    took
                })
            });
        });
        group.finish();
    }
}

async fn work_off(queue: &Queue, batch: u64) {
    let claims = queue.claim("bench", batch as usize).await.unwrap();
    assert_eq!(claims.len() as u64, batch);
    let done: Vec<_> = claims.iter().map(|claim| (claim.lease.clone(), Settle::Done)).collect();
    queue.settle_many(&done).await.unwrap();
}

criterion_group!(benches, bench);
criterion_main!(benches);
