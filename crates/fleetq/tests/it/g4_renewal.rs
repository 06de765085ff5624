//! Guarantee 4: leases are renewed on time, and no more is claimed than there are free slots.
//! Failure: a healthy worker that loses a lease, a late renewal, a claim without a slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, Ended, FleetBackend, QueueSettings, Settle, Settled, WorkerOptions};
use tokio::sync::{Semaphore, mpsc};

use crate::harness::{Server, job, short_lease, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_4_leases_are_renewed_on_time_while_every_core_is_busy() {
    const BUSY: Duration = Duration::from_millis(4200);
    let server = Server::start().await;
    let lease = Duration::from_secs(2);
    let queue = server.queue(QueueSettings { lease, ..QueueSettings::default() }).await;
    let rival = queue.clone();
    queue.enqueue_many((0..4).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("busy", 4)).unwrap();
    let handle = backend.handle();

    let ended = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().unwrap().get();
    let spinners: Vec<_> = (0..cores * 2)
        .map(|_| {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || while !ended.load(Ordering::Relaxed) {})
        })
        .collect();

    // The handler holds its async thread as well, in one piece.
    let spin = async |claim: Claim, settled: Data<mpsc::Sender<Settled>>| {
        let started = Instant::now();
        while started.elapsed() < BUSY / 4 {}
        tokio::time::sleep(BUSY.saturating_sub(started.elapsed())).await;
        settled.send(claim.settle(Settle::Done).await.unwrap()).await.unwrap();
    };
    let (sender, mut settled) = mpsc::channel(4);
    let worker = WorkerBuilder::new("busy").backend(backend).data(sender).build(spin);
    let running = tokio::spawn(worker.run());
    for _ in 0..4 {
        assert_eq!(settled.recv().await, Some(Settled::Applied));
    }
    ended.store(true, Ordering::Relaxed);
    for spinner in spinners {
        spinner.join().unwrap();
    }

    let (stats, depth) = (handle.stats(), rival.depth().await.unwrap());
    assert_eq!((stats.leases_lost, stats.renewed_late), (0, 0), "{stats:?}");
    assert!(stats.renewed >= 4 * 4, "six rounds were due: {stats:?}");
    assert!(stats.renewal_gap_max < lease * 2 / 3, "{stats:?}");
    assert_eq!((depth.totals.returned, depth.totals.claims), (0, 4), "nobody was expelled");
    handle.stop();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn guarantee_4_no_more_is_claimed_than_there_are_free_slots() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..40).map(job).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("three", 3)).unwrap();
    let handle = backend.handle();
    let gate = Arc::new(Semaphore::new(0));
    let running = Arc::new(AtomicUsize::new(0));
    let work = async |claim: Claim, data: Data<(Arc<Semaphore>, Arc<AtomicUsize>)>| {
        let (gate, running) = &*data;
        assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
        gate.acquire().await.unwrap().forget();
        running.fetch_sub(1, Ordering::SeqCst);
        claim.settle(Settle::Done).await.unwrap();
    };
    let worker = WorkerBuilder::new("three")
        .backend(backend)
        .data((Arc::clone(&gate), Arc::clone(&running)))
        .build(work);
    let worker = tokio::spawn(worker.run());
    for done in 0..=40_u64 {
        let expected = (40 - done).min(3);
        until("the free slots are taken again", || async {
            let depth = queue.depth().await.unwrap();
            assert!(depth.claimed <= 3 && handle.held() <= 3, "{depth:?}");
            depth.totals.done == done && depth.claimed == expected
        })
        .await;
        gate.add_permits(1);
    }
    assert_eq!(queue.depth().await.unwrap().totals.returned, 0);
    handle.stop();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn guarantee_4_renewal_stops_at_the_time_limit() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue(job("endless")).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 1)).unwrap();
    let handle = backend.handle();
    let (sender, mut told) = mpsc::channel(3);
    let endless = async |claim: Claim, told: Data<mpsc::Sender<Option<Ended>>>| {
        claim.set_limit(Duration::from_millis(50));
        claim.cancellation().cancelled().await;
        let _ = told.send(claim.ended()).await;
    };
    let worker = WorkerBuilder::new("w").backend(backend).data(sender).build(endless);
    let worker = tokio::spawn(worker.run());
    for _ in 0..3 {
        assert_eq!(told.recv().await, Some(Some(Ended::TimeLimit)));
    }
    until("it is quarantined", || async { queue.depth().await.unwrap().dead == 1 }).await;
    assert_eq!(handle.stats().over_limit, 3);
    handle.stop();
    worker.await.unwrap().unwrap();
}
