//! A worker of the storm, in a process of its own. It tells the store each step it takes: that it
//! starts, its effect or else what it means to do, and what the queue answered.

use std::sync::Arc;
use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, Queue, QueueError, QueueSettings, Settle, WorkerOptions,
    connect,
};

use super::store::Store;
use crate::child::setting;

/// Jobs one worker holds at once.
const SLOTS: usize = 8;

struct Tools {
    name: String,
    queue: Queue,
    store: Store,
    lease: Duration,
}

/// What the processes of the storm agree on. So many starts are allowed that the storm itself, which
/// kills at random, sends nothing to the dead letters.
pub fn settings(lease: Duration) -> QueueSettings {
    QueueSettings { lease, starts_max: 1000, ..QueueSettings::default() }
}

pub async fn work(url: String, name: String) {
    let lease = Duration::from_millis(setting("LEASE_MS").parse().unwrap());
    let store = Store::connect(&setting("STORE")).await;
    let queue = open(&url, lease).await;
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new(&name, SLOTS)).unwrap();
    let tools = Arc::new(Tools { name: name.clone(), queue, store, lease });
    WorkerBuilder::new(name).backend(backend).data(tools).build(handle).run().await.unwrap();
}

/// A worker may be born while Redis is away.
async fn open(url: &str, lease: Duration) -> Queue {
    let patience = Duration::from_mins(1);
    let options = ConnectOptions { wait_at_open: patience, ..ConnectOptions::default() };
    loop {
        let opened = async {
            let redis = connect(url, options.clone()).await?;
            Queue::open(&redis, "test", "work", settings(lease)).await
        };
        match opened.await {
            Ok(queue) => return queue,
            Err(error) => assert!(error.is_transient(), "a worker cannot start: {error}"),
        }
    }
}

async fn handle(claim: Claim, tools: Data<Arc<Tools>>) -> Result<(), QueueError> {
    let note = async |verb: &str, detail: &str| {
        tools.store.note(verb, &claim.id, claim.token, &tools.name, detail).await
    };
    let is_first_run = note("start", &claim.kind).await == "0";
    tokio::select! {
        () = run(&claim, tools.lease) => {}
        () = told_to_stop(&claim) => {
            note("stopped", &format!("{:?}", claim.ended())).await;
            return Ok(());
        }
    }
    let how = decide(&claim, is_first_run);
    let plan = verb(&how);
    if how == Settle::Done {
        // Refused or not, the settlement is tried: it must then be refused as well.
        note("effect", "").await;
    } else {
        note("plan", plan).await;
    }
    // A claim that was told of its loss does not ask Redis any more. A deaf handler goes past it, so
    // that it is the script that must refuse.
    let settled = match claim.kind.as_str() {
        "deaf" => tools.queue.settle(&claim.lease, how).await,
        _ => claim.settle(how).await,
    };
    let answer = match settled {
        Ok(settled) => format!("{plan} {settled:?}"),
        Err(error) => format!("{plan} failed: {error}"),
    };
    note("settled", &answer).await;
    Ok(())
}

/// `deaf` jobs do not listen, and settle while their next holder runs.
async fn told_to_stop(claim: &Claim) {
    if claim.kind == "deaf" {
        std::future::pending::<()>().await;
    }
    claim.cancellation().cancelled().await;
}

/// A few milliseconds for most; `long` and `deaf` jobs outlive a lease and need its renewals. They
/// take many steps, so that a process that was stopped for a while has still some before it.
async fn run(claim: &Claim, lease: Duration) {
    if matches!(claim.kind.as_str(), "long" | "deaf") {
        for _ in 0..15 {
            tokio::time::sleep(lease / 10).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(claim.token.unsigned_abs() % 12)).await;
}

/// The kinds that are not simply done choose another end in their first run, or while they have few
/// attempts.
fn decide(claim: &Claim, is_first_run: bool) -> Settle {
    let cause = "the storm wants it so".to_owned();
    match claim.kind.as_str() {
        "retry" if claim.attempts == 0 => Settle::RetryAfter { delay: Duration::ZERO, cause },
        "retry" if claim.attempts == 1 => {
            Settle::RetryAfter { delay: Duration::from_millis(300), cause }
        }
        "give" if is_first_run => Settle::GiveBack,
        "wait" if is_first_run => Settle::Wait { delay: Duration::from_millis(50), cause },
        "crash" if is_first_run => Settle::Crashed { cause },
        "dead" if is_first_run => Settle::Dead { cause, chain: Vec::new() },
        _ => Settle::Done,
    }
}

fn verb(how: &Settle) -> &'static str {
    match how {
        Settle::Done => "done",
        Settle::RetryAfter { .. } => "retry",
        Settle::Wait { .. } => "wait",
        Settle::Dead { .. } => "dead",
        Settle::GiveBack => "give",
        Settle::Crashed { .. } => "crash",
    }
}
