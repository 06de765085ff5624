//! Jobs whose bodies are large: no reply of Redis grows with their number.
//! Failure: one reply that carries all of them, a job lost or overtaken because the reply was full, a
//! lane or a slot that goes without because the first bodies were large.

use std::sync::Arc;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, DeadFilter, FleetBackend, Lane, NewJob, QueueSettings, Settle, WorkerOptions};
use tokio::sync::Semaphore;

use crate::harness::{Server, assert_one_place, until};

const KIB: usize = 1024;

fn large(id: impl std::fmt::Display, kib: usize) -> NewJob {
    NewJob::new(format!("{id}"), "count", "x".repeat(kib * KIB))
}

/// A client that is sent more than this at once is cut off.
async fn limit_replies(server: &Server) {
    let mut limit = redis::cmd("CONFIG");
    limit.arg("SET").arg("client-output-buffer-limit").arg("normal 1500kb 0 0");
    limit.exec_async(&mut server.raw().await).await.unwrap();
}

#[tokio::test]
async fn a_claim_ends_with_the_body_that_fills_it() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..30).map(|id| large(id, 300)).collect()).await.unwrap();
    limit_replies(&server).await;
    let mut order = Vec::new();
    for most in [4, 4, 4, 2, 4, 4, 4, 4] {
        let claims = queue.claim("w", if most == 2 { 2 } else { 30 }).await.unwrap();
        assert_eq!(claims.len(), most);
        order.extend(claims.into_iter().map(|claim| claim.id.parse::<usize>().unwrap()));
        assert_eq!(assert_one_place(&mut server.raw().await).await, 30);
    }
    assert_eq!(order, (0..30).collect::<Vec<_>>());
    assert_eq!(queue.depth().await.unwrap().totals.claims, 30);
}

#[tokio::test]
async fn every_lane_has_its_share_of_full_replies() {
    let server = Server::start().await;
    let settings = QueueSettings { payload_bytes_max: 2048 * KIB, ..QueueSettings::default() };
    let queue = server.queue(settings).await;
    for lane in Lane::ALL {
        let jobs = (0..16).map(|id| large(format!("{lane}-{id}"), 1024).in_lane(lane)).collect();
        queue.enqueue_many(jobs).await.unwrap();
    }
    let mut shares = [0; 3];
    for _ in 0..13 {
        let claims = queue.claim("w", 13).await.unwrap();
        assert_eq!(claims.len(), 1, "one body fills a reply");
        shares[claims[0].lane as usize] += 1;
        claims[0].settle(Settle::Done).await.unwrap();
    }
    assert_eq!(shares, [8, 4, 1]);
}

#[tokio::test]
async fn all_slots_of_a_worker_are_filled() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..8).map(|id| large(id, 700)).collect()).await.unwrap();
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 8)).unwrap();
    let handle = backend.handle();
    let gate = Arc::new(Semaphore::new(0));
    let work = async |claim: Claim, gate: Data<Arc<Semaphore>>| {
        gate.acquire().await.unwrap().forget();
        claim.settle(Settle::Done).await.unwrap();
    };
    let worker = WorkerBuilder::new("w").backend(backend).data(Arc::clone(&gate)).build(work);
    let worker = tokio::spawn(worker.run());
    until("all slots are taken", || async { handle.held() == 8 }).await;
    assert!(handle.stats().timeouts == 0, "it waits for no wake-up while jobs are left");
    gate.add_permits(8);
    until("all are done", || async { queue.depth().await.unwrap().totals.done == 8 }).await;
    handle.stop();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn dead_letters_are_listed_in_many_replies() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..12).map(|id| large(id, 300)).collect()).await.unwrap();
    loop {
        let claims = queue.claim("w", 12).await.unwrap();
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            claim.settle(Settle::Dead { cause: "no".into(), chain: vec![] }).await.unwrap();
        }
    }
    limit_replies(&server).await;
    let letters = queue.dead(1000).await.unwrap();
    assert!(letters.iter().all(|letter| letter.payload.len() == 300 * KIB));
    assert_eq!(letters.len(), 12);
    assert!(letters.is_sorted_by_key(|letter| std::cmp::Reverse(letter.until)));
    assert_eq!(queue.dead(5).await.unwrap(), letters[..5]);
    assert_eq!(queue.flush(&DeadFilter::All).await.unwrap(), 12);
    assert_eq!(queue.dead(1000).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_noted_of_dead_jobs_fills_a_reply_as_well() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue_many((0..100).map(crate::harness::job).collect()).await.unwrap();
    let cause = "x".repeat(4096);
    for claim in queue.claim("w", 100).await.unwrap() {
        let how = Settle::Dead { cause: cause.clone(), chain: vec![cause.clone(); 16] };
        claim.settle(how).await.unwrap();
    }
    limit_replies(&server).await;
    assert_eq!(queue.dead(100).await.unwrap().len(), 100);
}
