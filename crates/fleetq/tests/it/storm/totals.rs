//! Whether the queue's own totals add up once a storm is drained.
//!
//! They are exact: a script moves a job and counts it in one step, and Redis replays both from its
//! file or neither. What a lost reply or a killed process blurs is what the callers know: a call
//! without an answer may have added its jobs or not, and a worker may die, or be told `Stale` by the
//! repetition, after its settlement was applied. So callers know of no more than there was.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use redis::aio::MultiplexedConnection;

use super::checker::Tallies;
use super::enqueuer::Orders;
use crate::harness::keys;

pub async fn check(line: &mut MultiplexedConnection, tallies: Tallies, orders: &Orders) {
    let mut read = redis::cmd("HGETALL");
    let meta: BTreeMap<String, String> =
        read.arg("{test:work}:meta").query_async(line).await.unwrap();
    let total = |name: &str| meta.get(name).map_or(0, |text| text.parse::<u64>().unwrap());

    // Every life of a job ended once, and so did every claim.
    assert_eq!(total("enqueued"), total("done"), "added and done: {meta:?}");
    assert_eq!(total("died"), total("redriven"), "dead letters and redriven: {meta:?}");
    let ends = ["done", "retried", "waited", "died", "given_back", "crashed", "returned"];
    let ended: u64 = ends.into_iter().map(&total).sum();
    assert_eq!(total("claims"), ended, "claims and their ends: {meta:?}");
    // No id was met where its job was not, and the storm sent nothing to quarantine.
    assert_eq!((total("orphans"), total("quarantined"), total("discarded")), (0, 0, 0), "{meta:?}");

    let added = orders.added.load(Ordering::SeqCst);
    let blurred = orders.blurred.load(Ordering::SeqCst);
    let possible = added..=added + blurred;
    assert!(possible.contains(&total("enqueued")), "{} not in {possible:?}", total("enqueued"));
    assert!(orders.redriven.load(Ordering::SeqCst) <= total("redriven"));
    assert!(tallies.runs <= total("claims"), "{tallies:?} {meta:?}");
    assert!(tallies.done <= total("done"), "{tallies:?} {meta:?}");
    assert!(tallies.applied <= ended - total("returned"), "{tallies:?} {meta:?}");

    // The storm did what it is for.
    assert!(tallies.stopped > 0 && tallies.effects_refused > 0, "{tallies:?}");
    let brought =
        ["returned", "promoted", "stale", "retried", "given_back", "crashed", "died", "duplicates"];
    for name in brought {
        assert!(total(name) > 0, "the storm brought no {name}: {meta:?}");
    }
    println!(
        "{} jobs added, {} done, {} runs repeated one of them, {} effects and {} settlements were \
         refused as stale, {} runs were told of their loss, {} jobs returned from dead workers",
        total("enqueued"),
        total("done"),
        tallies.effects_kept - tallies.done.min(tallies.effects_kept),
        tallies.effects_refused,
        total("stale"),
        tallies.stopped,
        total("returned"),
    );
    let left: Vec<String> = keys(line).await.into_keys().collect();
    assert_eq!(left, ["{test:work}:history", "{test:work}:meta"]);
}
