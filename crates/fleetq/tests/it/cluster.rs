//! A cluster of three nodes, each with its part of the slots.
//! Failure: a script that touches a key outside the slot of its queue, a worker that ends because a
//! slot moves or its node dies, a job that is lost on the way, a node that is not looked at.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetq::{ConnectOptions, KEY_TABLE, LeaderLease, Queue, QueueError, connect};
use redis::aio::MultiplexedConnection;

use crate::harness::{job, until};
use crate::life::{settings, start_worker, whole_life};
use crate::permissions::LEAST;
use crate::servers::TcpServer;

const SLOTS: u16 = 16384;

/// Three nodes that know each other; node `n` has the third of the slots that begins at [`first`].
struct Cluster {
    nodes: Vec<TcpServer>,
    lines: Vec<MultiplexedConnection>,
}

fn first(node: u16) -> u16 {
    SLOTS / 3 * node
}

impl Cluster {
    async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let settings = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-require-full-coverage",
                "no",
                "--appendonly",
                "yes",
                "--appendfsync",
                "always",
            ];
            nodes.push(TcpServer::start_node(&settings).await);
        }
        let mut lines = Vec::new();
        for node in &nodes {
            lines.push(node.raw().await);
        }
        for (n, line) in (0_u16..).zip(&mut lines) {
            let end = if n == 2 { SLOTS } else { first(n + 1) };
            let mut own = redis::cmd("CLUSTER");
            own.arg("ADDSLOTS").arg((first(n)..end).collect::<Vec<u16>>());
            own.exec_async(line).await.unwrap();
            ask::<()>(line, &["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]).await;
        }
        for other in &nodes[1..] {
            let port = other.port.to_string();
            ask::<()>(&mut lines[0], &["CLUSTER", "MEET", "127.0.0.1", &port]).await;
        }
        let cluster = Self { nodes, lines };
        until("every node knows the whole cluster", || async {
            let mut ready = true;
            for line in &cluster.lines {
                let info: String = ask(&mut line.clone(), &["CLUSTER", "INFO"]).await;
                ready &= info.contains("cluster_state:ok")
                    && info.contains("cluster_known_nodes:3")
                    && info.contains("cluster_slots_assigned:16384");
            }
            ready
        })
        .await;
        cluster
    }

    /// One node is enough to find the others.
    fn url(&self) -> String {
        format!("redis+cluster://{}", self.nodes[0].host())
    }

    async fn queue(&self, name: &str, options: ConnectOptions) -> Queue {
        let redis = connect(&self.url(), options).await.unwrap();
        Queue::open(&redis, "test", name, settings()).await.unwrap()
    }

    /// A queue whose keys all lie on that node.
    async fn name_on(&self, node: u16) -> (String, u16) {
        let mut line = self.lines[0].clone();
        for n in 0..200 {
            let name = format!("work-{n}");
            let mut slots = BTreeSet::new();
            for row in KEY_TABLE {
                let key = format!("{{test:{name}}}:{}", row.suffix);
                slots.insert(ask::<u16>(&mut line, &["CLUSTER", "KEYSLOT", &key]).await);
            }
            assert_eq!(slots.len(), 1, "the keys of {name} lie in {slots:?}");
            let slot = slots.pop_first().unwrap();
            let end = if node == 2 { SLOTS } else { first(node + 1) };
            if (first(node)..end).contains(&slot) {
                return (name, slot);
            }
        }
        panic!("no name leads to node {node}");
    }

    async fn id(&self, node: usize) -> String {
        ask(&mut self.lines[node].clone(), &["CLUSTER", "MYID"]).await
    }

    /// As `redis-cli --cluster reshard` does it, one key at a time.
    async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (from_id, to_id) = (self.id(from).await, self.id(to).await);
        let set = ["CLUSTER", "SETSLOT", slot.as_str()];
        let target = &mut self.lines[to].clone();
        ask::<()>(target, &[&set[..], &["IMPORTING", &from_id]].concat()).await;
        let source = &mut self.lines[from].clone();
        ask::<()>(source, &[&set[..], &["MIGRATING", &to_id]].concat()).await;
        let port = self.nodes[to].port.to_string();
        loop {
            let keys: Vec<String> = ask(source, &["CLUSTER", "GETKEYSINSLOT", &slot, "1"]).await;
            let Some(key) = keys.first() else { break };
            let _: String = ask(source, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
        }
        ask::<()>(target, &[&set[..], &["NODE", &to_id]].concat()).await;
        ask::<()>(source, &[&set[..], &["NODE", &to_id]].concat()).await;
    }
}

