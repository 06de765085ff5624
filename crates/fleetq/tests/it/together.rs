//! Claims that are settled at the same time go to Redis together.
//! Failure: an answer that belongs to another claim, a settlement that does not happen or that
//! happens twice, a script for each claim.

use std::sync::Arc;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, Queue, QueueSettings, Settle, Settled, WorkerOptions};
use tokio::sync::{Barrier, mpsc};

use crate::harness::{Server, assert_one_place, job, until};

const JOBS: usize = 60;
type Cut = (Arc<(Barrier, Barrier)>, mpsc::Sender<Settled>);
type Shared = Arc<(Queue, Barrier, mpsc::Sender<(u32, Settled)>)>;

/// Of three jobs one is settled behind the worker's back before, one ends, one is given up.
async fn settle(claim: Claim, shared: Data<Shared>) {
    let (queue, all_held, told) = &**shared;
    all_held.wait().await;
    let number: u32 = claim.id.parse().unwrap();
    let how = match number % 3 {
        0 => {
            queue.settle(&claim.lease, Settle::Done).await.unwrap();
            Settle::Done
        }
        1 => Settle::Done,
        _ => Settle::Dead { cause: format!("cause {number}"), chain: Vec::new() },
    };
    // Again: the answers to those come one by one.
    all_held.wait().await;
    let settled = claim.settle(how).await.unwrap();
    told.send((number, settled)).await.unwrap();
}

#[tokio::test]
async fn each_of_many_settled_at_once_gets_its_own_answer() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
    // Wake-ups: without them the worker looks for more once and not for every job: its scripts are counted.
    let mut line = server.raw().await;
    redis::cmd("DEL").arg("{test:work}:wake").exec_async(&mut line).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", JOBS)).unwrap();
    let handle = backend.handle();
    let (sender, mut told) = mpsc::channel(JOBS);
    let shared: Shared = Arc::new((queue.clone(), Barrier::new(JOBS), sender));
    let worker =
        tokio::spawn(WorkerBuilder::new("w").backend(backend).data(shared).build(settle).run());
    for _ in 0..JOBS {
        let (number, settled) = told.recv().await.unwrap();
        let wanted = if number % 3 == 0 { Settled::Stale } else { Settled::Applied };
        assert_eq!(settled, wanted, "job {number}");
    }
    // Besides those behind the worker's back: a claim, a few batches, some looks of the reaper.
    let (scripts, alone) = (scripts_run(&mut line).await, JOBS as u64 / 3);
    assert!(scripts < alone + JOBS as u64 / 2, "{scripts} scripts: each claim went alone");
    handle.stop();
    worker.await.unwrap().unwrap();
    let dead = queue.dead(100).await.unwrap();
    assert_eq!(dead.len(), JOBS / 3);
    for letter in dead {
        let cause = letter.failure.map(|failure| failure.cause);
        assert_eq!(cause, Some(format!("cause {}", letter.id)));
    }
    assert_eq!(assert_one_place(&mut line).await, JOBS / 3);
}

#[tokio::test]
async fn a_connection_cut_under_a_batch_settles_every_claim_once() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", JOBS)).unwrap();
    let handle = backend.handle();
    let all_held = Arc::new((Barrier::new(JOBS + 1), Barrier::new(JOBS + 1)));
    let (sender, mut told) = mpsc::channel(JOBS);
    let work = async |claim: Claim, shared: Data<Cut>| {
        let (gate, told) = &*shared;
        gate.0.wait().await;
        gate.1.wait().await;
        told.send(claim.settle(Settle::Done).await.unwrap()).await.unwrap();
    };
    let worker = WorkerBuilder::new("w").backend(backend).data((Arc::clone(&all_held), sender));
    let worker = tokio::spawn(worker.build(work).run());
    all_held.0.wait().await;
    // The server takes the batch and does not run it before the line under it is cut.
    let mut line = server.raw().await;
    let pause = ["CLIENT", "PAUSE", "60000", "WRITE"];
    redis::cmd(pause[0]).arg(&pause[1..]).exec_async(&mut line).await.unwrap();
    all_held.1.wait().await;
    until("the server holds back a batch", || async {
        let clients: String =
            redis::cmd("CLIENT").arg("LIST").query_async(&mut line.clone()).await.unwrap();
        clients.lines().any(|client| client.contains("cmd=evalsha") && is_blocked(client))
    })
    .await;
    let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    let cut: u32 = redis::cmd("CLIENT").arg(&kill).query_async(&mut line).await.unwrap();
    assert!(cut > 0);
    redis::cmd("CLIENT").arg("UNPAUSE").exec_async(&mut line).await.unwrap();
    for _ in 0..JOBS {
        assert_eq!(told.recv().await, Some(Settled::Applied));
    }
    handle.stop();
    worker.await.unwrap().unwrap();
    let totals = queue.depth().await.unwrap().totals;
    assert_eq!((totals.done, totals.stale, totals.claims), (60, 0, 60));
    assert_eq!(assert_one_place(&mut line).await, 0);
}

fn is_blocked(client: &str) -> bool {
    client.split(' ').any(|fact| fact.starts_with("flags=") && fact.contains('b'))
}

/// Scripts that the server has run so far. One that it did not know yet is sent twice.
async fn scripts_run(line: &mut redis::aio::MultiplexedConnection) -> u64 {
    let all: String = redis::cmd("INFO").arg("commandstats").query_async(line).await.unwrap();
    let facts = all.lines().find(|fact| fact.starts_with("cmdstat_evalsha:")).unwrap();
    let count = |name: &str| -> u64 {
        let fact = facts.split([':', ',']).find_map(|fact| fact.strip_prefix(name)).unwrap();
        fact.trim().parse().unwrap()
    };
    count("calls=") - count("failed_calls=")
}
