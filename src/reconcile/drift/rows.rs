//! The catalogue compared with itself: photos that neither wait nor were seen, faces on nothing.

use fleetq::{Lane, NewJob};

use super::{Bounds, Cursor, DriftDeps, Found, PAGE};
use crate::catalog::{Library, WaitingImage};
use crate::jobs::{JobError, Origin, Source, offer};
use crate::names::ImageId;
use crate::reconcile::analyze_job;

/// A walk over all rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    cursor: Cursor,
}

impl Rows {
    /// Lost analyses and orphan faces of the next part.
    pub async fn look(
        &mut self,
        deps: &DriftDeps,
        libraries: &[Library],
        bounds: &Bounds,
        repair: bool,
    ) -> Result<(Found, Found), JobError> {
        let (mut lost, mut orphans) = (Found::default(), Found::default());
        let mut pace = bounds.pace(bounds.images);
        let from_the_beginning = self.cursor.is_at_the_beginning();
        let (rest, mut after) = self.cursor.rest(libraries);
        for library in rest {
            loop {
                if pace.is_over() {
                    return Ok((lost, orphans));
                }
                let page = deps.catalog.damage(&library.id, after.as_ref(), PAGE).await?;
                let Some(last) = page.last.clone() else { break };
                pace.took(page.looked_at as usize);
                for image in &page.lost {
                    lost.add_image(&library.id, image);
                }
                for image in page.orphan_faces.iter().chain(&page.strangers).chain(&page.remains) {
                    orphans.add_image(&library.id, image);
                }
                if repair && !page.is_none() {
                    let mended = deps.catalog.mend(&library.id, &page).await?;
                    enqueue(deps, library, &mended.lost).await?;
                    lost.repaired += mended.lost.len() as u64;
                    let parts = [&mended.orphan_faces, &mended.strangers, &mended.remains];
                    orphans.repaired += parts.map(Vec::len).iter().sum::<usize>() as u64;
                }
                self.cursor.set(&library.id, &last);
                after = Some(last);
            }
            after = None;
        }
        self.cursor = Cursor::default();
        (lost.whole, orphans.whole) = (from_the_beginning, from_the_beginning);
        Ok((lost, orphans))
    }
}

/// Photos that wait again get their jobs at once: else they would wait until they are overdue.
async fn enqueue(deps: &DriftDeps, library: &Library, images: &[ImageId]) -> Result<(), JobError> {
    let Some(queue) = deps.queues.first().filter(|_| !images.is_empty()) else { return Ok(()) };
    let standing = deps.catalog.standing(&library.id, images).await?;
    let origin = Origin::new(Source::Reconcile);
    let jobs = deps.catalog.paths_of(&library.id, images).await?.into_iter();
    let jobs = jobs.filter_map(|(image, path)| {
        let revision = standing.get(&image)?.revision;
        let waiting = WaitingImage { image, path, revision };
        Some(analyze_job(&library.id, &waiting, Lane::Upload, &origin))
    });
    let jobs: Vec<NewJob> = jobs.collect();
    // One that is being drained takes them from reconciliation, later.
    offer(queue, jobs).await?;
    Ok(())
}
