//! A claim: one job in the hands of one worker, with the token that fences everything it does.
//! What must stay true: a slot is free again when its claim is settled or dropped, never before,
//! and a settlement under a lost lease changes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::error::QueueError;
use crate::hold::{Hold, Settling};
use crate::job::TRACEPARENT;
use crate::lane::Lane;

const CAUSE_BYTES_MAX: usize = 4096;
const CHAIN_MAX: usize = 16;
/// How long a settlement waits for Redis to come back while the lease is being kept.
const SETTLE_PATIENCE: Duration = Duration::from_mins(10);

/// The right to move one job: its id and the token of the claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub id: String,
    /// The fencing token, in microseconds of Redis's time or above.
    pub token: i64,
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// The job is finished and forgotten.
    Done,
    /// It failed and shall run again after `delay`. Counts an attempt.
    RetryAfter {
        /// In Redis's time from now; zero puts it at the end of its lane at once.
        delay: Duration,
        /// The error in one line.
        cause: String,
    },
    /// What it needs is away: it shall run again after `delay`. No attempt is counted, because
    /// nothing is wrong with it.
    Wait {
        /// In Redis's time from now; zero puts it at the end of its lane at once.
        delay: Duration,
        /// What is away, in one line.
        cause: String,
    },
    /// It failed for good and goes to the dead letters. Counts an attempt.
    Dead {
        /// The error in one line.
        cause: String,
        /// The errors behind it, outermost first; 16 are kept.
        chain: Vec<String>,
    },
    /// The run broke down and said nothing: the job goes to the back of its lane, and the start stays
    /// counted. After as many starts as are allowed it is quarantined with this cause. A handler
    /// that panics is settled like this by the worker.
    Crashed {
        /// What is known of it, in one line.
        cause: String,
    },
    /// It goes back to the front of its lane; neither the start nor an attempt is counted.
    GiveBack,
}

impl Settle {
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::RetryAfter { .. } => "retry",
            Self::Wait { .. } => "wait",
            Self::Dead { .. } => "dead",
            Self::Crashed { .. } => "crash",
            Self::GiveBack => "give",
        }
    }

    pub(crate) fn delay(&self) -> Duration {
        match self {
            Self::RetryAfter { delay, .. } | Self::Wait { delay, .. } => *delay,
            _ => Duration::ZERO,
        }
    }

    /// What the dead letter will say, bounded.
    pub(crate) fn note(&self) -> String {
        match self {
            Self::RetryAfter { cause, .. } | Self::Wait { cause, .. } | Self::Crashed { cause } => {
                json!({ "cause": shorten(cause) }).to_string()
            }
            Self::Dead { cause, chain } => {
                let chain: Vec<&str> = chain.iter().take(CHAIN_MAX).map(|e| shorten(e)).collect();
                json!({ "cause": shorten(cause), "chain": chain }).to_string()
            }
            Self::Done | Self::GiveBack => String::new(),
        }
    }
}

fn shorten(text: &str) -> &str {
    let mut end = text.len().min(CAUSE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a settlement took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It did.
    Applied,
    /// The lease was lost before; nothing changed. Whoever holds the job now decides.
    Stale,
}

/// Why the handler of a claim is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Another worker holds the job, or Redis was emptied. Settling has no effect any more.
    LeaseLost,
    /// The time limit passed and renewal has stopped. Settling works until the lease ends.
    TimeLimit,
    /// The worker is asked to hand back its work: settle with [`Settle::GiveBack`].
    Interrupted,
}

