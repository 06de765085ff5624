//! What a worker counts about its own work with the queue; the queue's totals are in Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::claim::Settled;

/// Counters of one [`FleetBackend`](crate::FleetBackend), read with
/// [`Handle::stats`](crate::Handle::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Jobs claimed.
    pub claimed: u64,
    /// Waits for work that ended because somebody enqueued.
    pub wakes: u64,
    /// Waits for work that ended because nothing had come for a while.
    pub timeouts: u64,
    /// Leases extended.
    pub renewed: u64,
    /// Leases extended with less than a third of their time left.
    pub renewed_late: u64,
    /// The longest time between two extensions of one lease.
    pub renewal_gap_max: Duration,
    /// Leases lost to somebody else.
    pub leases_lost: u64,
    /// Runs that met their time limit.
    pub over_limit: u64,
    /// Settled as done.
    pub done: u64,
    /// Settled to be retried.
    pub retried: u64,
    /// Settled to wait for what is away.
    pub waited: u64,
    /// Settled as dead.
    pub died: u64,
    /// Given back.
    pub given_back: u64,
    /// Runs that broke down, a panic for example.
    pub crashed: u64,
    /// Settlements refused because the lease was lost.
    pub stale: u64,
    /// Jobs of whatever worker that this process returned after their lease had run out.
    pub returned: u64,
    /// Jobs of whatever worker that this process quarantined: started too often, or broken.
    pub quarantined: u64,
    /// Scheduled jobs that this process's reaper made ready.
    pub promoted: u64,
    /// Calls to Redis that failed and were tried again later.
    pub redis_errors: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) claimed: AtomicU64,
    pub(crate) wakes: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) renewed: AtomicU64,
    pub(crate) renewed_late: AtomicU64,
    pub(crate) renewal_gap_max_micros: AtomicU64,
    pub(crate) leases_lost: AtomicU64,
    pub(crate) over_limit: AtomicU64,
    pub(crate) done: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) died: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) crashed: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) promoted: AtomicU64,
    pub(crate) redis_errors: AtomicU64,
}

impl Counters {
    pub(crate) fn settled(&self, verb: &str, settled: Settled) {
        let counter = match (settled, verb) {
            (Settled::Stale, _) => &self.stale,
            (_, "done") => &self.done,
            (_, "retry") => &self.retried,
            (_, "wait") => &self.waited,
            (_, "dead") => &self.died,
            (_, "crash") => &self.crashed,
            _ => &self.given_back,
        };
        add(counter, 1);
    }

    pub(crate) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            claimed: get(&self.claimed),
            wakes: get(&self.wakes),
            timeouts: get(&self.timeouts),
            renewed: get(&self.renewed),
            renewed_late: get(&self.renewed_late),
            renewal_gap_max: Duration::from_micros(get(&self.renewal_gap_max_micros)),
            leases_lost: get(&self.leases_lost),
            over_limit: get(&self.over_limit),
            done: get(&self.done),
            retried: get(&self.retried),
            waited: get(&self.waited),
            died: get(&self.died),
            given_back: get(&self.given_back),
            crashed: get(&self.crashed),
            stale: get(&self.stale),
            returned: get(&self.returned),
            quarantined: get(&self.quarantined),
            promoted: get(&self.promoted),
            redis_errors: get(&self.redis_errors),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
