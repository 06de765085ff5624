//! What ties a claim to its worker: the keeper of its lease, its time limit, and its slot.
//! What must stay true: the first reason to stop a run stands, and a slot is free again when its claim
//! is settled or dropped, never before.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::claim::{Ended, Lease, Settled};
use crate::hold_off::HoldOff;
use crate::keeper::Leases;
use crate::queue::Queue;
use crate::settler::Settler;

/// A settlement on its way; over when it is dropped, also half-way.
pub(crate) struct Settling<'a> {
    hold: &'a Hold,
    is_answered: bool,
}

impl<'a> Settling<'a> {
    pub(crate) fn begin(hold: &'a Hold) -> Self {
        hold.held.settlements.fetch_add(1, Ordering::SeqCst);
        Self { hold, is_answered: false }
    }

    /// Redis has said what came of it, and the claim is released.
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        let held = &self.hold.held;
        held.settlements.fetch_sub(1, Ordering::SeqCst);
        // What was taken for its success was none.
        if !self.is_answered
            && held.seems_lost.load(Ordering::SeqCst)
            && let Some(leases) = &self.hold.leases
        {
            leases.lost(held);
        }
    }
}

/// What a claim shares with the keeper of its lease.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lease: Lease,
    /// It is on its last start and has ended no run: it may be what ends processes.
    pub(crate) is_suspect: bool,
    pub(crate) cancel: CancellationToken,
    pub(crate) ended: OnceLock<Ended>,
    /// Settlements on their way: a stale answer to a renewal may be the success of one.
    pub(crate) settlements: AtomicUsize,
    /// Such an answer came while one was on its way.
    pub(crate) seems_lost: AtomicBool,
    pub(crate) claimed_at: Instant,
    times: Mutex<Times>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    renewed_at: Instant,
    ends_at: Option<Instant>,
}

impl Held {
    pub(crate) fn new(lease: Lease, limit: Option<Duration>, is_suspect: bool) -> Arc<Self> {
        let claimed_at = Instant::now();
        let ends_at = limit.and_then(|limit| claimed_at.checked_add(limit));
        Arc::new(Self {
            lease,
            is_suspect,
            cancel: CancellationToken::new(),
            ended: OnceLock::new(),
            settlements: AtomicUsize::new(0),
            seems_lost: AtomicBool::new(false),
            claimed_at,
            times: Mutex::new(Times { renewed_at: claimed_at, ends_at }),
        })
    }

    /// The first reason stands.
    pub(crate) fn end(&self, why: Ended) -> bool {
        let first = self.ended.set(why).is_ok();
        self.cancel.cancel();
        first
    }

    pub(crate) fn set_limit(&self, limit: Duration) {
        self.times().ends_at = self.claimed_at.checked_add(limit);
    }

    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.times().ends_at
    }

    /// Notes a renewal and returns the time since the one before.
    pub(crate) fn renewed(&self, now: Instant) -> Duration {
        let mut times = self.times();
        let gap = now.saturating_duration_since(times.renewed_at);
        times.renewed_at = now;
        gap
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ties of a claim: its queue, its keeper and its slot.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) queue: Queue,
    pub(crate) held: Arc<Held>,
    pub(crate) leases: Option<Arc<Leases>>,
    pub(crate) settler: Option<Settler>,
    pub(crate) claiming: Option<HoldOff>,
    pub(crate) permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Hold {
    /// For a claim that nobody renews.
    pub(crate) fn unattended(queue: Queue, lease: Lease) -> Self {
        let held = Held::new(lease, None, false);
        Self { queue, held, leases: None, settler: None, claiming: None, permit: Mutex::new(None) }
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.leases.is_some()
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.held.ended.get().copied()
    }

    /// Only settlements of a worker are counted: what others do shows in the queue's totals.
    pub(crate) fn count(&self, verb: &str, settled: Settled) {
        if let Some(leases) = &self.leases {
            leases.counters().settled(verb, settled);
        }
    }

    /// Ends renewal and frees the slot; again is harmless.
    pub(crate) fn release(&self) {
        if let Some(leases) = &self.leases {
            leases.release(self.held.lease.token);
        }
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_to_end_stands() {
        let held = Held::new(Lease { id: "1".into(), token: 1 }, None, false);
        assert!(held.end(Ended::TimeLimit));
        assert!(!held.end(Ended::LeaseLost));
        assert_eq!(held.ended.get(), Some(&Ended::TimeLimit));
    }
}
