//! Guarantee 6: nothing unbounded.
//! Failure: a backlog that breaks or slows the claim, a finished job that leaves anything but
//! counters and its line in the capped history.

use fleetq::{Lane, QueueSettings, Settle};

use crate::harness::{Server, job, keys};

#[tokio::test]
async fn guarantee_6_a_backlog_is_worked_off_and_leaves_only_counters_and_a_capped_history() {
    const JOBS: usize = 20_000;
    let server = Server::start().await;
    let queue = server.queue(QueueSettings { history_max: 50, ..QueueSettings::default() }).await;
    let mut line = server.raw().await;
    let empty = memory(&mut line).await;
    let name = |n: usize| format!("{n:036}");
    let added = queue.enqueue_many((0..JOBS).map(|n| job(name(n))).collect()).await.unwrap();
    assert_eq!(added.len(), JOBS);
    let each = (memory(&mut line).await - empty) / JOBS as u64;
    println!("a waiting job takes {each} bytes in redis");
    assert!(each <= 400, "a waiting job takes {each} bytes");

    let few = queue.claim("w", 10).await.unwrap();
    assert_eq!(few.len(), 10);
    assert!(few.iter().enumerate().all(|(n, claim)| claim.id == name(n)), "in their order");
    assert_eq!(queue.claim("w", 1_000_000).await.unwrap().len(), 250, "a claim has its own limit");
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.ready(), depth.claimed), (JOBS as u64 - 260, 260));
    for claim in few {
        claim.settle(Settle::Done).await.unwrap();
    }

    let mut done = 10 + 250;
    loop {
        let claims = queue.claim("w", 250).await.unwrap();
        if claims.is_empty() {
            break;
        }
        let settled: Vec<_> = claims.iter().map(|c| (c.lease.clone(), Settle::Done)).collect();
        done += queue.settle_many(&settled).await.unwrap().len();
    }
    assert_eq!(done, JOBS);
    let held: Vec<(String, f64)> = redis::cmd("ZRANGE")
        .arg(&["{test:work}:claimed:upload", "0", "-1", "WITHSCORES"])
        .query_async(&mut line)
        .await
        .unwrap();
    assert_eq!(held.len(), 250);
    for (id, _) in held {
        let token = queue.state(&id).await.unwrap().unwrap().token;
        queue.settle(&fleetq::Lease { id, token }, Settle::Done).await.unwrap();
    }

    let left: Vec<String> = keys(&mut line).await.into_keys().collect();
    assert_eq!(left, ["{test:work}:history", "{test:work}:meta"]);
    assert_eq!(queue.history(1000).await.unwrap().len(), 50);
    assert_eq!(queue.depth().await.unwrap().totals.done, JOBS as u64);
}

#[tokio::test]
async fn guarantee_6_no_lane_starves_another() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    for lane in Lane::ALL {
        let jobs = (0..200).map(|n| job(format!("{}{n}", lane.as_str())).in_lane(lane));
        queue.enqueue_many(jobs.collect()).await.unwrap();
    }
    let mut taken = [0; 3];
    for _ in 0..26 {
        for claim in queue.claim("w", 5).await.unwrap() {
            taken[claim.lane as usize] += 1;
        }
    }
    assert_eq!(taken, [80, 40, 10]);
}

async fn memory(line: &mut redis::aio::MultiplexedConnection) -> u64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(line).await.unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    used.trim().parse().unwrap()
}
