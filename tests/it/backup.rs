//! A fleet is backed up while it works, lost, and restored: it answers as before and works on.
//! Failure: a search that answers differently, photos that are analyzed again without need or not at
//! all, a target that is replaced though nobody said so or though a fleet runs on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use eyefleet::board::{Board, Epoch, Version, WorkerFacts};
use eyefleet::names::{GenerationNumber, LibraryId};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Redis, Running, Up, database_url, eyefleet, photos, run, stderr, stdout, wait_for,
};

fn json(command: &mut Command) -> Value {
    let output = run(command.arg("--json"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a search answers: images with their scores.
fn answers(data: &Path) -> Vec<Value> {
    let words = [["search", "a", "boat"], ["search", "red", "flowers"]];
    words.iter().map(|words| json(eyefleet(data).args(words))["hits"].clone()).collect()
}

/// `eyefleet restore` on `data`; the database is that of `data`, or the one that is named.
fn restore(data: &Path, file: &Path, words: &[&str]) -> Command {
    let mut command = eyefleet(data);
    command.arg("restore").arg(file).args(words);
    command
}

fn up(data: &Path) -> Up {
    let mut command = eyefleet(data);
    command.arg("up").env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0").env("AUTO_TRAIN", "false");
    let up = Up { process: Running::start(&mut command), data: data.to_owned() };
    up.wait_until_ready();
    up
}

/// A fleet that has learned from its first photos and analyzes more; backed up meanwhile.
fn backed_up(folder: &Path, data: &Path) -> (Up, PathBuf) {
    let fleet = up(data);
    let first = folder.join("first");
    photos(&first, 24);
    assert!(run(eyefleet(data).args(["add", "--wait"]).arg(&first)).status.success());
    assert!(run(eyefleet(data).args(["export", "--wait"])).status.success());
    assert!(run(eyefleet(data).args(["train", "--wait"])).status.success());
    wait_for("the generation to be served", || {
        let hits = json(eyefleet(data).args(["search", "a", "boat"]));
        (hits["generation"] == 1).then_some(())
    });
    // Load: photos arrive and are analyzed while the backup is taken.
    let more = folder.join("more");
    photos(&more, 40);
    let mut adding = Running::start(eyefleet(data).arg("add").arg(&more));
    let file = folder.join("backup.tar");
    let written = json(eyefleet(data).arg("backup").arg(&file));
    assert_eq!(written["libraries"][0]["generations"], serde_json::json!([1]));
    assert_eq!(adding.end(), Some(0));
    (fleet, file)
}

#[test]
fn a_fleet_that_was_lost_is_restored_and_works_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (fleet, _) = backed_up(folder.path(), &data);
    wait_for("every photo", || {
        (json(eyefleet(&data).arg("status"))["counts"]["waiting"] == 0).then_some(())
    });
    let file = folder.path().join("quiet.tar");
    json(eyefleet(&data).arg("backup").arg(&file));
    let before = answers(&data);
    assert!(before.iter().all(|hits| !hits.as_array().unwrap().is_empty()), "{before:?}");

    // Not under a fleet that works, nor over what is there.
    let running = run(&mut restore(&data, &file, &["--force"]));
    assert_eq!(running.status.code(), Some(1));
    let said = stderr(&running);
    assert!(said.contains("a fleet runs on the target"), "{said}");
    fleet.stop();
    let there = run(&mut restore(&data, &file, &[]));
    assert!(stderr(&there).contains("--force"), "{}", stderr(&there));

    // Lost: everything but the photos. The fleet's database is on SQLite or PostgreSQL; a target of
    // the other kind takes it as well.
    for name in ["libraries", "redis", "run"] {
        std::fs::remove_dir_all(data.join(name)).unwrap();
    }
    let _absent_on_postgres = std::fs::remove_file(data.join("catalog.sqlite"));
    // Killed in the middle, at whatever moment: the next one finishes it.
    let killed = Running::start(&mut restore(&data, &file, &["--force"]));
    wait_for("the restore to begin", || data.join(".restore").exists().then_some(()));
    killed.signal(Signal::KILL);
    drop(killed);
    let restored = json(&mut restore(&data, &file, &["--force"]));
    assert_eq!(restored["libraries"][0]["current"], 1);
    let fleet = up(&data);
    wait_for("the generation to be served", || {
        let hits = json(eyefleet(&data).args(["search", "a", "boat"]));
        (hits["generation"] == 1).then_some(())
    });
    assert_eq!(answers(&data), before);
    let counts = json(eyefleet(&data).arg("status"))["counts"].clone();
    assert_eq!((&counts["images"], &counts["waiting"]), (&40.into(), &0.into()));
    // It works on: new photos, and the next generation has the next number.
    let new = folder.path().join("new");
    photos(&new, 44);
    assert!(run(eyefleet(&data).args(["add", "--wait"]).arg(&new)).status.success());
    assert!(run(eyefleet(&data).args(["export", "--wait"])).status.success());
    assert!(run(eyefleet(&data).args(["train", "--wait"])).status.success());
    assert_eq!(json(eyefleet(&data).arg("status"))["generation"], 2);
    fleet.stop();
}

#[test]
fn a_backup_under_load_holds_one_moment_and_what_waited_goes_on_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let (fleet, file) = backed_up(folder.path(), &data);
    fleet.stop();
    // Another machine: another folder, SQLite whatever the first one had, the photos copied there.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let sqlite = format!("sqlite://{}", other.join("catalog.sqlite").display());
    let mut command = restore(&other, &file, &[]);
    json(command.env("DATABASE_URL", &sqlite));
    let copied = Command::new("cp").arg("-r").arg(data.join("originals")).arg(&other).status();
    assert!(copied.unwrap().success());
    let mut command = eyefleet(&other);
    command.arg("up").env("DATABASE_URL", &sqlite);
    command.env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0").env("AUTO_TRAIN", "false");
    let fleet = Up { process: Running::start(&mut command), data: other.clone() };
    fleet.wait_until_ready();
    // What waited at that moment is offered again and analyzed: no photo of it is lost or failed.
    let counts = wait_for("every photo", || {
        let mut status = eyefleet(&other);
        let status = json(status.arg("status").env("DATABASE_URL", &sqlite));
        (status["counts"]["waiting"] == 0).then(|| status["counts"].clone())
    });
    assert_eq!(counts["failed"], 0);
    assert!(counts["images"].as_u64().unwrap() >= 24, "{counts}");
    assert_eq!(counts["images"], counts["analyzed"]);
    fleet.stop();
}

#[test]
fn a_changed_byte_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let absent = run(eyefleet(&data).arg("backup").arg(folder.path().join("x.tar")));
    if !database_url(&data.join("catalog.sqlite")).starts_with("postgres") {
        assert!(stderr(&absent).contains("no catalogue"), "{}", stderr(&absent));
    }
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    let fleet = up(&data);
    fleet.stop();
    let file = folder.path().join("backup.tar");
    json(eyefleet(&data).arg("backup").arg(&file));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let other = folder.path().join("other");
    let refused = run(&mut restore(&other, &file, &[]));
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("no whole backup") && said.contains("nothing was touched"), "{said}");
    assert!(!other.exists(), "the target was touched: {}", stdout(&refused));
}

