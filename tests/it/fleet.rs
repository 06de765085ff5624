//! Roles that are started by hand against `REDIS_URL` and `DATABASE_URL` form a fleet.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Redis, Running, database_url, eyefleet, photos, run, stdout, wait_for};

/// Commands of a fleet on `redis`, with its catalogue in `data`.
fn member(data: &Path, redis: &Redis) -> Command {
    let mut command = eyefleet(data);
    command
        .env("REDIS_URL", redis.url())
        .env("DATABASE_URL", database_url(&data.join("by-hand.sqlite")))
        .env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0")
        .env("EYEFLEET_QUEUE__LEASE_SECONDS", "2");
    command
}

fn role(data: &Path, redis: &Redis, role: &str) -> Running {
    Running::start(member(data, redis).args(["run", role]))
}

#[test]
fn roles_by_hand_form_a_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let redis = Redis::start();
    let mut roles: Vec<Running> = ["analyze", "export", "train", "intake", "serve"]
        .map(|name| role(&data, &redis, name))
        .into();
    photos(&folder.path().join("photos"), 60);
    let photos = folder.path().join("photos");

    // A worker that is killed in the middle loses nothing: its jobs come back to the others.
    let killed = role(&data, &redis, "analyze");
    let mut polite = role(&data, &redis, "analyze");
    let mut adding = Running::start(member(&data, &redis).args(["add", "--wait"]).arg(&photos));
    let analyzed = |wanted: u64| {
        let status = member(&data, &redis).args(["status", "--json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        (status["counts"]["analyzed"].as_u64()? >= wanted).then_some(())
    };
    wait_for("the first photos", || analyzed(5));
    killed.signal(Signal::KILL);
    polite.signal(Signal::TERM);
    assert_eq!(polite.end(), Some(0), "a busy worker did not stop well");
    assert_eq!(adding.end(), Some(0));

    // Export, and the training that follows by itself.
    let exported = run(member(&data, &redis).args(["export", "--wait", "--json"]));
    assert_eq!(exported.status.code(), Some(0));
    let exported: serde_json::Value = serde_json::from_str(&stdout(&exported)).unwrap();
    assert_eq!(exported["images"], 60);
    let trained = run(member(&data, &redis).args(["train", "--wait", "--json"]));
    assert_eq!(trained.status.code(), Some(0));
    let trained: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    assert_eq!(trained["generation"], 1);
    assert_eq!(trained["snapshot"], exported["snapshot"]);

    // The seed's names in the volume show the generation.
    for name in [
        "category_patterns.json",
        "description_patterns.json",
        "search_index.json",
        "face_clusters.json",
        "training_report.json",
        "images_metadata.json",
    ] {
        let text = std::fs::read(data.join("libraries/main").join(name)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        assert!(data.join(name).exists(), "no link to {name} at the root of the volume");
    }
    let log = std::fs::read_to_string(data.join("libraries/main/training.log")).unwrap();
    assert!(log.contains("completed"), "{log}");

    // The worker serves it without a restart.
    wait_for("the worker to serve generation 1", || {
        let status = member(&data, &redis).args(["status", "--json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        let workers = status["workers"].as_array()?.clone();
        workers.iter().any(|it| it["role"] == "analyze" && it["serves"]["main"] == 1).then_some(())
    });
    let forced = run(member(&data, &redis).args(["train", "--force", "--wait", "--json"]));
    let forced: serde_json::Value = serde_json::from_str(&stdout(&forced)).unwrap();
    assert_eq!(forced["generation"], 2);
    let listed = run(member(&data, &redis).args(["generations", "--json"]));
    let listed: serde_json::Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);

    // SIGTERM ends every role in time.
    for running in &roles {
        running.signal(Signal::TERM);
    }
    for running in &mut roles {
        assert_eq!(running.end(), Some(0));
    }
}
