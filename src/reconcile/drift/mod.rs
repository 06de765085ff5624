//! Drift: where catalogue, queue, originals and index say different things. Its target is zero.
//!
//! A round looks at a bounded part of each and the next one goes on there, so that a million photos
//! are compared without anybody noticing, and a small library in every round. What must stay true:
//! what passes by itself is not counted (a job that was claimed just now, a photo that was removed a
//! moment ago), so everything is looked at twice or has stood for a minute; repaired is only what is
//! safe to repair, and mending anything twice changes nothing.

mod index;
mod jobs;
mod leader;
mod originals;
mod rows;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fleetq::Queue;
use jiff::{SignedDuration, Timestamp};

pub use leader::follow;

use crate::catalog::{Catalog, Library};
use crate::clock::Clock;
use crate::jobs::JobError;
use crate::names::{ImageId, LibraryId};

/// Rows and files looked at in one question.
const PAGE: u64 = 500;
/// What has stood for less than this may pass by itself.
const STANDS: SignedDuration = SignedDuration::from_mins(1);
/// Examples that are told of one kind.
const EXAMPLES_MAX: usize = 5;

/// A kind of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A photo waits, and no job is about it.
    ImageWithoutJob,
    /// A job waits, and its photo is gone or has other content by now.
    JobWithoutImage,
    /// A job whose worker fell silent, and which nobody took from it.
    StuckJob,
    /// A photo that does not wait, and of which nothing is stored.
    LostAnalysis,
    /// Faces that hang on nothing, faces of unknown persons, rows of removed photos.
    OrphanFace,
    /// A photo whose original is gone.
    MissingOriginal,
    /// The current generation lacks files, holds photos that were gone before it was learned, or
    /// leaves so many out that search cannot hold them beside it.
    Index,
}

impl Kind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::ImageWithoutJob,
        Self::JobWithoutImage,
        Self::StuckJob,
        Self::LostAnalysis,
        Self::OrphanFace,
        Self::MissingOriginal,
        Self::Index,
    ];

    /// Its word in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageWithoutJob => "image_without_job",
            Self::JobWithoutImage => "job_without_image",
            Self::StuckJob => "stuck_job",
            Self::LostAnalysis => "lost_analysis",
            Self::OrphanFace => "orphan_face",
            Self::MissingOriginal => "missing_original",
            Self::Index => "index",
        }
    }

    /// Whether it is repaired without anybody being asked.
    pub fn is_repaired(self) -> bool {
        !matches!(self, Self::MissingOriginal | Self::Index)
    }
}

/// What was found of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// How many of them are repaired now.
    pub repaired: u64,
    /// Some of them, `library/image` or the id of a job.
    pub examples: Vec<String>,
    /// Whether everything was looked at, and not only a part.
    pub whole: bool,
}

impl Found {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }

    fn add_image(&mut self, library: &LibraryId, image: &ImageId) {
        self.add(|| format!("{library}/{image}"));
    }

    /// Adds what another part of the same walk found.
    pub fn and(&mut self, other: Self) {
        self.count += other.count;
        self.repaired += other.repaired;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
        self.whole &= other.whole;
    }
}

/// What one round found: by kind, or why a kind could not be looked at. Absent is what there was
/// nothing to compare with.
pub type Report = BTreeMap<Kind, Result<Found, String>>;

/// How much one round looks at.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Rows of the catalogue.
    pub images: u64,
    /// Jobs of a queue.
    pub jobs: u64,
    /// Files, each of which a network may be asked for.
    pub originals: u64,
    /// Jobs without an image that are removed: each 250 of them are a walk over the queue.
    pub discards: usize,
    /// Time for each look.
    pub time: Option<Duration>,
}

impl Bounds {
    /// A round of the leader. Once a minute, a million photos are compared in 40 minutes and their
    /// files looked for in 9 hours.
    pub const ROUND: Self =
        Self { images: 25_000, jobs: 25_000, originals: 2_000, discards: 1_000, time: None };
    /// Everything, however long it takes.
    pub const ALL: Self = Self {
        images: u64::MAX,
        jobs: u64::MAX,
        originals: u64::MAX,
        discards: usize::MAX,
        time: None,
    };

    /// As much as there is time for.
    pub fn within(time: Duration) -> Self {
        Self { time: Some(time), ..Self::ALL }
    }

    fn pace(&self, most: u64) -> Pace {
        Pace { left: most, until: self.time.map(|time| Instant::now() + time) }
    }
}

/// What is left of a bound.
struct Pace {
    left: u64,
    until: Option<Instant>,
}

