//! A fleet that learns by itself, and people who look at what it learned.
//! Failure: a fleet that no longer learns because the process that decided died, or learns twice; a
//! generation that workers keep serving after somebody went back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyefleet::board::{Board, WorkerFacts};
use eyefleet::catalog::{Catalog, ExportState};
use eyefleet::clock::Clock;
use eyefleet::names::{GenerationNumber, LibraryId};
use rustix::process::Signal;
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Redis, Running, database_url, eyefleet, photos, run, stdout, wait_for};

struct Fleet {
    folder: TempDir,
    redis: Redis,
    auto_train: bool,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fleet = Self { folder, redis: Redis::start(), auto_train: true };
        std::fs::create_dir_all(fleet.data()).unwrap();
        fleet
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        command
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", database_url(&self.data().join("learning.sqlite")))
            .env("AUTO_TRAIN", self.auto_train.to_string())
            .env("EYEFLEET_TRAIN__DELAY_SECONDS", "1")
            .env("EYEFLEET_TRAIN__GENERATIONS_KEPT", "1")
            .env("EYEFLEET_LOG__FORMAT", "json");
        command
    }

    fn role(&self, name: &str) -> Running {
        Running::start(self.member().args(["run", name]))
    }

    /// A process that may lead, and the file of its log.
    fn intake(&self, name: &str) -> (Running, PathBuf) {
        let log = self.folder.path().join(name);
        let mut command = self.member();
        command.args(["run", "intake"]).stdout(File::create(&log).unwrap());
        command.stderr(File::options().append(true).open(&log).unwrap());
        (Running::start(&mut command), log)
    }

    /// The first so many drawings; those that are there already are not new.
    fn add(&self, name: &str, count: u64) {
        let folder = self.folder.path().join(name);
        photos(&folder, count);
        let added = run(self.member().args(["add", "--wait"]).arg(folder));
        assert_eq!(added.status.code(), Some(0));
    }

    fn json(&self, words: &[&str]) -> Option<Value> {
        let output = self.member().args(words).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    fn wait_for_generation(&self, number: u64) {
        wait_for(&format!("generation {number}"), || {
            (self.json(&["status"])?["generation"] == number).then_some(())
        });
    }

    fn wait_until_served(&self, number: u64) {
        wait_for(&format!("the worker to serve generation {number}"), || {
            let status = self.json(&["status"])?;
            let workers = status["workers"].as_array()?.clone();
            let serves = |it: &Value| it["role"] == "analyze" && it["serves"]["main"] == number;
            workers.iter().any(serves).then_some(())
        });
    }
}

/// What was logged, in order, of the cases that a library can be in.
fn cases(log: &Path) -> Vec<String> {
    let known = [
        "No training data found, using base models",
        "Training data found",
        "Training scheduled in background",
        "Using existing trained patterns",
    ];
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let said = lines.filter_map(|line| line["message"].as_str().map(ToOwned::to_owned));
    said.filter(|message| known.contains(&message.as_str())).collect()
}

