//! The keeper: a thread of its own that renews leases, watches time limits and reaps.
//! What must stay true: it depends on no handler, no poll loop and no shared runtime, and it has
//! its own connection, so that it is on time while every core and every async thread is busy.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::claim::{Ended, Lease};
use crate::error::QueueError;
use crate::hold::Held;
use crate::queue::Queue;
use crate::stats::{Counters, add};

/// Rounds of renewal in one lease.
const ROUNDS: u32 = 3;
/// How many jobs of each kind one reap moves.
const REAP_MAX: usize = 100;
const REAP_PAUSE_MIN: Duration = Duration::from_millis(5);

/// The leases one worker holds.
#[derive(Debug)]
pub(crate) struct Leases {
    registered: Mutex<Registered>,
    counters: Arc<Counters>,
    /// No more claims will come; the thread ends with the last lease.
    closing: AtomicBool,
    closed: Notify,
    limits: Notify,
}

/// By token.
#[derive(Debug, Default)]
struct Registered {
    /// Those that are renewed.
    kept: HashMap<i64, Arc<Held>>,
    /// Those of jobs on their last start, until their runs are over: also those over their time
    /// limit and those whose lease is lost may yet end the process.
    suspects: HashSet<i64>,
}

impl Leases {
    /// Starts the thread.
    pub(crate) fn keep(queue: &Queue, counters: Arc<Counters>) -> Result<Arc<Self>, QueueError> {
        let leases = Arc::new(Self {
            registered: Mutex::default(),
            counters,
            closing: AtomicBool::new(false),
            closed: Notify::new(),
            limits: Notify::new(),
        });
        let system = |cause| QueueError::System { action: "start the thread of leases", cause };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        // One attempt must fail early enough for another within the same lease.
        let third = queue.shared.settings.lease / ROUNDS;
        let queue = queue.fork(|options| {
            options.connection_timeout = options.connection_timeout.min(third);
            options.response_timeout = options.response_timeout.min(third);
            options.retry_delay_max = options.retry_delay_max.min(third / 4);
            options.patience = Duration::ZERO;
        });
        let kept = Arc::clone(&leases);
        std::thread::Builder::new()
            .name("fleetq-keeper".into())
            .spawn(move || runtime.block_on(run(&queue, &kept)))
            .map_err(system)?;
        Ok(leases)
    }

    pub(crate) fn hold<'held>(&self, claims: impl Iterator<Item = &'held Arc<Held>>) {
        let (mut registered, mut limited) = (self.registered(), false);
        for held in claims {
            limited |= held.ends_at().is_some();
            if held.is_suspect {
                registered.suspects.insert(held.lease.token);
            }
            registered.kept.insert(held.lease.token, Arc::clone(held));
        }
        drop(registered);
        // Waking the thread for claims without a limit would cost more than the claims.
        if limited {
            self.limits.notify_one();
        }
    }

    pub(crate) fn release(&self, token: i64) {
        let mut registered = self.registered();
        registered.kept.remove(&token);
        registered.suspects.remove(&token);
        if registered.kept.is_empty() && self.closing.load(Ordering::SeqCst) {
            self.closed.notify_one();
        }
    }

    pub(crate) fn limits_changed(&self) {
        self.limits.notify_one();
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn count(&self) -> usize {
        self.registered().kept.len()
    }

    /// Whether one of the jobs that run is on its last start.
    pub(crate) fn holds_suspect(&self) -> bool {
        !self.registered().suspects.is_empty()
    }

    /// Tells a holder that its lease is lost, unless it was released meanwhile.
    pub(crate) fn lost(&self, held: &Held) {
        let was_kept = self.registered().kept.remove(&held.lease.token).is_some();
        if was_kept && held.end(Ended::LeaseLost) {
            add(&self.counters.leases_lost, 1);
            tracing::warn!(job = %held.lease.id, token = held.lease.token, "lease lost");
        }
    }

    /// Asks every holder to hand its job back; the leases are kept meanwhile.
    pub(crate) fn interrupt(&self) {
        for held in self.registered().kept.values() {
            held.end(Ended::Interrupted);
        }
    }

    /// Lets the thread end once the last lease is released.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        if self.registered().kept.is_empty() {
            self.closed.notify_one();
        }
    }

    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(queue: &Queue, leases: &Leases) {
    tokio::select! {
        () = renew_for_ever(queue, leases) => {}
        () = watch_limits(queue, leases) => {}
        () = reap_for_ever(queue, leases) => {}
        () = leases.closed.notified() => {}
    }
}

