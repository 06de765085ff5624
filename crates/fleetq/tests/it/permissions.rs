//! Who may use a queue: passwords, users, and the least rights a user needs.
//! Failure: a password in an error, a refusal that is waited out, a right that is missing and found
//! only when a script has moved half of a job.

use std::time::{Duration, Instant};

use fleetq::{ConnectOptions, Queue, QueueError, QueueSettings, connect};
use redis::aio::MultiplexedConnection;

use crate::harness::{Server, job, keys};
use crate::life::{settings, whole_life};

/// All a user needs for every operation of a queue; the README shows it. A cluster needs
/// `+cluster|slots` beside it, and [`fleetq::Connection::ping`] needs `+ping`.
pub const LEAST: &str = "+info +evalsha +script|load +blpop +time +type +del \
    +hset +hincrby +hget +hmget +hgetall +hexists +hscan +hdel \
    +rpush +lpush +lpop +llen +lindex +lrange +lset +lrem +ltrim \
    +zadd +zrem +zcard +zscore +zrange +zrevrange +zrangebyscore";

/// The rights of `least` are `rights` and nothing else, on the queues of `test`.
async fn grant(line: &mut MultiplexedConnection, rights: &[&str], pattern: &str) {
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER").arg("least").arg("reset").arg("on").arg(">pass-of-least").arg(pattern);
    set.arg(rights).exec_async(line).await.unwrap();
}

fn url_of_least(server: &Server) -> String {
    format!("{}?user=least&pass=pass-of-least", server.url())
}

async fn open(server: &Server, settings: QueueSettings) -> Result<Queue, QueueError> {
    let redis = connect(&url_of_least(server), ConnectOptions::default()).await?;
    Queue::open(&redis, "test", "work", settings).await
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_at_once_and_without_the_password() {
    let server = Server::start().await;
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("requirepass").arg("right-one");
    set.exec_async(&mut server.raw().await).await.unwrap();
    for login in ["", "?pass=wrong-one", "?user=nobody&pass=wrong-one"] {
        let started = Instant::now();
        let patient =
            ConnectOptions { wait_at_open: Duration::from_mins(1), ..ConnectOptions::default() };
        let url = format!("{}{login}", server.url());
        let error = connect(&url, patient).await.unwrap_err();
        assert!(matches!(error, QueueError::AuthRefused { .. }), "{login}: {error:?}");
        assert!(!error.is_transient(), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20), "a refusal is not waited out");
        let text = error.to_string();
        assert!(!text.contains("-one"), "a password in: {text}");
        assert!(text.contains("redis.sock") && text.contains("the url"), "{text}");
    }
    let url = format!("{}?pass=right-one", server.url());
    connect(&url, ConnectOptions::default()).await.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_rights_are_enough_for_the_whole_life_of_a_queue() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let rights: Vec<&str> = LEAST.split_whitespace().collect();
    grant(&mut line, &rights, "~{test:*").await;
    let queue = open(&server, settings()).await.unwrap();
    whole_life(&queue).await;
}

#[tokio::test]
async fn each_right_that_is_missing_is_found_before_anything_is_touched() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..3).map(job).collect()).await.unwrap();
    queue.claim("w", 1).await.unwrap();
    let before = dump(&mut line).await;

    let rights: Vec<&str> = LEAST.split_whitespace().collect();
    for missing in &rights {
        let rest: Vec<&str> = rights.iter().copied().filter(|right| right != missing).collect();
        grant(&mut line, &rest, "~{test:*").await;
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut line).await.unwrap();
        let error = open(&server, QueueSettings::default()).await.unwrap_err();
        assert!(matches!(error, QueueError::NoPermission { .. }), "{missing}: {error:?}");
        assert!(!error.is_transient(), "{error}");
        let text = error.to_string().to_lowercase();
        let name = missing.trim_start_matches('+').split('|').next().unwrap();
        assert!(text.contains(name) && text.contains("acl setuser"), "{missing}: {text}");
        assert_eq!(dump(&mut line).await, before, "{missing}");
    }
    // Other keys, and a queue of which only some may be used.
    for pattern in ["~{other:*", "~{test:work}:[a-im-z]*"] {
        grant(&mut line, &rights, pattern).await;
        let error = open(&server, QueueSettings::default()).await.unwrap_err();
        assert!(matches!(error, QueueError::NoPermission { .. }), "{pattern}: {error:?}");
        assert_eq!(dump(&mut line).await, before, "{pattern}");
    }
    grant(&mut line, &rights, "~{test:*").await;
    open(&server, QueueSettings::default()).await.unwrap();
    assert_eq!(dump(&mut line).await, before);
}

#[tokio::test]
async fn a_right_taken_away_later_is_named_by_the_call_that_needs_it() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let rights: Vec<&str> = LEAST.split_whitespace().collect();
    grant(&mut line, &rights, "~{test:*").await;
    let queue = open(&server, QueueSettings::default()).await.unwrap();
    let rest: Vec<&str> = rights.iter().copied().filter(|right| *right != "+hmget").collect();
    grant(&mut line, &rest, "~{test:*").await;
    let error = queue.enqueue(job("a")).await.unwrap_err();
    assert!(matches!(error, QueueError::NoPermission { .. }), "{error:?}");
    assert!(error.to_string().contains("queue test:work"), "{error}");
}

/// Every key with its bytes.
async fn dump(line: &mut MultiplexedConnection) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for name in keys(line).await.into_keys() {
        let bytes = redis::cmd("DUMP").arg(&name).query_async(line).await.unwrap();
        all.push((name, bytes));
    }
    all
}
