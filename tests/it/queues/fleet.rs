//! Queues that are held while a whole fleet runs.

use std::path::Path;

use serde_json::Value;

use crate::support::{Up, eyefleet, get, photos, run, stderr, stdout, wait_for};

fn json(data: &Path, words: &[&str]) -> Value {
    let output = run(eyefleet(data).args(words).arg("--json"));
    assert_eq!(output.status.code(), Some(0), "{words:?}");
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn counts(data: &Path, library: &str) -> Value {
    json(data, &["status", "--library", library])["counts"].clone()
}

fn wait_for_photos(data: &Path, library: &str, analyzed: u64) {
    wait_for("the photos to be analyzed", || {
        let counts = counts(data, library);
        (counts["analyzed"] == analyzed && counts["waiting"] == 0).then_some(())
    });
}

/// The value in the line of the metrics page that is this series.
fn metric(up: &Up, role: &str, series: &str) -> Option<u64> {
    let (status, page) = get(&format!("{}/metrics", up.url(role)));
    assert_eq!(status, 200);
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse::<f64>().unwrap() as u64)
}

/// The sum of this series over both analyze processes.
fn both(up: &Up, series: &str) -> u64 {
    ["analyze-1", "analyze-2"].iter().filter_map(|role| metric(up, role, series)).sum()
}

#[test]
fn a_paused_queue_waits_and_a_drained_one_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let watched = folder.path().join("watched");
    std::fs::create_dir(&watched).unwrap();
    photos(&folder.path().join("photos"), 3);
    let up = Up::start(&data);
    let add = |name: &str| run(eyefleet(&data).arg("add").arg(folder.path().join(name)));

    // Paused: photos are taken and wait, while the other queues work.
    json(&data, &["queue", "pause", "analyze"]);
    assert!(stderr(&add("photos")).contains("queue analyze is paused"));
    let exported = run(eyefleet(&data).args(["export", "--wait"]));
    assert_eq!(exported.status.code(), Some(0), "an export waits for another queue");
    assert_eq!(counts(&data, "main")["waiting"], 3);
    let status = json(&data, &["queue", "status", "analyze"]);
    assert_eq!(
        (&status["analyze"]["ready"], &status["analyze"]["claimed"]),
        (&3.into(), &0.into())
    );
    wait_for("the leader's count of a paused queue", || {
        let paused = r#"eyefleet_queue_mode{queue="analyze",mode="paused"}"#;
        (metric(&up, "intake-1", paused)? > 0).then_some(())
    });
    let ready = r#"eyefleet_queue_jobs{queue="analyze",state="ready",lane="upload"}"#;
    assert_eq!(metric(&up, "intake-1", ready), Some(3));
    let (_, page) = get(&format!("{}/v1/status", up.url("serve-1")));
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["queues"]["analyze"]["mode"], "paused");
    let report = json(&data, &["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|it| it["subject"] == "queues" && it["name"] == "analyze");
    let check = check.unwrap();
    assert_eq!(
        (&check["state"], &check["mend"]),
        (&"warning".into(), &"eyefleet queue resume analyze".into())
    );
    json(&data, &["queue", "resume", "analyze"]);
    wait_for_photos(&data, "main", 3);

    // What workers did is on their pages.
    wait_for("the workers' counts", || {
        let done = both(&up, r#"eyefleet_settles_total{queue="analyze",outcome="done"}"#);
        (done == 3).then_some(())
    });
    assert!(both(&up, r#"eyefleet_claims_total{queue="analyze"}"#) >= 3);
    for series in [
        r#"eyefleet_stale_settles_total{queue="analyze"}"#,
        r#"eyefleet_rescues_total{queue="analyze",reason="returned"}"#,
        r#"eyefleet_rescues_total{queue="analyze",reason="quarantined"}"#,
        r#"eyefleet_leases_renewed_late_total{queue="analyze"}"#,
        r#"eyefleet_leases_lost_total{queue="analyze"}"#,
    ] {
        assert!(metric(&up, "analyze-1", series).is_some(), "{series} is not there from the start");
    }

    // Drained: what is there is worked off, and the command ends with it.
    let attached = run(eyefleet(&data).args(["library", "add", "b", "--photos"]).arg(&watched));
    assert_eq!(attached.status.code(), Some(0));
    json(&data, &["queue", "cap", "analyze", "1"]);
    photos(&folder.path().join("more"), 8);
    add("more");
    let drained = run(eyefleet(&data).args(["queue", "drain", "analyze"]));
    assert_eq!(drained.status.code(), Some(0));
    assert!(stdout(&drained).contains("until `eyefleet queue resume analyze`"));
    assert_eq!(counts(&data, "main")["waiting"], 0);
    let before = counts(&data, "main")["analyzed"].as_u64().unwrap();

    // Closed: uploads and a watched folder are recorded, and analyzed once it is open again.
    photos(&folder.path().join("late"), 12);
    let late = add("late");
    assert_eq!(late.status.code(), Some(0));
    assert!(stderr(&late).contains("photos are recorded"));
    photos(&watched, 2);
    wait_for("the watched folder's photos to be recorded", || {
        let status = json(&data, &["status", "--library", "b"]);
        let recorded = status["counts"]["images"] == 2;
        (recorded && status["watch"]["state"] == "watching").then_some(())
    });
    // The watcher went on by itself, and did not fail and look again.
    let log = std::fs::read_to_string(data.join("log/intake-1.log")).unwrap();
    assert!(log.contains("recorded while the queue is being drained"), "{log}");
    let status = json(&data, &["queue", "status", "analyze"]);
    assert_eq!(status["analyze"]["unfinished"], 0);
    let waiting = counts(&data, "main")["waiting"].as_u64().unwrap();
    assert!(waiting > 0);
    json(&data, &["queue", "resume", "analyze"]);
    wait_for_photos(&data, "main", before + waiting);
    wait_for_photos(&data, "b", 2);
    up.stop();
}
