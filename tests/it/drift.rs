//! Catalogue, queue and originals that differ: every kind is seen, what is safe is repaired, and what
//! passes by itself is neither. An emptied Redis under load ends with every photo analyzed and no drift.
//! Failure: drift that stays, drift that is counted and is none, a repair that touches anything else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use eyefleet::catalog::{Catalog, Upload};
use eyefleet::clock::Clock;
use eyefleet::names::{ImageId, LibraryId, RelativePath};
use eyefleet::reconcile::drift::{Bounds, DriftDeps, Found, Kind, Report, Rounds};
use fleetq::{ConnectOptions, Queue, QueueSettings, Settle};
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use sea_orm::{ConnectionTrait, Database};
use serde_json::Value;

use crate::support::{Redis, Running, database_url, eyefleet, get, photos, run, stdout, wait_for};

async fn sql(url: &str, statement: &str) {
    let database = Database::connect(url).await.unwrap();
    database.execute_unprepared(statement).await.unwrap();
    database.close().await.unwrap();
}

/// A catalogue, a queue and a folder of originals, with no process beside them.
struct Stores {
    deps: DriftDeps,
    url: String,
    root: PathBuf,
    _redis: Redis,
    _folder: tempfile::TempDir,
}

impl Stores {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("other.txt"), "so that it is never empty").unwrap();
        let redis = Redis::start();
        let url = database_url(&folder.path().join("catalog.sqlite"));
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        catalog.ensure_library(&LibraryId::main(), &root).await.unwrap();
        let connection = fleetq::connect(&redis.url(), ConnectOptions::default()).await.unwrap();
        let settings = QueueSettings { lease: Duration::from_secs(1), ..QueueSettings::default() };
        let queue = Queue::open(&connection, "story", "analyze", settings).await.unwrap();
        let data = folder.path().to_owned();
        let deps = DriftDeps { catalog, queues: vec![queue], data, clock: Clock::system() };
        Self { deps, url, root, _redis: redis, _folder: folder }
    }

    fn queue(&self) -> &Queue {
        &self.deps.queues[0]
    }

    /// Records photos whose content is told from others by `bytes`, and puts files in their place.
    async fn upload(&self, names: &[&str], bytes: u64) {
        let upload = |name: &&str| Upload {
            image: ImageId::new(*name).unwrap(),
            path: RelativePath::new(format!("{name}.jpg")).unwrap(),
            bytes: Some(bytes),
            content_hash: None,
            stamp: None,
            source: "story".to_owned(),
        };
        for name in names {
            std::fs::write(self.root.join(format!("{name}.jpg")), "pixels").unwrap();
        }
        let uploads: Vec<Upload> = names.iter().map(upload).collect();
        self.deps.catalog.record_uploads(&LibraryId::main(), &uploads).await.unwrap();
    }

    async fn round(&self, rounds: &mut Rounds, now: Timestamp, repair: bool) -> Report {
        rounds.round(&self.deps, now, &Bounds::ALL, repair).await
    }

    /// What a look of its own finds, five minutes from now.
    async fn look(&self) -> Vec<(Kind, u64)> {
        counts(&self.round(&mut Rounds::default(), later(), false).await)
    }

    /// Repairs, and answers what was repaired.
    async fn repair(&self) -> Vec<(Kind, u64)> {
        let report = self.round(&mut Rounds::default(), later(), true).await;
        let found = report.iter().map(|(kind, found)| (*kind, found.as_ref().unwrap().repaired));
        found.filter(|(_, count)| *count > 0).collect()
    }

    async fn waits_for_job(&self, id: &str) -> bool {
        self.queue().state(id).await.unwrap().is_some()
    }
}

fn later() -> Timestamp {
    Clock::system().now() + SignedDuration::from_mins(5)
}

