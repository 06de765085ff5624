//! `eyefleet up`: one fleet for each data folder, polite at its end, unharmed by a killed one.

use std::path::PathBuf;

use rustix::process::{Pid, Signal};

use crate::support::{Up, eyefleet, fleet_file, get, photos, run, stderr, stdout, wait_for};

fn redis_pid(data: &std::path::Path) -> Option<i32> {
    let info = std::process::Command::new("redis-cli")
        .arg("-s")
        .arg(data.join("run/redis.sock"))
        .args(["info", "server"])
        .output()
        .ok()?;
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    info.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}

fn lives(pid: i32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

#[test]
fn the_life_of_a_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = Up::start(&data);

    // Every role answers the three pages.
    for role in ["analyze-1", "analyze-2", "export-1", "train-1", "intake-1", "serve-1"] {
        let url = up.url(role);
        assert_eq!(get(&format!("{url}/healthz")).0, 200, "{role}");
        assert_eq!(get(&format!("{url}/readyz")).0, 200, "{role}");
        let (status, metrics) = get(&format!("{url}/metrics"));
        assert_eq!(status, 200, "{role}");
        assert!(metrics.contains("eyefleet_build_info"), "{role}: {metrics}");
    }

    // A second one on the same folder is refused by name.
    let second = run(eyefleet(&data).arg("up"));
    assert_eq!(second.status.code(), Some(1));
    let said = stderr(&second);
    assert!(
        said.contains("already runs") && said.contains(&up.process.0.id().to_string()),
        "{said}"
    );

    // Photos in, words out.
    photos(&folder.path().join("photos"), 12);
    std::fs::write(folder.path().join("photos/broken.jpg"), "this is text").unwrap();
    let added = run(eyefleet(&data).args(["add", "--wait"]).arg(folder.path().join("photos")));
    assert_eq!(added.status.code(), Some(4), "one broken photo is told by the exit code");
    let status = run(eyefleet(&data).args(["status", "--json"]));
    let status: serde_json::Value = serde_json::from_str(&stdout(&status)).unwrap();
    assert_eq!(status["counts"]["images"], 13);
    assert_eq!(status["counts"]["analyzed"], 12);
    assert_eq!(status["counts"]["failed"], 1);
    let reason = status["counts"]["failures"][0][0].as_str().unwrap();
    let broken = run(eyefleet(&data).args(["show", "added/broken.jpg", "--json"]));
    let broken: serde_json::Value = serde_json::from_str(&stdout(&broken)).unwrap();
    assert_eq!(broken["stages"]["embed"]["state"], "failed");
    assert_eq!(broken["stages"]["embed"]["reason"], reason);

    // HTTP says the same.
    let url = up.url("serve-1");
    let (code, body) = get(&format!("{url}/v1/status"));
    assert_eq!(code, 200);
    let over_http: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(over_http["counts"], status["counts"]);
    let (code, body) = get(&format!("{url}/v1/images/added/003.jpg"));
    assert_eq!(code, 200, "{body}");
    assert_eq!(get(&format!("{url}/v1/images/none.jpg")).0, 404);
    let (code, body) = get(&format!("{url}/v1/search?q=a%20sailboat"));
    assert_eq!(code, 200, "{body}");
    assert_eq!(get(&format!("{url}/v1/search?q=")).0, 400);
    assert_eq!(get(&format!("{url}/v1/nothing")).0, 404);

    // The same photos again change nothing.
    let again = run(eyefleet(&data).args(["add", "--json"]).arg(folder.path().join("photos")));
    let again: serde_json::Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(again["added"]["unchanged"], 13);
    assert_eq!(again["added"]["enqueued"], 0);

    // SIGTERM ends all of it, Redis last; its data stays.
    let redis = redis_pid(&data).unwrap();
    let roles: Vec<i32> = ["analyze-1", "serve-1"].map(|role| up.pid(role)).to_vec();
    up.stop();
    assert!(!lives(redis), "Redis outlived its fleet");
    for pid in roles {
        assert!(!lives(pid), "a role outlived its fleet");
    }
    assert!(fleet_file(&data).is_none(), "a fleet that is gone still has its file");
    let none = run(eyefleet(&data).arg("status"));
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("eyefleet up"), "{}", stderr(&none));
}

#[test]
fn a_killed_supervisor_leaves_nothing_that_harms() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = Up::start(&data);
    let redis = redis_pid(&data).unwrap();
    let role = first.pid("analyze-1");
    first.process.signal(Signal::KILL);
    first.process.end();
    // Roles see their input end and stop by themselves; Redis stays for the next fleet.
    wait_for("the roles to stop", || (!lives(role)).then_some(()));
    assert!(lives(redis));
    let second = Up::start(&data);
    assert_eq!(redis_pid(&data), Some(redis), "the living Redis was not adopted");
    second.stop();
    assert!(!lives(redis), "the adopted Redis outlived its fleet");
}

#[test]
fn a_folder_too_deep_for_a_socket_works() {
    let folder = tempfile::tempdir().unwrap();
    let deep: PathBuf = folder.path().join("a-long-name-in-a-deep-folder/".repeat(5));
    let up = Up::start(&deep);
    let facts = fleet_file(&deep).unwrap();
    let url = facts["redis_url"].as_str().unwrap();
    assert!(url.len() < 107 + "redis+unix://".len(), "{url}");
    assert_eq!(run(eyefleet(&deep).arg("status")).status.code(), Some(0));
    up.stop();
}
