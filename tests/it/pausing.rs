//! What a fleet leaves to others: no backfill and no training in a pause, and a part of the cores.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Pid;
use serde_json::Value;

use crate::support::{Up, eyefleet, get, photos, run, stdout, wait_for};

fn json(data: &Path, words: &[&str]) -> Value {
    let output = run(eyefleet(data).args(words).arg("--json"));
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn keeps_to_half_of_the_machine(up: &Up) {
    let allowed = |role: &str| {
        let pid = Pid::from_raw(up.pid(role));
        rustix::thread::sched_getaffinity(pid).unwrap()
    };
    let all = rustix::thread::sched_getaffinity(None).unwrap();
    assert_eq!(allowed("serve-1"), all);
    let half = allowed("analyze-1");
    assert_eq!(half.count(), all.count().div_ceil(2));
    for role in ["analyze-2", "export-1", "intake-1", "train-1"] {
        assert_eq!(allowed(role), half, "{role}: together they take a half");
    }
}

/// A training gives way to everybody else.
fn trains_behind_the_others(up: &Up) {
    let niceness =
        |role: &str| rustix::process::getpriority_process(Pid::from_raw(up.pid(role))).unwrap();
    let usual = rustix::process::getpriority_process(None).unwrap();
    for role in ["analyze-1", "serve-1", "export-1", "intake-1"] {
        assert_eq!(niceness(role), usual, "{role}");
    }
    assert_eq!(niceness("train-1"), usual + 10);
}

#[test]
fn a_pause_holds_backfill_and_training_and_lets_uploads_through() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (uploads, watched) = (folder.path().join("uploads"), folder.path().join("watched"));
    photos(&uploads, 12);
    photos(&watched, 3);
    // One written a moment ago would be an upload.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50);
    for photo in std::fs::read_dir(&watched).unwrap() {
        let photo = std::fs::File::options().write(true).open(photo.unwrap().path()).unwrap();
        photo.set_modified(long_ago).unwrap();
    }
    let up = Up::start_with(&data, &[("EYEFLEET_FLEET__SHARE", "0.5")]);
    keeps_to_half_of_the_machine(&up);
    trains_behind_the_others(&up);
    let paused = json(&data, &["pause", "1h"]);
    assert_eq!(paused["held"]["by"], "pause");

    // Emptied, Redis has forgotten it; the leader tells it anew.
    let told = |words: &[&str]| {
        let socket = data.join("run/redis.sock");
        let said = Command::new("redis-cli").arg("-s").arg(socket).args(words).output().unwrap();
        stdout(&said).trim().to_owned()
    };
    assert_eq!(told(&["flushall"]), "OK");
    for queue in ["analyze", "export", "train"] {
        let meta = format!("{{eyefleet:{queue}}}:meta");
        wait_for("the hold", || (told(&["hget", &meta, "held"]) == "b").then_some(()));
    }

    // The first look at a watched folder is backfill: its photos wait.
    let watched = watched.to_str().unwrap();
    run(eyefleet(&data).args(["library", "add", "old", "--photos", watched]));
    wait_for("the watched photos to wait", || {
        let status = json(&data, &["status", "--library", "old"]);
        (status["queues"]["analyze"]["ready"] == 3).then_some(())
    });
    // Uploads are analyzed, and whoever asks by hand gets a snapshot and a training.
    let added = run(eyefleet(&data).args(["add", "--wait"]).arg(&uploads));
    assert_eq!(added.status.code(), Some(0));
    json(&data, &["export", "--wait"]);
    let trained = json(&data, &["train", "--force", "--wait"]);
    assert_eq!(trained["generation"], 1);

    let (code, body) = get(&format!("{}/v1/status", up.url("serve-1")));
    let status: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &status["held"]["by"]), (200, &Value::from("pause")));
    let last = &status["trainings"][0];
    assert_eq!((&last["state"], &last["images"]), (&"published".into(), &12.into()));
    assert!(last["seconds"].as_f64().unwrap() > 0.0);
    // The training that follows an export by itself is held.
    assert_eq!(status["queues"]["train"]["ready"], 1);

    let text = stdout(&run(eyefleet(&data).arg("status")));
    for said in
        ["`eyefleet resume` ends it", "trainings     1  published", "stages", "generation  1"]
    {
        assert!(text.contains(said), "{said:?} is missing");
    }
    let resumed = json(&data, &["resume"]);
    assert_eq!((&resumed["was_paused"], &resumed["held"]), (&Value::Bool(true), &Value::Null));
    wait_for("the rest", || {
        let status = json(&data, &["status", "--library", "old"]);
        (status["counts"]["analyzed"] == 3 && status["queues"]["train"]["ready"] == 0).then_some(())
    });
    assert_eq!(json(&data, &["resume"])["was_paused"], false);
    up.stop();
}

#[test]
fn quiet_hours_hold_backfill_without_anybody_asking() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // All day, whatever the time is when this is read.
    let hours = [("EYEFLEET_FLEET__QUIET_HOURS", "00:00-12:00, 12:00-24:00")];
    let up = Up::start_with(&data, &hours);
    photos(&folder.path().join("photos"), 3);
    let added = run(eyefleet(&data).args(["add", "--wait"]).arg(folder.path().join("photos")));
    assert_eq!(added.status.code(), Some(0), "uploads go through");
    let (_, body) = get(&format!("{}/v1/status", up.url("serve-1")));
    let status: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status["held"]["by"], "quiet_hours");
    wait_for("the queues to be held", || {
        let queues = json(&data, &["queue", "status"]);
        (queues["train"]["held"] == serde_json::json!(["backfill"])).then_some(())
    });
    let (_, metrics) = get(&format!("{}/metrics", up.url("intake-1")));
    assert!(metrics.contains("eyefleet_backfill_held 1"), "{metrics}");
    // The commands know no hours of their own: what the fleet was told is told to them as well.
    let resumed = run(eyefleet(&data).args(["resume", "--json"]).envs(hours));
    let resumed: Value = serde_json::from_str(&stdout(&resumed)).unwrap();
    assert_eq!(
        (&resumed["was_paused"], &resumed["held"]["by"]),
        (&false.into(), &"quiet_hours".into())
    );
    up.stop();
}
