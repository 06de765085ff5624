//! Guarantee 5: one owner of retries.
//! Failure: a retry too early or never, a dead letter without its cause, a start counted for a job
//! that was given back.

use std::time::{Duration, Instant};

use fleetq::{Place, Settle, Settled};

use crate::harness::{Server, assert_one_place, claim_one, job, short_lease, until};

#[tokio::test]
async fn guarantee_5_a_retry_waits_for_its_delay_and_counts_an_attempt() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue(job("a")).await.unwrap();
    let delay = Duration::from_millis(400);
    for attempt in 0..3 {
        let claim = claim_one(&queue, "w").await;
        assert_eq!((claim.attempts, claim.starts), (attempt, 1), "settled starts begin anew");
        let settled_at = Instant::now();
        let how = Settle::RetryAfter { delay, cause: format!("timeout {attempt}") };
        assert_eq!(claim.settle(how).await.unwrap(), Settled::Applied);
        let state = queue.state("a").await.unwrap().unwrap();
        assert_eq!((state.place, state.attempts), (Place::Scheduled, attempt + 1));
        let failure = state.failure.unwrap();
        assert_eq!((failure.how.as_str(), failure.worker.as_str()), ("failed", "w"));
        assert_eq!(failure.cause, format!("timeout {attempt}"));
        // A claim would find it as soon as it is due: asked right away, a good while before.
        assert!(queue.claim("w", 1).await.unwrap().is_empty() || settled_at.elapsed() >= delay);

        until("it is due", || async {
            let reaped = queue.reap(10).await.unwrap();
            if reaped.promoted == 0 {
                assert!(reaped.next_due.unwrap() <= delay);
            }
            reaped.promoted == 1
        })
        .await;
        // Redis counts whole milliseconds, hence the one that may be missing.
        assert!(settled_at.elapsed() + Duration::from_millis(2) >= delay);
    }
}

#[tokio::test]
async fn guarantee_5_waiting_for_what_is_away_counts_no_attempt() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue(job("a")).await.unwrap();
    for round in 0..20 {
        let claim = claim_one(&queue, "w").await;
        assert_eq!((claim.attempts, claim.starts), (0, 1), "round {round}");
        let how = Settle::Wait { delay: Duration::ZERO, cause: "database away".into() };
        assert_eq!(claim.settle(how).await.unwrap(), Settled::Applied);
    }
    let state = queue.state("a").await.unwrap().unwrap();
    assert_eq!((state.place, state.attempts), (Place::Ready, 0));
    assert_eq!(state.failure.unwrap().cause, "database away");
}

#[tokio::test]
async fn guarantee_5_a_dead_job_keeps_its_cause_chain_and_payload() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let mut new = job("a").with_meta("source", "cli");
    new.payload = r#"{"image":"7"}"#.into();
    queue.enqueue(new).await.unwrap();
    let claim = claim_one(&queue, "w").await;
    let chain = vec!["cannot decode".to_owned(), "not a jpeg".to_owned()];
    claim
        .settle(Settle::Dead { cause: "not an image".into(), chain: chain.clone() })
        .await
        .unwrap();

    let dead = queue.dead(10).await.unwrap().remove(0);
    assert_eq!((dead.id.as_str(), dead.kind.as_str(), dead.attempts), ("a", "count", 1));
    assert_eq!(
        (dead.payload.as_slice(), dead.meta["source"].as_str()),
        (&br#"{"image":"7"}"#[..], "cli")
    );
    let failure = dead.failure.unwrap();
    assert_eq!((failure.how.as_str(), failure.cause.as_str()), ("dead", "not an image"));
    assert_eq!((failure.chain, failure.worker.as_str()), (chain, "w"));
    assert!(queue.claim("w", 1).await.unwrap().is_empty(), "the queue retries nothing by itself");
}

#[tokio::test]
async fn guarantee_5_a_job_given_back_keeps_its_turn_and_counts_nothing() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many(vec![job("a"), job("b")]).await.unwrap();
    for _ in 0..5 {
        let claim = claim_one(&queue, "w").await;
        assert_eq!((claim.id.as_str(), claim.starts, claim.attempts), ("a", 1, 0));
        assert_eq!(claim.settle(Settle::GiveBack).await.unwrap(), Settled::Applied);
    }
    assert_eq!(queue.state("a").await.unwrap().unwrap().starts, 0);
    assert_eq!(assert_one_place(&mut server.raw().await).await, 2);
}
