//! Lanes and delays.
//! Failure: a lane that starves, an order that is not kept within a lane, a delay that is not
//! kept, an argument without sense that changes anything.

use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, KEY_TABLE, Lane, QueueSettings, Settle, WorkerOptions,
    connect,
};
use tokio::sync::mpsc;

use crate::adding;
use crate::harness::{Server, job, keys, short_lease};

#[tokio::test]
async fn arguments_without_sense_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut line = server.raw().await;
    // What the crate's types do not let through.
    let enqueue = adding::many();
    for (lane, delay, what) in
        [("u", "-1", "a delay of -1 ms"), ("x", "0", "there is no lane x"), ("u", "soon", "soon")]
    {
        let mut call = enqueue.prepare_invoke();
        for row in KEY_TABLE {
            call.key(adding::key(row.suffix));
        }
        // The first one is good, and is not added either.
        call.arg("good").arg("u").arg(0).arg("{}\n").arg("bad").arg(lane).arg(delay).arg("{}\n");
        let error = call.invoke_async::<Vec<String>>(&mut line).await.unwrap_err();
        assert_eq!(error.code(), Some("FLEETQBADARG"), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert_eq!(keys(&mut line).await.len(), 0);
    assert_eq!(queue.depth().await.unwrap().totals.enqueued, 0);
}

#[tokio::test]
async fn a_lane_keeps_its_order_and_an_empty_one_leaves_its_share_to_the_others() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    for lane in [Lane::Backfill, Lane::Interactive] {
        let new = (0..60).map(|n| job(format!("{lane} {n}")).in_lane(lane)).collect();
        queue.enqueue_many(new).await.unwrap();
    }
    let (mut seen, mut first_26) = ([0; 3], [0; 3]);
    while seen.iter().sum::<usize>() < 120 {
        for claim in queue.claim("w", 2).await.unwrap() {
            let turn = &mut seen[claim.lane as usize];
            assert_eq!(claim.id, format!("{} {turn}", claim.lane));
            *turn += 1;
        }
        if seen.iter().sum::<usize>() == 26 {
            first_26 = seen;
        }
    }
    assert_eq!((first_26, seen), ([24, 0, 2], [60, 0, 60]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_workers_wait_for_what_is_due_and_nothing_else() {
    const JOBS: u64 = 20;
    let server = Server::start().await;
    // A reaper that looks every second finds nothing in time.
    let queue = server.queue(QueueSettings::default()).await;
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 1)).unwrap();
    let handle = backend.handle();
    let (sender, mut finished) = mpsc::channel::<Duration>(1);
    let work = async |claim: Claim, done: Data<mpsc::Sender<Duration>>| {
        claim.settle(Settle::Done).await.unwrap();
        done.send(claim.waited).await.unwrap();
    };
    let worker =
        tokio::spawn(WorkerBuilder::new("w").backend(backend).data(sender).build(work).run());
    // From elsewhere: what the worker's own connection knows is no help.
    let elsewhere = connect(&server.url(), ConnectOptions::default()).await.unwrap();
    let elsewhere =
        fleetq::Queue::open(&elsewhere, "test", "work", QueueSettings::default()).await.unwrap();
    let mut waits = Vec::new();
    for n in 0..JOBS {
        elsewhere.enqueue(job(n).after(Duration::from_millis(30))).await.unwrap();
        waits.push(finished.recv().await.unwrap());
    }
    waits.sort();
    println!("after they were due: median {:?}, longest {:?}", waits[10], waits[19]);
    // The reaper alone would take half a second each.
    assert!(waits[10] < Duration::from_millis(250), "{waits:?}");
    handle.stop();
    worker.await.unwrap().unwrap();
}
