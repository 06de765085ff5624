//! Puts what the catalogue says is waiting back into the queue.
//!
//! Redis holds who works on what now and may be emptied at any moment; the catalogue knows which
//! images are still to be analyzed. A job that lives in the queue already is refused there by its
//! id, so a walk over everything changes nothing where nothing is missing.

pub mod details;
pub mod drift;
pub mod quarantine;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fleetq::{Enqueued, Lane, Mode, NewJob, Place, Queue};
use jiff::{SignedDuration, Timestamp};

use crate::board::{Board, Epoch};
use crate::catalog::{Catalog, WaitingImage};
use crate::jobs::{AnalyzeImage, Job, JobError, Origin, Source, id_prefix, offer};
use crate::names::{ImageId, LibraryId};
use crate::telemetry::metrics;

/// Images read from the catalogue and offered to the queue at once.
const PAGE: u64 = 500;
/// Pages of one step: a second or two of work.
const PAGES_A_STEP: usize = 20;
/// An image that has waited this long without news may have lost its job.
const OVERDUE: SignedDuration = SignedDuration::from_mins(1);
/// Time between two walks over the overdue images.
const WALK_EVERY: Duration = Duration::from_mins(1);

/// What a walk did.
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
pub fn analyze_job(
    library: &LibraryId,
    waiting: &WaitingImage,
    lane: Lane,
    origin: &Origin,
) -> NewJob {
    let job = AnalyzeImage {
        library: library.clone(),
        image: waiting.image.clone(),
        path: waiting.path.clone(),
        revision: waiting.revision,
    };
    let payload = serde_json::to_string(&job).expect("names and numbers are always JSON");
    origin.of(NewJob::new(job.id(), AnalyzeImage::NAME, payload).in_lane(lane))
}

/// Walks the catalogue in bounded steps, so that a leader with a million waiting images still
/// relays events, announces generations and stops when it is told to.
#[derive(Debug, Default)]
pub struct Reconciler {
    walk: Option<Walk>,
    walked: Option<Instant>,
    /// The queue takes no jobs: what was recorded meanwhile is offered once it does again.
    closed: bool,
}

/// One walk over the waiting images of all libraries.
#[derive(Debug)]
struct Walk {
    /// Redis was empty at its start: every waiting image is offered, not only the overdue ones.
    emptied: bool,
    older_than: Option<Timestamp>,
    libraries: VecDeque<LibraryId>,
    after: Option<ImageId>,
    pass: Pass,
}

