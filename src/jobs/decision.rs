//! The pure rule from the end of a run to what is done with its job.

use std::time::Duration;

use super::{Budget, Done, JobError};
use crate::fate::Fate;

/// First pause before another attempt; it doubles with each failed one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_mins(5);
/// Longest pause of a job whose store is away, unless the failure knows better. It has no last
/// attempt: whatever could be recorded about the job would have to be written to that store.
const AWAY_PAUSE: Duration = Duration::from_secs(5);

/// What is to be done with a job after a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Settled: it leaves the queue.
    Finish(&'static str),
    /// Another attempt after this pause.
    Retry(Duration),
    /// Run again after this pause; what stopped it was not the job's, so no attempt is counted.
    Wait(Duration),
    /// Given up: the reason goes where people look for it, the job leaves the queue.
    GiveUp,
    /// Quarantined in the dead letter with its cause.
    Quarantine,
    /// Given back: this start is not counted.
    GiveBack,
    /// Somebody newer owns it: not a word to anybody.
    Drop,
}

/// How a run ended, before anything was decided.
#[derive(Debug)]
pub enum Ended {
    /// The job returned.
    Returned(Result<Done, JobError>),
    /// Its code panicked.
    Panicked(String),
    /// It took longer than its budget.
    OutOfTime,
    /// Its lease went to somebody else.
    LeaseLost,
    /// It is no job that this worker can read.
    Unreadable(JobError),
}

/// The pure rule from the end of a run to what is done about it.
///
/// `failed_before` counts earlier failed attempts; `jitter` in 0..1 spreads the retries of jobs
/// that failed together.
pub fn decide(ended: &Ended, failed_before: u32, budget: Budget, jitter: f64) -> Decision {
    let error = match ended {
        Ended::Returned(Ok(Done::Finished)) => return Decision::Finish("finished"),
        Ended::Returned(Ok(Done::Skipped(_))) => return Decision::Finish("skipped"),
        Ended::Returned(Err(error)) => error,
        Ended::LeaseLost => return Decision::Drop,
        Ended::Panicked(_) | Ended::Unreadable(_) => return Decision::Quarantine,
        // A job that hangs is given its remaining attempts: the world may have been slow.
        Ended::OutOfTime => return retry_or_give_up(failed_before, budget, jitter, None),
    };
    match error.fate {
        Fate::Transient => retry_or_give_up(failed_before, budget, jitter, error.retry_after),
        Fate::Away => Decision::Wait(spread(error.retry_after.unwrap_or(AWAY_PAUSE), jitter)),
        Fate::Permanent => Decision::GiveUp,
        Fate::Poison => Decision::Quarantine,
        Fate::Interrupted => Decision::GiveBack,
        Fate::Superseded => Decision::Drop,
    }
}

fn retry_or_give_up(
    failed_before: u32,
    budget: Budget,
    jitter: f64,
    asked: Option<Duration>,
) -> Decision {
    let this_was_the_last = failed_before + 1 >= budget.attempts;
    if this_was_the_last {
        return Decision::GiveUp;
    }
    let pause = asked.unwrap_or_else(|| doubled(failed_before)).min(BACKOFF_MAX);
    Decision::Retry(spread(pause, jitter))
}

fn doubled(failed_before: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << failed_before.min(16)).min(BACKOFF_MAX)
}

/// When a job runs again that failed for good while nobody could be told: its last word must not
/// get lost.
#[derive(Debug, PartialEq)]
pub(super) enum Unrecorded {
    /// Once the store is back.
    StoreAway(Duration),
    /// The store is there and refuses: ever more seldom. Each counts an attempt, by which the pause
    /// grows and which changes nothing else for a job that is given up.
    Refused(Duration),
}

pub(super) fn after_unrecorded(error: &JobError, failed_before: u32, jitter: f64) -> Unrecorded {
    match error.fate {
        Fate::Away => Unrecorded::StoreAway(spread(AWAY_PAUSE, jitter)),
        _ => Unrecorded::Refused(spread(doubled(failed_before), jitter)),
    }
}

