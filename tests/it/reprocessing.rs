//! Known photos are brought up to date: with what was learned since, what failed, or all anew.
//!
//! A failure is a model that runs where nothing needs it, a photo that is left out or done twice, one
//! that is lost when the command is stopped, or a queue that fills with photos nobody waits for.

use std::path::PathBuf;
use std::process::Command;

use eyefleet::catalog::Catalog;
use eyefleet::clock::Clock;
use eyefleet::reconcile::quarantine;
use fleetq::{ConnectOptions, Queue, QueueSettings, Settle};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Redis, Running, database_url, eyefleet, photos, run, stdout, wait_for};

struct Fleet {
    folder: TempDir,
    redis: Redis,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        Self { folder, redis: Redis::start() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn originals(&self) -> PathBuf {
        self.data().join("originals/main/added")
    }

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        command
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", database_url(&self.data().join("again.sqlite")))
            .env("AUTO_TRAIN", "false");
        command
    }

    fn role(&self, name: &str) -> Running {
        Running::start(self.member().args(["run", name]))
    }

    /// Draws photos, adds them with what else lies in the folder, and waits until all are analyzed.
    fn add(&self, count: u64) -> Option<i32> {
        let folder = self.folder.path().join("photos");
        photos(&folder, count);
        run(self.member().args(["add", "--wait"]).arg(folder)).status.code()
    }

    /// The exit code and the answer of `eyefleet reprocess`.
    fn again(&self, words: &[&str]) -> (Option<i32>, Value) {
        let output = run(self.member().arg("reprocess").args(words).arg("--json"));
        (output.status.code(), serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null))
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.member().args(words).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Jobs that are ready in the lanes `backfill` and `upload` of the queue `analyze`.
    fn ready(&self) -> (u64, u64) {
        let queue = self.json(&["queue", "status", "analyze"]);
        let lane = |name: &str| queue["analyze"]["lanes"][name]["ready"].as_u64().unwrap();
        (lane("backfill"), lane("upload"))
    }

    fn show(&self, image: &str) -> Value {
        self.json(&["show", image])
    }

    fn learn(&self) {
        for words in [["export", "--wait"], ["train", "--wait"]] {
            assert_eq!(run(self.member().args(words)).status.code(), Some(0), "{words:?}");
        }
    }
}

#[test]
fn what_was_learned_is_applied_to_old_photos_without_their_originals() {
    let fleet = Fleet::new();
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    assert_eq!(fleet.add(12), Some(0));
    let (code, nothing) = fleet.again(&[]);
    assert_eq!((code, &nothing["photos"]), (Some(0), &Value::from(0)), "nothing was learned");
    fleet.learn();

    let before = fleet.show("added/003.jpg");
    assert_eq!(before["generation"], Value::Null);
    let (code, would) = fleet.again(&["--dry-run"]);
    assert_eq!((code, &would["photos"], &would["done"]), (Some(0), &12.into(), &0.into()));
    assert_eq!(would["reasons"][0]["why"], "analyzed before anything was learned");
    assert_eq!(would["reasons"][0]["stages"], serde_json::json!(["enrich"]));
    assert_eq!(fleet.show("added/003.jpg"), before, "a dry run changed it");

    // Whoever would look at the photos again now could not.
    std::fs::rename(fleet.originals(), fleet.originals().with_extension("aside")).unwrap();
    let (code, again) = fleet.again(&["--batch", "5"]);
    assert_eq!((code, &again["done"], &again["failed"]), (Some(0), &12.into(), &0.into()));
    for number in 0..12 {
        let photo = fleet.show(&format!("added/{number:03}.jpg"));
        assert_eq!((&photo["generation"], &photo["revision"]), (&1.into(), &1.into()));
        assert_eq!(photo["stages"]["enrich"]["state"], "done");
    }
    let after = fleet.show("added/003.jpg");
    assert_eq!((&after["tags"], &after["description"]), (&before["tags"], &before["description"]));
    assert_eq!(fleet.again(&[]).1["photos"], 0, "they are up to date");
    // The models would have to look, and cannot: that is told, and comes back as failed.
    let (code, forced) = fleet.again(&["--force", "--stage", "tag"]);
    assert_eq!((code, &forced["failed"]), (Some(4), &12.into()));
    let stages = &fleet.show("added/003.jpg")["stages"];
    assert_eq!(
        (&stages["tag"]["state"], &stages["embed"]["state"]),
        (&"failed".into(), &"done".into())
    );
}

#[test]
fn what_is_missing_is_done_alone() {
    let fleet = Fleet::new();
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    assert_eq!(fleet.add(12), Some(0));
    fleet.learn();
    wait_for("the worker to serve what was learned", || {
        let workers = fleet.json(&["status"])["workers"].as_array()?.clone();
        let serves = |it: &Value| it["role"] == "analyze" && it["serves"]["main"] == 1;
        workers.iter().any(serves).then_some(())
    });
    assert_eq!(fleet.add(14), Some(0));
    assert!(run(fleet.member().args(["train", "--force", "--wait"])).status.success());

    // Two have what was learned, if not the newest; twelve have none of it.
    let (code, would) = fleet.again(&["--only-missing", "--dry-run"]);
    assert_eq!((code, &would["photos"]), (Some(0), &12.into()));
    let (code, again) = fleet.again(&["--only-missing"]);
    assert_eq!((code, &again["done"], &again["failed"]), (Some(0), &12.into(), &0.into()));
    assert_eq!(fleet.show("added/003.jpg")["generation"], 2);
    assert_eq!(fleet.show("added/013.jpg")["generation"], 1, "it lacked nothing");
    assert_eq!(fleet.again(&["--only-missing"]).1["photos"], 0);
    let (code, again) = fleet.again(&[]);
    assert_eq!((code, &again["done"]), (Some(0), &2.into()));
    assert_eq!(fleet.show("added/013.jpg")["generation"], 2);
}

