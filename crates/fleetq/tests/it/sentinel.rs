//! A primary, its replica, and a sentinel that makes the replica the primary.
//! Failure: a worker that needs a person after a failover, a connection to the server of yesterday.
//!
//! Replication is asynchronous: what the primary acknowledged in its last moments and the replica
//! had not received is gone with it. A job that was added then may be lost, one that was settled
//! then runs again. So this test waits for the replica before it kills the primary, and allows a
//! second run of what was settled after that.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleetq::{ConnectOptions, Queue, QueueError, connect};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::harness::{job, until};
use crate::life::{settings, start_worker, whole_life};
use crate::servers::{TcpServer, free_port};

/// Dies with the test.
struct Sentinel {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Sentinel {
    /// Alone, so that it decides at once.
    async fn start(primary: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor eyes 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds eyes 400\nsentinel failover-timeout eyes 2000\n",
            folder.path().display()
        );
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sentinel = Self { port, process, _folder: folder };
        until("the sentinel answers", || async { sentinel.line().await.is_some() }).await;
        sentinel
    }

    async fn line(&self) -> Option<MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.ok()
    }

    /// The first of the two is not there.
    fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/eyes", free_port(), self.port)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_with_the_replica_when_the_primary_dies() {
    let mut primary = TcpServer::start(&["--repl-diskless-sync-delay", "0"]).await;
    let port = primary.port.to_string();
    let replica = TcpServer::start(&["--replicaof", "127.0.0.1", &port]).await;
    let sentinel = Sentinel::start(primary.port).await;
    let redis = connect(&sentinel.url(), ConnectOptions::default()).await.unwrap();
    let queue = Queue::open(&redis, "test", "work", settings()).await.unwrap();
    whole_life(&queue).await;

    let asked = sentinel.line().await.unwrap();
    until("the sentinel knows the replica", || async {
        let mut replicas = redis::cmd("SENTINEL");
        replicas.arg("REPLICAS").arg("eyes");
        let found: Vec<std::collections::HashMap<String, String>> =
            replicas.query_async(&mut asked.clone()).await.unwrap();
        found.iter().any(|one| one["flags"] == "slave" && one["master-link-status"] == "ok")
    })
    .await;
    let (handle, worker, mut done) = start_worker(&queue, 2);
    queue.enqueue_many((0..50).map(job).collect()).await.unwrap();
    let mut wait = redis::cmd("WAIT");
    wait.arg(1).arg(10_000);
    let copies: u64 = wait.query_async(&mut primary.raw().await).await.unwrap();
    assert_eq!(copies, 1);
    primary.kill();
    let mut seen = BTreeSet::new();
    while seen.len() < 50 {
        seen.insert(done.recv().await.unwrap());
    }

    until("new jobs are taken", || async {
        match queue.enqueue(job("after")).await {
            Ok(_) => true,
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                false
            }
        }
    })
    .await;
    while !seen.contains("after") {
        seen.insert(done.recv().await.unwrap());
    }
    handle.stop();
    worker.await.unwrap().unwrap();
    let left: u64 = redis::cmd("EXISTS")
        .arg("{test:work}:meta")
        .query_async(&mut replica.raw().await)
        .await
        .unwrap();
    assert_eq!(left, 1, "the replica has the queue");
    let mut primary_now = redis::cmd("SENTINEL");
    primary_now.arg("GET-MASTER-ADDR-BY-NAME").arg("eyes");
    let (_, port): (String, u16) = primary_now.query_async(&mut asked.clone()).await.unwrap();
    assert_eq!(port, replica.port);
}

#[tokio::test]
async fn an_unknown_service_and_absent_sentinels_are_told_and_may_pass() {
    let primary = TcpServer::start(&[]).await;
    let sentinel = Sentinel::start(primary.port).await;
    let options = ConnectOptions { wait_at_open: Duration::ZERO, ..ConnectOptions::default() };
    for (url, step) in [
        (sentinel.url().replace("/eyes", "/ears"), "watch the service"),
        (format!("redis+sentinel://:secret@127.0.0.1:{}/eyes", free_port()), "see that redis runs"),
    ] {
        let error = connect(&url, options.clone()).await.unwrap_err();
        assert!(matches!(error, QueueError::Unreachable { .. }), "{error:?}");
        assert!(error.is_transient(), "sentinels name nobody while they elect: {error:?}");
        let text = error.to_string();
        assert!(text.contains(step) && text.contains("sentinels of e"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
