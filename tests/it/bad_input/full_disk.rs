//! A disk that is really full: a small tmpfs that only the fleet of the story sees.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use super::{Fleet, now};
use crate::small_disk::SmallDisk;
use crate::support::{Redis, Running, database_url, get, photos, run, stderr, stdout, wait_for};

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn generations(fleet: &Fleet) -> Vec<Value> {
    let listed = run(fleet.command().args(["generations", "--json"]));
    serde_json::from_str(&stdout(&listed)).unwrap()
}

fn assert_tells_of_a_full_disk(text: &str, disk: &SmallDisk) {
    let place = disk.place().display().to_string();
    for words in ["No space left on device", &place, "are free on", "free space there"] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

/// The address of a role's metrics, from what it logs at its start.
fn health_url(log: &Path) -> String {
    wait_for("the address of the export worker", || {
        let log = std::fs::read_to_string(log).ok()?;
        let start = log.find("http://")?;
        Some(log[start..].split(|c: char| c.is_whitespace() || c == '"').next()?.to_owned())
    })
}

#[test]
fn a_full_disk_stops_exports_and_trainings_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = std::fs::canonicalize(folder.path()).unwrap();
    let Some(disk) = SmallDisk::at(&data.join("libraries/main"), 2) else { return };
    let fleet = Fleet {
        database_url: database_url(&data.join("by-hand.sqlite")),
        data: data.clone(),
        redis: Redis::start(),
        prefix: disk.enter(),
    };
    let log = data.join("export.log");
    let mut export = fleet.command();
    export
        .args(["run", "export"])
        .env("AUTO_TRAIN", "false")
        .env("EYEFLEET_LOG__FORMAT", "json")
        .stderr(std::fs::File::create(&log).unwrap());
    let _roles = ["analyze", "train", "serve", "intake"].map(|name| fleet.role(name));
    let _export = Running::start(&mut export);
    let metrics = health_url(&log);
    photos(&data.join("photos"), 12);
    let add = run(fleet.command().args(["add", "--wait"]).arg(data.join("photos")));
    assert_eq!(add.status.code(), Some(0));
    let ask = |what: &str| run(fleet.command().args([what, "--wait", "--json"]));
    assert_eq!(ask("export").status.code(), Some(0));
    assert_eq!(ask("train").status.code(), Some(0));
    let served = |number: u64| {
        let status = fleet.status()?;
        let workers = status["workers"].as_array()?.clone();
        let serves = |role: &str| {
            workers.iter().any(|it| it["role"] == role && it["serves"]["main"] == number)
        };
        (status["generation"] == number && serves("serve")).then_some(())
    };
    wait_for("generation 1 to be served", || served(1));
    let snapshots = entries(&disk.inside().join("snapshots"));

    // The export says why it failed, and leaves nothing of itself.
    disk.fill();
    let failed = ask("export");
    assert_eq!(failed.status.code(), Some(1));
    assert_tells_of_a_full_disk(&stderr(&failed), &disk);
    assert_eq!(entries(&disk.inside().join("snapshots")), snapshots);
    let (_, page) = get(&format!("{metrics}/metrics"));
    assert!(page.contains("eyefleet_exports_total{outcome=\"failed\"} 3"), "{page}");
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("No space left on device"), "{logged}");

    // So does the training.
    let failed = run(fleet.command().args(["train", "--force", "--wait"]));
    assert_eq!(failed.status.code(), Some(1));
    assert_tells_of_a_full_disk(&stderr(&failed), &disk);
    assert_eq!(entries(&disk.inside().join("generations")), ["1"]);
    let newest = &generations(&fleet)[0];
    assert_eq!(newest["state"], "failed");
    assert_tells_of_a_full_disk(newest["reason"].as_str().unwrap(), &disk);

    // What was learned before is current and served, to photos and to searches.
    assert!(served(1).is_some(), "generation 1 is not served any more");
    let found = run(fleet.command().args(["search", "a boat", "--json"]));
    assert_eq!(found.status.code(), Some(0));

    // With room again everything goes on.
    disk.empty();
    assert_eq!(ask("export").status.code(), Some(0));
    assert_eq!(entries(&disk.inside().join("snapshots")).len(), snapshots.len() + 1);
    assert_eq!(ask("train").status.code(), Some(0));
    let newest = generations(&fleet)[0]["generation"].as_u64().unwrap();
    wait_for("the new generation to be served", || served(newest));
}

mod slow {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn analyses_wait_while_the_disk_of_the_catalogue_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let data = std::fs::canonicalize(folder.path()).unwrap();
        let Some(disk) = SmallDisk::at(&data.join("database"), 16) else { return };
        let fleet = Fleet {
            // Always SQLite: it is its file that has no room.
            database_url: format!("sqlite://{}", data.join("database/catalog.sqlite").display()),
            data: data.clone(),
            redis: Redis::start(),
            prefix: disk.enter(),
        };
        let log = data.join("analyze.log");
        let mut analyze = fleet.command();
        analyze.args(["run", "analyze"]).stderr(std::fs::File::create(&log).unwrap());
        let analyze = Running::start(&mut analyze);
        photos(&data.join("photos"), 1);
        let add = run(fleet.command().args(["add", "--wait"]).arg(data.join("photos")));
        assert_eq!(add.status.code(), Some(0));

        // The worker is held while the photos are recorded, and meets a full disk when it goes on.
        analyze.signal(Signal::STOP);
        photos(&data.join("photos"), 40);
        let add = run(fleet.command().arg("add").arg(data.join("photos")));
        assert_eq!(add.status.code(), Some(0));
        disk.fill();
        analyze.signal(Signal::CONT);
        let queue = fleet.queue("analyze").await;
        wait_for("failures that are tried again", || {
            (now(queue.depth()).unwrap().totals.waited >= 5).then_some(())
        });
        let logged = std::fs::read_to_string(&log).unwrap();
        assert!(logged.contains("the catalogue cannot grow"), "{logged}");
        assert!(logged.contains("free space on the disk that holds it"), "{logged}");

        disk.empty();
        let status = wait_for("every photo to be analyzed", || {
            let status = fleet.status()?;
            (status["counts"]["waiting"] == 0).then_some(status)
        });
        assert_eq!(
            (&status["counts"]["analyzed"], &status["counts"]["failed"]),
            (&40.into(), &0.into())
        );
        assert_eq!(queue.depth().await.unwrap().dead, 0);
    }
}
