//! Dead letters: what they tell, bringing them back, forgetting them.
//! Failure: a letter that lacks its story, one brought back or forgotten that was not meant, one
//! that is brought back twice by one call, a script that looks at all of them.

use std::time::{Duration, UNIX_EPOCH};

use fleetq::{DeadFilter, Enqueued, Lane, NewJob, Place, Queue, QueueSettings, Settle, Settled};

use crate::harness::{Server, assert_one_place, claim_one, job, let_leases_end, short_lease};

async fn bury(queue: &Queue, new: NewJob, cause: &str) {
    queue.enqueue(new).await.unwrap();
    let claim = claim_one(queue, "undertaker").await;
    let how = Settle::Dead { cause: cause.into(), chain: vec!["because".into(), "of it".into()] };
    assert_eq!(claim.settle(how).await.unwrap(), Settled::Applied);
}

fn cause(text: &str) -> DeadFilter {
    DeadFilter::Cause(text.to_owned())
}

#[tokio::test]
async fn a_letter_tells_its_whole_story() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let (seconds, _): (u64, u64) =
        redis::cmd("TIME").query_async(&mut server.raw().await).await.unwrap();
    let started = UNIX_EPOCH + Duration::from_secs(seconds);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let new = job("a").in_lane(Lane::Backfill).from_source("cli").with_traceparent(trace);
    queue.enqueue(new.within(Duration::from_secs(9))).await.unwrap();
    let claim = claim_one(&queue, "first").await;
    assert_eq!(claim.traceparent(), Some(trace));
    let again = Settle::RetryAfter { delay: Duration::ZERO, cause: "hiccup".into() };
    claim.settle(again).await.unwrap();
    let claim = claim_one(&queue, "second").await;
    let chain = vec!["cannot read".to_owned(), "no such file".to_owned()];
    claim.settle(Settle::Dead { cause: "gone".into(), chain: chain.clone() }).await.unwrap();

    let letter = queue.dead(10).await.unwrap().remove(0);
    assert_eq!(Some(&letter), queue.state("a").await.unwrap().as_ref());
    let failure = letter.failure.as_ref().unwrap();
    assert_eq!((failure.how.as_str(), failure.cause.as_str()), ("dead", "gone"));
    assert_eq!((&failure.chain, failure.worker.as_str()), (&chain, "second"));
    assert_eq!((letter.attempts, letter.place, letter.lane), (2, Place::Dead, Lane::Backfill));
    assert_eq!((letter.meta["source"].as_str(), letter.kind.as_str()), ("cli", "count"));
    assert_eq!(letter.limit, Some(Duration::from_secs(9)));
    assert!(letter.enqueued_at >= started && letter.until.unwrap() >= letter.enqueued_at);
    assert!(failure.at >= started);
}

#[tokio::test]
async fn one_all_or_those_of_a_cause_are_brought_back() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    for (n, lane) in Lane::ALL.into_iter().enumerate() {
        bury(&queue, job(format!("timeout{n}")).in_lane(lane), "the model took too long").await;
        bury(&queue, job(format!("broken{n}")).in_lane(lane), "not an image").await;
    }
    let (newest, all) = (queue.dead(2).await.unwrap(), queue.dead(10).await.unwrap());
    assert_eq!((&newest[..], all.len()), (&all[..2], 6));
    assert!(all.is_sorted_by_key(|letter| std::cmp::Reverse(letter.until)), "{all:?}");
    let causes: Vec<_> = queue.dead_causes().await.unwrap();
    assert_eq!(causes.len(), 2);
    assert!(causes.iter().all(|cause| cause.jobs == 3 && cause.how == "dead"), "{causes:?}");

    assert!(queue.redrive("broken0").await.unwrap());
    assert!(!queue.redrive("broken0").await.unwrap());
    assert!(!queue.redrive("nobody").await.unwrap());
    assert_eq!(queue.redrive_all(&cause("too long")).await.unwrap(), 3);
    assert_eq!(queue.redrive_all(&cause("TOO LONG")).await.unwrap(), 0);
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.ready(), depth.dead, depth.totals.redriven), (4, 2, 4));
    let back = queue.state("timeout1").await.unwrap().unwrap();
    assert_eq!((back.starts, back.attempts, back.failure), (0, 0, None));
    assert_eq!(queue.redrive_all(&DeadFilter::All).await.unwrap(), 2);
    assert_eq!(queue.redrive_all(&DeadFilter::All).await.unwrap(), 0);

    // By how they died as well.
    let settings = QueueSettings { starts_max: 1, ..short_lease() };
    let strict = server.queue(settings).await;
    claim_one(&strict, "w").await;
    let_leases_end(&strict, 1).await;
    assert_eq!(queue.redrive_all(&cause("quarantined")).await.unwrap(), 1);
    assert_eq!(assert_one_place(&mut server.raw().await).await, 6);
}