#[test]
fn a_redis_of_one_s_own_is_asked_for_workers_and_forgets_the_catalogue_before() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let redis = Redis::start();
    let member = || -> Command {
        let mut command = eyefleet(&data);
        command.env("REDIS_URL", redis.url());
        command
    };
    photos(&folder.path().join("photos"), 1);
    let added = run(member().arg("add").arg(folder.path().join("photos")));
    assert_eq!(added.status.code(), Some(0));
    let file = folder.path().join("backup.tar");
    json(member().arg("backup").arg(&file));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let board = runtime.block_on(async { Board::open(&redis.url(), "eyefleet").unwrap() });
    let later = Version { change: 99, number: GenerationNumber(9) };
    let (worker, role) = ("analyze-far-away".to_owned(), "analyze".to_owned());
    let facts = WorkerFacts { worker, role, serves: [].into(), models: None };
    runtime.block_on(async {
        board.announce(&LibraryId::main(), later).await.unwrap();
        board.begin_epoch().await.unwrap();
        board.report(&facts).await.unwrap();
    });
    let refused = run(member().arg("restore").arg(&file).arg("--force"));
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("analyze-far-away"), "{}", stderr(&refused));
    runtime.block_on(board.leave(&facts.worker)).unwrap();
    json(member().arg("restore").arg(&file).arg("--force"));
    // Its counter was higher than the restored catalogue's: nobody would be told of a new one.
    assert!(runtime.block_on(board.versions()).unwrap().is_empty());
    // What waits is offered again.
    assert_eq!(runtime.block_on(board.epoch()).unwrap(), Epoch::None);
    assert_eq!(json(member().arg("status"))["counts"]["waiting"], 1);
}
