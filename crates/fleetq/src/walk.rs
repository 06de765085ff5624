//! Walking over the jobs of a queue, a part at a time, without moving anything.

use crate::connection::{Effort, Request};
use crate::error::QueueError;
use crate::job::JobState;
use crate::lane::{Lane, Place};
use crate::queue::Queue;

/// Jobs of one part, about: the server decides.
const PART: usize = 250;
const LIST_MAX: usize = 1000;

/// Some of a queue's jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsPart {
    /// The jobs, in no order; one may come twice in a walk.
    pub jobs: Vec<JobState>,
    /// Where the next part begins; none where this was the last one.
    pub next: Option<u64>,
}

impl Queue {
    /// The next part of a walk over all jobs, whatever place they are in, that begins at `cursor`: 0
    /// at first. A job that is there from the first part to the last is met for certain, one that
    /// comes or goes meanwhile perhaps. A cursor may be kept for as long as one likes.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn jobs_part(&self, cursor: u64) -> Result<JobsPart, QueueError> {
        let mut command = redis::cmd("HSCAN");
        command.arg(self.shared.keys.state()).arg(cursor).arg("COUNT").arg(PART);
        let request = Request::Command(&command);
        let (next, entries): (u64, Vec<Vec<u8>>) =
            self.request("walk over the jobs", Effort::UntilAnswered, request).await?;
        let ids: Vec<Vec<u8>> = entries.into_iter().step_by(2).collect();
        Ok(JobsPart { jobs: self.states(&ids).await?, next: (next != 0).then_some(next) })
    }

    /// The claimed jobs whose leases end first, up to `limit` of each lane.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn claimed(&self, limit: usize) -> Result<Vec<JobState>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut ids: Vec<Vec<u8>> = Vec::new();
        for lane in Lane::ALL {
            let mut command = redis::cmd("ZRANGE");
            command.arg(self.shared.keys.claimed(lane)).arg(0).arg(limit.min(LIST_MAX) - 1);
            let request = Request::Command(&command);
            let some: Vec<Vec<u8>> =
                self.request("list claimed jobs", Effort::UntilAnswered, request).await?;
            ids.extend(some);
        }
        let mut jobs = self.states(&ids).await?;
        // Settled since they were listed.
        jobs.retain(|job| job.place == Place::Claimed);
        Ok(jobs)
    }
}