impl Reconciler {
    /// Does the next bounded piece of work, if there is any. Where Redis has no epoch, every
    /// waiting image is offered to the queue, and only then the epoch stands; where the queue was
    /// drained and is resumed, every waiting image is offered as well; else the overdue ones are,
    /// once a minute. Answers what a walk did when it has come to its end.
    ///
    /// # Errors
    /// When the catalogue or Redis is away; the next call goes on where this one stopped.
    pub async fn step(
        &mut self,
        catalog: &Catalog,
        board: &Board,
        queue: &Queue,
        now: Timestamp,
    ) -> Result<Option<Pass>, JobError> {
        let draining = queue.depth().await?.mode == Mode::Draining;
        if draining {
            self.close();
            return Ok(None);
        }
        if let Some(emptied) = self.walk_to_begin(board.epoch().await?) {
            if emptied {
                board.begin_epoch().await?;
            }
            let libraries = catalog.libraries().await?;
            let reopened = std::mem::take(&mut self.closed);
            let all = emptied || reopened;
            self.walk = Some(Walk {
                emptied,
                older_than: (!all).then(|| now - OVERDUE),
                libraries: libraries.into_iter().map(|library| library.id).collect(),
                after: None,
                pass: Pass::default(),
            });
        }
        let Some(walk) = &mut self.walk else { return Ok(None) };
        for _ in 0..PAGES_A_STEP {
            match walk.offer_page(catalog, queue).await? {
                Page::Offered => {}
                Page::Last => return self.end(board).await,
                Page::Refused => {
                    self.close();
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// A walk that the drain cut short begins anew after it.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            tracing::info!(
                "the queue is being drained: waiting images are offered when it is resumed"
            );
        }
        self.walk = None;
    }

    /// Whether a walk is to begin now, and whether over everything.
    #[expect(clippy::match_same_arms, reason = "each case has its own reason")]
    fn walk_to_begin(&self, epoch: Epoch) -> Option<bool> {
        let over_all = self.walk.as_ref().map(|walk| walk.emptied);
        match (epoch, over_all) {
            // Emptied, perhaps in the middle of a walk: what was offered is gone.
            (Epoch::None, _) => Some(true),
            // Begun by this process, which goes on.
            (Epoch::Begun, Some(true)) => None,
            // Begun by a leader that is gone.
            (Epoch::Begun, _) => Some(true),
            (Epoch::Stands, Some(_)) => None,
            (Epoch::Stands, None) => {
                let due = self.walked.is_none_or(|at| at.elapsed() >= WALK_EVERY);
                (due || self.closed).then_some(false)
            }
        }
    }

    async fn end(&mut self, board: &Board) -> Result<Option<Pass>, JobError> {
        let Some(walk) = &self.walk else { return Ok(None) };
        let pass = walk.pass;
        if walk.emptied {
            if !board.complete_epoch().await? {
                // Emptied again meanwhile: the next step begins anew.
                self.walk = None;
                return Ok(None);
            }
            tracing::info!(
                waiting = pass.waiting,
                enqueued = pass.enqueued,
                "Redis was empty: every waiting image is in the queue again"
            );
        } else if pass.enqueued > 0 {
            tracing::warn!(enqueued = pass.enqueued, "images waited without a job: enqueued again");
        }
        if pass.quarantined > 0 {
            tracing::warn!(
                images = pass.quarantined,
                "quarantined jobs are recorded on their images"
            );
        }
        self.walk = None;
        self.walked = Some(Instant::now());
        Ok(Some(pass))
    }
}

/// What came of one page.
enum Page {
    Offered,
    /// There was none any more.
    Last,
    /// The queue takes no jobs.
    Refused,
}

impl Walk {
    /// Offers the next page.
    async fn offer_page(&mut self, catalog: &Catalog, queue: &Queue) -> Result<Page, JobError> {
        let Some(library) = self.libraries.front().cloned() else { return Ok(Page::Last) };
        let page = catalog.waiting(&library, self.after.as_ref(), PAGE, self.older_than).await?;
        let Some(last) = page.last() else {
            self.libraries.pop_front();
            self.after = None;
            return Ok(Page::Offered);
        };
        let next = last.image.clone();
        let origin = Origin::new(Source::Reconcile);
        // What is only done again stays behind uploads, also in a Redis that was emptied.
        let seen = catalog.seen_among(&library, &page).await?;
        let lane = |waiting: &WaitingImage| {
            if seen.contains(&waiting.image) { Lane::Backfill } else { Lane::Upload }
        };
        let job = |waiting| analyze_job(&library, waiting, lane(waiting), &origin);
        let jobs: Vec<NewJob> = page.iter().map(job).collect();
        let ids: Vec<String> = jobs.iter().map(|job| job.id.clone()).collect();
        let Some(answers) = offer(queue, jobs).await? else { return Ok(Page::Refused) };
        for ((waiting, id), answer) in page.iter().zip(&ids).zip(answers) {
            match answer {
                Enqueued::Added => {
                    self.pass.enqueued += 1;
                    ::metrics::counter!(metrics::RECONCILED_TOTAL).increment(1);
                }
                Enqueued::Duplicate(Place::Dead) => {
                    let told = tell_quarantine(catalog, queue, &library, waiting, id).await?;
                    self.pass.quarantined += usize::from(told);
                }
                Enqueued::Duplicate(_) => {}
            }
        }
        self.pass.waiting += page.len();
        self.after = Some(next);
        if catalog.library(&library).await?.is_none() {
            // Purged since the page was read: the purge may have looked at the queue already.
            queue.discard(&id_prefix::<AnalyzeImage>(&library)).await?;
        }
        Ok(Page::Offered)
    }
}

/// The queue quarantined this image's job after too many starts; no worker was left to say so on
/// the image. Answers whether it is recorded now.
async fn tell_quarantine(
    catalog: &Catalog,
    queue: &Queue,
    library: &LibraryId,
    waiting: &WaitingImage,
    id: &str,
) -> Result<bool, JobError> {
    let Some(dead) = queue.state(id).await?.filter(|job| job.place == Place::Dead) else {
        return Ok(false);
    };
    quarantine::fail(catalog, library, &waiting.image, waiting.revision, &dead).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(walk: Option<bool>) -> Reconciler {
        let walk = walk.map(|emptied| Walk {
            emptied,
            older_than: None,
            libraries: VecDeque::new(),
            after: None,
            pass: Pass::default(),
        });
        Reconciler { walk, walked: Some(Instant::now()), closed: false }
    }

    #[test]
    fn a_walk_over_everything_begins_where_an_epoch_was_lost() {
        for walk in [None, Some(false), Some(true)] {
            assert_eq!(with(walk).walk_to_begin(Epoch::None), Some(true), "{walk:?}");
        }
        assert_eq!(with(None).walk_to_begin(Epoch::Begun), Some(true), "another's walk");
        assert_eq!(with(Some(true)).walk_to_begin(Epoch::Begun), None, "one's own walk");
        assert_eq!(with(None).walk_to_begin(Epoch::Stands), None, "walked a moment ago");
        assert_eq!(Reconciler::default().walk_to_begin(Epoch::Stands), Some(false));
        let reopened = Reconciler { closed: true, ..with(None) };
        assert_eq!(reopened.walk_to_begin(Epoch::Stands), Some(false), "resumed after a drain");
    }
}
