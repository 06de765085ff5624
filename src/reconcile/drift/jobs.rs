//! The catalogue compared with the queue, from both sides, and the queue with its own leases.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime};

use fleetq::{Enqueued, JobState, Lane, Mode, NewJob, Place, Queue};
use jiff::Timestamp;

use super::{Bounds, Cursor, DriftDeps, Found, PAGE, STANDS};
use crate::catalog::{Library, StageState, WaitingImage};
use crate::jobs::{JobError, Origin, Source, offer};
use crate::names::{ImageId, LibraryId};
use crate::reconcile::analyze_job;
use crate::reconcile::quarantine::{LetterPhoto, photo_of};
use crate::telemetry::metrics;

/// Jobs that one call removes.
const DISCARD_PART: usize = 250;
/// Looks for ended leases until they must have been found: after a silence, their holders get a few
/// seconds first.
const REAPS: usize = 10;
/// Longest time between two of them.
const REAP_EVERY_MAX: Duration = Duration::from_secs(1);
/// How long after its end a lease is taken from its holder at the latest, where any worker runs.
const REAPED_WITHIN: Duration = Duration::from_secs(30);

/// A walk over the photos that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    cursor: Cursor,
}

impl Waiting {
    /// Photos that have waited for a minute without a job.
    pub async fn look(
        &mut self,
        deps: &DriftDeps,
        queue: &Queue,
        libraries: &[Library],
        now: Timestamp,
        bounds: &Bounds,
        repair: bool,
    ) -> Result<Found, JobError> {
        let mut found = Found::default();
        if queue.depth().await?.mode == Mode::Draining {
            // It takes no jobs: what waits is offered when it is resumed.
            return Ok(found);
        }
        let mut pace = bounds.pace(bounds.images);
        let from_the_beginning = self.cursor.is_at_the_beginning();
        let (rest, mut after) = self.cursor.rest(libraries);
        for library in rest {
            loop {
                if pace.is_over() {
                    return Ok(found);
                }
                let since = Some(now - STANDS);
                let page = deps.catalog.waiting(&library.id, after.as_ref(), PAGE, since).await?;
                let Some(last) = page.last().map(|waiting| waiting.image.clone()) else { break };
                pace.took(page.len());
                let missing = without_job(deps, queue, &library.id, &page).await?;
                for (image, _) in &missing {
                    found.add_image(&library.id, image);
                }
                if repair && !missing.is_empty() {
                    let jobs = missing.into_iter().map(|(_, job)| job).collect();
                    let answers = offer(queue, jobs).await?.unwrap_or_default();
                    let added = answers.iter().filter(|it| matches!(it, Enqueued::Added)).count();
                    found.repaired += added as u64;
                    ::metrics::counter!(metrics::RECONCILED_TOTAL).increment(added as u64);
                }
                self.cursor.set(&library.id, &last);
                after = Some(last);
            }
            after = None;
        }
        self.cursor = Cursor::default();
        found.whole = from_the_beginning;
        Ok(found)
    }
}

/// Those of `page` that no job is about, with the job that is missing. One that was finished between
/// the two questions does not wait any more.
async fn without_job(
    deps: &DriftDeps,
    queue: &Queue,
    library: &LibraryId,
    page: &[WaitingImage],
) -> Result<Vec<(ImageId, NewJob)>, JobError> {
    let origin = Origin::new(Source::Reconcile);
    // As in the walk that follows an emptied Redis: what is only done again stays behind uploads.
    let seen = deps.catalog.seen_among(library, page).await?;
    let lane = |waiting: &WaitingImage| {
        if seen.contains(&waiting.image) { Lane::Backfill } else { Lane::Upload }
    };
    let job = |waiting| analyze_job(library, waiting, lane(waiting), &origin);
    let jobs: Vec<NewJob> = page.iter().map(job).collect();
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let known: HashSet<String> =
        queue.states(&ids).await?.into_iter().map(|state| state.id).collect();
    let mut missing: Vec<(ImageId, NewJob)> = page
        .iter()
        .zip(jobs)
        .filter(|(_, job)| !known.contains(&job.id))
        .map(|(waiting, job)| (waiting.image.clone(), job))
        .collect();
    if !missing.is_empty() {
        let images: Vec<ImageId> = missing.iter().map(|(image, _)| image.clone()).collect();
        let still = deps.catalog.in_state(library, &images, StageState::Waiting).await?;
        missing.retain(|(image, _)| still.contains(image));
    }
    Ok(missing)
}

