//! The one place where what came of a job becomes effects.
//!
//! The steps, in order: note the start, decode the payload, run under the budget, catch a panic,
//! decide, apply, record. Everything that every job needs in logs and metrics comes from here.
//! Exactly one layer retries, and it is the queue, told by `decide`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetq::{Claim, Settle, Settled};
use futures_util::FutureExt;
use tracing::Instrument;

use super::decision::{Decision, Ended, Unrecorded, after_unrecorded, decide};
use super::origin::trace_id;
use super::{Attempt, Away, Job, JobError, owner, read_job};
use crate::fate::Fate;
use crate::names::Fence;
use crate::telemetry::metrics;

/// Runs one claimed job to its end and settles it. `away` is shared by all jobs of the process.
pub async fn run_claim<J: Job>(claim: Claim, deps: Arc<J::Deps>, away: Arc<Away>) {
    let span = span_of::<J>(&claim);
    async move {
        let started = Instant::now();
        note_start::<J>(&claim);
        let attempt = Attempt {
            fence: Fence(claim.token),
            failed_before: claim.attempts,
            request: claim.id.clone(),
            traceparent: claim.traceparent().map(str::to_owned),
        };
        let (job, ended) = match read_job::<J>(&claim.kind, claim.payload.as_ref()) {
            Ok(job) => {
                let ended = run_under_budget(&job, &deps, &attempt, &claim).await;
                (Some(job), ended)
            }
            Err(error) => (None, Ended::Unreadable(error)),
        };
        if let Some(cause) = cause_of(&ended) {
            let labels = [("kind", J::NAME), ("cause", cause)];
            ::metrics::counter!(metrics::JOB_FAILURES_TOTAL, &labels).increment(1);
        }
        let decision = decide(&ended, claim.attempts, J::BUDGET, jitter(&claim));
        let outcome = apply(&claim, job.as_ref(), &deps, &attempt, &ended, &decision, &away).await;
        record::<J>(outcome, started.elapsed());
    }
    .instrument(span)
    .await;
}

/// Who asked for the job and the trace that it is part of stand in every line about it.
fn span_of<J: Job>(claim: &Claim) -> tracing::Span {
    let span = tracing::info_span!(
        "job",
        job = J::NAME,
        id = %claim.id,
        start = claim.starts,
        source = tracing::field::Empty,
        trace = tracing::field::Empty,
    );
    if let Some(source) = claim.meta.get("source") {
        span.record("source", source.as_str());
    }
    if let Some(trace) = claim.traceparent().and_then(trace_id) {
        span.record("trace", trace);
    }
    span
}

fn note_start<J: Job>(claim: &Claim) {
    ::metrics::histogram!(metrics::JOB_WAIT_SECONDS, "kind" => J::NAME)
        .record(claim.waited.as_secs_f64());
    ::metrics::gauge!(metrics::JOBS_RUNNING, "kind" => J::NAME).increment(1.0);
}

/// The queue watches lease, budget and shutdown, and fires one cancellation for all three.
async fn run_under_budget<J: Job>(
    job: &J,
    deps: &J::Deps,
    attempt: &Attempt,
    claim: &Claim,
) -> Ended {
    claim.set_limit(J::BUDGET.wall_clock);
    let cancellation = claim.cancellation();
    let work = AssertUnwindSafe(job.run(deps, attempt)).catch_unwind();
    tokio::select! {
        // The cancellation is looked at first: what is not ours any more must not be settled by us.
        biased;
        () = cancellation.cancelled() => match claim.ended() {
            Some(fleetq::Ended::TimeLimit) => Ended::OutOfTime,
            Some(fleetq::Ended::Interrupted) => {
                Ended::Returned(Err(JobError::new(Fate::Interrupted, "the worker is stopping")))
            }
            Some(fleetq::Ended::LeaseLost) | None => Ended::LeaseLost,
        },
        returned = work => match returned {
            Ok(result) => Ended::Returned(result),
            Err(panic) => Ended::Panicked(panic_text(panic.as_ref())),
        },
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// A number in 0..1 that differs from job to job and from attempt to attempt. Tokens of one batch
/// follow each other; multiplied by the golden ratio they spread evenly (Knuth, volume 3, 6.4).
fn jitter(claim: &Claim) -> f64 {
    let spread = claim.token.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread >> 11) as f64 / (1_u64 << 53) as f64
}

/// Where the cause of a failure lies; a job that is stopped or comes too late has not failed.
fn cause_of(ended: &Ended) -> Option<&'static str> {
    match ended {
        Ended::Returned(Err(error)) => match error.fate {
            Fate::Interrupted | Fate::Superseded => None,
            Fate::Transient | Fate::Away | Fate::Permanent | Fate::Poison => Some(error.room),
        },
        Ended::Returned(Ok(_)) | Ended::LeaseLost => None,
        Ended::Panicked(_) => Some("panic"),
        Ended::OutOfTime => Some("time"),
        Ended::Unreadable(_) => Some("payload"),
    }
}

