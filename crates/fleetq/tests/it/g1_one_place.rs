//! Guarantee 1: at least once, effects once; a job is in exactly one place.
//! Failure: a job in two places or in none, a lost job, a job with two effects, a key left behind.

use std::time::Duration;

use fleetq::{Enqueued, Lane, QueueSettings, Settle};

use crate::child::Process;
use crate::harness::{Server, assert_one_place, job, keys, let_leases_end, short_lease, until};

#[tokio::test]
async fn guarantee_1_every_move_leaves_each_job_in_exactly_one_place() {
    let server = Server::start().await;
    let settings = QueueSettings { starts_max: 2, ..short_lease() };
    let queue = server.queue(settings).await;
    let mut line = server.raw().await;
    queue.reap(10).await.unwrap();

    // A fixed walk through all moves in a different mixture each time.
    let mut chance = 12_345_u64;
    let mut roll = |sides: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (chance >> 33) % sides
    };
    let mut claims = Vec::new();
    for step in 0..400 {
        match roll(8) {
            0..3 => {
                let mut new = job(roll(60)).in_lane(Lane::ALL[roll(3) as usize]);
                if roll(3) == 0 {
                    new = new.after(Duration::from_millis(roll(30)));
                }
                queue.enqueue(new).await.unwrap();
            }
            3 | 4 => claims.extend(queue.claim("walker", roll(4) as usize).await.unwrap()),
            5 | 6 if !claims.is_empty() => {
                let claim = claims.remove(roll(claims.len() as u64) as usize);
                let cause = "walked into it".to_owned();
                let how = match roll(5) {
                    0 => Settle::Done,
                    1 => Settle::RetryAfter { delay: Duration::ZERO, cause },
                    2 => Settle::RetryAfter { delay: Duration::from_millis(roll(40)), cause },
                    3 => Settle::Dead { cause, chain: vec![] },
                    _ => Settle::GiveBack,
                };
                claim.settle(how).await.unwrap();
            }
            _ => drop(queue.reap(roll(5) as usize).await.unwrap()),
        }
        if step % 50 == 49 {
            for dead in queue.dead(3).await.unwrap() {
                queue.redrive(&dead.id).await.unwrap();
            }
            // What is still held is now lost, and found by the reaper.
            if step == 199 {
                let lost = queue.depth().await.unwrap().claimed as usize;
                assert!(lost > 0);
                claims.clear();
                let_leases_end(&queue, lost).await;
            }
        }
        assert_one_place(&mut line).await;
    }
    let totals = queue.depth().await.unwrap().totals;
    assert!(totals.done > 0 && totals.returned > 0 && totals.promoted > 0, "{totals:?}");
}

#[tokio::test]
async fn guarantee_1_effects_happen_once_while_workers_are_killed() {
    const JOBS: usize = 400;
    let server = Server::start().await;
    let queue = server.queue(QueueSettings { starts_max: 20, ..short_lease() }).await;
    let mut line = server.raw().await;
    let added = queue.enqueue_many((0..JOBS).map(job).collect()).await.unwrap();
    assert!(added.iter().all(|added| *added == Enqueued::Added));

    let mut workers = [Process::start(&server.url(), "w0"), Process::start(&server.url(), "w1")];
    for (round, effects) in [60, 140, 220, 300].into_iter().enumerate() {
        until("so many effects are there", || async {
            let mut count = redis::cmd("HLEN");
            let done: usize = count.arg("effects").query_async(&mut line.clone()).await.unwrap();
            done >= effects
        })
        .await;
        workers[round % 2].kill();
        workers[round % 2] = Process::start(&server.url(), &format!("again{round}"));
    }
    until("all is done", || async { queue.depth().await.unwrap().unfinished() == 0 }).await;

    let depth = queue.depth().await.unwrap();
    let effects: usize = redis::cmd("HLEN").arg("effects").query_async(&mut line).await.unwrap();
    assert_eq!((effects, depth.dead), (JOBS, 0));
    assert_eq!(depth.totals.done, JOBS as u64, "each job was settled as done once");
    assert!(depth.totals.returned > 0, "the kills left something to rescue: {depth:?}");
    assert_eq!(assert_one_place(&mut line).await, 0);
    let left: Vec<String> = keys(&mut line).await.into_keys().collect();
    assert_eq!(left, ["effects", "{test:work}:history", "{test:work}:meta"]);
}
