//! The feeder: claims as many jobs as there are free slots and waits for work without polling.
//! What must stay true: no job is claimed without a slot for it, an error of Redis is only ever a
//! pause, and a lost wake-up costs no more than [`WAKE_TIMEOUT`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis_core::worker::context::WorkerContext;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::claim::{Claim, Settle};
use crate::connection::{Effort, Request};
use crate::hold::{Held, Hold};
use crate::hold_off::HoldOff;
use crate::keeper::{Leases, Trouble};
use crate::queue::{BATCH_MAX, Queue};
use crate::settler::Settler;
use crate::stats::{Counters, add};

/// An idle worker looks for itself after this long.
pub(crate) const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSED_LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Feeder {
    pub(crate) queue: Queue,
    pub(crate) worker_name: String,
    pub(crate) worker: WorkerContext,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) limit: Option<Duration>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: CancellationToken,
    pub(crate) settler: Settler,
    pub(crate) hold_off: HoldOff,
    pub(crate) claims: mpsc::Sender<Claim>,
}

impl Feeder {
    /// Feeds until told to stop; then passes on a wake-up that it may have swallowed.
    pub(crate) async fn run(self) {
        self.feed().await;
        self.pass_wake_up_on().await;
    }

    /// For somebody who can use it; where this fails they look for themselves.
    async fn pass_wake_up_on(&self) {
        if let Err(error) = self.queue.claim_batch(&self.worker_name, 0, 0, Effort::Once).await {
            tracing::debug!(%error, "no wake-up passed on");
        }
    }

    async fn feed(&self) {
        // Blocking needs a connection of its own, whose answers may take as long as the wait.
        let waiting = self.queue.fork(|options| options.response_timeout += WAKE_TIMEOUT);
        let mut backoff = self.queue.connection.backoff();
        let (mut trouble, mut woken) = (Trouble::default(), false);
        loop {
            let Some(permits) = self.free_slots(woken).await else { return };
            woken = false;
            // What may end this process does so with no other of its kind beside it.
            let suspects = usize::from(!self.leases.holds_suspect());
            // Not cancelled half-way: the jobs would stay claimed by nobody until their lease ends.
            let batch = self
                .queue
                .claim_batch(&self.worker_name, permits.len(), suspects, Effort::Once)
                .await;
            match batch {
                Ok(batch) => {
                    trouble.over("claiming");
                    backoff.reset();
                    let (nothing_left, next_due) = (batch.left == 0, batch.next_due);
                    if !self.hand_over(batch.claims, permits).await {
                        return;
                    }
                    // Without a free slot a wake-up would be taken from somebody who has one.
                    if nothing_left && self.slots.available_permits() > 0 {
                        woken = self.wait_for_work(&waiting, next_due).await;
                    }
                }
                Err(error) => {
                    drop(permits);
                    add(&self.counters.redis_errors, 1);
                    trouble.met("claiming", &error);
                    tokio::select! {
                        () = backoff.pause() => {}
                        () = self.stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// At least one free slot, as many as there are; none when it is time to stop.
    async fn free_slots(&self, woken: bool) -> Option<Vec<OwnedSemaphorePermit>> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            permit = Arc::clone(&self.slots).acquire_owned() => permit.ok()?,
        };
        if woken && (self.worker.is_paused() || self.hold_off.left().is_some()) {
            self.pass_wake_up_on().await;
        }
        while self.worker.is_paused() {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(PAUSED_LOOK) => {}
            }
        }
        while let Some(left) = self.hold_off.left() {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(left) => {}
            }
        }
        if self.stop.is_cancelled() || self.worker.is_shutting_down() {
            return None;
        }
        // Claims that were settled together give their slots back one after the other: let them.
        tokio::task::yield_now().await;
        let mut permits = vec![first];
        while permits.len() < BATCH_MAX {
            match Arc::clone(&self.slots).try_acquire_owned() {
                Ok(permit) => permits.push(permit),
                Err(_) => break,
            }
        }
        Some(permits)
    }

    /// Registers the leases and passes the claims on, each with its slot; `false` when nobody is
    /// there any more to take them.
    async fn hand_over(&self, claims: Vec<Claim>, permits: Vec<OwnedSemaphorePermit>) -> bool {
        add(&self.counters.claimed, claims.len() as u64);
        let mut kept = Vec::with_capacity(claims.len());
        for (mut claim, permit) in claims.into_iter().zip(permits) {
            let is_suspect =
                claim.starts > 1 && claim.starts >= self.queue.shared.settings.starts_max;
            let held = Held::new(claim.lease.clone(), claim.limit.or(self.limit), is_suspect);
            claim.hold = Hold {
                queue: self.queue.clone(),
                held,
                leases: Some(Arc::clone(&self.leases)),
                settler: Some(self.settler.clone()),
                claiming: Some(self.hold_off.clone()),
                permit: Some(permit).into(),
            };
            kept.push(claim);
        }
        self.leases.hold(kept.iter().map(|claim| &claim.hold.held));
        let mut unsent = Vec::new();
        for claim in kept {
            // The channel has room for every slot, so this never waits for a handler.
            if let Err(mpsc::error::SendError(claim)) = self.claims.send(claim).await {
                unsent.push(claim);
            }
        }
        let open = unsent.is_empty();
        give_back(unsent).await;
        open
    }

    /// Returns when somebody has enqueued, when the next job is due, when it is time to look anyway,
    /// or at stop. Answers whether a wake-up was taken.
    async fn wait_for_work(&self, waiting: &Queue, next_due: Option<Duration>) -> bool {
        // Redis knows milliseconds, and takes none at all for without end.
        let longest = next_due.unwrap_or(WAKE_TIMEOUT);
        let longest = longest.clamp(Duration::from_millis(1), WAKE_TIMEOUT);
        let mut wait = redis::cmd("BLPOP");
        wait.arg(self.queue.shared.keys.wake()).arg(longest.as_secs_f64());
        let started = Instant::now();
        let waited = tokio::select! {
            () = self.stop.cancelled() => return false,
            waited = waiting.connection.run::<Option<(String, String)>>(
                "wait for work",
                Effort::Once,
                Request::Command(&wait),
            ) => waited,
        };
        match waited {
            Ok(Some(_)) => {
                add(&self.counters.wakes, 1);
                return true;
            }
            Ok(None) => add(&self.counters.timeouts, 1),
            Err(error) => {
                // The claim that follows meets the same trouble and backs off by itself. Where
                // only waiting fails, this pause keeps the loop from spinning.
                tracing::debug!(%error, "waiting for work failed");
                if started.elapsed() < PAUSED_LOOK {
                    tokio::time::sleep(PAUSED_LOOK).await;
                }
            }
        }
        false
    }
}

/// For claims that no handler has seen, in their order. One try with the patience of the connection;
/// failing that, their leases end by themselves.
pub(crate) async fn give_back(claims: Vec<Claim>) {
    let Some(first) = claims.first() else { return };
    let leases = claims.iter().map(|claim| (claim.lease.clone(), Settle::GiveBack));
    match first.hold.queue.settle_many(&leases.collect::<Vec<_>>()).await {
        Ok(settled) => {
            for (claim, settled) in claims.iter().zip(settled) {
                claim.hold.count(Settle::GiveBack.verb(), settled);
            }
        }
        Err(error) => tracing::warn!(
            jobs = claims.len(), %error, "jobs could not be given back, their leases will end"
        ),
    }
}
