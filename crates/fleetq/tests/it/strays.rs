//! Stray copies of ids in a lane, whose jobs lie elsewhere.
//! Failure: a job that is handed out a second time, or while it is not its turn; a stray copy that
//! stays, or takes the turn of a job.

use std::time::Duration;

use fleetq::{Claim, Queue, QueueSettings, Settle, Settled};
use redis::aio::MultiplexedConnection;

use crate::harness::{Server, assert_one_place, claim_one, job};

const LANE: &str = "{test:work}:ready:upload";

async fn stray(line: &mut MultiplexedConnection, ids: &[&str]) {
    redis::cmd("LPUSH").arg(LANE).arg(ids).exec_async(line).await.unwrap();
}

async fn orphans(queue: &Queue) -> u64 {
    queue.depth().await.unwrap().totals.orphans
}

/// One that is held, one that is scheduled and one that is dead.
async fn three_places(queue: &Queue) -> Claim {
    queue.enqueue(job("dead")).await.unwrap();
    let dying = claim_one(queue, "w").await;
    dying.settle(Settle::Dead { cause: "no".into(), chain: vec![] }).await.unwrap();
    queue.enqueue(job("scheduled").after(Duration::from_hours(1))).await.unwrap();
    queue.enqueue(job("held")).await.unwrap();
    claim_one(queue, "holder").await
}

#[tokio::test]
async fn a_stray_copy_is_dropped_and_counted_and_its_job_stays_where_it_is() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    let held = three_places(&queue).await;
    for (n, id) in (0..).zip(["held", "scheduled", "dead", "unknown"]) {
        let before = queue.state(id).await.unwrap();
        stray(&mut line, &[id]).await;
        let claims = queue.claim("other", 10).await.unwrap();
        assert!(claims.is_empty(), "{id} was handed out: {claims:?}");
        assert_eq!(orphans(&queue).await, n + 1);
        assert_eq!(queue.state(id).await.unwrap(), before);
        assert_eq!(assert_one_place(&mut line).await, 3);
    }
    assert_eq!(queue.renew(std::slice::from_ref(&held.lease)).await.unwrap(), [true]);
    assert_eq!(held.settle(Settle::Done).await.unwrap(), Settled::Applied);
    assert_eq!(assert_one_place(&mut line).await, 2);
}

#[tokio::test]
async fn stray_copies_take_no_turn_from_jobs() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    let held = three_places(&queue).await;
    queue.enqueue_many((0..3).map(job).collect()).await.unwrap();
    // Before the jobs, and more of them than are asked for; the first job itself lies there twice.
    stray(&mut line, &["0", "held", "scheduled", "dead", "unknown", "held"]).await;
    let claims = queue.claim("w", 3).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.id.as_str()).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert_eq!(orphans(&queue).await, 6);
    assert_eq!(assert_one_place(&mut line).await, 6);
    for claim in claims.iter().chain([&held]) {
        assert_eq!(claim.settle(Settle::Done).await.unwrap(), Settled::Applied);
    }
}

#[tokio::test]
async fn a_job_that_lies_in_its_lane_twice_is_handed_out_once() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    queue.enqueue_many(vec![job("twice"), job("once")]).await.unwrap();
    stray(&mut line, &["twice"]).await;
    let claims = queue.claim("w", 3).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.id.as_str()).collect::<Vec<_>>(), ["twice", "once"]);
    assert_eq!(orphans(&queue).await, 1);
    assert_eq!(assert_one_place(&mut line).await, 2);
}

#[tokio::test]
async fn behind_any_number_of_stray_copies_jobs_are_claimed() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue(job("job")).await.unwrap();
    stray(&mut server.raw().await, &["unknown"; 600]).await;
    assert_eq!(claim_one(&queue, "w").await.id, "job");
}