#[test]
fn what_failed_is_tried_again_alone() {
    let fleet = Fleet::new();
    let _worker = fleet.role("analyze");
    let broken = fleet.folder.path().join("photos/broken.jpg");
    std::fs::create_dir_all(broken.parent().unwrap()).unwrap();
    std::fs::write(&broken, "this is no photo").unwrap();
    assert_eq!(fleet.add(3), Some(4));
    let (code, again) = fleet.again(&["--only-failed"]);
    assert_eq!((code, &again["photos"], &again["failed"]), (Some(4), &1.into(), &1.into()));
    assert_eq!(fleet.again(&["--only-failed", "--stage", "enrich", "--dry-run"]).1["photos"], 1);

    std::fs::copy(fleet.originals().join("001.jpg"), fleet.originals().join("broken.jpg")).unwrap();
    let (code, again) = fleet.again(&["--only-failed"]);
    assert_eq!((code, &again["done"], &again["failed"]), (Some(0), &1.into(), &0.into()));
    assert_eq!(fleet.show("added/broken.jpg")["stages"]["embed"]["state"], "done");
    assert_eq!(fleet.again(&["--only-failed"]).1["photos"], 0);
    assert_eq!(fleet.again(&["--only-missing"]).1["photos"], 0, "nothing was learned meanwhile");
    assert_eq!(fleet.again(&["--force", "--since", "1h", "--dry-run"]).1["photos"], 4);
    assert_eq!(fleet.again(&["--force", "--since", "2999-01-01", "--dry-run"]).1["photos"], 0);
    let wrong = run(fleet.member().args(["reprocess", "--stage", "tag"]));
    assert_eq!(wrong.status.code(), Some(2), "a stage of what?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_whose_job_was_quarantined_gets_another_one() {
    let fleet = Fleet::new();
    let folder = fleet.folder.path().join("photos");
    photos(&folder, 1);
    assert_eq!(run(fleet.member().arg("add").arg(folder)).status.code(), Some(0));
    let connection = fleetq::connect(&fleet.redis.url(), ConnectOptions::default()).await.unwrap();
    let queue = Queue::open(&connection, "eyefleet", "analyze", QueueSettings::default());
    let queue = queue.await.unwrap();
    let claim = queue.claim("story", 1).await.unwrap().remove(0);
    let dead = Settle::Dead { cause: "it harms the worker".to_owned(), chain: Vec::new() };
    queue.settle(&claim.lease, dead).await.unwrap();
    let url = database_url(&fleet.data().join("again.sqlite"));
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let letter = queue.dead(1).await.unwrap().remove(0);
    assert!(quarantine::tell(&catalog, &letter).await.unwrap());

    let _worker = fleet.role("analyze");
    let (code, again) = fleet.again(&["--only-failed"]);
    assert_eq!((code, &again["done"], &again["failed"]), (Some(0), &1.into(), &0.into()));
    assert_eq!(queue.depth().await.unwrap().dead, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_stopped_goes_on_where_it_was() {
    let fleet = Fleet::new();
    let mut worker = fleet.role("analyze");
    assert_eq!(fleet.add(30), Some(0));
    worker.signal(Signal::TERM);
    assert_eq!(worker.end(), Some(0));

    let mut command = fleet.member();
    command.args(["reprocess", "--force", "--batch", "5"]);
    let mut stopped = Running::start(&mut command);
    let waiting = || fleet.json(&["status"])["counts"]["waiting"].as_u64();
    wait_for("four batches to wait", || (waiting() == Some(20)).then_some(()));
    assert_eq!(fleet.ready(), (20, 0), "they are behind uploads");
    stopped.signal(Signal::INT);
    assert_eq!(stopped.end(), Some(130));
    assert_eq!(waiting(), Some(20), "more was handed out than is in the queue");

    // What a Redis forgets comes back, and stays behind uploads.
    let client = redis::Client::open(fleet.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    let _leader = fleet.role("intake");
    wait_for("reconciliation", || (fleet.ready() == (20, 0)).then_some(()));

    let _worker = fleet.role("analyze");
    wait_for("what was in the queue", || (waiting() == Some(0)).then_some(()));
    let (code, rest) = fleet.again(&["--force"]);
    assert_eq!((code, &rest["photos"], &rest["done"]), (Some(0), &10.into(), &10.into()));
    let (_, anew) = fleet.again(&["--force", "--dry-run"]);
    assert_eq!(anew["photos"], 30, "a run that came to its end is followed by a new one");
}
