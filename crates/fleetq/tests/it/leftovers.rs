//! What a program of layout 1 that still runs leaves in keys that are no more.
//! Failure: a job that nobody finds any more, a job in two places, a history that goes twice, a
//! move that stops half-way.

use fleetq::{DeadFilter, QueueError, QueueSettings, Settle};
use redis::aio::MultiplexedConnection;

use crate::harness::{Server, assert_one_place, claim_one, contents, job, keys};

const HISTORY: &str = "{test:work}:history";

fn key(suffix: &str) -> String {
    format!("{{test:work}}:{suffix}")
}

/// As a program of layout 1 would write them: `each` jobs in every place but the lanes.
async fn leave_behind(line: &mut MultiplexedConnection, name: &str, each: usize) {
    let mut old = redis::pipe();
    for (letter, set) in [("s", "scheduled"), ("c", "claimed"), ("d", "dead")] {
        for n in 0..each {
            let (id, lane) = (format!("{name}{letter}{n}"), ["i", "u", "b"][n % 3]);
            old.hset(key("jobs"), &id, "{\"kind\":\"count\"}\n{}");
            old.hset(key("state"), &id, format!("{letter} {lane} 1 0 7 1000 1000 w"));
            old.zadd(key(set), &id, 9_000_000_000_000_i64 + n as i64);
        }
    }
    old.exec_async(line).await.unwrap();
}

async fn assert_old_keys_are_gone(line: &mut MultiplexedConnection) {
    let found = keys(line).await;
    for set in ["scheduled", "claimed", "dead"] {
        assert!(!found.contains_key(&key(set)), "{set} is still there: {found:?}");
    }
}

#[tokio::test]
async fn leftovers_are_moved_when_the_queue_is_opened_the_next_time() {
    // More than one call moves.
    const EACH: usize = 300;
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many(vec![job("done"), job("ready"), job("held")]).await.unwrap();
    claim_one(&queue, "w").await.settle(Settle::Done).await.unwrap();
    leave_behind(&mut line, "", EACH).await;

    let queue = server.queue(QueueSettings::default()).await;
    assert_old_keys_are_gone(&mut line).await;
    assert_eq!(assert_one_place(&mut line).await, 3 * EACH + 2);
    let depth = queue.depth().await.unwrap();
    let each = EACH as u64;
    assert_eq!((depth.scheduled, depth.claimed, depth.dead), (each, each, each));
    for lane in depth.lanes {
        assert_eq!((lane.scheduled, lane.claimed, lane.dead), (each / 3, each / 3, each / 3));
    }
    let until = queue.state("s4").await.unwrap().unwrap().until.unwrap();
    let millis = until.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(millis, 9_000_000_000_004);
}

#[tokio::test]
async fn a_leftover_whose_job_is_elsewhere_is_dropped() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many(vec![job("held"), job("ready")]).await.unwrap();
    let held = claim_one(&queue, "w").await;
    let mut strays = redis::pipe();
    for (set, ids) in [
        ("scheduled", ["held", "ready", "unknown"]),
        ("claimed", ["ready", "unknown", "nobody"]),
        ("dead", ["held", "ready", "unknown"]),
    ] {
        for id in ids {
            strays.zadd(key(set), id, 9_000_000_000_000_i64);
        }
    }
    strays.exec_async(&mut line).await.unwrap();

    server.queue(QueueSettings::default()).await;
    assert_old_keys_are_gone(&mut line).await;
    assert_eq!(assert_one_place(&mut line).await, 2);
    held.settle(Settle::Done).await.unwrap();
    assert_eq!(claim_one(&queue, "w").await.id, "ready");
}

#[tokio::test]
async fn the_history_of_layout_1_goes_once_and_that_of_layout_2_stays() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let mut old = redis::pipe();
    old.hset(key("meta"), "layout", "1").rpush(HISTORY, "{\"id\":\"old\"}");
    old.exec_async(&mut line).await.unwrap();
    leave_behind(&mut line, "first-", 2).await;
    let queue = server.queue(QueueSettings::default()).await;
    assert!(!keys(&mut line).await.contains_key(HISTORY), "it has another form");

    queue.enqueue(job("a")).await.unwrap();
    claim_one(&queue, "w").await.settle(Settle::Done).await.unwrap();
    leave_behind(&mut line, "second-", 2).await;
    for _ in 0..2 {
        let queue = server.queue(QueueSettings::default()).await;
        let history = queue.history(10).await.unwrap();
        assert_eq!(history.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["a"]);
    }
    assert_eq!(assert_one_place(&mut line).await, 12);
}

#[tokio::test]
async fn a_wrong_type_is_found_before_anything_is_moved() {
    for (layout, wrong) in
        [("1", "claimed:upload"), ("1", "dead"), ("2.0", "dead:backfill"), ("2.0", "claimed")]
    {
        let server = Server::start().await;
        let mut line = server.raw().await;
        leave_behind(&mut line, "", 3).await;
        let mut harm = redis::pipe();
        harm.hset(key("meta"), "layout", layout).rpush(HISTORY, "something");
        harm.del(key(wrong)).set(key(wrong), "not a set");
        harm.exec_async(&mut line).await.unwrap();
        let before = contents(&mut line).await;

        let connection = server.connect().await;
        let opened =
            fleetq::Queue::open(&connection, "test", "work", QueueSettings::default()).await;
        let error = opened.unwrap_err();
        assert!(matches!(error, QueueError::WrongType { .. }), "{error}");
        let named = format!("{} holds a string", key(wrong));
        assert!(error.to_string().contains(&named), "{error}");
        assert!(contents(&mut line).await == before, "{layout}, {wrong}: something was changed");
    }
}

#[tokio::test]
async fn a_leftover_whose_record_is_broken_becomes_a_dead_letter() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    server.queue(QueueSettings::default()).await.enqueue(job("ready")).await.unwrap();
    leave_behind(&mut line, "", 1).await;
    let mut harm = redis::pipe();
    for id in ["s0", "c0", "d0"] {
        harm.hset(key("state"), id, "garbage");
    }
    for set in ["scheduled", "claimed"] {
        harm.zadd(key(set), format!("{}0", &set[..1]), 1);
    }
    harm.exec_async(&mut line).await.unwrap();
    let queue = server.queue(QueueSettings::default()).await;
    assert_old_keys_are_gone(&mut line).await;
    queue.reap(10).await.unwrap();
    let mut dead: Vec<String> =
        queue.dead(10).await.unwrap().into_iter().map(|letter| letter.id).collect();
    dead.sort();
    assert_eq!(dead, ["c0", "d0", "s0"]);
    assert_eq!(queue.flush(&DeadFilter::All).await.unwrap(), 3);
    assert_eq!(assert_one_place(&mut line).await, 1);
}
