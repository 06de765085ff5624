//! `eyefleet queue`: a person holds queues, looks at jobs, brings dead ones back or forgets them.
//!
//! A failure is a photo that is analyzed while its queue is paused, one that is lost because its
//! queue was closed when it came, one that is never looked at again after its job was brought back,
//! or a command that leaves a person without the next step.

mod fleet;

use std::process::Command;

use eyefleet::board::Board;
use eyefleet::catalog::Catalog;
use eyefleet::clock::Clock;
use eyefleet::names::LibraryId;
use eyefleet::reconcile::{Pass, Reconciler};
use fleetq::{Claim, ConnectOptions, NewJob, Queue, QueueSettings, Settle};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Redis, Running, database_url, eyefleet, photos, run, stderr, stdout, wait_for,
};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Stores without a fleet: the test is the worker.
struct Place {
    folder: TempDir,
    redis: Redis,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder, redis: Redis::start() }
    }

    fn command(&self) -> Command {
        let mut command = eyefleet(&self.folder.path().join("data"));
        command.env("REDIS_URL", self.redis.url());
        command
    }

    /// Exit code and output of `eyefleet queue ...`.
    fn queue(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = run(self.command().arg("queue").args(words));
        (output.status.code(), stdout(&output))
    }

    /// The same with `--json`, which must succeed.
    fn json(&self, words: &[&str]) -> Value {
        let (code, text) = self.queue(&[words, &["--json"]].concat());
        assert_eq!(code, Some(0), "{words:?}");
        serde_json::from_str(&text).unwrap()
    }

    /// What a command that fails says, with its exit code.
    fn refused(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = run(self.command().arg("queue").args(words));
        assert_eq!(stdout(&output), "");
        (output.status.code(), stderr(&output))
    }

    async fn open(&self, name: &str) -> Queue {
        let connection =
            fleetq::connect(&self.redis.url(), ConnectOptions::default()).await.unwrap();
        Queue::open(&connection, "eyefleet", name, QueueSettings::default()).await.unwrap()
    }

    async fn catalog(&self) -> Catalog {
        let file = self.folder.path().join("data/catalog.sqlite");
        Catalog::open(&database_url(&file), Clock::system()).await.unwrap()
    }

    /// Adds `count` drawn photos and claims their jobs.
    async fn claimed_photos(&self, count: u64) -> Vec<Claim> {
        let folder = self.folder.path().join("photos");
        photos(&folder, count);
        let added = run(self.command().arg("add").arg(&folder));
        assert_eq!(added.status.code(), Some(0));
        let claims = self.open("analyze").await.claim("w-1", 100).await.unwrap();
        assert_eq!(claims.len() as u64, count);
        claims
    }

    fn show(&self, image: &str) -> Value {
        let output = run(self.command().args(["show", image, "--json"]));
        serde_json::from_str(&stdout(&output)).unwrap()
    }
}

async fn die(claim: &Claim, cause: &str) {
    let chain = vec!["the pixels".to_owned(), "the disk".to_owned()];
    claim.settle(Settle::Dead { cause: cause.to_owned(), chain }).await.unwrap();
}

