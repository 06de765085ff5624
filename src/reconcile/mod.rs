//! Puts what the catalogue says is waiting back into the queue.
//!
//! Redis holds who works on what now and may be emptied at any moment; the catalogue knows which
//! images are still to be analyzed. A job that lives in the queue already is refused there by its
//! id, so a pass over everything changes nothing where nothing is missing.

use std::time::Duration;

use fleetq::{Enqueued, Lane, NewJob, Place, Queue};
use jiff::{SignedDuration, Timestamp};

use crate::board::Board;
use crate::catalog::{Catalog, Stage, Stored, WaitingImage};
use crate::jobs::{AnalyzeImage, Job, JobError};
use crate::names::{Fence, LibraryId};
use crate::telemetry::metrics;

/// Images read from the catalogue and offered to the queue at once.
const PAGE: u64 = 500;
/// An image that has waited this long without news may have lost its job.
const OVERDUE: Duration = Duration::from_mins(1);

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Waiting images looked at.
    pub waiting: usize,
    /// Jobs that were missing and are in the queue now.
    pub enqueued: usize,
    /// Images whose job had been quarantined, which is recorded on them now.
    pub quarantined: usize,
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
        tracing::info!(
            waiting = pass.waiting,
            enqueued = pass.enqueued,
            "Redis was empty: every waiting image is in the queue again"
        );
    } else if pass.quarantined > 0 {
        tracing::warn!(images = pass.quarantined, "quarantined jobs are recorded on their images");
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
        let jobs: Vec<NewJob> =
            page.iter().map(|waiting| analyze_job(library, waiting, Lane::Upload)).collect();
        let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
        let answers = queue.enqueue_many(jobs).await?;
        for ((waiting, id), answer) in page.iter().zip(&ids).zip(answers) {
            match answer {
                Enqueued::Added => pass.enqueued += 1,
                Enqueued::Duplicate(Place::Dead) => {
                    pass.quarantined +=
                        record_quarantine(catalog, queue, library, waiting, id).await?;
                }
                Enqueued::Duplicate(_) => {}
            }
        }
    }
}

/// The queue quarantined this image's job after too many starts; no worker was left to say so on
/// the image. Returns 1 where it is recorded now.
async fn record_quarantine(
    catalog: &Catalog,
    queue: &Queue,
    library: &LibraryId,
    waiting: &WaitingImage,
    id: &str,
) -> Result<usize, JobError> {
    let Some(dead) = queue.state(id).await?.filter(|job| job.place == Place::Dead) else {
        return Ok(0);
    };
    let cause = dead.failure.map_or_else(String::new, |failure| failure.cause);
    let reason = format!("its analysis was quarantined: {cause}");
    let fence = Fence(dead.token);
    let stored = catalog
        .fail_image(library, &waiting.image, waiting.revision, fence, &reason, Stage::ALL)
        .await?;
    Ok(usize::from(stored == Stored::Stored))
}
