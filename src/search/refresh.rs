//! Keeps a tail equal to what the catalogue has and the index has not.
//!
//! Where the snapshot took the whole library, only what was stored since it began is read. Where
//! it did not (a limited export, images that were being analyzed again), everything is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::SearchError;
use super::tail::{RowsById, Tail, Taken};
use crate::catalog::{Catalog, CatalogError, TailCursor};
use crate::generation::Generation;
use crate::names::{GenerationNumber, LibraryId, SpaceId};

/// Rows read at once.
const PAGE: u64 = 1000;
/// Rows are dated by their writers' clocks: what was stored this long before the snapshot began
/// is read as well.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_secs(120);
/// Rows are dated before their transaction ends, so one may appear after a later-dated one. Each
/// refresh begins this long before the newest row it has seen; reading a row twice is harmless.
const OVERLAP: SignedDuration = SignedDuration::from_secs(5);
/// Exports looked through for the one that a generation was learned from.
const EXPORTS: u64 = 100;

/// A tail and how far it was read.
#[derive(Default)]
pub(super) struct FollowedTail {
    generation: Option<GenerationNumber>,
    /// When the rows were stored that are read next.
    next: Timestamp,
    indexed: RowsById,
    tail: Tail,
    /// Whether it is known that nothing older than the tail is missing from the index.
    is_complete: bool,
    has_warned: bool,
}

impl FollowedTail {
    /// Reads what was stored since the last call and gives the tail of this moment, with the rows
    /// of the index by id. Begins anew when the generation has changed.
    ///
    /// # Errors
    /// A catalogue that does not answer; what was read until then is kept.
    pub async fn refresh(
        &mut self,
        catalog: &Catalog,
        library: &LibraryId,
        space: &SpaceId,
        generation: Option<&Arc<Generation>>,
    ) -> Result<(Tail, RowsById), SearchError> {
        let number = generation.map(|learned| learned.number);
        if self.generation != number {
            *self = Self::begin(generation).await?;
        }
        let generation = generation.map(|learned| &**learned);
        let Some(learned) = generation.filter(|_| !self.is_complete) else {
            self.read(catalog, library, space, generation).await?;
            return Ok((self.tail.clone(), self.indexed.clone()));
        };
        let is_whole = !was_limited(catalog, library, learned).await? && {
            // Counted before the reading: what is stored between the two must not look missing.
            // Images that are removed and still in the index can hide as many that are missing,
            // which is why a limit was asked about for itself.
            let stored = catalog.analyses_count(library, None).await?;
            self.read(catalog, library, space, generation).await?;
            let absent = self.tail.absent_from(&learned.index, &self.indexed);
            let held = (learned.index.len() + absent) as u64;
            // The first count is cheap and includes other packs' images, the second does not.
            stored <= held || catalog.analyses_count(library, Some(space)).await? <= held
        };
        if !is_whole {
            self.next = Timestamp::UNIX_EPOCH;
            self.read(catalog, library, space, generation).await?;
        }
        self.is_complete = true;
        Ok((self.tail.clone(), self.indexed.clone()))
    }

    /// An empty tail that begins where the snapshot of `generation` began, else at the beginning.
    async fn begin(generation: Option<&Arc<Generation>>) -> Result<Self, SearchError> {
        let Some(learned) = generation.map(Arc::clone) else { return Ok(Self::default()) };
        let number = learned.number;
        let next = learned.manifest.snapshot.started_at() - CLOCK_SKEW_MAX;
        let indexed = tokio::task::spawn_blocking(move || RowsById::of(&learned.index));
        let indexed = indexed.await.map_err(|error| SearchError::broke(&error))?;
        Ok(Self { generation: Some(number), next, indexed, ..Self::default() })
    }

    /// Reads on to the newest row.
    async fn read(
        &mut self,
        catalog: &Catalog,
        library: &LibraryId,
        space: &SpaceId,
        generation: Option<&Generation>,
    ) -> Result<(), CatalogError> {
        let since = self.next;
        let mut cursor: Option<TailCursor> = None;
        loop {
            let page = catalog.analyses_since(library, space, since, cursor.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            cursor = Some(last.cursor());
            self.next = self.next.max(last.stored_at - OVERLAP);
            for row in &page {
                let indexed = generation
                    .and_then(|learned| self.indexed.vector(&learned.index, row.image.as_str()));
                if self.tail.take(&row.image, &row.embedding, indexed) == Taken::Refused {
                    self.warn(library);
                }
            }
            if (page.len() as u64) < PAGE {
                return Ok(());
            }
        }
    }

    fn warn(&mut self, library: &LibraryId) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::error!(
                %library,
                "more images than fit beside the index are not searchable by meaning; \
                 `eyefleet export` without --limit and a training bring them into the index"
            );
        }
    }
}

