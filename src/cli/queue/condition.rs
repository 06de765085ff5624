//! What state a job is in as it lies in Redis, where anybody may have damaged it, and what can be done
//! with it.

use fleetq::{JobState, Place};

use super::super::args::QueueName;
use crate::jobs::{DescribeInDetail, ExportSnapshot, TrainGeneration, is_photo_job, read_job};

/// Whether the queue can read its own record of the job. One that it cannot read shows as a dead job
/// that never died.
pub(super) fn has_record(job: &JobState) -> bool {
    job.place != Place::Dead || job.until.is_some()
}

/// Whether a worker of this queue could run it; else it would die at once.
pub(super) fn is_readable(name: QueueName, job: &JobState) -> bool {
    match name {
        QueueName::Analyze => is_photo_job(&job.kind, &job.payload),
        QueueName::Export => read_job::<ExportSnapshot>(&job.kind, &job.payload).is_ok(),
        QueueName::Train => read_job::<TrainGeneration>(&job.kind, &job.payload).is_ok(),
        QueueName::Detail => read_job::<DescribeInDetail>(&job.kind, &job.payload).is_ok(),
    }
}

/// What a person can do about dead letters whose jobs cannot be read.
pub(super) fn step_for_unreadable(name: QueueName) -> String {
    match name {
        QueueName::Analyze => {
            "`eyefleet queue redrive analyze ID` gives the photo a new job".to_owned()
        }
        QueueName::Detail => {
            "forget it with `eyefleet queue flush detail ID`: its photo is offered again".to_owned()
        }
        QueueName::Export | QueueName::Train => format!(
            "forget it with `eyefleet queue flush {name} ID`, then `eyefleet {name}` asks anew"
        ),
    }
}
