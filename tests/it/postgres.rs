//! PostgreSQL that is late, refuses, or is lost in the middle: a role waits where waiting helps, says
//! at once what no wait can mend, and no photo fails because the database was away.
//!
//! Each story has a cluster of its own, because it is stopped and started. They run where
//! `EYEFLEET_TEST_POSTGRES` is set, that is, on machines that have PostgreSQL.

mod cluster;

use std::path::{Path, PathBuf};
use std::process::Command;

use fleetq::{ConnectOptions, Queue, QueueSettings};
use rustix::process::Signal;
use serde_json::Value;

use self::cluster::{Cluster, PASSWORD};
use crate::support::{Redis, Running, eyefleet, photos, run, stderr, wait_for};

/// More failed attempts than an analysis has: what would have made a photo fail.
const ROUNDS: u64 = 7;
const PHOTOS: u64 = 8;

/// A fleet of roles started by hand on one cluster and one Redis.
struct Fleet {
    cluster: Cluster,
    redis: Redis,
    folder: tempfile::TempDir,
}

impl Fleet {
    /// None, said loudly, where this run has no PostgreSQL.
    fn new() -> Option<Self> {
        if std::env::var_os("EYEFLEET_TEST_POSTGRES").is_none() {
            eprintln!(
                "SKIPPED: EYEFLEET_TEST_POSTGRES is not set; `scripts/with-postgres` sets it"
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Some(Self { cluster: Cluster::make(), redis: Redis::start(), folder })
    }

    fn member(&self, database: &str) -> Command {
        let mut command = eyefleet(&self.folder.path().join("data"));
        command.env("DATABASE_URL", database).env("REDIS_URL", self.redis.url());
        command
    }

    fn log(&self, role: &str) -> PathBuf {
        self.folder.path().join(format!("{role}.log"))
    }

    fn start(&self, role: &str, database: &str) -> Running {
        let log = std::fs::File::create(self.log(role)).unwrap();
        let mut command = self.member(database);
        // A lease that outlasts a story: nobody else takes the jobs of a worker that stands still.
        command.args(["run", role]).env("EYEFLEET_QUEUE__LEASE_SECONDS", "600").stderr(log);
        Running::start(&mut command)
    }

    /// How often a role has said these words.
    fn said(&self, role: &str, words: &str) -> usize {
        std::fs::read_to_string(self.log(role)).unwrap().matches(words).count()
    }

    fn wait_until_said(&self, role: &str, words: &str, times: usize) {
        let what = format!("{role} to say {words:?} {times} times");
        wait_for(&what, || (self.said(role, words) >= times).then_some(()));
    }

    fn counts(&self, database: &str) -> Option<Value> {
        let output = self.member(database).args(["status", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status["counts"].clone())
    }

    /// How often a job of the analysis was put off.
    fn put_off(&self) -> u64 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let options = ConnectOptions::default();
            let connection = fleetq::connect(&self.redis.url(), options).await.unwrap();
            let queue = Queue::open(&connection, "eyefleet", "analyze", QueueSettings::default());
            queue.await.unwrap().depth().await.unwrap().totals.waited
        })
    }

    /// Photos wait for a worker that stands still; the database is lost, the worker goes on and
    /// meets `failures` times that it is away; the database comes back.
    fn loses_its_database(&self, database: &str, failures: u64) {
        self.cluster.start();
        let intake = self.start("intake", database);
        let analyze = self.start("analyze", database);
        for role in ["intake", "analyze"] {
            self.wait_until_said(role, "answering", 1);
        }
        analyze.signal(Signal::STOP);
        let library: &Path = &self.folder.path().join("photos");
        photos(library, PHOTOS);
        assert!(run(self.member(database).arg("add").arg(library)).status.success());

        self.cluster.stop();
        analyze.signal(Signal::CONT);
        wait_for("photos that meet it", || (self.put_off() >= failures).then_some(()));
        // A line for each thing the driver says of it, and not for each photo.
        let lines = self.said("analyze", "a store is away") as u64;
        assert!(lines > 0 && lines < failures, "{lines} lines");
        self.cluster.start();
        let counts = wait_for("every photo to be settled", || {
            self.counts(database).filter(|counts| counts["waiting"] == 0)
        });
        assert_eq!((&counts["analyzed"], &counts["failed"]), (&PHOTOS.into(), &0.into()));
        self.wait_until_said("analyze", "work goes on again", 1);
        for mut role in [intake, analyze] {
            role.signal(Signal::TERM);
            assert_eq!(role.end(), Some(0), "a role did not outlive the outage");
        }
    }
}