#[test]
fn a_queue_is_paused_resumed_capped_and_closed() {
    let place = Place::new();
    let all = place.json(&["status"]);
    let names: Vec<_> = all.as_object().unwrap().keys().collect();
    assert_eq!(names, ["analyze", "export", "train"]);
    assert_eq!((&all["train"]["mode"], &all["train"]["cap"]), (&"running".into(), &Value::Null));

    let (code, said) = place.queue(&["pause", "train"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("paused") && said.contains("queue resume train"), "{said}");
    assert_eq!(place.json(&["status", "train"])["train"]["mode"], "paused");
    let (_, said) = place.queue(&["status"]);
    assert_eq!(said.matches("paused until `eyefleet queue resume train`").count(), 1, "{said}");
    let status = run(place.command().arg("status"));
    assert!(stdout(&status).contains("paused: `eyefleet queue resume train`"));
    assert_eq!(place.json(&["resume", "train"])["mode"], "running");
    assert_eq!(place.json(&["status", "train"])["train"]["mode"], "running");

    let (code, said) = place.queue(&["cap", "export", "3"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("in the whole fleet: 3"), "{said}");
    assert_eq!(place.json(&["status", "export"])["export"]["cap"], 3);
    assert_eq!(place.json(&["cap", "export", "none"])["cap"], Value::Null);
    assert_eq!(place.json(&["status", "export"])["export"]["cap"], Value::Null);
    let (code, said) = place.refused(&["cap", "export", "0"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("eyefleet queue pause"), "{said}");

    let (code, said) = place.queue(&["drain", "export"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("is empty") && said.contains("queue resume export"), "{said}");
    assert_eq!(place.json(&["pause", "export"])["mode"], "paused");
    let (code, said) = place.refused(&["status", "images"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("analyze, export, train"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_with_the_last_job_or_with_whoever_opens_the_queue() {
    let place = Place::new();
    let queue = place.open("export").await;
    for opened in [false, true] {
        queue.enqueue(NewJob::new("a", "odd", "{}")).await.unwrap();
        let claim = queue.claim("w-1", 1).await.unwrap().remove(0);
        let log = place.folder.path().join("drain.log");
        let mut command = place.command();
        command.args(["queue", "drain", "export"]).stderr(std::fs::File::create(&log).unwrap());
        let mut draining = Running::start(&mut command);
        let mode = || place.json(&["status", "export"])["export"]["mode"].clone();
        wait_for("the drain to begin", || (mode() == "draining").then_some(()));
        assert!(draining.0.try_wait().unwrap().is_none(), "it ended before the job");
        if opened {
            queue.resume().await.unwrap();
            assert_eq!(draining.end(), Some(1));
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(
                said.contains("running meanwhile") && said.contains("drain it again"),
                "{said}"
            );
        } else {
            claim.settle(Settle::Done).await.unwrap();
            assert_eq!(draining.end(), Some(0));
            assert_eq!(mode(), "draining", "it is open again");
            queue.resume().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_closed_queue_is_told_with_the_command_that_opens_it() {
    let place = Place::new();
    photos(&place.folder.path().join("photos"), 2);
    let drained = place.json(&["drain", "analyze"]);
    assert_eq!((&drained["mode"], &drained["unfinished"]), (&"draining".into(), &0.into()));
    let add = |folder: &str| {
        let mut command = place.command();
        run(command.arg("add").arg(place.folder.path().join(folder)))
    };
    let added = add("photos");
    assert_eq!(added.status.code(), Some(0), "the photos are recorded, nothing is lost");
    let said = stderr(&added);
    assert!(said.contains("2 photos are recorded"), "{said}");
    assert!(said.contains("`eyefleet queue resume analyze`"), "{said}");
    assert_eq!(place.open("analyze").await.depth().await.unwrap().unfinished(), 0);
    let waiting = place.catalog().await.waiting_count(&LibraryId::main()).await.unwrap();
    assert_eq!(waiting, 2);

    place.queue(&["drain", "export", "--no-wait"]);
    let export = run(place.command().arg("export"));
    assert_eq!(export.status.code(), Some(1));
    let said = stderr(&export);
    assert!(said.contains("queue export is being drained"), "{said}");
    assert!(said.contains("`eyefleet queue resume export`"), "{said}");

    place.queue(&["pause", "analyze"]);
    photos(&place.folder.path().join("more"), 3);
    let said = stderr(&add("more"));
    assert!(said.contains("queue analyze is paused"), "{said}");
}

#[tokio::test]
async fn dead_letters_are_listed_shown_brought_back_and_forgotten() {
    let place = Place::new();
    let queue = place.open("export").await;
    let payload = format!("{{\"long\":\"{}\"}}", "x".repeat(2000));
    let job = |id: &str| {
        NewJob::new(id, "odd", payload.as_str()).from_source("story").with_traceparent(TRACEPARENT)
    };
    queue.enqueue_many(["a", "b", "c"].map(job).into()).await.unwrap();
    for claim in queue.claim("w-1", 3).await.unwrap() {
        die(&claim, if claim.id == "c" { "it is green" } else { "it is blue" }).await;
    }

    let letters = place.json(&["dead", "export"]);
    let letter = letters.as_array().unwrap().iter().find(|it| it["id"] == "c").unwrap();
    for (key, value) in [
        ("kind", Value::from("odd")),
        ("how", "dead".into()),
        ("cause", "it is green".into()),
        ("attempts", 1.into()),
        ("starts", 1.into()),
        ("worker", "w-1".into()),
    ] {
        assert_eq!(letter[key], value, "{key}: {letter}");
    }
    assert!(letter["died_at"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{letter}");
    let (_, said) = place.queue(&["dead", "export", "--limit", "1"]);
    assert!(said.contains("1 of 3 dead letters"), "{said}");
    let causes = place.json(&["dead", "export", "--by-cause"]);
    assert_eq!((&causes[0]["cause"], &causes[0]["jobs"]), (&"it is blue".into(), &2.into()));
    let (_, said) = place.queue(&["dead", "export", "--by-cause"]);
    assert!(said.lines().next().unwrap().contains("2  dead         it is blue"), "{said}");

    let shown = place.json(&["show", "export", "c"]);
    assert_eq!((&shown["place"], &shown["lane"]), (&"dead".into(), &"upload".into()));
    assert_eq!(shown["payload"]["long"].as_str().unwrap().len(), 2000);
    assert_eq!((&shown["meta"]["source"], &shown["worker"]), (&"story".into(), &"w-1".into()));
    assert_eq!(shown["meta"]["traceparent"], TRACEPARENT);
    assert_eq!(shown["failure"]["chain"], serde_json::json!(["the pixels", "the disk"]));
    let (_, said) = place.queue(&["show", "export", "c"]);
    assert!(said.contains("because      the disk") && said.contains(TRACEPARENT), "{said}");
    assert!(said.len() < 1500, "the payload is not shortened: {said}");

    assert_eq!(place.json(&["redrive", "export", "a"])["redriven"], 1);
    assert_eq!(place.json(&["show", "export", "a"])["place"], "ready");
    let (code, said) = place.queue(&["redrive", "export", "--cause", "blue"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("1 dead letter of queue export"), "{said}");
    for nothing in [["redrive", "export", "a"].as_slice(), &["redrive", "export", "--cause", "red"]]
    {
        let (code, said) = place.refused(nothing);
        assert_eq!(code, Some(3));
        assert!(said.contains("`eyefleet queue dead export"), "{said}");
    }
    let (code, said) = place.refused(&["flush", "export", "--all"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(place.json(&["status", "export"])["export"]["dead"], 1);
    assert_eq!(place.json(&["flush", "export", "--all", "--yes"])["flushed"], 1);
    let (code, said) = place.refused(&["show", "export", "c"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("its last run ended as dead by w-1"), "{said}");
    let (code, said) = place.refused(&["show", "export", "nobody"]);
    assert_eq!(code, Some(3));
    assert!(said.contains("was never added"), "{said}");

    let status = place.json(&["status", "export", "--history", "5"]);
    let export = &status["export"];
    assert_eq!((&export["ready"], &export["dead"]), (&2.into(), &0.into()));
    assert_eq!(export["lanes"]["upload"]["ready"], 2);
    assert_eq!(
        (&export["totals"]["redriven"], &export["totals"]["flushed"]),
        (&2.into(), &1.into())
    );
    assert_eq!(export["history"].as_array().unwrap().len(), 3);
    let (_, said) = place.queue(&["status", "export", "--history", "1"]);
    assert!(said.contains("  dead        20") && said.contains("by w-1"), "{said}");
}

/// A whole walk of a leader that has just begun.
async fn walk(place: &Place, now: Timestamp) -> Pass {
    let (catalog, queue) = (place.catalog().await, place.open("analyze").await);
    let board = Board::open(&place.redis.url(), "eyefleet").unwrap();
    let mut reconciler = Reconciler::default();
    loop {
        if let Some(pass) = reconciler.step(&catalog, &board, &queue, now).await.unwrap() {
            return pass;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_says_what_became_of_a_photo_whose_job_died() {
    let place = Place::new();
    let claims = place.claimed_photos(3).await;
    for claim in &claims {
        die(claim, "it aborts the process").await;
    }
    let images: Vec<String> = claims
        .iter()
        .map(|claim| {
            let payload: Value = serde_json::from_slice(&claim.payload).unwrap();
            payload["image"].as_str().unwrap().to_owned()
        })
        .collect();
    // Redis was empty, so the first walk offers everything and tells of what is dead.
    let now = Clock::system().now();
    assert_eq!(walk(&place, now).await.quarantined, 3);
    assert_eq!(place.show(&images[0])["stages"]["embed"]["state"], "failed");

    // Brought back, it waits again; a worker looks at it.
    assert_eq!(place.json(&["redrive", "analyze", &claims[0].id])["redriven"], 1);
    assert_eq!(place.show(&images[0])["stages"]["embed"]["state"], "waiting");
    let _worker = Running::start(place.command().args(["run", "analyze"]));
    wait_for("the second look", || {
        (place.show(&images[0])["stages"]["embed"]["state"] == "done").then_some(())
    });

    // Forgotten, it stays failed and is not offered again.
    assert_eq!(place.json(&["flush", "analyze", &claims[1].id, "--yes"])["flushed"], 1);
    let later = now + SignedDuration::from_mins(5);
    assert_eq!(walk(&place, later).await, Pass::default());
    assert_eq!(place.show(&images[1])["stages"]["embed"]["state"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_tells_the_catalogue_what_nobody_had_told_it() {
    let place = Place::new();
    // The epoch stands: from now on a walk offers what waits for long.
    walk(&place, Clock::system().now()).await;
    let claims = place.claimed_photos(2).await;
    for claim in &claims {
        die(claim, "it aborts the process").await;
    }
    assert_eq!(place.json(&["flush", "analyze", "--cause", "aborts", "--yes"])["flushed"], 2);
    let catalog = place.catalog().await;
    let counts = catalog.counts(&LibraryId::main()).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (0, 2));
    assert!(counts.failures[0].reason.contains("it aborts the process"));
    let later = Clock::system().now() + SignedDuration::from_mins(5);
    assert_eq!(walk(&place, later).await, Pass::default(), "they are offered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_of_what_cannot_be_read_tells_the_catalogue_by_its_id() {
    let place = Place::new();
    walk(&place, Clock::system().now()).await;
    let claims = place.claimed_photos(1).await;
    claims[0].settle(Settle::Done).await.unwrap();
    let queue = place.open("analyze").await;
    let broken = fleetq::NewJob::new(claims[0].id.clone(), "analyze-image", "{no json");
    queue.enqueue(broken).await.unwrap();
    let claims = queue.claim("w-1", 1).await.unwrap();
    die(&claims[0], "its payload cannot be read").await;
    let said = place.json(&["flush", "analyze", "--all", "--yes"]);
    assert_eq!((&said["flushed"], &said["untold"]), (&1.into(), &0.into()));
    let counts = place.catalog().await.counts(&LibraryId::main()).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (0, 1));
    let later = Clock::system().now() + SignedDuration::from_mins(5);
    assert_eq!(walk(&place, later).await, Pass::default(), "it is offered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_who_asked_for_it_and_in_which_trace() {
    let place = Place::new();
    let folder = place.folder.path().join("photos");
    std::fs::create_dir(&folder).unwrap();
    let queue = place.open("analyze").await;
    for (name, trace, kept) in
        [("good.jpg", TRACEPARENT, Value::from(TRACEPARENT)), ("odd.jpg", "00-odd", Value::Null)]
    {
        std::fs::write(folder.join(name), format!("no picture: {name}")).unwrap();
        let added =
            run(place.command().arg("add").arg(folder.join(name)).env("TRACEPARENT", trace));
        assert_eq!(added.status.code(), Some(0));
        let id = format!("analyze-image:main:1:added/{name}");
        let shown = place.json(&["show", "analyze", &id]);
        assert_eq!(
            (&shown["meta"]["source"], &shown["meta"]["traceparent"]),
            (&"cli".into(), &kept)
        );
    }
    // Every line about the job carries both.
    let log = place.folder.path().join("analyze.log");
    let mut worker = place.command();
    worker.args(["run", "analyze"]).stderr(std::fs::File::create(&log).unwrap());
    let _worker = Running::start(&mut worker);
    let line = wait_for("the failure of a file that is no picture", || {
        let text = std::fs::read_to_string(&log).unwrap();
        let mut lines = text.lines().filter(|line| line.contains("job failed for good"));
        lines.find(|line| line.contains("good.jpg")).map(str::to_owned)
    });
    assert!(line.contains("4bf92f3577b34da6a3ce929d0e0e4736") && line.contains("cli"), "{line}");
    wait_for("an empty queue", || {
        let depth = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(queue.depth()).unwrap()
        });
        (depth.unfinished() == 0).then_some(())
    });
}
