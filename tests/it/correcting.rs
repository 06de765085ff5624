//! The owner says what a photo shows, and removes photos: that stays, whatever is done to the library.
//!
//! A failure is a word of the owner that is lost, one that was taken away and comes back, or a removed
//! photo that is in the library again without anybody adding it.

use std::path::{Path, PathBuf};
use std::process::Command;

use drawn::Generator;
use eyefleet::clock::Clock;
use eyefleet::jobs::{Origin, RemoveImage, Source, UpdateImage};
use eyefleet::names::{ImageId, LibraryId};
use fleetq::{ConnectOptions, NewJob, Queue, QueueSettings};
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Redis, Running, database_url, eyefleet, photos, run, wait_for};

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

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        command
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", database_url(&self.data().join("owner.sqlite")))
            .env("EYEFLEET_WATCH__SETTLE_SECONDS", "0.1")
            .env("AUTO_TRAIN", "false");
        command
    }

    fn role(&self, name: &str) -> Running {
        Running::start(self.member().args(["run", name]))
    }

    /// Runs a command, which must succeed.
    fn done(&self, words: &[&str]) {
        assert_eq!(run(self.member().args(words)).status.code(), Some(0), "{words:?}");
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.member().args(words).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn show(&self, image: &str) -> Value {
        self.json(&["show", image])
    }

    fn wait_until_enriched(&self, image: &str, generation: u64) -> Value {
        wait_for(&format!("{image} with generation {generation}"), || {
            let photo = self.show(image);
            let is_done = photo["stages"]["enrich"]["state"] == "done";
            (is_done && photo["generation"] == generation).then_some(photo)
        })
    }

    async fn enqueue(&self, job: NewJob) {
        let connection =
            fleetq::connect(&self.redis.url(), ConnectOptions::default()).await.unwrap();
        let queue = Queue::open(&connection, "eyefleet", "analyze", QueueSettings::default());
        queue.await.unwrap().enqueue(job).await.unwrap();
    }

    fn update(tags: &[&str], said_at: Timestamp) -> UpdateImage {
        UpdateImage {
            library: LibraryId::main(),
            image: ImageId::new(CORRECTED).unwrap(),
            tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            description: None,
            undo: false,
            said_at,
        }
    }
}

const CORRECTED: &str = "added/003.jpg";

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

