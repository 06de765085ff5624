//! Dead letters: listed, shown, brought back and forgotten, and what the catalogue says of their photos.

use eyefleet::board::Board;
use eyefleet::clock::Clock;
use eyefleet::names::LibraryId;
use eyefleet::reconcile::{Pass, Reconciler};
use fleetq::{Claim, NewJob, Settle};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Place, TRACEPARENT};
use crate::support::{Running, wait_for};

async fn die(claim: &Claim, cause: &str) {
    let chain = vec!["the pixels".to_owned(), "the disk".to_owned()];
    claim.settle(Settle::Dead { cause: cause.to_owned(), chain }).await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_listed_shown_brought_back_and_forgotten() {
    let place = Place::new();
    let queue = place.open("export").await;
    let long = "x".repeat(2000);
    let payload = format!(r#"{{"library":"main","request":"r","long":"{long}"}}"#);
    let job = |id: &str| {
        NewJob::new(id, "export-snapshot", payload.as_str())
            .from_source("story")
            .with_traceparent(TRACEPARENT)
    };
    queue.enqueue_many(["a", "b", "c"].map(job).into()).await.unwrap();
    for claim in queue.claim("w-1", 3).await.unwrap() {
        die(&claim, if claim.id == "c" { "it is green" } else { "it is blue" }).await;
    }

    let letters = place.json(&["dead", "export"]);
    let letter = letters.as_array().unwrap().iter().find(|it| it["id"] == "c").unwrap();
    for (key, value) in [
        ("kind", Value::from("export-snapshot")),
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
    assert!(said.contains("1 failed attempt, 1 start, by w-1"), "{said}");
    let (_, said) = place.queue(&["status", "export"]);
    assert!(said.contains("3 dead letters: `eyefleet queue dead export --by-cause`"), "{said}");
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
    assert!(said.contains("--yes") && said.contains("all dead letters (1)"), "{said}");
    for nothing in [["flush", "export", "nope"].as_slice(), &["flush", "export", "--cause", "red"]]
    {
        let (code, said) = place.refused(nothing);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("no dead letter") && !said.contains("--yes"), "{said}");
    }
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
    let runs = export["history"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    assert!(runs[0]["at"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{}", runs[0]);
    let (_, said) = place.queue(&["status", "export", "--history", "1"]);
    assert!(said.contains("  dead        20") && said.contains("by w-1"), "{said}");
}

#[tokio::test]
async fn a_letter_that_cannot_be_read_is_not_brought_back() {
    let place = Place::new();
    let queue = place.open("export").await;
    queue.enqueue(NewJob::new("a", "odd", "{}")).await.unwrap();
    die(&queue.claim("w-1", 1).await.unwrap()[0], "a job of another kind").await;
    let (code, said) = place.refused(&["redrive", "export", "a"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 dead letter of queue export cannot be brought back"), "{said}");
    assert!(said.contains("`eyefleet queue flush export ID`"), "{said}");
    let (code, said) = place.queue(&["redrive", "export", "--all", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["redriven"], &said["left"]), (Some(1), &0.into(), &1.into()));
    assert_eq!(place.json(&["show", "export", "a"])["place"], "dead");
    let (_, said) = place.queue(&["show", "export", "a"]);
    assert!(said.contains("then `eyefleet export` asks anew"), "{said}");
}

#[tokio::test]
async fn a_job_whose_record_is_damaged_is_no_dead_letter() {
    let place = Place::new();
    let queue = place.open("export").await;
    queue.enqueue(NewJob::new("a", "odd", "{}")).await.unwrap();
    let client = redis::Client::open(place.redis.url()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let damage = ("{eyefleet:export}:state", "a", "garbage");
    redis::cmd("HSET").arg(damage).exec_async(&mut redis).await.unwrap();
    let shown = place.json(&["show", "export", "a"]);
    for field in ["place", "lane", "enqueued_at", "died_at"] {
        assert_eq!(shown.get(field), Some(&Value::Null), "{field}: {shown}");
    }
    let (_, said) = place.queue(&["show", "export", "a"]);
    assert!(said.contains("record in redis is damaged") && !said.contains("1970"), "{said}");
    for verb in [["flush", "export", "a"], ["redrive", "export", "a"]] {
        let (code, said) = place.refused(&verb);
        assert_eq!(code, Some(3), "{said}");
    }
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
async fn jobs_that_cannot_be_read_die_of_one_cause_and_their_photos_get_new_ones() {
    let place = Place::new();
    let claims = place.claimed_photos(3).await;
    let queue = place.open("analyze").await;
    let ids: Vec<String> = claims.iter().map(|claim| claim.id.clone()).collect();
    for claim in &claims {
        claim.settle(Settle::Done).await.unwrap();
    }
    // One is cut off in its middle, one ends later, one lies in the wrong queue.
    let broken = [("analyze-image", r#"{"libr"#), ("analyze-image", r#"{"library"#), ("odd", "{}")];
    for (id, (kind, payload)) in ids.iter().zip(broken) {
        queue.enqueue(NewJob::new(id, kind, payload)).await.unwrap();
    }
    let _worker = Running::start(place.command().args(["run", "analyze"]));
    wait_for("the jobs to die", || {
        (place.json(&["status", "analyze"])["analyze"]["dead"] == 3).then_some(())
    });
    let causes = place.json(&["dead", "analyze", "--by-cause"]);
    let told: Vec<_> = causes.as_array().unwrap().iter().map(|it| &it["jobs"]).collect();
    assert_eq!(told, [2, 1], "{causes}");
    let cause = causes[0]["cause"].as_str().unwrap();
    assert_eq!(cause, "the payload of analyze-image does not decode: EOF while parsing a string");
    let shown = place.json(&["show", "analyze", &ids[0]]);
    let behind = shown["failure"]["chain"][0].as_str().unwrap();
    assert!(behind.contains("column 6"), "{shown}");
    let (_, said) = place.queue(&["show", "analyze", &ids[0]]);
    assert!(said.contains("`eyefleet queue redrive analyze ID` gives the photo"), "{said}");

    let said = place.json(&["redrive", "analyze", "--all"]);
    let expected = serde_json::json!(
        { "queue": "analyze", "redriven": 3, "replaced": 3, "left": 0 }
    );
    assert_eq!(said, expected);
    let catalog = place.catalog().await;
    wait_for("the photos to be analyzed", || {
        (place.json(&["status", "analyze"])["analyze"]["unfinished"] == 0).then_some(())
    });
    let counts = catalog.counts(&LibraryId::main()).await.unwrap();
    assert_eq!((counts.analyzed, counts.waiting, counts.failed), (3, 0, 0));
    assert_eq!(place.json(&["status", "analyze"])["analyze"]["dead"], 0);
}