async fn ask<T: redis::FromRedisValue>(line: &mut MultiplexedConnection, words: &[&str]) -> T {
    redis::cmd(words[0]).arg(&words[1..]).query_async(line).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_on_three_nodes_live_whole_lives_and_a_slot_moves_under_a_worker() {
    let cluster = Cluster::start().await;
    let mut queues = Vec::new();
    for node in 0..3 {
        let (name, slot) = cluster.name_on(node).await;
        queues.push((cluster.queue(&name, ConnectOptions::default()).await, slot));
    }
    // Each script touches the slot of its queue alone: any other key would be refused there.
    tokio::join!(whole_life(&queues[0].0), whole_life(&queues[1].0), whole_life(&queues[2].0));
    for (node, (queue, _)) in queues.iter().enumerate() {
        let found: Vec<String> = ask(&mut cluster.lines[node].clone(), &["KEYS", "*"]).await;
        let ours = format!("{{{}}}:", queue.label());
        assert!(!found.is_empty() && found.iter().all(|key| key.starts_with(&ours)), "{found:?}");
    }

    let (queue, slot) = &queues[1];
    let before = queue.depth().await.unwrap().totals.done;
    let (handle, worker, mut done) = start_worker(queue, 4);
    let mut seen = BTreeSet::new();
    let mut added = 0;
    for (from, to) in [(1, 2), (2, 0)] {
        queue.enqueue_many((added..added + 300).map(job).collect()).await.unwrap();
        added += 300;
        // Somewhere in the middle of its work.
        for _ in 0..20 {
            seen.insert(done.recv().await.unwrap());
        }
        cluster.move_slot(*slot, from, to).await;
        while seen.len() < added {
            seen.insert(done.recv().await.unwrap());
        }
    }
    assert_eq!(seen.len(), 600);
    let totals = queue.depth().await.unwrap().totals;
    assert_eq!(totals.done - before, 600, "each is done once");
    assert!(handle.stats().redis_errors < 1000, "it pauses while the slot moves");
    handle.stop();
    worker.await.unwrap().unwrap();
    let held: Vec<String> = ask(&mut cluster.lines[0].clone(), &["KEYS", "*"]).await;
    assert!(held.contains(&format!("{{{}}}:meta", queue.label())), "{held:?}");
}

#[tokio::test]
async fn every_node_of_a_cluster_is_looked_at_and_named() {
    let cluster = Cluster::start().await;
    let mut line = cluster.lines[2].clone();
    ask::<()>(&mut line, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let error = connect(&cluster.url(), ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueueError::EvictionPolicy { .. }), "{error:?}");
    assert!(error.to_string().contains(&cluster.nodes[2].host()), "{error}");
    ask::<()>(&mut line, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;

    // Scripts that one node has forgotten are loaded there.
    let (name, _) = cluster.name_on(2).await;
    let hasty =
        ConnectOptions { patience: Duration::from_millis(300), ..ConnectOptions::default() };
    let queue = cluster.queue(&name, hasty.clone()).await;
    ask::<()>(&mut line, &["SCRIPT", "FLUSH"]).await;
    queue.enqueue(job("a")).await.unwrap();
    let redis = connect(&cluster.url(), hasty.clone()).await.unwrap();
    redis.ping().await.unwrap();
    for name in ["one", "two", "three"] {
        let ttl = Duration::from_secs(1);
        let lease = LeaderLease::new(&redis, name, "leader", "w", ttl).unwrap();
        assert!(lease.acquire().await.unwrap().is_some(), "{name}");
    }

    // The least rights that a cluster asks for.
    for line in &cluster.lines {
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("least").arg("on").arg(">pass").arg("~{test:*");
        user.arg(LEAST.split_whitespace().collect::<Vec<_>>()).arg("+cluster|slots");
        user.exec_async(&mut line.clone()).await.unwrap();
    }
    let url = cluster.url().replace("://", "://least:pass@");
    let least = connect(&url, ConnectOptions::default()).await.unwrap();
    let least = Queue::open(&least, "test", &cluster.name_on(1).await.0, settings()).await.unwrap();
    whole_life(&least).await;

    // A server that is a node is told apart from one that is alone.
    let alone = connect(&cluster.nodes[0].url(), hasty.clone()).await.unwrap();
    let error = Queue::open(&alone, "test", &name, settings()).await.unwrap_err();
    assert!(error.to_string().contains("write redis+cluster://"), "{error}");

    // Slots that nobody has: it may pass, and the error says what to look at.
    ask::<()>(&mut line, &["FLUSHALL"]).await;
    ask::<()>(&mut line, &["CLUSTER", "FLUSHSLOTS"]).await;
    let error = queue.enqueue(job("b")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_node_is_a_pause_for_its_queues_and_nothing_to_the_others() {
    let mut cluster = Cluster::start().await;
    let (dead, alive) = (cluster.name_on(0).await.0, cluster.name_on(2).await.0);
    let hasty =
        ConnectOptions { patience: Duration::from_millis(300), ..ConnectOptions::default() };
    let dead = cluster.queue(&dead, hasty).await;
    let alive = cluster.queue(&alive, ConnectOptions::default()).await;
    let (handle, worker, mut done) = start_worker(&dead, 2);
    dead.enqueue(job("before")).await.unwrap();
    assert_eq!(done.recv().await.as_deref(), Some("before"));

    // The one node that the url names.
    cluster.nodes[0].kill();
    alive.enqueue(job("a")).await.unwrap();
    let others = &mut cluster.lines[2].clone();
    // Dialled anew, with no help from the node of the url.
    ask::<u64>(others, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    alive.enqueue(job("b")).await.unwrap();
    assert_eq!(alive.claim("w", 9).await.unwrap().len(), 2);
    let error = dead.enqueue(job("during")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");

    // Who starts only now is not kept from the nodes that are left.
    let url = format!("redis+cluster://{},{}", cluster.nodes[0].host(), cluster.nodes[1].host());
    let late = connect(&url, ConnectOptions::default()).await.unwrap();
    let name = alive.label().strip_prefix("test:").unwrap();
    let late = Queue::open(&late, "test", name, settings()).await.unwrap();
    assert_eq!(late.depth().await.unwrap().claimed, 2);

    cluster.nodes[0].launch_again();
    until("its queue takes jobs again", || async { dead.enqueue(job("after")).await.is_ok() })
        .await;
    while done.recv().await.unwrap() != "after" {}
    handle.stop();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_login_is_refused_by_a_cluster_as_by_a_server() {
    let mut node = TcpServer::start_node(&["--cluster-enabled", "yes"]).await;
    let mut line = node.raw().await;
    ask::<()>(&mut line, &["CONFIG", "SET", "requirepass", "right-one"]).await;
    let url = format!("redis+cluster://:wrong-one@{}", node.host());
    let error = connect(&url, ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueueError::AuthRefused { .. }), "{error:?}");
    assert!(error.to_string().contains(&node.host()) && !error.to_string().contains("-one"));
    node.kill();
    let error = connect(&url, ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(error, QueueError::Unreachable { .. }) && error.is_transient(), "{error:?}");
}