#[test]
fn a_fleet_learns_on_when_its_leader_is_killed_and_goes_back_when_asked() {
    let fleet = Fleet::new();
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    fleet.add("first", 5);
    let (leader, log) = fleet.intake("leader.log");
    wait_for("the first word on a library", || (!cases(&log).is_empty()).then_some(()));
    fleet.add("second", 14);
    fleet.wait_for_generation(1);
    wait_for("the word on what was learned", || {
        cases(&log).last().is_some_and(|it| it.starts_with("Using existing")).then_some(())
    });
    assert_eq!(
        cases(&log),
        [
            "No training data found, using base models",
            "Training data found",
            "Training scheduled in background",
            "Using existing trained patterns",
        ]
    );

    let (_follower, log) = fleet.intake("follower.log");
    leader.signal(Signal::KILL);
    fleet.add("third", 26);
    fleet.wait_for_generation(2);
    wait_for("the word of the new leader", || {
        cases(&log).last().is_some_and(|it| it.starts_with("Using existing")).then_some(())
    });
    assert!(cases(&log).contains(&"Training data found".to_owned()), "{:?}", cases(&log));
    let exports: Vec<Value> =
        serde_json::from_value(fleet.json(&["generations"]).unwrap()).unwrap();
    assert_eq!(exports.len(), 2, "one training for each of the two changes");

    // What differs, and the way back.
    fleet.wait_until_served(2);
    let diff = fleet.json(&["generations", "diff"]).unwrap();
    assert_eq!((&diff["from"], &diff["to"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(diff["images"]["appeared"].as_array().unwrap().len(), 12);
    let back = fleet.json(&["generations", "rollback"]).unwrap();
    assert_eq!((&back["generation"], &back["before"]), (&Value::from(1), &Value::from(2)));
    fleet.wait_until_served(1);
    let none = run(fleet.member().args(["generations", "rollback"]));
    assert_eq!(none.status.code(), Some(3), "there is none before the first");
    let unknown = run(fleet.member().args(["generations", "rollback", "7"]));
    assert_eq!(unknown.status.code(), Some(3), "{}", stdout(&unknown));
}

#[test]
fn old_generations_are_collected_unless_they_are_pinned_or_in_use() {
    let fleet = Fleet { auto_train: false, ..Fleet::new() };
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    fleet.add("photos", 12);
    assert!(run(fleet.member().args(["export", "--wait"])).status.success());
    let train = || {
        assert!(run(fleet.member().args(["train", "--force", "--wait"])).status.success());
    };
    train();
    let pinned = fleet.json(&["generations", "pin", "1"]).unwrap();
    assert_eq!(pinned["pinned"], true);
    let kept = || -> Vec<String> {
        let shelf = fleet.data().join("libraries/main/generations");
        let names = std::fs::read_dir(shelf).unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    };
    // A worker that could not load anything newer, and says so all the time.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let board = || Board::open(&fleet.redis.url(), "eyefleet").unwrap();
    let behind = WorkerFacts {
        worker: "behind".to_owned(),
        role: "serve".to_owned(),
        serves: [(LibraryId::main(), GenerationNumber(2))].into(),
        models: None,
    };
    for number in 2..=5 {
        runtime.block_on(async { board().report(&behind).await }).unwrap();
        train();
        fleet.wait_until_served(number);
    }
    // Removed are those that nobody served at the end of the last training.
    assert_eq!(kept(), ["1", "2", "4", "5"]);
    runtime.block_on(async { board().leave("behind").await }).unwrap();
    assert_eq!(fleet.json(&["generations", "unpin", "1"]).unwrap()["pinned"], false);
    train();
    assert_eq!(kept(), ["5", "6"]);
    let gone = run(fleet.member().args(["generations", "pin", "1"]));
    assert_ne!(gone.status.code(), Some(0));
}

#[test]
fn a_generation_that_is_a_step_back_is_held_back_until_somebody_wants_it() {
    let fleet = Fleet { auto_train: false, ..Fleet::new() };
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    fleet.add("photos", 24);
    let by_hand = |words: &[&str]| run(fleet.member().args(words).arg("--wait"));
    assert!(by_hand(&["export"]).status.success());
    assert!(by_hand(&["train"]).status.success());

    // Of a snapshot that lacks most of the photos, which are all still there.
    assert!(by_hand(&["export", "--limit", "5"]).status.success());
    let refused = by_hand(&["train"]);
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("5 photos that search finds in place of 24"), "{why}");
    assert!(why.contains("--publish-anyway"), "{why}");
    assert_eq!(fleet.json(&["status"]).unwrap()["generation"], 1);
    fleet.wait_until_served(1);
    let history = std::fs::read_to_string(fleet.data().join("libraries/main/training_history.log"));
    assert!(history.unwrap().contains("held back"));

    // By force, after one of the same snapshot that failed.
    let published = by_hand(&["train", "--force", "--publish-anyway"]);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let current = fleet.json(&["status"]).unwrap()["generation"].as_u64().unwrap();
    assert!(current > 1);
    fleet.wait_until_served(current);
}

#[test]
fn a_training_that_its_memory_does_not_hold_is_refused_before_it_takes_any() {
    let fleet = Fleet { auto_train: false, ..Fleet::new() };
    let _roles = ["analyze", "export"].map(|name| fleet.role(name));
    let mut trainer = fleet.member();
    let _trainer =
        Running::start(trainer.args(["run", "train"]).env("EYEFLEET_TRAIN__MEMORY_MIB", "1"));
    fleet.add("photos", 12);
    assert!(run(fleet.member().args(["export", "--wait"])).status.success());
    let refused = run(fleet.member().args(["train", "--wait"]));
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("learning from 12 images takes about"), "{why}");
    assert!(why.contains("may take 1: raise train.memory_mib"), "{why}");
    assert_eq!(fleet.json(&["status"]).unwrap()["generation"], Value::Null);
}

#[test]
fn a_timetable_exports_what_nothing_else_would() {
    let fleet = Fleet { auto_train: false, ..Fleet::new() };
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    fleet.add("photos", 3);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A minute that passed since the library was made: nobody waits for one here.
    let url = database_url(&fleet.data().join("learning.sqlite"));
    let exports = || async {
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        catalog.exports(&LibraryId::main(), 9).await.unwrap()
    };
    runtime.block_on(async {
        let database = sea_orm::Database::connect(&url).await.unwrap();
        let earlier = "UPDATE libraries SET created_at = '2026-01-01T00:00:00.000000Z'";
        database.execute_unprepared(earlier).await.unwrap();
    });
    assert_eq!(runtime.block_on(exports()), []);
    let mut intake = fleet.member();
    intake.args(["run", "intake"]).env("EYEFLEET_EXPORT__SCHEDULE", "* * * * *");
    let _intake = Running::start(&mut intake);
    let done = wait_for("an export", || {
        let exports = runtime.block_on(exports());
        exports.into_iter().find(|export| export.state == ExportState::Done)
    });
    assert_eq!((done.images, done.limit, done.since), (3, None, None));
    assert_eq!(fleet.json(&["generations"]).unwrap(), serde_json::json!([]), "it is not learned");
}
