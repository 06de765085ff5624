//! What the queue refuses, and what it lives through.

use std::time::Duration;

use fleetq::{
    Enqueued, FleetBackend, NewJob, Place, Queue, QueueError, QueueSettings, Settle, WorkerOptions,
};

use crate::harness::{Server, assert_one_place, claim_one, job, short_lease};

#[tokio::test]
async fn an_id_is_refused_while_it_lives_and_accepted_after_it_is_done() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let added = queue.enqueue_many(vec![job("a"), job("a"), job("b")]).await.unwrap();
    assert_eq!(added, [Enqueued::Added, Enqueued::Duplicate(Place::Ready), Enqueued::Added]);
    let later = job("c").after(Duration::from_mins(1));
    assert_eq!(queue.enqueue(later.clone()).await.unwrap(), Enqueued::Added);
    assert_eq!(queue.enqueue(later).await.unwrap(), Enqueued::Duplicate(Place::Scheduled));

    let claim = claim_one(&queue, "w").await;
    assert_eq!(queue.enqueue(job("a")).await.unwrap(), Enqueued::Duplicate(Place::Claimed));
    claim.settle(Settle::Done).await.unwrap();
    assert_eq!(queue.state("a").await.unwrap(), None);
    assert_eq!(queue.enqueue(job("a")).await.unwrap(), Enqueued::Added);

    let claim = claim_one(&queue, "w").await;
    assert_eq!(claim.id, "b");
    claim.settle(Settle::Dead { cause: "no".into(), chain: vec![] }).await.unwrap();
    assert_eq!(queue.enqueue(job("b")).await.unwrap(), Enqueued::Duplicate(Place::Dead));
    let totals = queue.depth().await.unwrap().totals;
    assert_eq!((totals.enqueued, totals.duplicates), (4, 4));
    assert_eq!(assert_one_place(&mut server.raw().await).await, 3);
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_and_adds_nothing() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings { payload_bytes_max: 100, ..short_lease() }).await;
    let jobs = vec![job("a"), NewJob::new("b", "count", "x".repeat(101))];
    let error = queue.enqueue_many(jobs).await.unwrap_err();
    assert!(matches!(error, QueueError::PayloadTooLarge { bytes: 101, .. }), "{error}");
    assert_eq!(queue.depth().await.unwrap().unfinished(), 0);
    let most = NewJob::new("b", "count", "x".repeat(100));
    assert_eq!(queue.enqueue(most).await.unwrap(), Enqueued::Added);
}

#[tokio::test]
async fn large_payloads_are_added_in_several_calls() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let payload = "x".repeat(700_000);
    let jobs = (0..4).map(|n| NewJob::new(n.to_string(), "count", payload.as_str())).collect();
    assert_eq!(queue.enqueue_many(jobs).await.unwrap(), [Enqueued::Added; 4]);
    assert_eq!(claim_one(&queue, "w").await.payload.len(), 700_000);
}

#[tokio::test]
async fn broken_records_never_stop_the_others() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    queue.enqueue_many(["a", "b", "c", "d", "e"].map(job).to_vec()).await.unwrap();
    let mut harm = redis::pipe();
    harm.hset("{test:work}:jobs", "a", &b"\xff\xfe no header"[..]);
    harm.hset("{test:work}:state", "b", "nonsense");
    harm.hdel("{test:work}:state", "c").hdel("{test:work}:jobs", "c");
    harm.hdel("{test:work}:jobs", "d");
    harm.lpush("{test:work}:ready:upload", &b"\xff"[..]);
    harm.exec_async(&mut line).await.unwrap();

    let claims = queue.claim("w", 10).await.unwrap();
    let ids: Vec<&str> = claims.iter().map(|claim| claim.id.as_str()).collect();
    assert_eq!(ids, ["a", "e"], "the body of a is broken, yet it can be claimed and settled");
    assert_eq!((claims[0].kind.as_str(), claims[0].payload[0]), ("", 0xff));
    for claim in &claims {
        claim.settle(Settle::Done).await.unwrap();
    }
    let mut causes: Vec<_> = queue.dead(10).await.unwrap();
    causes.sort_by(|a, b| a.id.cmp(&b.id));
    let causes: Vec<_> = causes.into_iter().map(|dead| (dead.id, dead.failure.unwrap())).collect();
    // What the record says comes behind, so that letters with the same cause read the same.
    let (id, failure) = &causes[0];
    assert_eq!((id.as_str(), failure.cause.as_str()), ("b", "its state record cannot be read"));
    assert_eq!(failure.chain, ["nonsense"]);
    assert_eq!((causes[1].0.as_str(), causes[1].1.cause.as_str()), ("d", "its body is gone"));
}

#[tokio::test]
async fn settings_without_sense_are_refused() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let lease = QueueSettings { lease: Duration::from_millis(999), ..QueueSettings::default() };
    assert!(Queue::open(&connection, "test", "work", lease).await.is_err());
    let starts = QueueSettings { starts_max: 0, ..QueueSettings::default() };
    assert!(Queue::open(&connection, "test", "work", starts).await.is_err());
    assert!(Queue::open(&connection, "te{st", "work", QueueSettings::default()).await.is_err());
    let queue = server.queue(QueueSettings::default()).await;
    assert!(FleetBackend::new(queue, WorkerOptions::new("w", 0)).is_err());
}

#[tokio::test]
async fn a_clock_set_back_neither_lowers_tokens_nor_holds_rescues_up() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut line = server.raw().await;
    // As if an hour had been taken from the clock since.
    let ahead = 3_600_000_i64;
    let time: (i64, i64) = redis::cmd("TIME").query_async(&mut line).await.unwrap();
    let future = time.0 * 1000 + ahead;
    redis::cmd("HSET")
        .arg("{test:work}:meta")
        .arg(&["token", &(future * 1000).to_string()])
        .arg(&["reaped", &future.to_string(), "grace", &(future + 3000).to_string()])
        .exec_async(&mut line)
        .await
        .unwrap();
    queue.enqueue(job("a")).await.unwrap();
    assert_eq!(claim_one(&queue, "w").await.token, future * 1000 + 1);
    crate::harness::let_leases_end(&queue, 1).await;
    assert_eq!(claim_one(&queue, "w").await.token, future * 1000 + 2);
}