/// A walk over the jobs that wait.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    cursor: u64,
}

impl Jobs {
    /// Jobs that wait, and whose photo was removed or changed a minute ago or earlier.
    pub async fn without_image(
        &mut self,
        deps: &DriftDeps,
        queue: &Queue,
        now: Timestamp,
        bounds: &Bounds,
        repair: bool,
    ) -> Result<Found, JobError> {
        let mut found = Found::default();
        let mut pace = bounds.pace(bounds.jobs);
        let from_the_beginning = self.cursor == 0;
        let mut useless = Vec::new();
        while !pace.is_over() {
            let part = queue.jobs_part(self.cursor).await?;
            pace.took(part.jobs.len().max(1));
            for id in useless_among(deps, &part.jobs, now).await? {
                found.add(|| id.clone());
                useless.push(id);
            }
            self.cursor = part.next.unwrap_or(0);
            if self.cursor == 0 {
                found.whole = from_the_beginning;
                break;
            }
        }
        if repair {
            useless.truncate(bounds.discards);
            for ids in useless.chunks(DISCARD_PART) {
                found.repaired += queue.discard_ids(ids).await?.jobs;
            }
        }
        Ok(found)
    }
}

/// The ids of those jobs that wait for nothing.
async fn useless_among(
    deps: &DriftDeps,
    jobs: &[JobState],
    now: Timestamp,
) -> Result<Vec<String>, JobError> {
    // A claimed one ends by itself, a dead letter is a person's to forget.
    let waits = |job: &&JobState| matches!(job.place, Place::Ready | Place::Scheduled);
    let mut by_library: BTreeMap<LibraryId, Vec<(&JobState, LetterPhoto)>> = BTreeMap::new();
    for job in jobs.iter().filter(waits) {
        if let Some(photo) = photo_of(job) {
            by_library.entry(photo.library.clone()).or_default().push((job, photo));
        }
    }
    let mut useless = Vec::new();
    for (library, jobs) in by_library {
        let is_known = deps.catalog.library(&library).await?.is_some();
        let images: Vec<ImageId> = jobs.iter().map(|(_, photo)| photo.image.clone()).collect();
        let standing = deps.catalog.standing(&library, &images).await?;
        for (job, photo) in jobs {
            let is_useless = match standing.get(&photo.image) {
                Some(image) if is_known => {
                    let is_other = image.removed || image.revision != photo.revision;
                    is_other && image.updated_at < now - STANDS
                }
                // A photo is recorded before its job.
                _ => true,
            };
            if is_useless {
                useless.push(job.id.clone());
            }
        }
    }
    Ok(useless)
}

/// Jobs of all queues whose lease ended long ago: no worker of that queue runs that would notice.
pub(super) async fn stuck(
    deps: &DriftDeps,
    now: Timestamp,
    repair: bool,
) -> Result<Found, JobError> {
    let mut found = Found { whole: true, ..Found::default() };
    for queue in &deps.queues {
        let depth = queue.depth().await?;
        if depth.claimed == 0 {
            continue;
        }
        let stuck = stuck_in(queue, now.into()).await?;
        for id in &stuck {
            found.add(|| id.clone());
        }
        if repair && !stuck.is_empty() {
            found.repaired += reap(queue, stuck.len()).await?;
        }
    }
    Ok(found)
}

async fn stuck_in(queue: &Queue, now: SystemTime) -> Result<Vec<String>, JobError> {
    let patience = queue.settings().lease + REAPED_WITHIN;
    let is_stuck = |job: &JobState| {
        let ended = job.until.filter(|_| job.place == Place::Claimed);
        ended.is_some_and(|ended| ended + patience < now)
    };
    let leases = queue.claimed(PAGE as usize).await?;
    Ok(leases.into_iter().filter(is_stuck).map(|job| job.id).collect())
}

/// Answers how many of `count` jobs are back.
async fn reap(queue: &Queue, count: usize) -> Result<u64, JobError> {
    let every = (queue.settings().lease / 4).min(REAP_EVERY_MAX);
    let mut back = 0;
    for _ in 0..REAPS {
        let reaped = queue.reap(DISCARD_PART).await?;
        back += reaped.returned + reaped.quarantined;
        if back >= count {
            break;
        }
        tokio::time::sleep(every).await;
    }
    Ok(back.min(count) as u64)
}
