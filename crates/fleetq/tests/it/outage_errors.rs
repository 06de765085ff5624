//! What Redis refuses, stalls or forgets, and what a program is told of it.
//! Failure: a job lost, an error that does not name its place and next step, one that calls for ever
//! what lasts a moment or the other way round.

use std::time::{Duration, Instant};

use fleetq::{
    ConnectOptions, Enqueued, KEY_TABLE, Lane, Place, Queue, QueueError, QueueSettings, Settle,
    Settled, connect,
};
use redis::aio::MultiplexedConnection;

use crate::harness::{Server, assert_one_place, claim_one, job, until};
use crate::servers::TcpServer;

/// Fails early.
fn hasty() -> ConnectOptions {
    ConnectOptions { patience: Duration::from_millis(100), ..ConnectOptions::default() }
}

async fn hasty_queue(url: &str) -> Queue {
    let redis = connect(url, hasty()).await.unwrap();
    Queue::open(&redis, "test", "work", QueueSettings::default()).await.unwrap()
}

async fn say(line: &mut MultiplexedConnection, words: &[&str]) {
    redis::cmd(words[0]).arg(&words[1..]).exec_async(line).await.unwrap();
}

#[tokio::test]
async fn a_full_redis_refuses_new_jobs_and_loses_none() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = hasty_queue(&server.url()).await;
    queue.enqueue_many((0..5).map(job).collect()).await.unwrap();
    say(&mut line, &["CONFIG", "SET", "maxmemory", "1"]).await;

    let error = queue.enqueue(job("more")).await.unwrap_err();
    assert!(matches!(error, QueueError::Full { .. }), "{error:?}");
    assert!(error.is_transient());
    let text = error.to_string();
    for told in ["queue test:work", "redis.sock", "raise its maxmemory"] {
        assert!(text.contains(told), "{text}");
    }
    // It can be opened all the same, by a program that starts only now.
    let other = hasty_queue(&server.url()).await;
    assert_eq!(other.depth().await.unwrap().ready(), 5);
    say(&mut line, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(assert_one_place(&mut line).await, 5);
    assert_eq!(queue.enqueue(job("more")).await.unwrap(), Enqueued::Added);
}

#[tokio::test]
async fn a_replica_can_be_looked_at_and_takes_no_job() {
    let primary = TcpServer::start(&["--repl-diskless-sync-delay", "0"]).await;
    let queue = hasty_queue(&primary.url()).await;
    queue.enqueue_many((0..3).map(job).collect()).await.unwrap();
    let port = primary.port.to_string();
    let replica = TcpServer::start(&["--replicaof", "127.0.0.1", &port]).await;
    let mut line = replica.raw().await;
    until("the replica has what its primary has", || async {
        let size = redis::cmd("DBSIZE").query_async::<u64>(&mut line.clone()).await;
        size.is_ok_and(|size| size > 0)
    })
    .await;

    let copy = hasty_queue(&replica.url()).await;
    assert_eq!(copy.depth().await.unwrap().ready(), 3);
    assert_eq!(copy.state("1").await.unwrap().unwrap().place, Place::Ready);
    for error in
        [copy.enqueue(job("more")).await.unwrap_err(), copy.claim("w", 1).await.unwrap_err()]
    {
        assert!(matches!(error, QueueError::ReadOnly { .. }), "{error:?}");
        assert!(error.is_transient(), "after a failover it is the primary");
        let text = error.to_string();
        assert!(text.contains(&replica.host()) && text.contains("name its primary"), "{text}");
    }
    // A queue that is not there yet can be looked at as well.
    let redis = connect(&replica.url(), hasty()).await.unwrap();
    let empty = Queue::open(&redis, "test", "other", QueueSettings::default()).await.unwrap();
    assert_eq!(empty.depth().await.unwrap().unfinished(), 0);
    assert_eq!(assert_one_place(&mut line).await, 3);
}

