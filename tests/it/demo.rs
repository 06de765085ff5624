//! The demo tells the truth: it ends well when everything did, whatever is killed or emptied on
//! the way, and it does not when the stored vectors are wrong.

use crate::support::{eyefleet, run, stdout};

/// Runs a small demo; gives its exit code and its last line.
fn demo(more: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let output = run(eyefleet(folder.path())
        .args(["demo", "--images", "160", "--new-images", "2", "--dir"])
        .arg(&dir)
        .args(more)
        // A killed worker's jobs come back after a lease: a short one, so that tests are quick.
        .env("EYEFLEET_QUEUE__LEASE_SECONDS", "2"));
    let text = stdout(&output);
    let line = text.lines().last().unwrap_or_default().to_owned();
    if output.status.success() {
        let report = std::fs::read_to_string(dir.join("report.html")).unwrap();
        assert!(report.matches("data:image/jpeg;base64,").count() >= 11, "pictures are missing");
        assert!(!report.contains("http://"), "the report is not self-contained");
    }
    (output.status.code(), line)
}

const WELL: &str = "demo: images=162 analyzed=162 failed=0 generation=1 reloaded=2 searches_ok=3";

#[test]
fn killed_workers_change_nothing_in_its_result() {
    assert_eq!(demo(&["--sabotage", "killed-workers"]), (Some(0), WELL.to_owned()));
}

#[test]
fn an_emptied_redis_changes_nothing_in_its_result() {
    assert_eq!(demo(&["--sabotage", "flushed-redis"]), (Some(0), WELL.to_owned()));
}

#[test]
fn shuffled_vectors_are_noticed() {
    let (code, line) = demo(&["--sabotage", "shuffled-vectors"]);
    assert_eq!(code, Some(1));
    assert!(line.starts_with("demo: images=162 analyzed=162 failed=0 generation=1"), "{line}");
    assert!(!line.ends_with("searches_ok=3"), "{line}");
}
