//! What an owner lives through, from the first start to a library that has learned twice: photos go
//! in, nothing else is done, and it gets better described. In the order and with the words and files of
//! the system before this one.
//! Failure: a step that waits for somebody, a word or a file that those who know the old system miss,
//! a photo that does not get what was learned.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, Up, eyefleet, photos, run, stdout, wait_for};

struct Owner {
    folder: TempDir,
}

impl Owner {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn up(&self, auto_train: bool) -> Up {
        let mut command = eyefleet(&self.data());
        command
            .arg("up")
            .env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0")
            .env("AUTO_TRAIN", auto_train.to_string())
            .env("EYEFLEET_TRAIN__DELAY_SECONDS", "1");
        let up = Up { process: Running::start(&mut command), data: self.data() };
        up.wait_until_ready();
        up
    }

    fn add(&self, name: &str, count: u64) {
        let folder = self.folder.path().join(name);
        photos(&folder, count);
        let added = run(eyefleet(&self.data()).args(["add", "--wait"]).arg(folder));
        assert_eq!(added.status.code(), Some(0));
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = eyefleet(&self.data()).args(words).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// How often the processes of a role have said this since the fleet was first started.
    fn said(&self, role: &str, words: &str) -> usize {
        let logs = std::fs::read_dir(self.data().join("log")).unwrap();
        let of_role = logs.map(|it| it.unwrap().path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(role))
        });
        of_role.map(|log| std::fs::read_to_string(log).unwrap().matches(words).count()).sum()
    }

    fn wait_until_said(&self, role: &str, words: &str, times: usize) {
        wait_for(words, || (self.said(role, words) >= times).then_some(()));
    }

    fn wait_until_served(&self, number: u64) {
        wait_for(&format!("every worker to serve generation {number}"), || {
            let status = self.json(&["status"]);
            let workers = status["workers"].as_array()?.clone();
            let mut analyze = workers.iter().filter(|it| it["role"] == "analyze").peekable();
            analyze.peek()?;
            analyze.all(|it| it["serves"]["main"] == number).then_some(())
        });
    }

    fn generation_of(&self, image: &str) -> Option<i64> {
        self.json(&["show", image])["generation"].as_i64()
    }

    fn file(&self, name: &str) -> String {
        let path = self.data().join("libraries/main").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// What people and tools read in the volume, each in the shape that they know.
fn assert_files_of(owner: &Owner, photos: u64) {
    let json = |name: &str| serde_json::from_str::<Value>(&owner.file(name)).unwrap();
    let categories = json("category_patterns.json");
    let (_, pattern) = categories.as_object().unwrap().iter().next().unwrap();
    assert!(pattern["count"].is_u64());
    assert!(pattern["common_words"].is_array() && pattern["co_occurring_tags"].is_array());
    assert!(!json("description_patterns.json").as_object().unwrap().is_empty());
    assert!(json("search_index.json")["words"].is_object());
    assert!(json("face_clusters.json").is_object());
    let report = json("training_report.json");
    for field in ["total_tags", "images_with_faces", "images_with_detailed_desc"] {
        assert!(report[field].is_u64(), "{field}: {report}");
    }
    assert!(report["top_categories"].is_array() && report["durations"]["total"].is_f64());
    assert_eq!((&report["status"], &report["total_images"]), (&"completed".into(), &photos.into()));
    let metadata = json("images_metadata.json");
    let metadata = metadata.as_array().unwrap();
    assert_eq!(metadata.len() as u64, photos);
    for field in ["filename", "description", "meta_tags", "face_count", "embedding", "created_at"] {
        assert!(metadata[0].get(field).is_some(), "{field}: {}", metadata[0]);
    }
    for log in ["training.log", "training_history.log"] {
        assert!(owner.file(log).lines().last().unwrap().contains("completed"), "{log}");
    }
    let link = Path::new("category_patterns.json");
    assert!(owner.data().join(link).exists(), "no link at the root of the volume");
}

#[test]
fn an_owner_uploads_photos_and_does_nothing_else() {
    let owner = Owner { folder: tempfile::tempdir().unwrap() };
    let up = owner.up(true);

    // The first photos: base models, nothing to learn from.
    owner.add("first", 6);
    owner.wait_until_said("intake", "No training data found, using base models", 1);
    assert_eq!(owner.generation_of("added/000.jpg"), None);
    let found = run(eyefleet(&owner.data()).args(["search", "a boat on the sea"]));
    assert!(matches!(found.status.code(), Some(0 | 3)), "search answers from the first second");

    // More of them: the library learns by itself, and its workers use it without a restart.
    owner.add("second", 30);
    owner.wait_until_said("intake", "Training data found", 1);
    owner.wait_until_said("intake", "Training scheduled in background", 1);
    owner.wait_until_served(1);
    assert!(owner.said("analyze", "Applied learned patterns") >= 1);
    owner.wait_until_said("intake", "Using existing trained patterns", 1);
    let learned: u64 = owner.json(&["generations"])[0]["images"].as_u64().unwrap();
    assert_files_of(&owner, learned);
    owner.add("third", 31);
    assert_eq!(owner.generation_of("added/030.jpg"), Some(1), "it was analyzed after the training");

    // A restart: what was learned is there, and is not learned again.
    up.stop();
    let up = owner.up(true);
    owner.wait_until_said("intake", "Using existing trained patterns", 2);
    owner.wait_until_served(1);

    // A tenth of the library is new: it learns again. Old photos get it when they are asked to.
    let found = owner.said("intake", "Training data found");
    let scheduled = owner.said("intake", "Training scheduled in background");
    owner.add("fourth", 48);
    owner.wait_until_said("intake", "Training data found", found + 1);
    owner.wait_until_said("intake", "Training scheduled in background", scheduled + 1);
    owner.wait_until_served(2);
    assert_eq!(owner.generation_of("added/000.jpg"), None);
    assert!(run(eyefleet(&owner.data()).arg("reprocess")).status.success());
    assert_eq!(owner.generation_of("added/000.jpg"), Some(2));
    assert_eq!(owner.generation_of("added/030.jpg"), Some(2));
    let status = stdout(&run(eyefleet(&owner.data()).arg("status")));
    assert!(status.contains("generation  2") && status.contains("published"), "{status}");

    // By hand, forced, and with a number of photos; an export of some is not learned from by itself.
    let exported = owner.json(&["export", "--limit", "10", "--wait"]);
    assert_eq!(exported["images"], 10);
    assert!(run(eyefleet(&owner.data()).args(["export", "--wait"])).status.success());
    let forced = owner.json(&["train", "--force", "--wait"]);
    assert!(forced["generation"].as_i64().unwrap() >= 3, "{forced}");
    up.stop();

    // Switched off it says so, and how to do it by hand; what was learned is used all the same.
    let up = owner.up(false);
    owner.wait_until_said("intake", "Using existing trained patterns", 3);
    let before = owner.json(&["status"])["generation"].clone();
    owner.wait_until_served(before.as_u64().unwrap());
    owner.add("fifth", 60);
    assert_eq!(owner.generation_of("added/059.jpg"), before.as_i64());
    owner.wait_until_said("intake", "Training is off (AUTO_TRAIN=false)", 1);
    assert!(stdout(&run(eyefleet(&owner.data()).arg("status"))).contains("generation"));
    let asked_for = owner.said("intake", "An export is asked for");
    up.stop();

    // Switched on again it learns them at its start, which was all that was missing.
    let up = owner.up(true);
    owner.wait_until_served(before.as_u64().unwrap() + 1);
    assert_eq!(owner.said("intake", "An export is asked for"), asked_for + 1);
    let learned = owner.json(&["generations"])[0]["images"].as_u64();
    assert_eq!(learned, Some(60), "it learned while it was switched off");
    up.stop();
}
