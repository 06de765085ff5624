//! Long versions of the stories: `make test-slow`.

mod bounded_memory;

use crate::support::{eyefleet, run, stdout};

/// A library of a thousand pictures in the full demo, with `more` going on.
fn long_demo(more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = run(eyefleet(folder.path())
        .args(["demo", "--images", "1000", "--new-images", "20", "--dir"])
        .arg(folder.path().join("demo"))
        .args(more)
        // A killed worker's jobs come back after a lease: a short one, so that tests are quick.
        .env("EYEFLEET_QUEUE__LEASE_SECONDS", "2"));
    let text = stdout(&output);
    let line = text.lines().last().unwrap_or_default();
    let well = "demo: images=1020 analyzed=1020 failed=0 generation=1 reloaded=2 searches_ok=3";
    assert_eq!((output.status.code(), line), (Some(0), well));
}

#[test]
fn a_thousand_pictures_with_killed_workers() {
    long_demo(&["--sabotage", "killed-workers"]);
}

#[test]
fn a_thousand_pictures_with_an_emptied_redis() {
    long_demo(&["--sabotage", "flushed-redis"]);
}
