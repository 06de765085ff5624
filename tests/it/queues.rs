//! `eyefleet queue`: a person holds queues, looks at jobs, brings dead ones back or forgets them.
//!
//! A failure is a photo that is analyzed while its queue is paused, one that is lost because its
//! queue was closed when it came, one that is never looked at again after its job was brought back,
//! or a command that leaves a person without the next step.

mod fleet;
mod letters;

use std::process::Command;

use eyefleet::catalog::Catalog;
use eyefleet::clock::Clock;
use eyefleet::names::LibraryId;
use fleetq::{Claim, ConnectOptions, NewJob, Queue, QueueSettings, Settle};
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

#[test]
fn a_queue_is_paused_resumed_capped_and_closed() {
    let place = Place::new();
    let all = place.json(&["status"]);
    let names: Vec<_> = all.as_object().unwrap().keys().collect();
    assert_eq!(names, ["analyze", "detail", "export", "train"]);
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
    assert!(said.contains("3 jobs at most, in the whole fleet"), "{said}");
    assert_eq!(place.json(&["status", "export"])["export"]["cap"], 3);
    assert_eq!(place.json(&["cap", "export", "none"])["cap"], Value::Null);
    assert_eq!(place.json(&["status", "export"])["export"]["cap"], Value::Null);
    let (code, said) = place.refused(&["cap", "export", "0"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("eyefleet queue pause") && said.contains("from 1 to"), "{said}");
    for wrong in [["cap", "export", "-1"].as_slice(), &["cap", "export", "4294967296"]] {
        let (code, said) = place.refused(wrong);
        assert_eq!(code, Some(2));
        assert!(said.contains(wrong[2]) && said.contains("from 1 to 4294967295"), "{said}");
    }
    let (code, said) = place.refused(&["status", "--history", "x"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("'x'") && said.contains("from 0 to 1000"), "{said}");

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

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_nobody_works_for_says_so_and_waits() {
    let place = Place::new();
    let queue = place.open("export").await;
    queue.enqueue(NewJob::new("a", "odd", "{}")).await.unwrap();
    let log = place.folder.path().join("drain.log");
    let mut command = place.command();
    command.args(["queue", "drain", "export"]).stderr(std::fs::File::create(&log).unwrap());
    let mut draining = Running::start(&mut command);
    let said = wait_for("the hint", || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("still waiting").then_some(said)
    });
    assert!(said.contains("no worker takes the 1 job of queue export"), "{said}");
    assert!(said.contains("`eyefleet run export`"), "{said}");
    assert!(draining.0.try_wait().unwrap().is_none(), "it gave up");
    queue.claim("w-1", 1).await.unwrap().remove(0).settle(Settle::Done).await.unwrap();
    assert_eq!(draining.end(), Some(0));
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
    assert_eq!(place.json(&["drain", "analyze"])["photos_waiting"], 2);
    let (_, said) = place.queue(&["drain", "analyze"]);
    assert!(said.contains("2 photos of the catalogue wait until then"), "{said}");

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