/// Whether the generation's snapshot may have left images out because only so many were asked for.
async fn was_limited(
    catalog: &Catalog,
    library: &LibraryId,
    learned: &Generation,
) -> Result<bool, CatalogError> {
    let exports = catalog.exports(library, EXPORTS).await?;
    let snapshot = learned.manifest.snapshot.as_str();
    let export = exports.iter().find(|export| export.export == snapshot);
    Ok(export.is_some_and(|export| {
        let seen = export.images + export.skipped.values().sum::<u64>();
        export.since.is_some() || export.limit.is_some_and(|limit| seen >= limit)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{NewAnalysis, Outcome, Stage, Upload};
    use crate::clock::Clock;
    use crate::generation::samples;
    use crate::names::{Fence, ImageId, RelativePath};

    struct Story {
        catalog: Catalog,
        clock: Clock,
        learned: Arc<Generation>,
        tail: FollowedTail,
        _folder: tempfile::TempDir,
    }

    /// A generation whose index holds img-000000 to img-000005, and an empty catalogue a second
    /// before its snapshot began.
    async fn story() -> Story {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::published(folder.path(), &[1]);
        let learned = Arc::new(store.open(GenerationNumber(1), None).unwrap());
        let before = SignedDuration::from_secs(1);
        let clock = Clock::held_at(learned.manifest.snapshot.started_at() - before);
        let url = crate::catalog::tests::database(folder.path()).await;
        let catalog = Catalog::open(&url, clock.clone()).await.unwrap();
        catalog.ensure_library(&LibraryId::main(), folder.path()).await.unwrap();
        Story { catalog, clock, learned, tail: FollowedTail::default(), _folder: folder }
    }

    impl Story {
        async fn store(&self, image: &ImageId, embedding: &[f32]) {
            let library = LibraryId::main();
            let upload = Upload {
                image: image.clone(),
                path: RelativePath::new(image.as_str()).unwrap(),
                bytes: None,
                content_hash: None,
                stamp: None,
                source: "story".to_owned(),
            };
            self.catalog.record_uploads(&library, &[upload]).await.unwrap();
            let record = self.catalog.image(&library, image).await.unwrap().unwrap();
            let new = NewAnalysis {
                width: 1,
                height: 1,
                content_hash: None,
                space: samples::space(),
                embedding: embedding.to_vec(),
                pack: "story@1.0.0".to_owned(),
                tags: Vec::new(),
                categories: Vec::new(),
                description: None,
                detailed_description: None,
                enriched: None,
                faces: None,
                outcomes: vec![Outcome::done(Stage::Embed)],
                event: None,
            };
            let fence = Fence(self.clock.now().as_microsecond());
            let stored = self.catalog.store_analysis(&library, image, record.revision, fence, &new);
            assert_eq!(stored.await.unwrap(), crate::catalog::Stored::Stored);
        }

        /// Which of `images` the tail holds after a refresh.
        async fn held(&mut self, images: &[ImageId]) -> Vec<String> {
            let (library, space) = (LibraryId::main(), samples::space());
            let learned = Some(&self.learned);
            let (tail, _) =
                self.tail.refresh(&self.catalog, &library, &space, learned).await.unwrap();
            let held = images.iter().filter(|image| tail.holds(image.as_str()));
            held.map(ToString::to_string).collect()
        }
    }

    #[tokio::test]
    async fn what_was_stored_just_before_the_snapshot_is_left_to_the_index() {
        let mut story = story().await;
        let mut images = samples::ids(6);
        for (row, image) in images.iter().enumerate() {
            let vector = story.learned.index.vector(row as u32).to_vec();
            story.store(image, &vector).await;
        }
        assert_eq!(story.held(&images).await, Vec::<String>::new());
        story.clock.advance(SignedDuration::from_secs(9));
        images.push(ImageId::new("new").unwrap());
        story.store(&images[6], &[1.0, 0.0, 0.0, 0.0]).await;
        story.store(&images[2], &[0.0, 1.0, 0.0, 0.0]).await;
        assert_eq!(story.held(&images).await, ["img-000002", "new"]);
    }

    #[tokio::test]
    async fn a_tail_that_follows_reads_only_what_is_newer() {
        let mut story = story().await;
        assert_eq!(story.held(&[]).await, Vec::<String>::new());
        assert!(story.tail.is_complete);
        let begin = story.learned.manifest.snapshot.started_at() - CLOCK_SKEW_MAX;
        assert_eq!(story.tail.next, begin, "an empty tail does not begin at the beginning");
        let image = ImageId::new("new").unwrap();
        story.store(&image, &[1.0, 0.0, 0.0, 0.0]).await;
        assert_eq!(story.held(std::slice::from_ref(&image)).await, ["new"]);
        assert_eq!(story.tail.next, story.clock.now() - OVERLAP);
    }
}