async fn renew_for_ever(queue: &Queue, leases: &Leases) {
    let pause = queue.shared.settings.lease / ROUNDS;
    let mut backoff = queue.connection.backoff();
    let mut trouble = Trouble::default();
    let mut next = Instant::now() + pause;
    loop {
        tokio::time::sleep_until(next.into()).await;
        let started = Instant::now();
        match renew_all(queue, leases).await {
            Ok(()) => {
                trouble.over("renewing leases");
                backoff.reset();
                next = started + pause;
            }
            Err(error) => {
                add(&leases.counters.redis_errors, 1);
                trouble.met("renewing leases", &error);
                backoff.pause().await;
                next = Instant::now();
            }
        }
    }
}

async fn renew_all(queue: &Queue, leases: &Leases) -> Result<(), QueueError> {
    let holders: Vec<Arc<Held>> = leases.registered().kept.values().cloned().collect();
    let wanted: Vec<_> = holders.iter().map(|held| held.lease.clone()).collect();
    let still_ours = queue.renew(&wanted).await?;
    let now = Instant::now();
    let late = queue.shared.settings.lease * 2 / 3;
    for (held, ours) in holders.iter().zip(still_ours) {
        if ours {
            let gap = held.renewed(now);
            add(&leases.counters.renewed, 1);
            add(&leases.counters.renewed_late, u64::from(gap > late));
            let micros = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX);
            leases.counters.renewal_gap_max_micros.fetch_max(micros, Ordering::Relaxed);
            continue;
        }
        if held.settlements.load(Ordering::SeqCst) > 0 {
            // Stale is what the success of a settlement looks like. Where it is none, the settlement
            // tells of it at its end, or else the next renewal does.
            held.seems_lost.store(true, Ordering::SeqCst);
        } else {
            leases.lost(held);
        }
    }
    Ok(())
}

/// A run over its limit is told to stop and its lease is left to end.
async fn watch_limits(queue: &Queue, leases: &Leases) {
    loop {
        let changed = leases.limits.notified();
        let now = Instant::now();
        let mut next = now + Duration::from_hours(1);
        let mut over = Vec::new();
        for held in leases.registered().kept.values() {
            match held.ends_at() {
                Some(ends_at) if ends_at <= now => over.push(Arc::clone(held)),
                Some(ends_at) => next = next.min(ends_at),
                None => {}
            }
        }
        let blamed: Vec<_> = over.iter().map(|held| held.lease.clone()).collect();
        for held in over {
            leases.registered().kept.remove(&held.lease.token);
            if held.end(Ended::TimeLimit) {
                add(&leases.counters.over_limit, 1);
                tracing::warn!(job = %held.lease.id, "run is over its time limit");
            }
        }
        if !blamed.is_empty() {
            // Not awaited: the next limit may pass while Redis is slow to answer.
            tokio::spawn(note_limits(queue.clone(), blamed));
        }
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = changed => {}
        }
    }
}

/// A handler that heeds the cancellation settles by itself and says more.
async fn note_limits(queue: Queue, blamed: Vec<Lease>) {
    if let Err(error) = queue.blame_limit(&blamed).await {
        tracing::debug!(%error, "a time limit could not be noted on its job");
    }
}

async fn reap_for_ever(queue: &Queue, leases: &Leases) {
    let mut backoff = queue.connection.backoff();
    let mut trouble = Trouble::default();
    while !leases.closing.load(Ordering::SeqCst) {
        match queue.reap(REAP_MAX).await {
            Ok(reaped) => {
                trouble.over("reaping");
                backoff.reset();
                add(&leases.counters.returned, reaped.returned as u64);
                add(&leases.counters.quarantined, reaped.quarantined as u64);
                add(&leases.counters.promoted, reaped.promoted as u64);
                if let Some(by) = reaped.clock_set_back {
                    tracing::warn!(
                        queue = queue.label(),
                        by_ms = by.as_millis() as u64,
                        "redis's clock was set back: jobs scheduled before wait that much longer"
                    );
                }
                // No longer than this: a job scheduled by somebody else tells nobody.
                let longest = queue.shared.settings.reap_every();
                let next = reaped.next_due.unwrap_or(longest);
                tokio::time::sleep(next.clamp(REAP_PAUSE_MIN, longest)).await;
            }
            Err(error) => {
                add(&leases.counters.redis_errors, 1);
                trouble.met("reaping", &error);
                backoff.pause().await;
            }
        }
    }
    // The other loops go on; they end with the last lease.
    std::future::pending::<()>().await;
}

/// Logs the first failure of a row and the end of the row, not each one between.
#[derive(Default)]
pub(crate) struct Trouble {
    since: Option<Instant>,
}

impl Trouble {
    pub(crate) fn met(&mut self, doing: &str, error: &QueueError) {
        if self.since.is_none() {
            tracing::warn!(%error, "{doing} failed, trying again until it works");
            self.since = Some(Instant::now());
        }
    }

    pub(crate) fn over(&mut self, doing: &str) {
        if let Some(since) = self.since.take() {
            tracing::info!(after_ms = since.elapsed().as_millis() as u64, "{doing} works again");
        }
    }
}
