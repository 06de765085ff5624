//! One file per job, the words they share, and the one runner that turns outcomes into effects.
//!
//! A job reads its arguments and its `Deps`, does its work and says what came of it. It never
//! names Redis keys or SQL, and never decides whether it is tried again: that follows from the
//! fate of its error and from its budget, in `runner.rs` alone.

mod analyze_image;
mod away;
mod decision;
mod describe_in_detail;
mod enriching;
mod error;
mod export_snapshot;
mod left_out;
mod origin;
mod photo;
mod read;
mod remove_image;
mod runner;
mod train_generation;
mod update_image;

use std::time::Duration;

use fleetq::{Enqueued, QueueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use analyze_image::{AnalyzeDeps, AnalyzeImage};
pub use away::Away;
pub use decision::{Decision, Ended, decide};
pub use describe_in_detail::{DescribeDeps, DescribeInDetail};
pub use error::JobError;
pub use export_snapshot::{ExportDeps, ExportSnapshot};
pub use origin::{Origin, Source};
pub use photo::{is_photo_job, run_photo_claim};
pub use read::read_job;
pub use remove_image::RemoveImage;
pub use runner::run_claim;
pub use train_generation::{TrainDeps, TrainGeneration};
pub use update_image::UpdateImage;

use crate::names::{Fence, LibraryId};

/// A unit of work that any worker of its queue may run, and may run twice.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name on the wire: a written constant, because Rust paths change and queued jobs stay.
    const NAME: &'static str;
    /// How long and how often it may be tried.
    const BUDGET: Budget;
    /// Longest rest of its worker while what all such jobs need is away.
    const AWAY_PAUSE_MAX: Duration = away::PAUSE_MAX;
    /// What it needs, and nothing else.
    type Deps: Send + Sync + 'static;

    /// Does the work once. Safe to repeat.
    fn run(
        &self,
        deps: &Self::Deps,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<Done, JobError>> + Send;

    /// Records that this job has failed for good, for the reason given.
    fn give_up(
        &self,
        deps: &Self::Deps,
        attempt: &Attempt,
        reason: &str,
    ) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// How long and how often a job may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Failed attempts after which it is given up.
    pub attempts: u32,
    /// Wall-clock time of one attempt.
    pub wall_clock: Duration,
}

/// The facts of this one try.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The token that fences every durable effect of this try.
    pub fence: Fence,
    /// Failed attempts before this one.
    pub failed_before: u32,
    /// The job's id in the queue, by which whoever asked for it finds what came of it.
    pub request: String,
    /// The trace that it is part of: jobs that come of it are as well.
    pub traceparent: Option<String>,
}

/// Whose job an id names: its kind and its library, in the form of [`id_prefix`] without its end.
fn owner(id: &str) -> &str {
    let end = id.match_indices(':').nth(1).map_or(id.len(), |(at, _)| at);
    &id[..end]
}

/// What the ids of all jobs of this kind begin with that belong to `library`, and of no other: a
/// library's name holds no colon.
pub fn id_prefix<J: Job>(library: &LibraryId) -> String {
    format!("{}:{library}:", J::NAME)
}

/// The queue's form of a job, in the upload lane.
///
/// # Errors
/// When it does not become JSON, which names and numbers always do.
fn queued<J: Job>(job: &J, id: String, origin: &Origin) -> Result<fleetq::NewJob, JobError> {
    let payload = serde_json::to_string(job)
        .map_err(|error| JobError::new(crate::fate::Fate::Poison, error.to_string()))?;
    Ok(origin.of(fleetq::NewJob::new(id, J::NAME, payload)))
}

/// Adds jobs to a queue. None of the answers where it is being drained and takes no jobs: what they
/// are about stands in the catalogue, and is offered again once somebody has resumed the queue.
///
/// # Errors
/// What the queue says.
pub async fn offer(
    queue: &fleetq::Queue,
    jobs: Vec<fleetq::NewJob>,
) -> Result<Option<Vec<Enqueued>>, QueueError> {
    match queue.enqueue_many(jobs).await {
        Err(QueueError::Draining { .. }) => Ok(None),
        answers => answers.map(Some),
    }
}

/// How a job ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The work is done.
    Finished,
    /// There was nothing to do, and why; not an error.
    Skipped(&'static str),
}
