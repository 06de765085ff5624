//! Adds the jobs of a storm while it blows, over lines that break: a call that failed is repeated
//! until an answer came, as any caller would. Now and then it adds again what may still be alive, and
//! it brings back what went to the dead letters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetq::{ConnectOptions, Enqueued, Lane, NewJob, Queue, QueueError, connect};

use super::chance::Chance;
use super::checker::Checker;
use super::worker::settings;

const BATCH_MAX: u64 = 150;
/// So many unfinished jobs are enough to keep every worker busy.
const BACKLOG: u64 = 1500;
const PAUSE: Duration = Duration::from_millis(10);

/// What the two tasks of the test tell each other.
#[derive(Default)]
pub struct Orders {
    /// Jobs to add; more as long as the storm has not blown over.
    pub jobs: u64,
    pub over: AtomicBool,
    /// Added as far as is known, and asked for without an answer.
    pub added: AtomicU64,
    pub blurred: AtomicU64,
    pub redriven: AtomicU64,
}

/// Opens the queue with no patience: every repetition is then the caller's own and is counted.
pub async fn open(url: &str, lease: Duration) -> Queue {
    let options = ConnectOptions {
        wait_at_open: Duration::from_mins(1),
        patience: Duration::ZERO,
        response_timeout: Duration::from_secs(20),
        ..ConnectOptions::default()
    };
    loop {
        let opened = async {
            let redis = connect(url, options.clone()).await?;
            Queue::open(&redis, "test", "work", settings(lease)).await
        };
        match opened.await {
            Ok(queue) => return queue,
            Err(error) => assert!(error.is_transient(), "the queue cannot be opened: {error}"),
        }
    }
}

/// Until enough is added and the storm is over.
pub async fn add_jobs(
    lines: [Queue; 2],
    orders: Arc<Orders>,
    checker: Arc<Mutex<Checker>>,
    mut chance: Chance,
) {
    let mut next = 0;
    while next < orders.jobs || !orders.over.load(Ordering::SeqCst) {
        let line = &lines[chance.roll(2) as usize];
        redrive_dead(line, &orders).await;
        match repeat(|| line.depth()).await {
            depth if depth.unfinished() > BACKLOG => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            _ => {}
        }
        let mut batch = Vec::new();
        for _ in 0..=chance.roll(BATCH_MAX) {
            batch.push(new_job(next, &mut chance));
            next += 1;
        }
        for _ in 0..chance.roll(4) {
            // Younger ones are likelier to be alive still.
            let age = 1 + chance.roll(2000);
            if next > age + BATCH_MAX {
                batch.push(new_job(next - BATCH_MAX - age, &mut chance));
            }
        }
        add(line, &batch, &orders, &checker).await;
    }
}

async fn add(line: &Queue, batch: &[NewJob], orders: &Orders, checker: &Mutex<Checker>) {
    for job in batch {
        checker.lock().unwrap().expect(&job.id);
    }
    loop {
        match line.enqueue_many(batch.to_vec()).await {
            Ok(answers) => {
                let mut checker = checker.lock().unwrap();
                for (job, answer) in batch.iter().zip(answers) {
                    if answer == Enqueued::Added {
                        checker.may_live(&job.id);
                        orders.added.fetch_add(1, Ordering::SeqCst);
                    }
                }
                return;
            }
            Err(error) => {
                assert!(error.is_transient(), "jobs cannot be added: {error}");
                let mut checker = checker.lock().unwrap();
                for job in batch {
                    checker.may_live(&job.id);
                }
                orders.blurred.fetch_add(batch.len() as u64, Ordering::SeqCst);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Brings every dead letter back; the storm's own are the only ones there are.
pub async fn redrive_dead(line: &Queue, orders: &Orders) {
    for dead in repeat(|| line.dead(100)).await {
        let failure = dead.failure.unwrap();
        assert_eq!(failure.cause, "the storm wants it so", "job {} died of {failure:?}", dead.id);
        if repeat(|| line.redrive(&dead.id)).await {
            orders.redriven.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn repeat<T, Call, Answer>(mut call: Call) -> T
where
    Call: FnMut() -> Answer,
    Answer: Future<Output = Result<T, QueueError>>,
{
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient(), "the queue cannot be used: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Most are simply done; the others see the worker's `decide`.
fn new_job(number: u64, chance: &mut Chance) -> NewJob {
    let kind = match chance.roll(400) {
        0..12 => "retry",
        12..20 => "give",
        20..28 => "wait",
        28..32 => "dead",
        32..34 => "long",
        34..36 => "deaf",
        36..42 => "crash",
        _ => "count",
    };
    let lane = Lane::ALL[chance.roll(3) as usize];
    let job = NewJob::new(number.to_string(), kind, "{}").in_lane(lane);
    if chance.roll(20) == 0 { job.after(Duration::from_millis(chance.roll(1500))) } else { job }
}
