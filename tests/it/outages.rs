//! What the fleet needs is away or broken: a person reads what, why and what to do next, the process
//! ends or waits as it says, and nothing is lost.
//!
//! Here it is Redis; models and their runtime are in `equipment`.

mod equipment;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eyefleet::catalog::{Catalog, StageCounts};
use eyefleet::clock::Clock;
use eyefleet::names::LibraryId;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Running, database_url, eyefleet, photos, run, stderr, wait_for};

/// A Redis that keeps its jobs in files and may be killed, emptied and set otherwise.
struct Server {
    process: Running,
    folder: TempDir,
    options: Vec<&'static str>,
}

impl Server {
    fn start(options: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, options)
    }

    fn start_in(folder: TempDir, options: &[&'static str]) -> Self {
        let process = Self::process(folder.path(), options);
        let server = Self { process, folder, options: options.to_vec() };
        server.wait_until_loaded();
        server
    }

    fn process(folder: &Path, options: &[&str]) -> Running {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(folder)
            .args(options)
            .stdout(Stdio::null());
        Running::start(&mut command)
    }

    /// Any answer will do, a refusal too: what counts is that it has read its files.
    fn wait_until_loaded(&self) {
        wait_for("Redis to answer", || {
            let answer = self.cli(&["PING"]);
            (answer.contains("PONG") || answer.contains("NOAUTH")).then_some(())
        });
    }

    /// As a machine does that loses its Redis: no farewell, then one on the same files.
    fn kill_and_start_again(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.end();
        self.process = Self::process(self.folder.path(), &self.options);
        self.wait_until_loaded();
    }

    fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(self.folder.path().join("redis.sock")).args(words);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn tell(&self, words: &[&str]) {
        let answer = self.cli(words);
        assert_eq!(answer.trim(), "OK", "{words:?}");
    }

    fn url(&self) -> String {
        url_in(self.folder.path())
    }
}

fn url_in(folder: &Path) -> String {
    format!("redis+unix://{}", folder.join("redis.sock").display())
}

/// A data folder and what runs on it against one Redis.
struct Fleet {
    folder: TempDir,
    redis_url: String,
}

impl Fleet {
    fn new(redis_url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder, redis_url }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        // A lost worker's jobs come back after a lease: a short one, so that tests are quick.
        command.env("REDIS_URL", &self.redis_url).env("EYEFLEET_QUEUE__LEASE_SECONDS", "2");
        command
    }

    fn role(&self, role: &str) -> Role {
        self.role_with(role, &mut self.member())
    }

    fn role_with(&self, role: &str, command: &mut Command) -> Role {
        let log = self.folder.path().join(format!("{role}.log"));
        let announced = self.folder.path().join(format!("{role}.addr"));
        command.args(["run", role, "--announce"]).arg(&announced);
        command.stderr(std::fs::File::create(&log).unwrap());
        Role { _process: Running::start(command), log, announced }
    }

    /// Adds `count` drawn photos and comes back at once.
    fn add(&self, count: u64) {
        let added = run(&mut self.adding(count));
        assert_eq!(added.status.code(), Some(0));
    }

    /// The command that adds the first `count` drawn photos.
    fn adding(&self, count: u64) -> Command {
        let folder = self.folder.path().join("photos");
        photos(&folder, count);
        let mut command = self.member();
        command.arg("add").arg(folder);
        command
    }
}

/// The catalogue, which answers also while Redis is away.
struct Counter {
    runtime: tokio::runtime::Runtime,
    catalog: Catalog,
}

impl Counter {
    fn open(fleet: &Fleet) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let url = database_url(&fleet.data().join("catalog.sqlite"));
        let catalog = runtime.block_on(Catalog::open(&url, Clock::system())).unwrap();
        Self { runtime, catalog }
    }

    fn counts(&self) -> StageCounts {
        self.runtime.block_on(self.catalog.counts(&LibraryId::main())).unwrap()
    }

    fn analyses(&self) -> u64 {
        let library = LibraryId::main();
        self.runtime.block_on(self.catalog.analyses_count(&library, None)).unwrap()
    }

    fn wait_for_analyzed(&self, wanted: u64) -> StageCounts {
        wait_for(&format!("{wanted} analyzed photos"), || {
            let counts = self.counts();
            assert_eq!(counts.failed, 0, "{counts:?}");
            (counts.analyzed >= wanted).then_some(counts)
        })
    }
}

/// A role that runs, and what it has said.
struct Role {
    _process: Running,
    log: PathBuf,
    announced: PathBuf,
}