/// What to say of an end that was not well.
fn reason_of<J: Job>(ended: &Ended) -> String {
    match ended {
        Ended::Returned(Ok(_)) => String::new(),
        Ended::Returned(Err(error)) | Ended::Unreadable(error) => error.message.clone(),
        Ended::Panicked(text) => format!("{} panicked: {text}", J::NAME),
        Ended::OutOfTime => {
            format!("{} took longer than its {} s", J::NAME, J::BUDGET.wall_clock.as_secs())
        }
        Ended::LeaseLost => "the lease went to another worker".to_owned(),
    }
}

/// Carries out the decision and returns the outcome's word for the metrics.
async fn apply<J: Job>(
    claim: &Claim,
    job: Option<&J>,
    deps: &J::Deps,
    attempt: &Attempt,
    ended: &Ended,
    decision: &Decision,
    away: &Away,
) -> &'static str {
    let cause = reason_of::<J>(ended);
    let chain = match ended {
        Ended::Returned(Err(error)) | Ended::Unreadable(error) => error.chain.clone(),
        _ => Vec::new(),
    };
    let (outcome, settle) = match decision {
        Decision::Finish(word) => (*word, Settle::Done),
        Decision::Retry(pause) => {
            tracing::warn!(%cause, retry_in_ms = pause.as_millis() as u64, "job failed, tried again later");
            ("retried", Settle::RetryAfter { delay: *pause, cause })
        }
        Decision::Wait(pause) => {
            let only_here =
                matches!(ended, Ended::Returned(Err(error)) if error.is_of_one_library());
            note_away(claim, away, only_here, &cause);
            ("waited", Settle::Wait { delay: *pause, cause })
        }
        Decision::GiveUp => {
            match give_up(job, deps, attempt, &cause).await {
                // The reason stands on the photo: the job itself has nothing left to say.
                Ok(()) => {
                    tracing::warn!(%cause, "job failed for good");
                    ("failed", Settle::Done)
                }
                Err(error) => unrecorded(claim, away, &cause, &error),
            }
        }
        Decision::Quarantine => {
            tracing::error!(%cause, "job quarantined");
            if let Err(error) = give_up(job, deps, attempt, &cause).await {
                tracing::warn!(%error, "the reason could not be recorded on the photo");
            }
            let cause = match ended {
                Ended::Returned(Err(error)) => error.without_input().to_owned(),
                _ => cause,
            };
            ("quarantined", Settle::Dead { cause, chain })
        }
        Decision::GiveBack => ("given_back", Settle::GiveBack),
        Decision::Drop => {
            tracing::info!(%cause, "job superseded");
            let settled_elsewhere = matches!(ended, Ended::LeaseLost);
            if settled_elsewhere {
                return "superseded";
            }
            ("superseded", Settle::Done)
        }
    };
    if matches!(outcome, "finished" | "skipped" | "failed") {
        away.over(owner(&claim.id));
    }
    match claim.settle(settle).await {
        Ok(Settled::Applied) => outcome,
        Ok(Settled::Stale) => {
            tracing::info!("the lease had gone to another worker when this run ended");
            "superseded"
        }
        Err(error) => {
            // The lease runs out and another worker repeats it, which changes nothing.
            tracing::warn!(%error, "settling failed; the job will be repeated");
            outcome
        }
    }
}

/// Says it where that was not said yet. What all jobs need keeps the worker from claiming more.
fn note_away(claim: &Claim, away: &Away, only_here: bool, cause: &str) {
    let owner = only_here.then(|| owner(&claim.id));
    if let Some(pause) = away.met(owner, cause) {
        claim.hold_off(pause);
    }
}

/// The job failed for good and that could not be recorded.
fn unrecorded(claim: &Claim, away: &Away, cause: &str, error: &JobError) -> (&'static str, Settle) {
    let both = format!("{cause}; and recording that failed: {error}");
    match after_unrecorded(error, claim.attempts, jitter(claim)) {
        Unrecorded::StoreAway(delay) => {
            note_away(claim, away, error.is_of_one_library(), &error.message);
            ("waited", Settle::Wait { delay, cause: both })
        }
        Unrecorded::Refused(delay) => {
            let again_in_ms = delay.as_millis() as u64;
            tracing::warn!(cause = %both, again_in_ms, "job failed, and that could not be recorded");
            ("retried", Settle::RetryAfter { delay, cause: both })
        }
    }
}

async fn give_up<J: Job>(
    job: Option<&J>,
    deps: &J::Deps,
    attempt: &Attempt,
    cause: &str,
) -> Result<(), JobError> {
    let Some(job) = job else { return Ok(()) };
    match job.give_up(deps, attempt, cause).await {
        Err(error) if error.fate == Fate::Superseded => Ok(()),
        other => other,
    }
}

fn record<J: Job>(outcome: &'static str, took: Duration) {
    ::metrics::gauge!(metrics::JOBS_RUNNING, "kind" => J::NAME).decrement(1.0);
    ::metrics::counter!(metrics::JOBS_TOTAL, "kind" => J::NAME, "outcome" => outcome).increment(1);
    ::metrics::histogram!(metrics::JOB_RUN_SECONDS, "kind" => J::NAME).record(took.as_secs_f64());
    tracing::debug!(outcome, ms = took.as_millis() as u64, "job ended");
}
