//! The files of the seed system, under its names in the volume: read as its users read them, with a
//! JSON reader, `tail` and Python. They follow what is current, forwards and back.
//! Failure: a name that is missing, of another shape or of another generation; a failed training that
//! the history does not tell.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Redis, Running, database_url, eyefleet, photos, run, stdout, wait_for};

struct Fleet {
    folder: tempfile::TempDir,
    redis: Redis,
}

impl Fleet {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn member(&self) -> Command {
        let mut command = eyefleet(&self.data());
        command
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", database_url(&self.data().join("catalog.sqlite")))
            .env("AUTO_TRAIN", "false");
        command
    }

    fn does(&self, words: &[&str]) {
        let output = run(self.member().args(words));
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }

    fn learn(&self, name: &str, images: u64) {
        let folder = self.folder.path().join(name);
        photos(&folder, images);
        let added = run(self.member().args(["add", "--wait"]).arg(folder));
        assert_eq!(added.status.code(), Some(0));
        self.does(&["export", "--wait"]);
        self.does(&["train", "--wait"]);
    }

    /// A file under its name at the root of the volume.
    fn text(&self, name: &str) -> String {
        let path = self.data().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What `jq` would be asked of the report: how many images the current generation knows.
    fn learned_images(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.data().join("training_report.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["total_images"].as_u64()
    }

    /// Every name, in the shape that the seed's tools expect.
    fn assert_seeds_shape(&self, images: u64) {
        let metadata = self.json("images_metadata.json");
        assert_eq!(metadata.as_array().unwrap().len() as u64, images);
        let keys = |value: &Value| -> Vec<String> {
            let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let expected = [
            "created_at",
            "description",
            "detailed_description",
            "embedding",
            "face_count",
            "filename",
            "meta_tags",
        ];
        assert_eq!(keys(&metadata[0]), expected);
        assert!(metadata[0]["embedding"].as_array().unwrap().iter().all(Value::is_number));
        assert!(metadata[0]["meta_tags"].as_array().unwrap().iter().all(Value::is_string));

        let patterns = self.json("category_patterns.json");
        let (_, pattern) = patterns.as_object().unwrap().iter().next().expect("a category");
        assert_eq!(keys(pattern), ["co_occurring_tags", "common_words", "count"]);
        let descriptions = self.json("description_patterns.json");
        let (_, pattern) = descriptions.as_object().unwrap().iter().next().expect("a term");
        assert!(pattern["count"].is_u64() && pattern["associated"].is_array(), "{pattern}");
        let index = self.json("search_index.json");
        assert_eq!(index["images"], images);
        let (_, word) = index["words"].as_object().unwrap().iter().next().expect("a word");
        assert!(word["synonyms"].is_array() && word["related"].is_array(), "{word}");
        let faces = self.json("face_clusters.json");
        assert!(faces["clusters"].is_array(), "{faces}");

        let report = self.json("training_report.json");
        assert_eq!(report["status"], "completed");
        for count in
            ["total_images", "total_tags", "images_with_faces", "images_with_detailed_desc"]
        {
            assert!(report[count].is_u64(), "{count} of {report}");
        }
        assert_eq!(report["total_images"], images);
        assert!(report["durations"]["total"].is_number(), "{report}");
        let top = &report["top_categories"][0];
        assert!(top["category"].is_string() && top["count"].is_u64(), "{report}");
        assert_eq!(load_pickle(&self.data().join("face_clusters.pkl")), json!({}));
    }

    fn history(&self) -> Vec<Value> {
        let text = self.text("training_history.log");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

/// As a tool of the seed system loads it. The starter pack sees no faces: a dictionary without
/// people.
fn load_pickle(path: &Path) -> Value {
    let script =
        "import json, pickle, sys; print(json.dumps(pickle.load(open(sys.argv[1], 'rb'))))";
    match Command::new("python3").args(["-c", script]).arg(path).output() {
        Ok(output) if output.status.success() => serde_json::from_slice(&output.stdout).unwrap(),
        Ok(output) => panic!("Python cannot load it: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: face_clusters.pkl is not loaded, there is no python3: {error}");
            json!({})
        }
    }
}

#[test]
fn the_seeds_names_show_what_is_current() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = Fleet { folder, redis: Redis::start() };
    std::fs::create_dir(fleet.data()).unwrap();
    let roles = ["analyze", "export", "train", "intake"];
    let _roles = roles.map(|name| Running::start(fleet.member().args(["run", name])));

    // A training that fails first: its end is told under the same names.
    fleet.learn_badly();
    let history = fleet.history();
    assert_eq!((&history[0]["status"], &history[0]["library"]), (&"failed".into(), &"main".into()));
    assert!(fleet.text("training.log").lines().last().unwrap().contains("failed"));

    fleet.learn("first", 60);
    fleet.assert_seeds_shape(60);
    fleet.learn("second", 80);
    fleet.assert_seeds_shape(80);
    let history = fleet.history();
    let last = history.last().unwrap();
    assert_eq!((&last["status"], &last["images"]), (&"completed".into(), &80.into()));
    assert!(last["seconds"].is_number() && last["snapshot"].is_string(), "{last}");
    let log = fleet.text("training.log");
    assert_eq!(log.lines().count(), history.len(), "{log}");
    assert!(log.lines().last().unwrap().contains("completed"), "{log}");

    fleet.does(&["generations", "rollback"]);
    wait_for("the names to follow the rollback", || (fleet.learned_images()? == 60).then_some(()));
    assert_eq!(fleet.json("search_index.json")["images"], 60);

    // How exports went, for people and for tools.
    fleet.does(&["export", "--since", "1h", "--wait"]);
    fleet.does(&["export", "--limit", "5", "--wait"]);
    assert_eq!(fleet.json("images_metadata.json").as_array().unwrap().len(), 5);
    let exports = run(fleet.member().args(["export", "--history", "--json"]));
    let exports: Vec<Value> = serde_json::from_str(&stdout(&exports)).unwrap();
    let told: Vec<_> =
        exports.iter().map(|it| (&it["images"], &it["state"], &it["limit"])).collect();
    assert_eq!(told[0], (&json!(5), &json!("done"), &json!(5)));
    assert_eq!(told[1], (&json!(80), &json!("done"), &Value::Null));
    assert!(exports[1]["since"].is_string() && exports[2]["since"].is_null(), "{exports:?}");
    assert!(exports.iter().all(|it| it["seconds"].is_number()), "{exports:?}");
}

impl Fleet {
    /// Learns from a snapshot with a changed byte.
    fn learn_badly(&self) {
        let folder = self.folder.path().join("few");
        photos(&folder, 12);
        let added = run(self.member().args(["add", "--wait"]).arg(folder));
        assert_eq!(added.status.code(), Some(0));
        self.does(&["export", "--wait"]);
        let shelf = self.data().join("libraries/main/snapshots");
        let snapshot = std::fs::read_dir(shelf).unwrap().flatten().next().unwrap().path();
        std::fs::write(snapshot.join("vectors.f32"), "changed").unwrap();
        let failed = run(self.member().args(["train", "--wait"]));
        assert_eq!(failed.status.code(), Some(1));
    }
}