fn names(tags: &Value) -> Vec<&str> {
    tags.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_says_survives_analysis_enrichment_and_training() {
    let fleet = Fleet::new();
    let _roles = ["analyze", "export", "train"].map(|name| fleet.role(name));
    let folder = fleet.folder.path().join("photos");
    photos(&folder, 40);
    fleet.done(&["add", "--wait", folder.to_str().unwrap()]);
    let by_models = fleet.show(CORRECTED);
    let taken_away = names(&by_models["tags"]);
    assert!(!taken_away.is_empty(), "{by_models}");
    fleet.done(&["correct", CORRECTED, "--tags", "oma, garden", "--description", "Oma at home"]);
    let unknown = run(fleet.member().args(["correct", "added/none.jpg", "--tags", "x"]));
    assert_eq!(unknown.status.code(), Some(3));

    let holds = |when: &str| {
        let photo = fleet.show(CORRECTED);
        assert_eq!(names(&photo["tags"]), ["garden", "oma"], "{when}: {photo}");
        assert_eq!(photo["description"], "Oma at home", "{when}");
        assert_eq!(
            photo["enriched_description"],
            Value::Null,
            "{when}: words in the owner's mouth"
        );
        let related = words(&photo["related_tags"]);
        let back: Vec<_> = taken_away.iter().filter(|tag| related.contains(tag)).collect();
        assert!(back.is_empty(), "{when}: {back:?} came back");
        assert_eq!(words(&photo["corrected"]), ["description", "tags"]);
    };
    holds("at once");
    for words in [["export", "--wait"], ["train", "--wait"]] {
        fleet.done(&words);
    }
    fleet.done(&["reprocess"]);
    fleet.wait_until_enriched(CORRECTED, 1);
    holds("after enrichment");
    fleet.done(&["reprocess", "--force"]);
    fleet.wait_until_enriched(CORRECTED, 1);
    holds("after another look");
    let exported = fleet.data().join("libraries/main/images_metadata.json");
    assert!(std::fs::read_to_string(exported).unwrap().contains("Oma at home"));
    let found = fleet.json(&["search", "oma"]);
    assert_eq!(found["hits"][0]["image"], CORRECTED, "{found}");

    // Through the queue as well; what was said before the last word changes nothing.
    let now = Clock::system().now();
    let origin = Origin::new(Source::Cli);
    let before = now - SignedDuration::from_hours(1);
    fleet.enqueue(Fleet::update(&["oma", "kitchen"], now).queued("2", &origin).unwrap()).await;
    wait_for("the owner's word from the queue", || {
        (names(&fleet.show(CORRECTED)["tags"]) == ["kitchen", "oma"]).then_some(())
    });
    fleet.enqueue(Fleet::update(&["attic"], before).queued("1", &origin).unwrap()).await;
    wait_for("the queue to be empty", || {
        let queue = fleet.json(&["queue", "status", "analyze"]);
        (queue["analyze"]["unfinished"] == 0).then_some(())
    });
    assert_eq!(names(&fleet.show(CORRECTED)["tags"]), ["kitchen", "oma"]);

    fleet.done(&["correct", CORRECTED, "--undo"]);
    let photo = fleet.wait_until_enriched(CORRECTED, 1);
    assert_eq!(photo["tags"], by_models["tags"]);
    assert_eq!(photo["description"], by_models["description"]);
}

/// A folder that is watched by roles that are started by hand.
struct Watched {
    fleet: Fleet,
    photos: PathBuf,
    intake: Running,
    _analyze: Running,
}

impl Watched {
    fn start(count: u64) -> Self {
        let fleet = Fleet::new();
        let folder = fleet.folder.path().join("watched");
        photos(&folder, count);
        fleet.done(&["library", "add", "main", "--photos", folder.to_str().unwrap()]);
        let (intake, analyze) = (fleet.role("intake"), fleet.role("analyze"));
        Self { fleet, photos: folder, intake, _analyze: analyze }
    }

    fn wait_for_photos(&self, count: u64) {
        wait_for(&format!("{count} analyzed photos"), || {
            let counts = self.fleet.json(&["status"])["counts"].clone();
            (counts["images"] == count && counts["analyzed"] == count).then_some(())
        });
    }

    /// Does something to the folder while nobody watches it, and waits for the look at all of it with
    /// which the watching begins again.
    fn while_nobody_looks(&mut self, change: impl FnOnce(&Path)) {
        self.intake.signal(Signal::TERM);
        assert_eq!(self.intake.end(), Some(0));
        change(&self.photos);
        let looked_at = || self.fleet.json(&["status"])["watch"]["looked_at"].clone();
        let before = looked_at();
        self.intake = self.fleet.role("intake");
        wait_for("a look at the whole folder", || {
            let status = self.fleet.json(&["status"]);
            let is_over = status["watch"]["state"] == "watching";
            (is_over && status["watch"]["looked_at"] != before).then_some(())
        });
    }
}

fn draw(file: &Path, index: u64) {
    let drawing = drawn::draw(Generator::Second, 31, index);
    std::fs::write(file, drawing.to_jpeg(88).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_removed_stays_away_until_it_is_added_again() {
    let mut watched = Watched::start(4);
    watched.wait_for_photos(4);
    watched.fleet.done(&["remove", "001.jpg"]);
    assert_eq!(watched.fleet.show("001.jpg")["removed_by_owner"], true);
    let job = RemoveImage {
        library: LibraryId::main(),
        image: ImageId::new("002.jpg").unwrap(),
        said_at: Clock::system().now(),
    };
    let job = job.queued("1", &Origin::new(Source::Cli)).unwrap();
    watched.fleet.enqueue(job).await;
    watched.wait_for_photos(2);

    // Neither a look at the folder, nor another name or stamp of the file, nor a reprocessing.
    watched.while_nobody_looks(|folder| {
        std::fs::rename(folder.join("001.jpg"), folder.join("renamed.jpg")).unwrap();
        let file = std::fs::File::options().write(true).open(folder.join("002.jpg")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    watched.fleet.done(&["reprocess", "--force"]);
    watched.wait_for_photos(2);

    // Another photo under the name is another photo; a file that is added by hand is wanted.
    draw(&watched.photos.join("001.jpg"), 9);
    watched.wait_for_photos(3);
    assert_eq!(watched.fleet.show("001.jpg")["removed_by_owner"], true, "its id stays its own");
    let second = watched.photos.join("002.jpg");
    watched.fleet.done(&["add", "--wait", second.to_str().unwrap()]);
    watched.wait_for_photos(4);
    assert_eq!(watched.fleet.show("002.jpg")["removed_at"], Value::Null);
    // One of two copies is removed. The other one may be copied again.
    let copy = |name: &str| {
        std::fs::copy(watched.photos.join("000.jpg"), watched.photos.join(name)).unwrap();
    };
    copy("copy.jpg");
    watched.wait_for_photos(5);
    watched.fleet.done(&["remove", "copy.jpg"]);
    copy("another.jpg");
    wait_for("the other copy", || {
        (watched.fleet.show("another.jpg")["stages"]["embed"]["state"] == "done").then_some(())
    });
    watched.while_nobody_looks(|_| {});
    watched.wait_for_photos(5);
    assert_eq!(watched.fleet.show("copy.jpg")["removed_by_owner"], true);
}