/// Half fixed, half random: never at once, never all together.
fn spread(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { attempts: 3, wall_clock: Duration::from_secs(1) };

    fn failed(fate: Fate) -> Ended {
        Ended::Returned(Err(JobError::new(fate, "x")))
    }

    #[test]
    fn each_fate_has_its_decision() {
        let table = [
            (Ended::Returned(Ok(Done::Finished)), Decision::Finish("finished")),
            (Ended::Returned(Ok(Done::Skipped("gone"))), Decision::Finish("skipped")),
            (failed(Fate::Transient), Decision::Retry(Duration::from_millis(500))),
            (failed(Fate::Away), Decision::Wait(Duration::from_millis(2500))),
            (failed(Fate::Permanent), Decision::GiveUp),
            (failed(Fate::Poison), Decision::Quarantine),
            (failed(Fate::Interrupted), Decision::GiveBack),
            (failed(Fate::Superseded), Decision::Drop),
            (Ended::Panicked("boom".into()), Decision::Quarantine),
            (Ended::Unreadable(JobError::new(Fate::Poison, "x")), Decision::Quarantine),
            (Ended::OutOfTime, Decision::Retry(Duration::from_millis(500))),
            (Ended::LeaseLost, Decision::Drop),
        ];
        for (ended, wanted) in table {
            assert_eq!(decide(&ended, 0, BUDGET, 0.0), wanted, "{ended:?}");
        }
    }

    #[test]
    fn a_transient_failure_ends_with_its_budget() {
        assert!(matches!(decide(&failed(Fate::Transient), 1, BUDGET, 0.5), Decision::Retry(_)));
        assert_eq!(decide(&failed(Fate::Transient), 2, BUDGET, 0.5), Decision::GiveUp);
        assert_eq!(decide(&Ended::OutOfTime, 2, BUDGET, 0.5), Decision::GiveUp);
    }

    #[test]
    fn a_store_that_is_away_ends_no_job() {
        for failed_before in [0, 2, 99] {
            let decision = decide(&failed(Fate::Away), failed_before, BUDGET, 1.0);
            assert_eq!(decision, Decision::Wait(AWAY_PAUSE));
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let patient = Budget { attempts: u32::MAX, ..BUDGET };
        let mut last = Duration::ZERO;
        for failed_before in 0..40 {
            let Decision::Retry(pause) =
                decide(&failed(Fate::Transient), failed_before, patient, 1.0)
            else {
                panic!("given up within its budget");
            };
            assert!(pause >= last && pause <= BACKOFF_MAX, "{pause:?} after {last:?}");
            last = pause;
        }
        assert_eq!(last, BACKOFF_MAX);
    }

    #[test]
    fn a_failure_that_cannot_be_recorded_comes_back_ever_more_seldom() {
        let refused = JobError::new(Fate::Transient, "the database is damaged");
        let pauses = [0, 1, 5, 20, u32::MAX].map(|failed| after_unrecorded(&refused, failed, 1.0));
        let wanted = [1, 2, 32, 300, 300].map(|s| Unrecorded::Refused(Duration::from_secs(s)));
        assert_eq!(pauses, wanted);
        let away = after_unrecorded(&JobError::new(Fate::Away, "x"), 9, 1.0);
        assert_eq!(away, Unrecorded::StoreAway(AWAY_PAUSE));
    }

    #[test]
    fn a_delay_that_the_failure_knows_is_honoured() {
        let mut error = JobError::new(Fate::Transient, "busy");
        error.retry_after = Some(Duration::from_mins(1));
        let decision = decide(&Ended::Returned(Err(error)), 0, BUDGET, 1.0);
        assert_eq!(decision, Decision::Retry(Duration::from_mins(1)));
    }
}