impl Role {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until one line of its log holds all of `words`.
    fn wait_until_it_says(&self, words: &[&str]) {
        wait_for(&format!("{words:?} in {}", self.log.display()), || {
            let said = self.said();
            said.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
    }

    fn wait_until_it_answers(&self) {
        wait_for("the role to answer", || self.announced.exists().then_some(()));
    }
}

/// Runs a command that must fail, with all of `words` in its message; gives all that it said.
fn fails_with(command: &mut Command, words: &[&str]) -> String {
    let output = run(command);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(words.iter().all(|word| last.contains(word)), "{words:?} in: {last}");
    said
}

#[test]
fn without_redis_a_command_ends_and_a_role_waits() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock").display().to_string();
    let fleet = Fleet::new(url_in(folder.path()));
    let absent = [socket.as_str(), "cannot be reached", "see that redis runs, or correct its url"];
    fails_with(fleet.member().arg("status"), &absent);
    fails_with(fleet.member().arg("up"), &absent);

    let role = fleet.role("analyze");
    role.wait_until_it_says(&["waiting up to 60 s for Redis", &socket, "see that redis runs"]);
    let _redis = Server::start_in(folder, &[]);
    role.wait_until_it_answers();
}

#[test]
fn a_redis_that_is_killed_and_emptied_costs_no_photo() {
    const PHOTOS: u64 = 60;
    let mut redis = Server::start(&[]);
    let fleet = Fleet::new(redis.url());
    // One at a time, so that there is work left at each blow.
    let mut one_slot = fleet.member();
    one_slot.env("EYEFLEET_ANALYZE__SLOTS", "1");
    let roles = [fleet.role_with("analyze", &mut one_slot), fleet.role("intake")];
    for role in &roles {
        role.wait_until_it_answers();
    }
    fleet.add(PHOTOS);
    let catalog = Counter::open(&fleet);
    catalog.wait_for_analyzed(2);
    redis.kill_and_start_again();
    let killed = catalog.counts();
    assert!(killed.waiting > 0, "it was killed too late to show anything");
    catalog.wait_for_analyzed(killed.analyzed + 2);
    redis.tell(&["FLUSHALL"]);
    assert!(catalog.counts().waiting > 0, "it was emptied too late to show anything");

    let counts = catalog.wait_for_analyzed(PHOTOS);
    assert_eq!((counts.images, counts.analyzed, counts.waiting), (PHOTOS, PHOTOS, 0), "{counts:?}");
    assert_eq!(catalog.analyses(), PHOTOS, "photos and what is stored of them differ");
}

#[test]
fn a_password_that_is_missing_or_wrong_is_named_and_not_printed() {
    let redis = Server::start(&["--requirepass", "sesame"]);
    let mut fleet = Fleet::new(redis.url());
    let missing = ["NOAUTH", "redis wants a password: put it into the url"];
    let role = ["run", "analyze"];
    fails_with(fleet.member().arg("status"), &missing);
    fails_with(fleet.member().args(role), &missing);
    fails_with(fleet.member().arg("up"), &missing);

    fleet.redis_url = format!("{}?pass=simsim", redis.url());
    let wrong = ["pass=***", "authentication failed", "correct user and password"];
    for words in [&["status"][..], &role, &["up"]] {
        let said = fails_with(fleet.member().args(words), &wrong);
        assert!(!said.contains("simsim"), "a password was printed");
    }

    fleet.redis_url = format!("{}?pass=sesame", redis.url());
    assert_eq!(run(fleet.member().arg("status")).status.code(), Some(0));
}

#[test]
fn a_redis_that_forbids_its_use_is_refused_at_the_start() {
    let redis = Server::start(&[]);
    let mut fleet = Fleet::new(redis.url());
    redis.tell(&["ACL", "SETUSER", "guest", "on", ">pw", "~*", "+@read", "+info", "+ping"]);
    fleet.redis_url = format!("{}?user=guest&pass=pw", redis.url());
    for words in [&["run", "analyze"][..], &["up"]] {
        let refused = ["redis.sock", "no permissions", "ACL SETUSER"];
        fails_with(fleet.member().args(words), &refused);
    }
}

#[test]
fn a_redis_that_takes_no_jobs_is_refused_by_up() {
    let redis = Server::start(&[]);
    let fleet = Fleet::new(redis.url());
    redis.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    fails_with(fleet.member().arg("up"), &["redis.sock", "OOM", "raise its maxmemory"]);
    redis.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    // It waits a little: a failover may be under way.
    redis.tell(&["REPLICAOF", "127.0.0.1", "1"]);
    fails_with(fleet.member().arg("up"), &["redis.sock", "read-only replica", "name its primary"]);
}

#[test]
fn a_running_role_names_what_is_wrong_with_redis_and_goes_on_when_it_is_mended() {
    let redis = Server::start(&[]);
    redis.tell(&["ACL", "SETUSER", "worker", "on", ">pw", "~*", "&*", "+@all"]);
    let fleet = Fleet::new(format!("{}?user=worker&pass=pw", redis.url()));
    let role = fleet.role("analyze");
    role.wait_until_it_answers();
    let catalog = Counter::open(&fleet);
    // A full Redis takes no new jobs and has those that are there worked off: no worker minds.
    let minds = &["trying again"][..];
    for (number, (broken, role_says, words, mended)) in [
        (
            &["ACL", "SETUSER", "worker", "-@all"][..],
            minds,
            &["no permissions", "ACL SETUSER"],
            &["ACL", "SETUSER", "worker", "+@all"][..],
        ),
        (
            &["CONFIG", "SET", "maxmemory", "1"],
            &[],
            &["OOM", "raise its maxmemory"],
            &["CONFIG", "SET", "maxmemory", "0"],
        ),
        (
            &["REPLICAOF", "127.0.0.1", "1"],
            minds,
            &["read-only replica", "name its primary"],
            &["REPLICAOF", "NO", "ONE"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        redis.tell(broken);
        if !role_says.is_empty() {
            role.wait_until_it_says(&[role_says, &words[..]].concat());
        }
        // One more photo each time. Refused, it is in the catalogue; added again, it is analyzed.
        let mut adding = fleet.adding(number as u64 + 1);
        fails_with(&mut adding, words);
        redis.tell(mended);
        let added = run(adding.arg("--wait"));
        assert_eq!(added.status.code(), Some(0), "after {broken:?}: {}", role.said());
        catalog.wait_for_analyzed(number as u64 + 1);
    }
}