fn counts(report: &Report) -> Vec<(Kind, u64)> {
    assert_eq!(report.len(), Kind::ALL.len());
    let found = report.iter().map(|(kind, found)| (*kind, found.as_ref().unwrap().count));
    found.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn photos_and_jobs_that_lost_each_other_are_brought_together() {
    let stores = Stores::new().await;
    let main = LibraryId::main();
    stores.upload(&["a", "b", "c"], 1).await;
    // They were recorded a moment ago: whoever did will enqueue them.
    let now = Clock::system().now();
    assert_eq!(counts(&stores.round(&mut Rounds::default(), now, true).await), []);

    assert_eq!(stores.look().await, [(Kind::ImageWithoutJob, 3)]);
    assert_eq!(stores.look().await, [(Kind::ImageWithoutJob, 3)], "a look changed something");
    assert_eq!(stores.repair().await, [(Kind::ImageWithoutJob, 3)]);
    assert_eq!(stores.look().await, []);

    // One is removed, one has other content: the one's job is useless, the other's is another.
    let removed = stores.deps.catalog.remove_image(&main, &ImageId::new("a").unwrap()).await;
    assert!(removed.unwrap());
    std::fs::remove_file(stores.root.join("a.jpg")).unwrap();
    stores.upload(&["b"], 2).await;
    let just_now = stores.round(&mut Rounds::default(), Clock::system().now(), true).await;
    assert_eq!(counts(&just_now), [], "it happened just now");
    let both = [(Kind::ImageWithoutJob, 1), (Kind::JobWithoutImage, 2)];
    assert_eq!(stores.look().await, both);
    assert_eq!(stores.repair().await, both);
    assert_eq!(stores.look().await, []);
    for (id, waits) in [("1:a", false), ("1:b", false), ("2:b", true), ("1:c", true)] {
        assert_eq!(stores.waits_for_job(&format!("analyze-image:main:{id}")).await, waits, "{id}");
    }

    // A dead letter is not a missing job, and a person's to forget.
    let claims = stores.queue().claim("worker", 2).await.unwrap();
    for claim in &claims {
        let dead = Settle::Dead { cause: "it aborts".to_owned(), chain: Vec::new() };
        stores.queue().settle(&claim.lease, dead).await.unwrap();
    }
    assert_eq!(stores.look().await, []);
    // A queue that takes no jobs has none that is missing.
    stores.queue().discard("analyze-image:").await.unwrap();
    stores.queue().drain().await.unwrap();
    assert_eq!(stores.look().await, []);
    stores.queue().resume().await.unwrap();
    assert_eq!(stores.look().await, [(Kind::ImageWithoutJob, 2)]);
}

#[tokio::test]
async fn a_job_whose_worker_is_gone_is_taken_from_it() {
    let stores = Stores::new().await;
    stores.upload(&["a", "b"], 1).await;
    stores.repair().await;
    let claims = stores.queue().claim("worker", 1).await.unwrap();
    let now = Clock::system().now();
    let held = stores.round(&mut Rounds::default(), now, true).await;
    assert_eq!(counts(&held), [], "its lease has not ended");
    assert_eq!(stores.look().await, [(Kind::StuckJob, 1)]);
    assert_eq!(stores.repair().await, [(Kind::StuckJob, 1)]);
    assert_eq!(stores.look().await, []);
    let again = stores.queue().claim("other", 2).await.unwrap();
    assert!(again.iter().any(|claim| claim.id == claims[0].id), "{again:?}");
}

#[tokio::test]
async fn photos_without_an_analysis_wait_again_and_faces_of_nobody_go() {
    let stores = Stores::new().await;
    stores.upload(&["a", "b", "c"], 1).await;
    stores.repair().await;
    sql(&stores.url, "DELETE FROM stages WHERE image = 'a'").await;
    sql(&stores.url, "UPDATE images SET removed_at = updated_at WHERE image = 'b'").await;
    std::fs::remove_file(stores.root.join("b.jpg")).unwrap();
    let drift = [(Kind::JobWithoutImage, 1), (Kind::LostAnalysis, 1), (Kind::OrphanFace, 1)];
    assert_eq!(stores.look().await, drift);
    assert_eq!(stores.repair().await, drift);
    assert_eq!(stores.look().await, []);
    let waiting = stores.deps.catalog.waiting_count(&LibraryId::main()).await.unwrap();
    assert_eq!(waiting, 2);
}

#[tokio::test]
async fn a_missing_original_is_told_until_it_is_back_and_an_absent_folder_is_not() {
    let stores = Stores::new().await;
    let names: Vec<String> = (0..1200).map(|number| format!("{number:04}")).collect();
    stores.upload(&names.iter().map(String::as_str).collect::<Vec<_>>(), 1).await;
    let small = Bounds { originals: 500, ..Bounds::ROUND };
    let mut rounds = Rounds::default();
    let missing = async |rounds: &mut Rounds| -> Found {
        let report = rounds.round(&stores.deps, Clock::system().now(), &small, true).await;
        report[&Kind::MissingOriginal].clone().unwrap()
    };
    let (first, last) = (stores.root.join("0003.jpg"), stores.root.join("1199.jpg"));
    std::fs::remove_file(&first).unwrap();
    std::fs::remove_file(&last).unwrap();
    // Three rounds see them all, and remember what the ones before saw.
    let seen = [missing(&mut rounds).await, missing(&mut rounds).await, missing(&mut rounds).await];
    assert_eq!(seen.clone().map(|found| found.count), [1, 1, 2]);
    assert_eq!(seen[2].examples, ["main/0003", "main/1199"]);
    assert!(seen.iter().all(|found| !found.whole && found.repaired == 0));
    assert_eq!(stores.look().await.last(), Some(&(Kind::MissingOriginal, 2)));

    std::fs::write(&first, "pixels").unwrap();
    assert_eq!(missing(&mut rounds).await.count, 1, "one is back");
    let away = stores.root.with_extension("away");
    std::fs::rename(&stores.root, &away).unwrap();
    assert_eq!(missing(&mut rounds).await.count, 1, "what was known stays known");
    assert!(!stores.look().await.iter().any(|(kind, _)| *kind == Kind::MissingOriginal));
    std::fs::rename(&away, &stores.root).unwrap();
    let main = LibraryId::main();
    let removed = stores.deps.catalog.remove_image(&main, &ImageId::new("1199").unwrap()).await;
    assert!(removed.unwrap());
    assert_eq!(missing(&mut rounds).await.count, 0, "nobody misses it");
}

/// Roles of a fleet on one data folder.
struct Fleet {
    folder: tempfile::TempDir,
    redis: Redis,
}

impl Fleet {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn url(&self) -> String {
        database_url(&self.data().join("drift.sqlite"))
    }

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        command
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", self.url())
            .env("AUTO_TRAIN", "false")
            .env("EYEFLEET_QUEUE__LEASE_SECONDS", "2")
            .env("EYEFLEET_RECONCILE__EVERY_SECONDS", "1");
        command
    }

    fn role(&self, name: &str, slots: &str) -> Running {
        let mut command = self.member();
        command.env("EYEFLEET_ANALYZE__SLOTS", slots);
        command.args(["run", name, "--announce"]).arg(self.announced(name));
        Running::start(&mut command)
    }

    fn announced(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.addr"))
    }

    fn counts(&self) -> Option<Value> {
        let output = self.member().args(["status", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(status["counts"].clone())
    }

    fn wait_for_analyzed(&self, wanted: u64) {
        wait_for(&format!("{wanted} analyzed photos"), || {
            (self.counts()?["analyzed"].as_u64()? >= wanted).then_some(())
        });
    }

    fn add(&self, folder: &Path) {
        assert!(run(self.member().arg("add").arg(folder)).status.success());
    }

    fn doctor(&self, words: &[&str]) -> Value {
        let output = run(self.member().args(["doctor", "--json"]).args(words));
        serde_json::from_str(&stdout(&output)).unwrap()
    }
}

/// The drift of a report that is not zero: kind and what was found.
fn drift_of(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap();
    let drift: Vec<&Value> = checks.iter().filter(|check| check["subject"] == "drift").collect();
    assert_eq!(drift.len(), Kind::ALL.len(), "{report}");
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let found = drift.into_iter().filter(|check| check["state"] != "ok");
    found.map(|check| (text(check, "name"), text(check, "found"))).collect()
}

#[test]
fn a_redis_that_is_emptied_under_load_ends_with_every_photo_analyzed_and_no_drift() {
    const PHOTOS: u64 = 40;
    let fleet = Fleet { folder: tempfile::tempdir().unwrap(), redis: Redis::start() };
    std::fs::create_dir_all(fleet.data()).unwrap();
    let folder = fleet.folder.path().join("photos");
    photos(&folder, PHOTOS);
    let analyze = fleet.role("analyze", "1");
    let mut intake = fleet.role("intake", "1");
    fleet.add(&folder);
    for share in [1, 2] {
        fleet.wait_for_analyzed(PHOTOS / 5 * share);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = redis::Client::open(fleet.redis.url()).unwrap();
            let mut line = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("FLUSHALL").exec_async(&mut line).await.unwrap();
        });
        let waiting = fleet.counts().unwrap()["waiting"].as_u64().unwrap();
        assert!(waiting > 0, "it was emptied too late to show anything");
    }
    fleet.wait_for_analyzed(PHOTOS);
    let counts = fleet.counts().unwrap();
    assert_eq!((&counts["waiting"], &counts["failed"]), (&Value::from(0), &Value::from(0)));
    let url = std::fs::read_to_string(fleet.announced("intake")).unwrap();
    wait_for("the leader to find no drift", || {
        let (_, page) = get(&format!("{}/metrics", url.trim()));
        let drift = page.lines().filter(|line| line.starts_with("eyefleet_drift{"));
        let values: Vec<&str> = drift.filter_map(|line| line.rsplit(' ').next()).collect();
        (values.len() == Kind::ALL.len() && values.iter().all(|value| *value == "0")).then_some(())
    });
    assert_eq!(drift_of(&fleet.doctor(&[])), []);

    // Nobody leads, and something is lost: a person sees it, and repairs it.
    intake.signal(Signal::TERM);
    assert_eq!(intake.end(), Some(0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(sql(&fleet.url(), "DELETE FROM analyses WHERE image = 'added/007.jpg'"));
    let lost = drift_of(&fleet.doctor(&[]));
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0].0, "lost_analysis");
    assert!(lost[0].1.contains("1 photo") && lost[0].1.contains("main/added/007.jpg"), "{lost:?}");
    assert_eq!(drift_of(&fleet.doctor(&[])), lost, "a look repaired it");

    let report = fleet.doctor(&["--repair"]);
    let repaired = report["repaired"].as_array().unwrap();
    assert_eq!(repaired.len(), 1, "{report}");
    assert_eq!(
        (&repaired[0]["kind"], &repaired[0]["repaired"]),
        (&Value::from("lost_analysis"), &Value::from(1))
    );
    assert_eq!(drift_of(&report), []);
    let _leads_again = fleet.role("intake", "1");
    fleet.wait_for_analyzed(PHOTOS);
    drop(analyze);
}
