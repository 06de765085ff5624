//! A cap over the whole fleet.
//! Failure: more jobs held than the cap allows, jobs that wait although it leaves room, a worker
//! that only its timer brings back.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, Queue, QueueSettings, Settle, WorkerOptions};
use tokio::sync::{Semaphore, mpsc};

use crate::harness::{Server, job, let_leases_end, short_lease, until};

type Shared = (Arc<Semaphore>, Arc<AtomicU32>, mpsc::UnboundedSender<String>);

async fn cap(queue: &Queue, cap: u32) {
    queue.set_cap(NonZeroU32::new(cap)).await.unwrap();
}

#[tokio::test]
async fn a_claim_gets_what_the_cap_leaves() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..20).map(job).collect()).await.unwrap();
    cap(&queue, 5).await;
    assert_eq!(queue.depth().await.unwrap().cap, Some(5));
    let first = queue.claim("a", 3).await.unwrap();
    assert_eq!(queue.claim("b", 10).await.unwrap().len(), 2);
    assert_eq!(queue.claim("b", 10).await.unwrap().len(), 0);
    first[0].settle(Settle::GiveBack).await.unwrap();
    assert_eq!(queue.claim("b", 10).await.unwrap().len(), 1);
    // Lowered below what is held: nobody is disturbed, nothing more is given out.
    cap(&queue, 2).await;
    first[1].settle(Settle::Done).await.unwrap();
    assert_eq!(queue.claim("b", 10).await.unwrap().len(), 0);
    queue.set_cap(None).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().cap, None);
    assert_eq!(queue.claim("b", 100).await.unwrap().len(), 20 - 1 - 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_never_holds_more_and_never_waits_for_its_timer() {
    const JOBS: u64 = 60;
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    cap(&queue, 3).await;
    queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
    let (gate, running) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
    let (sender, mut finished) = mpsc::unbounded_channel::<String>();
    let work = async |claim: Claim, data: Data<Shared>| {
        let (gate, running, done) = &*data;
        assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
        gate.acquire().await.unwrap().forget();
        running.fetch_sub(1, Ordering::SeqCst);
        claim.settle(Settle::Done).await.unwrap();
        done.send(claim.id.clone()).unwrap();
    };
    let workers: Vec<_> = (0..2)
        .map(|n| {
            let name = format!("w{n}");
            let backend = FleetBackend::new(queue.clone(), WorkerOptions::new(&name, 8)).unwrap();
            let handle = backend.handle();
            let shared = (Arc::clone(&gate), Arc::clone(&running), sender.clone());
            let worker = WorkerBuilder::new(name).backend(backend).data(shared).build(work);
            (handle, tokio::spawn(worker.run()))
        })
        .collect();
    for done in 0..JOBS {
        let expected = (JOBS - done).min(3);
        until("the cap is made use of", || async {
            let depth = queue.depth().await.unwrap();
            assert!(depth.claimed <= 3, "{depth:?}");
            depth.claimed == expected
        })
        .await;
        gate.add_permits(1);
        finished.recv().await.unwrap();
    }
    let timeouts: u64 = workers.iter().map(|(handle, _)| handle.stats().timeouts).sum();
    // Each job once waited for a timer of two seconds would be sixty of them.
    assert!(timeouts < JOBS / 2, "{timeouts} waits ended by the timer");
    for (handle, worker) in workers {
        handle.stop();
        worker.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_lost_lease_makes_room() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..4).map(job).collect()).await.unwrap();
    cap(&queue, 1).await;
    let lost = queue.claim("a", 4).await.unwrap();
    assert_eq!((lost.len(), queue.claim("b", 4).await.unwrap().len()), (1, 0));
    let_leases_end(&queue, 1).await;
    assert_eq!(queue.claim("b", 4).await.unwrap().len(), 1);
}
