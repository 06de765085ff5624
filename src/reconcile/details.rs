//! Offers analyses that wait for a detailed description to the queue of those.
//!
//! The catalogue knows who waits, so the queue is only kept filled: a page at a time, and never
//! more than a worker will get through for a while. An emptied Redis, a photo that was analyzed a
//! moment ago and an Ollama that was named today are all the same case.

use std::time::{Duration, Instant};

use fleetq::{Enqueued, Lane, NewJob, Place, Queue};

use crate::catalog::{Catalog, Detail, WaitingImage};
use crate::jobs::{DescribeInDetail, Job, JobError, Origin, Source, id_prefix, offer};
use crate::names::{Fence, ImageId, LibraryId};

/// Images offered at once.
const PAGE: u64 = 500;
/// Jobs in the queue beyond which nothing is offered.
const UNFINISHED_MAX: u64 = 2000;

/// Time between two pages: what waits in the queue is offered again, and refused there.
const EVERY: Duration = Duration::from_secs(2);

/// Where the walk over the libraries goes on.
#[derive(Debug, Default)]
pub struct Details {
    stepped: Option<Instant>,
    at: Option<(LibraryId, Option<ImageId>)>,
}

impl Details {
    /// Offers the next page, if it is time for one; answers how many jobs were offered.
    ///
    /// # Errors
    /// When the catalogue or Redis is away.
    pub async fn step(&mut self, catalog: &Catalog, queue: &Queue) -> Result<usize, JobError> {
        if self.stepped.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(0);
        }
        self.stepped = Some(Instant::now());
        if queue.depth().await?.unfinished() >= UNFINISHED_MAX {
            return Ok(0);
        }
        let libraries = catalog.libraries().await?;
        let (first, mut after) = match self.at.take() {
            Some((library, after)) => {
                let at = libraries.partition_point(|one| one.id < library);
                let goes_on = libraries.get(at).is_some_and(|one| one.id == library);
                (at, after.filter(|_| goes_on))
            }
            None => (0, None),
        };
        for library in &libraries[first..] {
            let page = catalog.without_detail(&library.id, after.as_ref(), PAGE).await?;
            after = None;
            let Some(last) = page.last() else { continue };
            self.at = Some((library.id.clone(), Some(last.image.clone())));
            let origin = Origin::new(Source::Reconcile);
            let jobs = page.iter().map(|waiting| {
                let job = DescribeInDetail {
                    library: library.id.clone(),
                    image: waiting.image.clone(),
                    path: waiting.path.clone(),
                    revision: waiting.revision,
                };
                let payload = serde_json::to_string(&job).expect("names are always JSON");
                let new = NewJob::new(job.id(), DescribeInDetail::NAME, payload);
                origin.of(new.in_lane(Lane::Backfill))
            });
            let jobs: Vec<NewJob> = jobs.collect();
            let offered = jobs.len();
            let answers = offer(queue, jobs).await?.unwrap_or_default();
            for (waiting, answer) in page.iter().zip(answers) {
                if answer == Enqueued::Duplicate(Place::Dead) {
                    give_up(catalog, &library.id, waiting).await?;
                }
            }
            if catalog.library(&library.id).await?.is_none() {
                // Purged since the page was read: the purge may have looked at the queue already.
                queue.discard(&id_prefix::<DescribeInDetail>(&library.id)).await?;
            }
            return Ok(offered);
        }
        Ok(0)
    }
}

/// Its job was quarantined: it killed its workers, and they could not say so. Any token of a worker is
/// newer than this one.
async fn give_up(
    catalog: &Catalog,
    library: &LibraryId,
    waiting: &WaitingImage,
) -> Result<(), JobError> {
    let why = "its job was quarantined: `eyefleet queue dead detail` tells why, `eyefleet queue \
               redrive detail --all` tries again";
    let detail = Detail { model: String::new(), outcome: Err(why.to_owned()) };
    let (image, revision) = (&waiting.image, waiting.revision);
    let _superseded_where_it_was_described_meanwhile =
        catalog.store_detail(library, image, revision, Fence(0), &detail).await?;
    Ok(())
}
