//! A Redis per test, and the looks into it that several tests share.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetq::{Claim, ConnectOptions, Connection, NewJob, Queue, QueueSettings, connect};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// Dies with the test.
pub struct Server {
    folder: TempDir,
    process: Child,
    settings: Vec<String>,
}

impl Server {
    /// Without persistence.
    pub async fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "no"]).await
    }

    pub async fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
        let process = spawn(&folder, &settings);
        let server = Self { folder, process, settings };
        server.answers().await;
        server
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub async fn connect(&self) -> Connection {
        connect(&self.url(), patient()).await.unwrap()
    }

    pub async fn queue(&self, settings: QueueSettings) -> Queue {
        Queue::open(&self.connect().await, "test", "work", settings).await.unwrap()
    }

    /// Without the checks of the crate under test.
    pub async fn raw(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// `kill -9`; what was not on disk is gone.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub async fn start_again(&mut self) {
        self.process = spawn(&self.folder, &self.settings);
        self.answers().await;
    }

    /// Stopped until the answer is dropped: it still accepts connections, and says nothing.
    pub fn paused(&self) -> Paused<'_> {
        signal(&self.process, "STOP");
        Paused(self)
    }

    async fn answers(&self) {
        until("redis answers", || async {
            let client = redis::Client::open(self.url()).unwrap();
            let Ok(mut line) = client.get_multiplexed_async_connection().await else {
                return false;
            };
            redis::cmd("PING").exec_async(&mut line).await.is_ok()
        })
        .await;
    }
}

pub struct Paused<'a>(&'a Server);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        signal(&self.0.process, "CONT");
    }
}

fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.id().to_string()).status();
    assert!(sent.unwrap().success());
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &TempDir, settings: &[String]) -> Child {
    let socket = folder.path().join("redis.sock");
    let _ = std::fs::remove_file(&socket);
    Command::new("redis-server")
        .args(["--port", "0", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(folder.path())
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is in the PATH")
}

fn patient() -> ConnectOptions {
    ConnectOptions { wait_at_open: Duration::from_secs(10), ..ConnectOptions::default() }
}

/// The shortest lease there is, so that tests of its end are short.
pub fn short_lease() -> QueueSettings {
    QueueSettings { lease: Duration::from_secs(1), ..QueueSettings::default() }
}

pub fn job(id: impl std::fmt::Display) -> NewJob {
    NewJob::new(format!("{id}"), "count", "{}")
}

/// Looks every few milliseconds until it is so; fails loudly after 20 s.
pub async fn until<Look, Answer>(what: &str, mut look: Look)
where
    Look: FnMut() -> Answer,
    Answer: Future<Output = bool>,
{
    let started = Instant::now();
    while !look().await {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn claim_one(queue: &Queue, worker: &str) -> Claim {
    let mut claims = queue.claim(worker, 1).await.unwrap();
    assert_eq!(claims.len(), 1, "{worker} expected a job");
    claims.remove(0)
}

/// Reaps until `count` leases were found ended.
pub async fn let_leases_end(queue: &Queue, count: usize) {
    let ended = std::cell::Cell::new(0);
    until("the leases ended", || async {
        let reaped = queue.reap(100).await.unwrap();
        ended.set(ended.get() + reaped.returned + reaped.quarantined);
        ended.get() >= count
    })
    .await;
}

/// All keys with their types.
pub async fn keys(line: &mut MultiplexedConnection) -> BTreeMap<String, String> {
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(line).await.unwrap();
    let mut found = BTreeMap::new();
    for name in names {
        let kind: String = redis::cmd("TYPE").arg(&name).query_async(line).await.unwrap();
        found.insert(name, kind);
    }
    found
}

/// Everything that the server holds, as it would be saved.
pub async fn contents(line: &mut MultiplexedConnection) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in keys(line).await.into_keys() {
        let saved: Vec<u8> = redis::cmd("DUMP").arg(&name).query_async(line).await.unwrap();
        found.insert(name, saved);
    }
    found
}

/// Calls of scripts since the server was started, by anybody.
pub async fn script_calls(line: &mut MultiplexedConnection) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(line).await.unwrap();
    let found = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    found.map_or(0, |text| text.split(',').next().unwrap().parse().unwrap())
}

/// The places of a job by the keys that hold them, and how a record of such a job begins.
const PLACES: [(&str, &str); 12] = [
    ("ready:interactive", "r i"),
    ("ready:upload", "r u"),
    ("ready:backfill", "r b"),
    ("scheduled:interactive", "s i"),
    ("scheduled:upload", "s u"),
    ("scheduled:backfill", "s b"),
    ("claimed:interactive", "c i"),
    ("claimed:upload", "c u"),
    ("claimed:backfill", "c b"),
    ("dead:interactive", "d i"),
    ("dead:upload", "d u"),
    ("dead:backfill", "d b"),
];

/// Fails unless every job is in exactly one place and its record says which.
pub async fn assert_one_place(line: &mut MultiplexedConnection) -> usize {
    let key = |suffix: &str| format!("{{test:work}}:{suffix}");
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (suffix, _) in PLACES {
        let list = if suffix.starts_with("ready") { "LRANGE" } else { "ZRANGE" };
        pipe.cmd(list).arg(key(suffix)).arg(0).arg(-1);
    }
    pipe.cmd("HGETALL").arg(key("state")).cmd("HKEYS").arg(key("jobs"));
    let mut found: Vec<redis::Value> = pipe.query_async(line).await.unwrap();
    let bodies: BTreeSet<String> = redis::from_redis_value(found.pop().unwrap()).unwrap();
    let states: BTreeMap<String, String> = redis::from_redis_value(found.pop().unwrap()).unwrap();

    let mut seen = BTreeMap::new();
    for ((place, record), ids) in PLACES.iter().zip(found) {
        for id in redis::from_redis_value::<Vec<String>>(ids).unwrap() {
            assert!(
                states.get(&id).is_some_and(|text| text.starts_with(record)),
                "job {id} is in {place}, its record says {:?}",
                states.get(&id)
            );
            let before = seen.insert(id.clone(), place);
            assert_eq!(before, None, "job {id} is in {before:?} and in {place}");
        }
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), states.keys().collect::<Vec<_>>());
    assert_eq!(bodies.iter().collect::<Vec<_>>(), states.keys().collect::<Vec<_>>());
    seen.len()
}