/// One job claimed by one worker.
///
/// Settle it with [`Claim::settle`]. A claim dropped unsettled is no longer renewed: its job comes
/// back when the lease ends, and the start counts.
#[derive(Debug)]
pub struct Claim {
    /// The job's id.
    pub id: String,
    /// The fencing token: put it beside every durable effect and refuse older ones there.
    pub token: i64,
    /// The job's kind; empty when the envelope was broken.
    pub kind: String,
    /// The payload as it was added, or the whole body when the envelope was broken.
    pub payload: Vec<u8>,
    /// Starts since the job was last settled, this one included.
    pub starts: u32,
    /// Failures that were settled before.
    pub attempts: u32,
    /// When the job was added, in Redis's time.
    pub enqueued_at: SystemTime,
    /// How long it was ready and waiting, in Redis's time.
    pub waited: Duration,
    /// Its lane.
    pub lane: Lane,
    /// Its metadata.
    pub meta: BTreeMap<String, String>,
    /// The wall-clock limit of its runs, where the job has its own.
    pub limit: Option<Duration>,
    /// What settles it.
    pub lease: Lease,
    pub(crate) hold: Hold,
}

impl Claim {
    /// Ends the claim and frees the worker's slot. While Redis is away and the lease is kept it
    /// waits, at most ten minutes.
    ///
    /// # Errors
    /// What Redis says. The claim is then still held and may be settled again.
    pub async fn settle(&self, how: Settle) -> Result<Settled, QueueError> {
        let hold = &self.hold;
        let verb = how.verb();
        if hold.ended() == Some(Ended::LeaseLost) {
            hold.count(verb, Settled::Stale);
            hold.release();
            return Ok(Settled::Stale);
        }
        // Until the claim is released: what the keeper is told meanwhile may be this very success.
        let settling = Settling::begin(hold);
        let together = match &hold.settler {
            Some(settler) => settler.settle(&self.lease, &how).await,
            None => None,
        };
        let settled = match together {
            Some(settled) => settled,
            None => self.settle_alone(how).await?,
        };
        hold.count(verb, settled);
        hold.release();
        settling.answered();
        Ok(settled)
    }

    async fn settle_alone(&self, how: Settle) -> Result<Settled, QueueError> {
        let patience = if self.hold.is_kept() { SETTLE_PATIENCE } else { Duration::ZERO };
        let started = Instant::now();
        let mut backoff = self.hold.queue.connection.backoff();
        let mut told = false;
        loop {
            match self.hold.queue.settle(&self.lease, how.clone()).await {
                // A refusal (a full disk) comes at once and may last: told once, and no spinning.
                Err(error) if error.is_transient() && started.elapsed() < patience => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(job = %self.id, %error, "settling waits for redis");
                    }
                    backoff.pause().await;
                }
                result => return result,
            }
        }
    }

    /// The W3C `traceparent` that the job was added with.
    pub fn traceparent(&self) -> Option<&str> {
        self.meta.get(TRACEPARENT).map(String::as_str)
    }

    /// Fires when the handler must stop; [`Claim::ended`] says why.
    pub fn cancellation(&self) -> CancellationToken {
        self.hold.held.cancel.clone()
    }

    /// Why the handler must stop, once it must.
    pub fn ended(&self) -> Option<Ended> {
        self.hold.ended()
    }

    /// Sets the wall-clock limit of this run, counted from the claim, in place of the job's own and
    /// the worker's. When it passes, the lease is
    /// no longer renewed and the cancellation fires. Only claims of a
    /// [`FleetBackend`](crate::FleetBackend) are watched.
    pub fn set_limit(&self, limit: Duration) {
        self.hold.held.set_limit(limit);
        if let Some(leases) = &self.hold.leases {
            leases.limits_changed();
        }
    }

    /// Has the worker that holds this claim claim nothing more for `pause`: what every job of its
    /// queue needs is away. Jobs that it holds go on. Only a
    /// [`FleetBackend`](crate::FleetBackend) can be held off.
    pub fn hold_off(&self, pause: Duration) {
        if let Some(claiming) = &self.hold.claiming {
            claiming.pause(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded() {
        let long = "é".repeat(5000);
        let how = Settle::Dead { cause: long.clone(), chain: vec![long; 40] };
        assert!(how.note().len() < (CHAIN_MAX + 1) * (CAUSE_BYTES_MAX + 8) + 64);
        assert_eq!(shorten("abc"), "abc");
    }
}
