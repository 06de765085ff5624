//! Guarantee 2: fenced.
//! Failure: a stale token that changes anything, a token that does not rise, a worker that does
//! not notice that it was paused for too long.

use std::time::Duration;

use fleetq::{Lease, Place, Queue, QueueSettings, Settle, Settled};

use crate::child::Process;
use crate::harness::{Server, claim_one, job, let_leases_end, short_lease, until};

#[tokio::test]
async fn guarantee_2_a_stale_token_renews_nothing_and_settles_nothing() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.reap(10).await.unwrap();
    queue.enqueue(job("a")).await.unwrap();
    let stale = claim_one(&queue, "slow").await;
    let_leases_end(&queue, 1).await;
    let holder = claim_one(&queue, "quick").await;
    assert!(holder.token > stale.token);

    let before = queue.state("a").await.unwrap();
    let both = [stale.lease.clone(), holder.lease.clone()];
    assert_eq!(queue.renew(&both).await.unwrap(), [false, true]);
    for how in [
        Settle::Done,
        Settle::RetryAfter { delay: Duration::ZERO, cause: "late".into() },
        Settle::Dead { cause: "late".into(), chain: vec![] },
        Settle::GiveBack,
    ] {
        assert_eq!(stale.settle(how).await.unwrap(), Settled::Stale);
    }
    let invented = Lease { id: "a".into(), token: holder.token + 1 };
    assert_eq!(queue.settle(&invented, Settle::Done).await.unwrap(), Settled::Stale);

    let after = queue.state("a").await.unwrap().unwrap();
    let before = before.unwrap();
    assert_eq!((after.token, after.worker.as_str()), (before.token, "quick"));
    assert_eq!((after.starts, after.attempts, after.place), (2, 0, Place::Claimed));
    assert_eq!(queue.depth().await.unwrap().totals.stale, 5);
    // Only the first of two settlements in one call has an effect.
    let twice = [(holder.lease.clone(), Settle::Done), (holder.lease.clone(), Settle::GiveBack)];
    assert_eq!(queue.settle_many(&twice).await.unwrap(), [Settled::Applied, Settled::Stale]);
    assert_eq!(queue.state("a").await.unwrap(), None);
}

#[tokio::test]
async fn guarantee_2_tokens_rise_across_queues_and_survive_an_emptied_redis() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let settings = QueueSettings::default;
    let first = Queue::open(&connection, "test", "first", settings()).await.unwrap();
    let second = Queue::open(&connection, "test", "second", settings()).await.unwrap();
    let mut last = 0;
    for round in 0..3 {
        for queue in [&first, &second, &first] {
            queue.enqueue_many((0..40).map(job).collect()).await.unwrap();
            for claim in queue.claim("w", 40).await.unwrap() {
                assert!(claim.token > last, "round {round}: {} after {last}", claim.token);
                last = claim.token;
                claim.settle(Settle::Done).await.unwrap();
            }
        }
        redis::cmd("FLUSHALL").exec_async(&mut server.raw().await).await.unwrap();
    }
}

#[tokio::test]
async fn guarantee_2_a_paused_worker_learns_it_and_cancels_its_handler() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings { starts_max: 20, ..short_lease() }).await;
    let mut line = server.raw().await;
    let worker = Process::start(&server.url(), "sleeper");
    let mut waiting = job("a");
    waiting.kind = "wait".into();
    queue.enqueue(waiting).await.unwrap();
    let is_set = async |key: &str, id: &str| {
        let mut get = redis::cmd("HGET");
        get.arg(key).arg(id).query_async::<Option<String>>(&mut line.clone()).await.unwrap()
    };
    until("the handler runs", || async { is_set("running", "a").await.is_some() }).await;

    worker.signal("-STOP");
    queue.reap(10).await.unwrap();
    let_leases_end(&queue, 1).await;
    let holder = claim_one(&queue, "awake").await;
    worker.signal("-CONT");
    until("the handler was stopped", || async { is_set("stopped", "a").await.is_some() }).await;
    assert_eq!(is_set("stopped", "a").await.as_deref(), Some("LeaseLost"));

    // It changed nothing, and it carries on by itself.
    assert_eq!(queue.state("a").await.unwrap().unwrap().token, holder.token);
    assert_eq!(holder.settle(Settle::Done).await.unwrap(), Settled::Applied);
    queue.enqueue(job("b")).await.unwrap();
    until("the next job is done", || async { is_set("effects", "b").await.is_some() }).await;
    redis::cmd("PING").exec_async(&mut line).await.unwrap();
}
