//! The version of the key layout: a newer one is refused by every call, the one before is brought
//! to this one when a queue is opened.
//! Failure: a program that misreads keys, a job lost or changed on the way to a new layout.

use fleetq::{LAYOUT, NewJob, Place, Queue, QueueError, QueueSettings, Settle};
use redis::aio::MultiplexedConnection;

use crate::harness::{Server, assert_one_place, claim_one, job, keys, short_lease};

async fn note_layout(line: &mut MultiplexedConnection, layout: &str) {
    let mut set = redis::cmd("HSET");
    set.arg("{test:work}:meta").arg("layout").arg(layout);
    set.exec_async(line).await.unwrap();
}

fn assert_refused<T: std::fmt::Debug>(answer: Result<T, QueueError>, layout: &str) {
    let error = answer.unwrap_err();
    let refused = matches!(&error, QueueError::LayoutUnknown { found, .. } if found == layout);
    assert!(refused, "{error}");
    let text = error.to_string();
    assert!(text.contains("test:work") && text.contains(LAYOUT), "{text}");
}

#[tokio::test]
async fn a_newer_layout_is_refused_by_every_call_of_a_queue_that_was_open() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many(vec![job("a"), job("b")]).await.unwrap();
    let held = claim_one(&queue, "w").await;
    note_layout(&mut line, "3.0").await;

    let connection = server.connect().await;
    let opened = Queue::open(&connection, "test", "work", QueueSettings::default()).await;
    assert_refused(opened, "3.0");
    assert_refused(queue.enqueue(job("c")).await, "3.0");
    assert_refused(queue.claim("w", 1).await, "3.0");
    assert_refused(queue.renew(std::slice::from_ref(&held.lease)).await, "3.0");
    assert_refused(held.settle(Settle::Done).await, "3.0");
    assert_refused(queue.reap(10).await, "3.0");
    assert_refused(queue.depth().await, "3.0");
    assert_refused(queue.state("a").await, "3.0");
    assert_refused(queue.redrive("a").await, "3.0");
    assert_refused(queue.discard("a").await, "3.0");
    assert_refused(queue.pause().await, "3.0");

    // A newer minor version only adds: it is worked with, and stays noted.
    note_layout(&mut line, "2.7").await;
    assert_eq!(assert_one_place(&mut line).await, 2);
    held.settle(Settle::Done).await.unwrap();
    queue.enqueue(job("c")).await.unwrap();
    let layout: String = redis::cmd("HGET")
        .arg(&["{test:work}:meta", "layout"])
        .query_async(&mut line)
        .await
        .unwrap();
    assert_eq!(layout, "2.7");
}

#[tokio::test]
async fn the_layout_before_is_brought_to_this_one() {
    const EACH: usize = 300;
    let server = Server::start().await;
    let mut line = server.raw().await;
    let mut old = redis::pipe();
    old.hset_multiple(
        "{test:work}:meta",
        &[("layout", "1"), ("token", "77"), ("enqueued", "1201")],
    );
    let now: (i64, i64) = redis::cmd("TIME").query_async(&mut line).await.unwrap();
    let later = now.0 * 1000 + 3_600_000;
    for (n, (letter, place)) in
        [("s", "scheduled"), ("c", "claimed"), ("d", "dead"), ("r", "ready:upload")]
            .iter()
            .enumerate()
    {
        for at in 0..EACH {
            let id = format!("{letter}{at}");
            let lane = if *letter == "r" { "u" } else { ["i", "u", "b"][at % 3] };
            let token = if *letter == "s" { 0 } else { n * EACH + at + 1 };
            old.hset("{test:work}:jobs", &id, "{\"kind\":\"count\"}\n{}");
            let record = format!("{letter} {lane} 1 0 {token} 1000 1000 w");
            old.hset("{test:work}:state", &id, record);
            let key = format!("{{test:work}}:{place}");
            if *letter == "r" {
                old.rpush(key, &id);
            } else {
                old.zadd(key, &id, later + i64::try_from(at).unwrap());
            }
        }
    }
    old.exec_async(&mut line).await.unwrap();

    let queue = server.queue(QueueSettings::default()).await;
    assert_eq!(assert_one_place(&mut line).await, 4 * EACH);
    let depth = queue.depth().await.unwrap();
    let each = EACH as u64;
    assert_eq!(
        (depth.ready(), depth.scheduled, depth.claimed, depth.dead),
        (each, each, each, each)
    );
    for lane in depth.lanes {
        assert_eq!((lane.scheduled, lane.claimed, lane.dead), (each / 3, each / 3, each / 3));
    }
    assert_eq!(depth.totals.enqueued, 1201);
    let held = queue.state("c7").await.unwrap().unwrap();
    assert_eq!((held.place, held.token), (Place::Claimed, i64::try_from(EACH).unwrap() + 8));
    assert!(held.until.unwrap() > held.enqueued_at);
    let old: Vec<String> =
        keys(&mut line).await.into_keys().filter(|key| key.ends_with("ed")).collect();
    assert!(old.is_empty(), "{old:?}");
    assert_eq!(
        queue.enqueue(NewJob::new("new", "count", "")).await.unwrap(),
        fleetq::Enqueued::Added
    );
    server.queue(QueueSettings::default()).await;
}
