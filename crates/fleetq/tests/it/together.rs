//! Claims that are settled at the same time go to Redis together.
//! Failure: an answer that belongs to another claim, a settlement that does not happen.

use std::sync::Arc;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, Queue, QueueSettings, Settle, Settled, WorkerOptions};
use tokio::sync::{Barrier, mpsc};

use crate::harness::{Server, assert_one_place, job};

const JOBS: usize = 60;
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
    let settled = claim.settle(how).await.unwrap();
    told.send((number, settled)).await.unwrap();
}

#[tokio::test]
async fn each_of_many_settled_at_once_gets_its_own_answer() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
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
    handle.stop();
    worker.await.unwrap().unwrap();
    let dead = queue.dead(100).await.unwrap();
    assert_eq!(dead.len(), JOBS / 3);
    for letter in dead {
        let cause = letter.failure.map(|failure| failure.cause);
        assert_eq!(cause, Some(format!("cause {}", letter.id)));
    }
    assert_eq!(assert_one_place(&mut server.raw().await).await, JOBS / 3);
}
