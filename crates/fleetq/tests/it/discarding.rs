//! Removing the jobs of one owner, and single ones.
//! Failure: a job of the owner that stays anywhere, a job of another owner that goes, a worker that
//! still settles what was taken from it, a removal that stops half-way.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use fleetq::{Lane, NewJob, QueueError, QueueSettings, Settle, Settled};

use crate::harness::{Server, assert_one_place, claim_one, contents, job};

fn in_lane(id: String, number: usize) -> NewJob {
    job(id).in_lane(Lane::ALL[number % 3])
}

#[tokio::test]
async fn every_job_of_one_owner_goes_and_nobody_elses() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    // Many more than one call looks at, and owners whose names begin alike.
    let owners = ["a", "a-b", "b"];
    for number in 0..900 {
        let jobs = owners.map(|owner| in_lane(format!("look:{owner}:{number}"), number));
        queue.enqueue_many(jobs.into()).await.unwrap();
    }
    for owner in owners {
        let mut later = job(format!("look:{owner}:later"));
        later.delay = Some(Duration::from_hours(1));
        queue.enqueue(later).await.unwrap();
    }
    let held = queue.claim("worker", 240).await.unwrap();
    for claim in &held[..120] {
        // By its number, which has nothing to do with its owner: each meets every end.
        let number: u64 = claim.id.rsplit(':').next().unwrap().parse().unwrap();
        let how = match number / 3 % 3 {
            0 => Settle::Done,
            1 => Settle::Dead { cause: format!("broke {}", claim.id), chain: Vec::new() },
            _ => Settle::RetryAfter { delay: Duration::ZERO, cause: "again".to_owned() },
        };
        assert_eq!(claim.settle(how).await.unwrap(), Settled::Applied);
    }
    let is_a = |id: &str| id.starts_with("look:a:");
    let before: BTreeSet<String> = states(&mut line).await;
    let discarded = queue.discard("look:a:").await.unwrap();
    assert_eq!(discarded.jobs, before.iter().filter(|id| is_a(id)).count() as u64);
    let taken: Vec<_> = held[120..].iter().filter(|claim| is_a(&claim.id)).collect();
    assert!(!taken.is_empty() && discarded.history > 0, "{discarded:?}");
    assert_eq!(discarded.claimed, taken.len() as u64);

    // Nothing names it any more, and whatever else there was is where it was.
    assert_one_place(&mut line).await;
    let kept: BTreeSet<String> = before.into_iter().filter(|id| !is_a(id)).collect();
    assert_eq!(states(&mut line).await, kept);
    let history = queue.history(1000).await.unwrap();
    assert!(!history.is_empty() && history.iter().all(|entry| !is_a(&entry.id)), "{history:?}");
    let dead = queue.dead(1000).await.unwrap();
    assert!(!dead.is_empty() && dead.iter().all(|job| !is_a(&job.id)), "{dead:?}");

    // Its workers have lost it, the others have not; new tokens are above the one that was told.
    for claim in &held[120..] {
        let wanted = if is_a(&claim.id) { Settled::Stale } else { Settled::Applied };
        assert_eq!(claim.settle(Settle::Done).await.unwrap(), wanted, "{}", claim.id);
        assert!(claim.token <= discarded.newest_token);
    }
    let next = queue.claim("worker", 1).await.unwrap();
    assert!(next[0].token > discarded.newest_token && !is_a(&next[0].id));
    let again = queue.discard("look:a:").await.unwrap();
    assert_eq!((again.jobs, again.history), (0, 0));
    assert_eq!(queue.depth().await.unwrap().totals.discarded, discarded.jobs);
}

#[tokio::test]
async fn a_prefix_that_would_empty_the_queue_is_refused() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    queue.enqueue(job("1")).await.unwrap();
    let error = queue.discard("").await.unwrap_err();
    assert!(matches!(error, QueueError::BadName { .. }), "{error}");
    assert_eq!(queue.depth().await.unwrap().unfinished(), 1);
}

