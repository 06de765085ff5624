//! Lanes that are not handed out.
//! Failure: a job of a held lane given out, another lane held up by it, a job lost meanwhile, a
//! worker that does not notice the end.

use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, Lane, Queue, Settle, WorkerOptions};
use tokio::sync::mpsc;

use crate::harness::{Server, assert_one_place, claim_one, job, short_lease, until};

async fn claimed(queue: &Queue) -> Vec<String> {
    let claims = queue.claim("w", 10).await.unwrap();
    let mut ids: Vec<String> = claims.into_iter().map(|claim| claim.id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_held_lane_keeps_its_jobs_and_the_others_go_on() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let back = |id: &str| job(id).in_lane(Lane::Backfill);
    let soon = back("soon").after(Duration::from_millis(20));
    queue.enqueue_many(vec![back("b1"), back("b2"), soon]).await.unwrap();
    let running = claim_one(&queue, "w").await;
    assert_eq!(running.id, "b1");
    queue.hold_lanes(&[Lane::Backfill]).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().held, [Lane::Backfill]);
    queue.enqueue_many(vec![job("u1"), back("b3")]).await.unwrap();
    queue.enqueue(job("i1").in_lane(Lane::Interactive)).await.unwrap();
    assert_eq!(claimed(&queue).await, ["i1", "u1"]);
    // What was running ends as it likes, and what comes due joins the line.
    let again = Settle::RetryAfter { delay: Duration::ZERO, cause: "no".into() };
    running.settle(again).await.unwrap();
    until("the jobs that come due", || async {
        assert_eq!(claimed(&queue).await, [""; 0]);
        queue.depth().await.unwrap().ready() == 4
    })
    .await;
    // A second hold replaces the first.
    queue.hold_lanes(&[Lane::Upload, Lane::Interactive]).await.unwrap();
    queue.enqueue(job("u2")).await.unwrap();
    assert_eq!(claimed(&queue).await, ["b1", "b2", "b3", "soon"]);
    queue.hold_lanes(&[]).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().held, []);
    assert_eq!(claimed(&queue).await, ["u2"]);
    assert_eq!(assert_one_place(&mut server.raw().await).await, 7);
}

async fn done(claim: Claim, done: Data<mpsc::Sender<String>>) {
    claim.settle(Settle::Done).await.unwrap();
    done.send(claim.id.clone()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_workers_notice_the_end_of_a_hold() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.hold_lanes(&[Lane::Backfill]).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 4)).unwrap();
    let handle = backend.handle();
    let (sender, mut finished) = mpsc::channel::<String>(8);
    let worker =
        tokio::spawn(WorkerBuilder::new("w").backend(backend).data(sender).build(done).run());
    queue.enqueue(job("b").in_lane(Lane::Backfill)).await.unwrap();
    queue.enqueue(job("u")).await.unwrap();
    assert_eq!(finished.recv().await.unwrap(), "u");
    assert_eq!(queue.depth().await.unwrap().ready(), 1);
    queue.hold_lanes(&[]).await.unwrap();
    assert_eq!(finished.recv().await.unwrap(), "b");
    handle.stop();
    worker.await.unwrap().unwrap();
}