#[tokio::test]
async fn a_foreign_value_under_any_of_our_names_is_told_and_loses_nothing() {
    for row in KEY_TABLE {
        let server = Server::start().await;
        let mut line = server.raw().await;
        let queue = hasty_queue(&server.url()).await;
        queue.enqueue_many((0..4).map(job).collect()).await.unwrap();
        queue.enqueue(job("later").after(Duration::from_hours(1))).await.unwrap();
        let held = claim_one(&queue, "w").await;
        let dead = claim_one(&queue, "w").await;
        dead.settle(Settle::Dead { cause: "no".into(), chain: vec![] }).await.unwrap();

        // What was there is kept aside, so that it can be put back.
        let key = format!("{{test:work}}:{}", row.suffix);
        let was_there: bool = redis::cmd("EXISTS").arg(&key).query_async(&mut line).await.unwrap();
        if was_there {
            say(&mut line, &["RENAME", &key, "aside"]).await;
        }
        say(&mut line, &["SET", &key, "something else"]).await;
        let mut alive = 5;
        let mut told = Vec::new();
        // A call that does not need the key may go on; all of them together need each key.
        for lane in Lane::ALL {
            match queue.enqueue(job(lane.as_str()).in_lane(lane)).await {
                Ok(_) => alive += 1,
                Err(error) => told.push(error),
            }
            let later = job(format!("{}-later", lane.as_str())).in_lane(lane);
            match queue.enqueue(later.after(Duration::from_hours(1))).await {
                Ok(_) => alive += 1,
                Err(error) => told.push(error),
            }
        }
        told.extend(queue.claim("w", 9).await.err());
        told.extend(queue.renew(std::slice::from_ref(&held.lease)).await.err());
        told.extend(queue.reap(10).await.err());
        told.extend(queue.redrive(&dead.id).await.err());
        told.extend(queue.discard("nobody").await.err());
        if let Err(error) = queue.pause().await {
            // Where META itself is the wrong one there is no mode to look at.
            let mut look = redis::cmd("HGET");
            look.arg("{test:work}:meta").arg("mode");
            let mode = look.query_async::<Option<String>>(&mut line).await.unwrap_or_default();
            assert_eq!(mode, None, "{key}: it is paused, and that was told to have failed");
            told.push(error);
        } else {
            queue.resume().await.unwrap();
        }
        told.extend(queue.depth().await.err());
        told.extend(queue.state("later").await.err());
        told.extend(queue.history(9).await.err());
        match queue.settle(&held.lease, Settle::Done).await {
            Ok(settled) => {
                assert_eq!(settled, Settled::Applied, "with {key}");
                alive -= 1;
            }
            Err(error) => told.push(error),
        }
        assert!(!told.is_empty(), "nobody noticed {key}");
        for error in told {
            assert!(matches!(error, QueueError::WrongType { .. }), "{key}: {error:?}");
            assert!(!error.is_transient());
            let text = error.to_string();
            let named = text.contains("queue test:work") && text.contains(key.as_str());
            assert!(named && text.contains(" should hold a "), "{text}");
        }
        say(&mut line, &["DEL", &key]).await;
        if was_there {
            say(&mut line, &["RENAME", "aside", &key]).await;
        }
        assert_eq!(assert_one_place(&mut line).await, alive, "with {key}");
        queue.enqueue(job("mended")).await.unwrap();
        assert_eq!(queue.state("mended").await.unwrap().unwrap().place, Place::Ready);
    }
}