#[tokio::test]
async fn forgotten_letters_free_their_ids_and_leave_nothing() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    for id in ["a", "b", "c"] {
        bury(&queue, job(id), &format!("cause of {id}")).await;
    }
    queue.enqueue(job("alive")).await.unwrap();
    assert_eq!(queue.enqueue(job("a")).await.unwrap(), Enqueued::Duplicate(Place::Dead));
    assert_eq!(queue.flush(&DeadFilter::Id("alive".into())).await.unwrap(), 0);
    assert_eq!(queue.flush(&DeadFilter::Id("a".into())).await.unwrap(), 1);
    assert_eq!(queue.flush(&cause("of b")).await.unwrap(), 1);
    assert_eq!(queue.enqueue(job("a")).await.unwrap(), Enqueued::Added);
    assert_eq!(queue.flush(&DeadFilter::All).await.unwrap(), 1);
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.dead, depth.ready(), depth.totals.flushed), (0, 2, 3));
    let mut line = server.raw().await;
    assert_eq!(assert_one_place(&mut line).await, 2);
    let notes: u64 =
        redis::cmd("HLEN").arg("{test:work}:notes").query_async(&mut line).await.unwrap();
    assert_eq!(notes, 0);
}

#[tokio::test]
async fn many_letters_are_worked_through_in_parts_and_each_once() {
    const EACH: usize = 700;
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    for lane in Lane::ALL {
        let new = (0..EACH).map(|n| job(format!("{lane}{n}")).in_lane(lane)).collect();
        queue.enqueue_many(new).await.unwrap();
    }
    loop {
        let claims = queue.claim("w", 250).await.unwrap();
        if claims.is_empty() {
            break;
        }
        let died: Vec<_> = claims
            .iter()
            .enumerate()
            .map(|(n, claim)| {
                let cause = if n % 2 == 0 { "even" } else { "odd" };
                (claim.lease.clone(), Settle::Dead { cause: cause.into(), chain: vec![] })
            })
            .collect();
        queue.settle_many(&died).await.unwrap();
    }
    let mut line = server.raw().await;
    // One whose body is gone can be looked at and forgotten, not brought back.
    let mut harm = redis::cmd("HDEL");
    harm.arg("{test:work}:jobs").arg("upload3").exec_async(&mut line).await.unwrap();

    let causes = queue.dead_causes().await.unwrap();
    let odd = causes.iter().find(|cause| cause.cause == "odd").unwrap().jobs;
    let even = causes.iter().find(|cause| cause.cause == "even").unwrap().jobs;
    assert_eq!(odd + even, 3 * EACH as u64);
    assert_eq!(queue.flush(&cause("odd")).await.unwrap(), odd);
    let redriven = queue.redrive_all(&DeadFilter::All).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((redriven, depth.ready()), (even - depth.dead, even - depth.dead));
    assert!(depth.dead <= 1);
    assert_eq!(queue.flush(&DeadFilter::All).await.unwrap(), depth.dead);
    assert_eq!(assert_one_place(&mut line).await as u64, redriven);
}
