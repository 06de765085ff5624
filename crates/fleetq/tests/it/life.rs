//! Everything that can be done with a queue, once: for servers, logins and versions of many kinds.

use std::num::NonZeroU32;
use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, DeadFilter, FleetBackend, Handle, Lane, Queue, QueueError, QueueSettings, Settle,
    Settled, WorkerOptions,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::{claim_one, job, let_leases_end};

/// What the queue must have been opened with: the shortest lease there is.
pub fn settings() -> QueueSettings {
    QueueSettings { lease: Duration::from_secs(1), ..QueueSettings::default() }
}

/// Each operation of a queue that is empty before and after; fails where one is not carried out.
pub async fn whole_life(queue: &Queue) {
    for lane in Lane::ALL {
        queue.enqueue(job(lane.as_str()).in_lane(lane)).await.unwrap();
    }
    queue.enqueue(job("later").after(Duration::from_millis(50))).await.unwrap();
    queue.enqueue(job("lost")).await.unwrap();

    queue.pause().await.unwrap();
    assert_eq!(queue.claim("w", 1).await.unwrap().len(), 0, "paused");
    queue.resume().await.unwrap();
    queue.set_cap(NonZeroU32::new(4)).await.unwrap();
    let claims = queue.claim("w", 9).await.unwrap();
    assert_eq!(claims.len(), 4, "all that the cap leaves");
    queue.set_cap(None).await.unwrap();

    let leases: Vec<_> = claims.iter().map(|claim| claim.lease.clone()).collect();
    assert_eq!(queue.renew(&leases).await.unwrap(), [true; 4]);
    let dead = || Settle::Dead { cause: "no".into(), chain: vec![] };
    let retry = Settle::RetryAfter { delay: Duration::from_millis(50), cause: "not yet".into() };
    for (claim, how) in claims.iter().zip([Settle::GiveBack, dead(), retry]) {
        assert_eq!(claim.settle(how).await.unwrap(), Settled::Applied);
    }
    let_leases_end(queue, 1).await;

    let letter = &claims[1].id;
    assert_eq!(queue.dead(9).await.unwrap().len(), 1);
    assert_eq!(queue.dead_causes().await.unwrap()[0].cause, "no");
    assert!(queue.redrive(letter).await.unwrap());
    assert_eq!(queue.state(letter).await.unwrap().unwrap().attempts, 0);
    let claim = claim_one(queue, "w").await;
    claim.settle(dead()).await.unwrap();
    assert_eq!(queue.redrive_all(&DeadFilter::All).await.unwrap(), 1);
    let claim = claim_one(queue, "w").await;
    claim.settle(dead()).await.unwrap();
    assert_eq!(queue.flush(&DeadFilter::All).await.unwrap(), 1);

    queue.drain().await.unwrap();
    let error = queue.enqueue(job("refused")).await.unwrap_err();
    assert!(matches!(error, QueueError::Draining { .. }), "{error:?}");
    assert!(error.to_string().contains(queue.label()), "{error}");
    queue.resume().await.unwrap();

    queue.enqueue(job("gone-1")).await.unwrap();
    assert_eq!(queue.discard("gone-").await.unwrap().jobs, 1);
    assert!(!queue.history(9).await.unwrap().is_empty());

    // A worker blocks, is woken and works off what is left and what comes.
    let (handle, worker, mut done) = start_worker(queue, 2);
    for _ in 0..4 {
        done.recv().await.unwrap();
    }
    queue.enqueue(job("last")).await.unwrap();
    assert_eq!(done.recv().await.as_deref(), Some("last"));
    handle.stop();
    worker.await.unwrap().unwrap();
    assert_eq!(handle.stats().redis_errors, 0, "{:?}", handle.stats());
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.unfinished(), depth.dead), (0, 0), "{depth:?}");
}

pub type Worker = JoinHandle<Result<(), apalis_core::error::WorkerError>>;

/// A worker that settles every job as done and tells its id.
pub fn start_worker(
    queue: &Queue,
    slots: usize,
) -> (Handle, Worker, mpsc::UnboundedReceiver<String>) {
    let (sender, done) = mpsc::unbounded_channel::<String>();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", slots)).unwrap();
    let handle = backend.handle();
    let work = async |claim: Claim, done: Data<mpsc::UnboundedSender<String>>| {
        // Redis may be away for longer than one call is patient.
        loop {
            match claim.settle(Settle::Done).await {
                Ok(_) => break,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
        // Nobody listens any more once the test has seen enough.
        let _ = done.send(claim.id.clone());
    };
    let worker = WorkerBuilder::new("w").backend(backend).data(sender).build(work);
    (handle, tokio::spawn(worker.run()), done)
}
