//! Puts what the catalogue says is waiting back into the queue.
//!
//! Redis holds who works on what now and may be emptied at any moment; the catalogue knows which
//! images are still to be analyzed. A job that lives in the queue already is refused there by its
//! id, so a pass over everything changes nothing where nothing is missing.

use std::time::Duration;

use fleetq::{Enqueued, Lane, NewJob, Queue};
use jiff::{SignedDuration, Timestamp};

use crate::board::Board;
use crate::catalog::{Catalog, WaitingImage};
use crate::jobs::{AnalyzeImage, Job, JobError};
use crate::names::LibraryId;
use crate::telemetry::metrics;

/// Images read from the catalogue and offered to the queue at once.
const PAGE: u64 = 500;
/// An image that has waited this long without news may have lost its job.
const OVERDUE: Duration = Duration::from_secs(60);

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Waiting images looked at.
    pub waiting: usize,
    /// Jobs that were missing and are in the queue now.
    pub enqueued: usize,
}

/// The queue's form of an analysis.
pub fn analyze_job(library: &LibraryId, waiting: &WaitingImage, lane: Lane) -> NewJob {
    let job = AnalyzeImage {
        library: library.clone(),
        image: waiting.image.clone(),
        path: waiting.path.clone(),
        revision: waiting.revision,
    };
    let payload = serde_json::to_string(&job).expect("names and numbers are always JSON");
    NewJob::new(job.id(), AnalyzeImage::NAME, payload).in_lane(lane)
}

/// Where Redis has lost its epoch, offers every waiting image to the queue and begins a new one;
/// else only the overdue ones.
///
/// # Errors
/// When the catalogue or Redis is away; the epoch is then not begun, and the next pass repeats.
pub async fn reconcile(
    catalog: &Catalog,
    board: &Board,
    queue: &Queue,
    now: Timestamp,
) -> Result<Pass, JobError> {
    let emptied = !board.epoch_stands().await?;
    let older_than = if emptied {
        None
    } else {
        let overdue = SignedDuration::try_from(OVERDUE).expect("a minute fits");
        Some(now - overdue)
    };
    let mut pass = Pass::default();
    for library in catalog.libraries().await? {
        offer_waiting(catalog, queue, &library.id, older_than, &mut pass).await?;
    }
    if emptied {
        board.begin_epoch().await?;
        tracing::info!(waiting = pass.waiting, enqueued = pass.enqueued, "Redis was empty: every waiting image is in the queue again");
    } else if pass.enqueued > 0 {
        tracing::warn!(enqueued = pass.enqueued, "images waited without a job: enqueued again");
    }
    ::metrics::counter!(metrics::RECONCILED_TOTAL).increment(pass.enqueued as u64);
    Ok(pass)
}

async fn offer_waiting(
    catalog: &Catalog,
    queue: &Queue,
    library: &LibraryId,
    older_than: Option<Timestamp>,
    pass: &mut Pass,
) -> Result<(), JobError> {
    let mut after = None;
    loop {
        let page = catalog.waiting(library, after.as_ref(), PAGE, older_than).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.image.clone());
        pass.waiting += page.len();
        let jobs = page.iter().map(|waiting| analyze_job(library, waiting, Lane::Upload)).collect();
        let answers = queue.enqueue_many(jobs).await?;
        pass.enqueued += answers.iter().filter(|answer| **answer == Enqueued::Added).count();
    }
}
