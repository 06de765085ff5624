//! Jobs that harm their worker, among others that do not, in worker processes that are started
//! again when they end.
//! Failure: one that is started more often than allowed, a dead letter without the cause, another
//! job that is lost, dead or has to wait for ever, a worker that ends where only a handler broke.
//!
//! Not failure: another job that ran twice because the process it was in was aborted.
//!
//! A job that takes its process along takes the jobs beside it along, and their starts count as its
//! own do. On their last start they must not meet it again.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, Enqueued, FleetBackend, NewJob, Queue, QueueError, QueueSettings,
    Settle, WorkerOptions, connect,
};
use serde::Deserialize;

use crate::harness::{Server, assert_one_place, job, short_lease, until};

const LIMIT: Duration = Duration::from_secs(1);
const OTHERS: usize = 60;

/// A process that is started again whenever it ends; killed with the test.
struct Supervised {
    url: String,
    slots: usize,
    child: Child,
    starts: usize,
}

impl Supervised {
    fn start(url: &str, slots: usize) -> Self {
        Self { url: url.to_owned(), slots, child: spawn(url, slots, 1), starts: 1 }
    }

    fn start_again_if_it_ended(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            self.starts += 1;
            self.child = spawn(&self.url, self.slots, self.starts);
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(url: &str, slots: usize, start: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "poison::poisoned_process", "--nocapture", "--test-threads=1"])
        .env("FLEETQ_POISONED", url)
        .env("FLEETQ_POISONED_SLOTS", slots.to_string())
        .env("FLEETQ_POISONED_NAME", format!("worker-{start}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What runs in the worker process; nothing in the run of all tests.
#[tokio::test]
async fn poisoned_process() {
    let Ok(url) = std::env::var("FLEETQ_POISONED") else { return };
    let name = std::env::var("FLEETQ_POISONED_NAME").unwrap();
    let slots = std::env::var("FLEETQ_POISONED_SLOTS").unwrap().parse().unwrap();
    let redis = connect(&url, ConnectOptions::default()).await.unwrap();
    let queue = Queue::open(&redis, "test", "work", short_lease()).await.unwrap();
    let options = WorkerOptions { limit: Some(LIMIT), ..WorkerOptions::new(&name, slots) };
    let backend = FleetBackend::new(queue, options).unwrap();
    WorkerBuilder::new(name).backend(backend).build(handle).run().await.unwrap();
}

#[derive(Deserialize)]
struct Payload {
    number: u32,
}

async fn handle(claim: Claim) -> Result<(), QueueError> {
    match claim.kind.as_str() {
        "abort" => std::process::abort(),
        "spin" => {
            // It holds the thread of every handler here. What supervises a program ends it then.
            let watch = claim.cancellation();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(watch.cancelled());
                std::process::abort();
            });
            loop {
                std::hint::spin_loop();
            }
        }
        "panic" => panic!("number {} is odd", claim.id),
        "never" => std::future::pending::<()>().await,
        _ => {}
    }
    let how = match serde_json::from_slice::<Payload>(&claim.payload) {
        Ok(payload) if payload.number < 1000 => Settle::Done,
        Ok(payload) => {
            Settle::Dead { cause: format!("{} is too many", payload.number), chain: vec![] }
        }
        Err(error) => Settle::Dead {
            cause: "the payload cannot be read".into(),
            chain: vec![error.to_string()],
        },
    };
    claim.settle(how).await.map(|_| ())
}

fn good(number: usize) -> NewJob {
    NewJob::new(format!("good-{number}"), "count", format!("{{\"number\":{number}}}"))
}

/// The poison runs beside the others until it lies in the dead letters.
async fn quarantine(kind: &str, slots: usize) -> (fleetq::DeadJob, usize) {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut process = Supervised::start(&server.url(), slots);
    queue.enqueue(NewJob::new("poison", kind, "{\"number\":1}")).await.unwrap();
    let others = (0..OTHERS).map(good).collect();
    assert_eq!(queue.enqueue_many(others).await.unwrap(), [Enqueued::Added; OTHERS]);
    let process_starts = std::cell::Cell::new(0);
    let process = std::cell::RefCell::new(&mut process);
    until("all others are done and the poison is dead", || async {
        process.borrow_mut().start_again_if_it_ended();
        process_starts.set(process.borrow().starts);
        for letter in queue.dead(10).await.unwrap() {
            assert_eq!(letter.id, "poison", "{:?}", letter.failure);
        }
        let depth = queue.depth().await.unwrap();
        depth.totals.done == OTHERS as u64 && depth.dead == 1 && depth.unfinished() == 0
    })
    .await;
    assert_eq!(assert_one_place(&mut server.raw().await).await, 1, "only the dead letter is left");
    (queue.dead(10).await.unwrap().remove(0), process_starts.get())
}

#[tokio::test]
async fn a_job_that_aborts_its_process_is_quarantined() {
    let (letter, process_starts) = quarantine("abort", 4).await;
    assert_eq!((letter.id.as_str(), letter.starts), ("poison", 3));
    let cause = letter.failure.unwrap().cause;
    assert!(cause.starts_with("started 3 times and never settled"), "{cause}");
    assert!(process_starts >= 3, "the process was started {process_starts} times");
}

#[tokio::test]
async fn a_job_that_spins_is_quarantined_when_its_process_is_ended() {
    let (letter, process_starts) = quarantine("spin", 4).await;
    assert_eq!((letter.id.as_str(), letter.starts), ("poison", 3));
    let cause = letter.failure.unwrap().cause;
    assert!(cause.starts_with("started 3 times and never settled"), "{cause}");
    assert!(process_starts >= 3, "the process was started {process_starts} times");
}

#[tokio::test]
async fn a_job_that_panics_is_quarantined_with_its_words_and_the_worker_lives() {
    let (letter, process_starts) = quarantine("panic", 2).await;
    let failure = letter.failure.unwrap();
    let cause = "started 3 times and never settled; the last time: the handler panicked: number \
                 poison is odd";
    assert_eq!((failure.how.as_str(), failure.cause.as_str()), ("quarantined", cause));
    assert_eq!((letter.starts, letter.attempts, process_starts), (3, 0, 1));
}

#[tokio::test]
async fn a_job_that_never_returns_is_quarantined_and_frees_its_slot() {
    let (letter, process_starts) = quarantine("never", 2).await;
    let failure = letter.failure.unwrap();
    let cause = "started 3 times and never settled; the last time: the handler went on after its \
                 time limit and was stopped";
    assert_eq!((failure.how.as_str(), failure.cause.as_str()), ("quarantined", cause));
    assert_eq!((letter.starts, letter.attempts, process_starts), (3, 0, 1));
}

#[tokio::test]
async fn payloads_that_cannot_be_read_die_at_once_with_the_reason() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue(NewJob::new("broken", "count", "{}")).await.unwrap();
    let mut harm = redis::cmd("HSET");
    harm.arg("{test:work}:jobs").arg("broken").arg(&b"\xff\xfe no header"[..]);
    harm.exec_async(&mut server.raw().await).await.unwrap();
    queue.enqueue(NewJob::new("refused", "count", "{\"number\":\"one\"}")).await.unwrap();
    queue.enqueue_many((0..OTHERS).map(good).collect()).await.unwrap();
    let mut process = Supervised::start(&server.url(), 2);
    until("the others are done and two are dead", || async {
        let depth = queue.depth().await.unwrap();
        depth.totals.done == OTHERS as u64 && depth.dead == 2
    })
    .await;
    process.start_again_if_it_ended();
    assert_eq!(process.starts, 1, "the worker lives");
    let mut letters = queue.dead(10).await.unwrap();
    letters.sort_by(|a, b| a.id.cmp(&b.id));
    for (letter, (id, reason)) in
        letters.iter().zip([("broken", "expected value"), ("refused", "invalid type")])
    {
        let failure = letter.failure.as_ref().unwrap();
        assert_eq!((letter.id.as_str(), letter.starts), (id, 1));
        assert_eq!(failure.cause, "the payload cannot be read");
        assert!(failure.chain[0].contains(reason), "{failure:?}");
    }
    assert_eq!(letters[0].payload, b"\xff\xfe no header");
}

#[tokio::test]
async fn five_megabytes_are_refused_at_the_door_unless_the_limit_is_raised() {
    const BYTES: usize = 5 * 1024 * 1024;
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let large = || NewJob::new("large", "count", "x".repeat(BYTES));
    let error = queue.enqueue_many(vec![job("small"), large()]).await.unwrap_err();
    assert!(matches!(error, QueueError::PayloadTooLarge { bytes: BYTES, .. }), "{error}");
    assert_eq!(queue.state("small").await.unwrap(), None, "a call with a refused job adds none");

    let raised = QueueSettings { payload_bytes_max: BYTES, ..QueueSettings::default() };
    let queue = server.queue(raised).await;
    assert_eq!(queue.enqueue(large()).await.unwrap(), Enqueued::Added);
    let claim = crate::harness::claim_one(&queue, "w").await;
    assert_eq!(claim.payload.len(), BYTES);
    claim.settle(Settle::Done).await.unwrap();
    assert_eq!(assert_one_place(&mut server.raw().await).await, 0);
}