#[tokio::test]
async fn a_redis_that_cannot_write_its_files_says_so_and_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let server = TcpServer::start(&["--save", "3600", "1", "--dir", &dir]).await;
    let mut line = server.raw().await;
    let queue = hasty_queue(&server.url()).await;
    queue.enqueue(job("a")).await.unwrap();
    drop(folder);
    say(&mut line, &["BGSAVE"]).await;
    until("saving has failed", || async {
        let mut info = redis::cmd("INFO");
        info.arg("persistence");
        let info: String = info.query_async(&mut line.clone()).await.unwrap();
        info.contains("rdb_last_bgsave_status:err")
    })
    .await;
    let error = queue.enqueue(job("b")).await.unwrap_err();
    assert!(matches!(error, QueueError::DiskTrouble { .. }), "{error:?}");
    assert!(error.is_transient() && error.to_string().contains("see to the disk"), "{error}");
    let late = hasty_queue(&server.url()).await;
    assert_eq!(late.depth().await.unwrap().ready(), 1);
    say(&mut line, &["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]).await;
    assert_eq!(queue.enqueue(job("b")).await.unwrap(), Enqueued::Added);
}

#[tokio::test]
async fn nobody_notices_that_the_scripts_are_forgotten() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = hasty_queue(&server.url()).await;
    for n in 0..5 {
        say(&mut line, &["SCRIPT", "FLUSH"]).await;
        assert_eq!(queue.enqueue(job(n)).await.unwrap(), Enqueued::Added);
        say(&mut line, &["SCRIPT", "FLUSH"]).await;
        let claim = claim_one(&queue, "w").await;
        say(&mut line, &["SCRIPT", "FLUSH"]).await;
        assert_eq!(claim.settle(Settle::Done).await.unwrap(), Settled::Applied);
    }
    assert_eq!(queue.depth().await.unwrap().totals.done, 5);
}

#[tokio::test]
async fn a_stalled_redis_is_an_error_that_passes_and_the_call_goes_on_after_it() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let impatient = ConnectOptions {
        response_timeout: Duration::from_millis(100),
        patience: Duration::ZERO,
        ..ConnectOptions::default()
    };
    let redis = connect(&server.url(), impatient).await.unwrap();
    let queue = Queue::open(&redis, "test", "work", QueueSettings::default()).await.unwrap();
    let patient = connect(&server.url(), ConnectOptions::default()).await.unwrap();
    let waits = Queue::open(&patient, "test", "work", QueueSettings::default()).await.unwrap();

    let paused = Instant::now();
    say(&mut line, &["CLIENT", "PAUSE", "1000", "ALL"]).await;
    let error = queue.enqueue(job("a")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("redis.sock"), "{error}");
    // The call that was given up is carried out after the pause or not at all; never twice.
    waits.enqueue(job("a")).await.unwrap();
    assert!(paused.elapsed() > Duration::from_millis(900), "answered during the pause");
    assert_eq!(assert_one_place(&mut line).await, 1);
}

#[tokio::test]
async fn a_redis_that_reads_its_files_is_waited_for() {
    // Redis answers between every two megabytes that it has read.
    let slowly = ["--key-load-delay", "30000", "--rdbcompression", "no"];
    let mut server = TcpServer::start(&slowly).await;
    let mut line = server.raw().await;
    for n in 0..60 {
        say(&mut line, &["SET", &format!("bulk-{n}"), &"x".repeat(200_000)]).await;
    }
    let redis = connect(&server.url(), ConnectOptions::default()).await.unwrap();
    let queue = Queue::open(&redis, "test", "work", QueueSettings::default()).await.unwrap();
    queue.enqueue_many((0..5).map(job).collect()).await.unwrap();
    let options = ConnectOptions { patience: Duration::ZERO, ..ConnectOptions::default() };
    let redis = connect(&server.url(), options).await.unwrap();
    let once = Queue::open(&redis, "test", "work", QueueSettings::default()).await.unwrap();
    say(&mut line, &["SAVE"]).await;

    server.kill();
    server.launch_again();
    let loading = std::cell::Cell::new(false);
    until("it is loading or has loaded", || async {
        match once.depth().await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                loading.set(loading.get() || error.to_string().to_lowercase().contains("loading"));
                loading.get()
            }
        }
    })
    .await;
    assert!(loading.get(), "it was loading for too short a time to be seen");
    assert_eq!(queue.depth().await.unwrap().ready(), 5);
}