impl Pace {
    fn is_over(&self) -> bool {
        self.left == 0 || self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn took(&mut self, some: usize) {
        self.left = self.left.saturating_sub(some as u64);
    }
}

/// What is compared.
#[derive(Clone)]
pub struct DriftDeps {
    /// What must be.
    pub catalog: Catalog,
    /// All queues, with `analyze` first; none where there is no Redis.
    pub queues: Vec<Queue>,
    /// The data folder.
    pub data: PathBuf,
    /// The time.
    pub clock: Clock,
}

/// Where a walk over the images of all libraries goes on.
#[derive(Debug, Clone, Default)]
struct Cursor {
    library: Option<LibraryId>,
    after: Option<ImageId>,
}

impl Cursor {
    fn is_at_the_beginning(&self) -> bool {
        self.library.is_none()
    }

    /// The libraries that are left, and where to go on in the first.
    fn rest<'a>(&self, libraries: &'a [Library]) -> (&'a [Library], Option<ImageId>) {
        let Some(library) = &self.library else { return (libraries, None) };
        let rest = &libraries[libraries.partition_point(|one| one.id < *library)..];
        let goes_on = rest.first().is_some_and(|one| one.id == *library);
        (rest, self.after.clone().filter(|_| goes_on))
    }

    fn set(&mut self, library: &LibraryId, after: &ImageId) {
        *self = Self { library: Some(library.clone()), after: Some(after.clone()) };
    }
}

/// Rounds that follow each other, and what has to be remembered between them.
#[derive(Debug, Default)]
pub struct Rounds {
    waiting: jobs::Waiting,
    jobs: jobs::Jobs,
    rows: rows::Rows,
    originals: originals::Originals,
    index: index::Indexes,
}

impl Rounds {
    /// Looks at the next part of everything, as things stand at `now`, and repairs what is safe where
    /// `repair` says so. A look that fails does not stop the others; it is repeated in the next round.
    pub async fn round(
        &mut self,
        deps: &DriftDeps,
        now: Timestamp,
        bounds: &Bounds,
        repair: bool,
    ) -> Report {
        let mut report = Report::new();
        let libraries = match deps.catalog.libraries().await {
            Ok(libraries) => libraries,
            Err(error) => {
                return Kind::ALL.map(|kind| (kind, Err(error.to_string()))).into();
            }
        };
        let mut tell = |kind, found: Result<Found, JobError>| {
            report.insert(kind, found.map_err(|error| error.to_string()));
        };
        // First: what is mended here waits afterwards.
        match self.rows.look(deps, &libraries, bounds, repair).await {
            Ok((lost, orphans)) => {
                tell(Kind::LostAnalysis, Ok(lost));
                tell(Kind::OrphanFace, Ok(orphans));
            }
            Err(error) => {
                let why = error.to_string();
                tell(Kind::LostAnalysis, Err(error));
                tell(Kind::OrphanFace, Err(JobError::new(crate::fate::Fate::Away, why)));
            }
        }
        if let Some(analyze) = deps.queues.first() {
            let found = self.waiting.look(deps, analyze, &libraries, now, bounds, repair).await;
            tell(Kind::ImageWithoutJob, found);
            let found = self.jobs.without_image(deps, analyze, now, bounds, repair).await;
            tell(Kind::JobWithoutImage, found);
            let found = jobs::stuck(deps, now, repair).await;
            tell(Kind::StuckJob, found);
        }
        tell(Kind::MissingOriginal, self.originals.look(deps, &libraries, bounds).await);
        tell(Kind::Index, self.index.look(deps, &libraries).await);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Kind::ALL.map(Kind::as_str).into();
        assert_eq!(words.len(), Kind::ALL.len());
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped_also_when_that_library_is_gone() {
        let library = |name: &str| Library {
            id: LibraryId::new(name).unwrap(),
            root: PathBuf::from("/photos"),
            created_at: Timestamp::UNIX_EPOCH,
            current: None,
            train_fence: crate::names::Fence(0),
            watched: false,
            mounts: Vec::new(),
        };
        let libraries = ["a", "c", "d"].map(library);
        let at = |name: &str| Cursor {
            library: Some(LibraryId::new(name).unwrap()),
            after: Some(ImageId::new("7").unwrap()),
        };
        let rest = |cursor: &Cursor| {
            let (rest, after) = cursor.rest(&libraries);
            (rest.len(), after.is_some())
        };
        assert_eq!(rest(&Cursor::default()), (3, false));
        assert_eq!(rest(&at("a")), (3, true));
        assert_eq!(rest(&at("b")), (2, false));
        assert_eq!(rest(&at("d")), (1, true));
        assert_eq!(rest(&at("e")), (0, false));
    }

    #[test]
    fn examples_are_few_and_counts_are_not() {
        let mut found = Found { whole: true, ..Found::default() };
        for number in 0..20 {
            found.add(|| number.to_string());
        }
        let mut more = Found::default();
        more.add(|| "x".to_owned());
        found.and(more);
        assert_eq!((found.count, found.examples.len(), found.whole), (21, EXAMPLES_MAX, false));
    }
}
