//! `eyefleet up`: one fleet for each data folder, polite at its end, unharmed by a killed one.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Running, Up, eyefleet, fleet_file, get, photos, run, stderr, stdout, wait_for,
};

fn redis_pid(data: &Path) -> Option<i32> {
    redis_pid_at(&data.join("run/redis.sock"))
}

fn redis_pid_at(socket: &Path) -> Option<i32> {
    let info = std::process::Command::new("redis-cli")
        .arg("-s")
        .arg(socket)
        .args(["info", "server"])
        .output()
        .ok()?;
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    info.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}

fn lives(pid: i32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// `eyefleet up` with more settings, not waited for; what it says goes into `log`.
fn up_with(data: &Path, settings: &[(&str, &Path)], log: &Path) -> Up {
    let mut command = eyefleet(data);
    command.arg("up").env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0");
    for (name, value) in settings {
        command.env(name, value);
    }
    command.stderr(std::fs::File::create(log).unwrap());
    Up { process: Running::start(&mut command), data: data.to_owned() }
}

/// Kills Redis, waits until another one answers on the same socket, and has photos analyzed.
fn redis_is_killed_and_work_goes_on(data: &Path, photos_in: &Path) {
    let before = redis_pid(data).unwrap();
    signal(before, Signal::KILL);
    wait_for("another Redis", || redis_pid(data).filter(|pid| *pid != before));
    photos(photos_in, 3);
    let added = run(eyefleet(data).args(["add", "--wait"]).arg(photos_in));
    assert_eq!(added.status.code(), Some(0), "the fleet does not work on the new Redis");
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
    let reason = status["counts"]["failures"][0]["reason"].as_str().unwrap();
    let broken = run(eyefleet(&data).args(["show", "added/broken.jpg", "--json"]));
    let broken: serde_json::Value = serde_json::from_str(&stdout(&broken)).unwrap();
    assert_eq!(broken["stages"]["embed"]["state"], "failed");
    assert_eq!(broken["stages"]["embed"]["reason"], reason.replace("FILE", "added/broken.jpg"));

    // What does not exist has its own exit code.
    for missing in
        [["show", "none.jpg"], ["status", "--library=nope"], ["export", "--library=nope"]]
    {
        assert_eq!(run(eyefleet(&data).args(missing)).status.code(), Some(3), "{missing:?}");
    }

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
    assert_eq!(get(&format!("{url}/v1/search?q=boat&library=nope")).0, 404);
    let (code, body) = get(&format!("{url}/v1/status?library=NOT%20A%20NAME"));
    assert_eq!(code, 400);
    serde_json::from_str::<serde_json::Value>(&body).unwrap();

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
    let none = run(eyefleet(&data).arg("status"));
    assert!(stderr(&none).contains("no fleet runs"), "{}", stderr(&none));

    // One that answers nothing for a while is waited for: a second one would share its file.
    signal(redis, Signal::STOP);
    let log = folder.path().join("second.log");
    let second = up_with(&data, &[], &log);
    wait_for("the second to wait", || {
        std::fs::read_to_string(&log).unwrap().contains("waiting for Redis").then_some(())
    });
    signal(redis, Signal::CONT);
    second.wait_until_ready();
    assert_eq!(redis_pid(&data), Some(redis), "the living Redis was not adopted");

    // An adopted one is watched like one's own.
    redis_is_killed_and_work_goes_on(&data, &folder.path().join("photos"));
    let redis = redis_pid(&data).unwrap();
    second.stop();
    assert!(!lives(redis), "Redis outlived its fleet");
}

#[test]
fn a_killed_redis_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = Up::start(&data);
    redis_is_killed_and_work_goes_on(&data, &folder.path().join("photos"));
    redis_is_killed_and_work_goes_on(&data, &folder.path().join("more"));
    let redis = redis_pid(&data).unwrap();
    up.stop();
    assert!(!lives(redis), "Redis outlived its fleet");
}

#[test]
fn a_start_that_is_stopped_or_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("up.log");

    // Stopped as soon as Redis answers, with the roles on their way.
    let up = up_with(&data, &[], &log);
    let redis = wait_for("Redis", || redis_pid(&data));
    up.stop();
    wait_for("Redis to end", || (!lives(redis)).then_some(()));
    assert!(fleet_file(&data).is_none(), "a fleet that never was has a file");

    // Where the fleet's file cannot be written, Redis has been started already.
    std::fs::create_dir(data.join("run/fleet.json.new")).unwrap();
    let failed = run(eyefleet(&data).arg("up"));
    assert_eq!(failed.status.code(), Some(1));
    assert!(stderr(&failed).contains("fleet.json"), "{}", stderr(&failed));
    let pid = std::fs::read_to_string(data.join("redis/lock")).unwrap();
    let second: i32 = pid.trim().parse().unwrap();
    assert_ne!(second, redis);
    wait_for("the second Redis to end", || (!lives(second)).then_some(()));
}

#[test]
fn a_folder_too_deep_for_a_socket_works() {
    let folder = tempfile::tempdir().unwrap();
    let deep: PathBuf = folder.path().join("a-long-name-in-a-deep-folder/".repeat(5));
    let runtime = ["one", "two"].map(|name| folder.path().join(name));
    let log = folder.path().join("up.log");
    let url = || fleet_file(&deep).unwrap()["redis_url"].as_str().unwrap().to_owned();
    let mut up = up_with(&deep, &[("XDG_RUNTIME_DIR", &runtime[0])], &log);
    up.wait_until_ready();
    let first = url();
    assert!(first.len() < 107 + "redis+unix://".len(), "{first}");
    assert_eq!(run(eyefleet(&deep).arg("status")).status.code(), Some(0));

    // The next one would put the socket elsewhere: it must find the Redis that runs, not start one.
    let redis = redis_pid_at(Path::new(first.strip_prefix("redis+unix://").unwrap())).unwrap();
    up.process.signal(Signal::KILL);
    up.process.end();
    let up = up_with(&deep, &[("XDG_RUNTIME_DIR", &runtime[1])], &log);
    up.wait_until_ready();
    assert_eq!(url(), first);
    up.stop();
    assert!(!lives(redis), "the adopted Redis outlived its fleet");
}
