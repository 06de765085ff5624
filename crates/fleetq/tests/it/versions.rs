//! The whole life of a queue on each server there is: the `redis-server` of the PATH, and every
//! program that `FLEETQ_TEST_SERVERS` lists, paths with `:` between them.
//! Failure: an operation that one of them does not carry out, an error that one words differently
//! and that is therefore taken for another.

use std::time::Duration;

use fleetq::{ConnectOptions, Queue, QueueError, connect};

use crate::harness::job;
use crate::life::{settings, whole_life};
use crate::servers::TcpServer;

fn servers() -> Vec<String> {
    let mut paths = vec!["redis-server".to_owned()];
    match std::env::var("FLEETQ_TEST_SERVERS") {
        Ok(more) => paths.extend(more.split(':').map(str::to_owned)),
        Err(_) => eprintln!("SKIPPED: FLEETQ_TEST_SERVERS is not set, other servers are untested"),
    }
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_lives_its_whole_life_on_each_server() {
    for path in servers() {
        let server = TcpServer::start_as(&path, &[]).await;
        let mut line = server.raw().await;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut line).await.unwrap();
        let named = |field: &str| {
            let found = info.lines().find_map(|line| line.strip_prefix(field));
            found.unwrap_or("-").to_owned()
        };
        println!("{path}: {} {}", named("redis_version:"), named("valkey_version:"));

        let hasty =
            ConnectOptions { patience: Duration::from_millis(100), ..ConnectOptions::default() };
        let redis = connect(&server.url(), hasty).await.unwrap();
        let queue = Queue::open(&redis, "test", "work", settings()).await.unwrap();
        whole_life(&queue).await;

        // What each words in its own way.
        queue.enqueue(job("a")).await.unwrap();
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg("1").exec_async(&mut line).await.unwrap();
        let error = queue.enqueue(job("b")).await.unwrap_err();
        assert!(matches!(error, QueueError::Full { .. }), "{path}: {error:?}");
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg("0").exec_async(&mut line).await.unwrap();
        let mut follow = redis::cmd("REPLICAOF");
        follow.arg("127.0.0.1").arg("1").exec_async(&mut line).await.unwrap();
        let error = queue.claim("w", 1).await.unwrap_err();
        assert!(matches!(error, QueueError::ReadOnly { .. }), "{path}: {error:?}");
        let mut alone = redis::cmd("REPLICAOF");
        alone.arg("NO").arg("ONE").exec_async(&mut line).await.unwrap();
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("least").arg("on").arg(">pass").arg("~*").arg("+@all");
        user.arg("-hset").exec_async(&mut line).await.unwrap();
        let url = server.url().replace("redis://", "redis://least:pass@");
        let redis = connect(&url, ConnectOptions::default()).await.unwrap();
        let error = Queue::open(&redis, "test", "work", settings()).await.unwrap_err();
        assert!(matches!(error, QueueError::NoPermission { .. }), "{path}: {error:?}");
        assert!(error.to_string().contains("HSET"), "{path}: {error}");
    }
}
