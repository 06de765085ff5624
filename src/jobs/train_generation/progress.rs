//! How far a training is and how long it still takes.
//! The steps take their shares from the library's last training, whose report tells how long each was.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::board::TrainingProgress;
use crate::catalog::Generation;
use crate::learning::Step;
use crate::telemetry::metrics;

/// Before this share is done, or before this many seconds, what is left would be a guess.
const DONE_MIN: f64 = 0.05;
const SECONDS_MIN: f64 = 1.0;

/// What is expected of a training.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    started_at: Timestamp,
    /// The share of the whole that each step takes, in the order of the steps.
    shares: [f64; Step::ALL.len()],
    /// Whether the shares come from an earlier training.
    known: bool,
}

impl Plan {
    /// After the newest of `earlier` that was published; without one every step counts the same.
    pub fn new(started_at: Timestamp, earlier: &[Generation]) -> Self {
        let durations = earlier.iter().find_map(|it| {
            let durations = it.report.as_ref()?.get("durations")?.clone();
            serde_json::from_value::<BTreeMap<String, f64>>(durations).ok()
        });
        let seconds = durations.map(|durations| {
            Step::ALL.map(|step| durations.get(step.as_str()).copied().unwrap_or(0.0).max(0.0))
        });
        let all = seconds.map_or(0.0, |seconds| seconds.iter().sum::<f64>());
        match seconds {
            Some(seconds) if all > 0.0 => {
                Self { started_at, shares: seconds.map(|it| it / all), known: true }
            }
            _ => {
                let even = 1.0 / Step::ALL.len() as f64;
                Self { started_at, shares: [even; Step::ALL.len()], known: false }
            }
        }
    }

    /// Before the first step.
    pub fn begun(&self) -> TrainingProgress {
        TrainingProgress {
            step: "reading the snapshot".to_owned(),
            done: 0.0,
            started_at: Some(self.started_at),
            eta_seconds: None,
        }
    }

    /// While `step` is `share` done, 0 to 1.
    pub fn at(&self, step: Step, share: f32, now: Timestamp) -> TrainingProgress {
        let mut done = 0.0;
        for (other, whole) in Step::ALL.into_iter().zip(self.shares) {
            if other < step {
                done += whole;
            } else if other == step {
                done += whole * f64::from(share);
            }
        }
        let took = now.duration_since(self.started_at).as_secs_f64();
        let tells = self.known && done >= DONE_MIN && took >= SECONDS_MIN;
        TrainingProgress {
            step: step.as_str().to_owned(),
            done: done as f32,
            started_at: Some(self.started_at),
            eta_seconds: tells.then(|| took * (1.0 - done).max(0.0) / done),
        }
    }
}

/// Says in the metrics of this process how far its training is, or that none runs.
pub(super) fn publish(progress: Option<&TrainingProgress>) {
    let done = progress.map_or(0.0, |it| it.done);
    ::metrics::gauge!(metrics::TRAINING_PROGRESS).set(f64::from(done));
    let left = progress.map_or(0.0, |it| it.eta_seconds.unwrap_or(f64::NAN));
    ::metrics::gauge!(metrics::TRAINING_LEFT_SECONDS).set(left);
    for step in Step::ALL.map(Step::as_str) {
        let is_at = progress.is_some_and(|it| it.step == step);
        ::metrics::gauge!(metrics::TRAINING_STEP, "step" => step).set(f64::from(u8::from(is_at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::GenerationState;
    use crate::names::{Fence, GenerationNumber};

    fn generation(report: Option<serde_json::Value>) -> Generation {
        Generation {
            number: GenerationNumber(1),
            parent: None,
            snapshot: "20261122T110000Z-0000000000000001".to_owned(),
            fence: Fence(1),
            state: GenerationState::Published,
            reason: None,
            space: None,
            images: Some(10),
            report,
            created_at: Timestamp::UNIX_EPOCH,
            published_at: None,
            ended_at: None,
            pinned: false,
        }
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn progress_rises_from_nothing_to_all_and_promises_nothing_at_first() {
        let plan = Plan::new(after(0), &[generation(None)]);
        assert!(plan.begun().done.abs() < 1e-6);
        assert!(plan.at(Step::Read, 0.0, after(5)).done.abs() < 1e-6);
        let end = plan.at(Step::Improve, 1.0, after(9));
        assert!((end.done - 1.0).abs() < 1e-6);
        assert_eq!(end.eta_seconds, None, "nothing is known of earlier trainings");
    }

    #[test]
    fn steps_take_the_shares_of_the_last_training() {
        let report =
            serde_json::json!({ "durations": { "read": 1.0, "index": 7.0, "improve": 2.0 } });
        let plan = Plan::new(after(100), &[generation(None), generation(Some(report))]);
        let half = plan.at(Step::Index, 0.5, after(109));
        assert!((half.done - 0.45).abs() < 1e-6, "{half:?}");
        assert!((half.eta_seconds.unwrap() - 11.0).abs() < 1e-6, "{half:?}");
        assert_eq!(plan.at(Step::Index, 0.5, after(100)).eta_seconds, None, "too early");
        assert_eq!(plan.at(Step::Read, 0.1, after(109)).eta_seconds, None, "too little");
        let broken = serde_json::json!({ "durations": { "read": "long" } });
        assert!(!Plan::new(after(0), &[generation(Some(broken))]).known);
    }
}