#[tokio::test]
async fn jobs_that_are_named_go_from_every_place_and_no_others() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    let ids: Vec<String> = (0..600).map(|number| format!("look:{number}")).collect();
    let jobs = ids.iter().enumerate().map(|(number, id)| in_lane(id.clone(), number));
    queue.enqueue_many(jobs.collect()).await.unwrap();
    let mut later = job("look:later");
    later.delay = Some(Duration::from_hours(1));
    queue.enqueue(later).await.unwrap();
    let held = queue.claim("worker", 2).await.unwrap();
    let dead = Settle::Dead { cause: "broke".to_owned(), chain: Vec::new() };
    held[0].settle(dead).await.unwrap();
    let ready = ids.iter().filter(|id| held.iter().all(|claim| claim.id != **id)).take(2);
    let mut named: Vec<String> = ready.cloned().collect();
    named.extend([&held[0].id, &held[1].id, "look:later", "look:none"].map(ToString::to_string));

    let before = states(&mut line).await;
    let discarded = queue.discard_ids(&named).await.unwrap();
    assert_eq!((discarded.jobs, discarded.claimed), (5, 1), "{discarded:?}");
    assert_one_place(&mut line).await;
    let kept = before.into_iter().filter(|id| !named.contains(id)).collect();
    assert_eq!(states(&mut line).await, kept);
    assert_eq!(held[1].settle(Settle::Done).await.unwrap(), Settled::Stale);
    assert_eq!(queue.discard_ids(&[]).await.unwrap().jobs, 0);
    assert_eq!(states(&mut line).await, kept, "no name is not every name");
}

#[tokio::test]
async fn a_walk_meets_every_job_wherever_it_is() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let ids: BTreeSet<String> = (0..700).map(|number| format!("look:{number}")).collect();
    queue.enqueue_many(ids.iter().map(job).collect()).await.unwrap();
    let held = queue.claim("worker", 3).await.unwrap();
    let listed: BTreeSet<_> =
        queue.claimed(3).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(listed, held.into_iter().map(|claim| claim.id).collect());
    let (mut met, mut parts, mut cursor) = (BTreeSet::new(), 0, Some(0));
    while let Some(from) = cursor {
        let part = queue.jobs_part(from).await.unwrap();
        met.extend(part.jobs.into_iter().map(|job| job.id));
        (parts, cursor) = (parts + 1, part.next);
    }
    assert_eq!(met, ids);
    assert!(parts > 1, "it was one look over everything");
}

#[tokio::test]
async fn a_job_that_cannot_be_caught_is_no_success() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    queue.enqueue_many(vec![job("look:a:1"), job("look:a:2")]).await.unwrap();
    // Whenever it is looked for in its lane it is elsewhere.
    let lane = "{test:work}:ready:upload";
    let hidden: u32 =
        redis::cmd("LREM").arg(lane).arg(0).arg("look:a:2").query_async(&mut line).await.unwrap();
    assert_eq!(hidden, 1);
    let error = queue.discard("look:a:").await.unwrap_err();
    assert!(matches!(error, QueueError::StillMoving { left: 1, .. }), "{error}");
    assert!(error.to_string().contains("remove them again"), "{error}");
    redis::cmd("RPUSH").arg(lane).arg("look:a:2").exec_async(&mut line).await.unwrap();
    assert_eq!(queue.discard("look:a:").await.unwrap().jobs, 1);
}

#[tokio::test]
async fn a_wrong_type_is_found_before_anything_is_removed() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    // Under a cap, whoever waits for room is woken when a held job goes.
    queue.set_cap(NonZeroU32::new(1)).await.unwrap();
    queue.enqueue_many(vec![job("look:a:held"), job("look:b:ready")]).await.unwrap();
    let held = claim_one(&queue, "worker").await;
    let wake = "{test:work}:wake";
    redis::pipe().del(wake).set(wake, "not a list").exec_async(&mut line).await.unwrap();
    let before = contents(&mut line).await;
    let error = queue.discard("look:a:").await.unwrap_err();
    assert!(matches!(error, QueueError::WrongType { .. }), "{error}");
    assert!(error.to_string().contains("{test:work}:wake holds a string"), "{error}");
    assert!(contents(&mut line).await == before, "something was changed");

    redis::cmd("DEL").arg(wake).exec_async(&mut line).await.unwrap();
    assert_eq!(queue.discard("look:a:").await.unwrap().claimed, 1);
    assert_eq!(held.settle(Settle::Done).await.unwrap(), Settled::Stale);
}

async fn states(line: &mut redis::aio::MultiplexedConnection) -> BTreeSet<String> {
    redis::cmd("HKEYS").arg("{test:work}:state").query_async(line).await.unwrap()
}