#[test]
fn a_database_that_is_late_is_waited_for() {
    let Some(fleet) = Fleet::new() else { return };
    for url in [fleet.cluster.over_tcp(PASSWORD), fleet.cluster.over_socket()] {
        let mut role = fleet.start("intake", &url);
        fleet.wait_until_said("intake", "waiting for the database", 1);
        assert!(fleet.said("intake", "cannot be reached") > 0, "the cause is not told");
        assert_eq!(fleet.said("intake", PASSWORD), 0, "the password stands in the log");
        fleet.cluster.start();
        fleet.wait_until_said("intake", "answering", 1);
        role.signal(Signal::TERM);
        assert_eq!(role.end(), Some(0));
        fleet.cluster.stop();
    }
}

#[test]
fn a_role_that_waits_for_its_database_can_be_stopped() {
    let Some(fleet) = Fleet::new() else { return };
    let mut role = fleet.start("intake", &fleet.cluster.over_socket());
    fleet.wait_until_said("intake", "waiting for the database", 1);
    role.signal(Signal::TERM);
    role.end();
    assert_eq!(fleet.said("intake", "stopped before it had started"), 1);
}

#[test]
fn a_client_names_a_database_that_is_away_and_its_next_step() {
    let Some(fleet) = Fleet::new() else { return };
    let away = run(fleet.member(&fleet.cluster.over_socket()).arg("status"));
    assert_eq!(away.status.code(), Some(1));
    let said = stderr(&away);
    assert!(said.contains("cannot be reached") && said.contains("check that it runs"), "{said}");
    assert!(said.contains(":***@") && !said.contains(PASSWORD), "{said}");
}

#[test]
fn a_wrong_password_is_told_at_once() {
    let Some(fleet) = Fleet::new() else { return };
    fleet.cluster.start();
    let url = fleet.cluster.over_tcp("open-sesame");
    let mut role = fleet.start("intake", &url);
    assert_eq!(role.end(), Some(1));
    let said = std::fs::read_to_string(fleet.log("intake")).unwrap();
    let masked = url.replace("open-sesame", "***");
    for words in [masked.as_str(), "password authentication failed", "DATABASE_URL"] {
        assert!(said.contains(words), "{words} is missing: {said}");
    }
    assert!(!said.contains("open-sesame") && !said.contains("waiting for the database"), "{said}");
    // The same of a database that nobody has made.
    let absent = url.replace("open-sesame", PASSWORD).replace("/postgres", "/nobody_made_it");
    let status = run(fleet.member(&absent).arg("status"));
    let said = stderr(&status);
    assert!(said.contains("nobody_made_it") && said.contains("DATABASE_URL"), "{said}");
}

#[test]
fn photos_outlast_a_database_that_is_lost_in_the_middle() {
    let Some(fleet) = Fleet::new() else { return };
    fleet.loses_its_database(&fleet.cluster.over_tcp(PASSWORD), PHOTOS);
}

mod slow {
    use super::{Fleet, PHOTOS, ROUNDS};

    #[test]
    fn photos_outlast_an_outage_that_is_longer_than_their_attempts() {
        let Some(fleet) = Fleet::new() else { return };
        fleet.loses_its_database(&fleet.cluster.over_socket(), ROUNDS * PHOTOS);
    }
}
