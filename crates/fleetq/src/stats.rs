//! What a worker counts about its own work with the queue; the queue's totals are in Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    /// Jobs returned, quarantined or promoted by this process.
    pub reaped: u64,
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
    pub(crate) reaped: AtomicU64,
    pub(crate) redis_errors: AtomicU64,
}

impl Counters {
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
            reaped: get(&self.reaped),
            redis_errors: get(&self.redis_errors),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
