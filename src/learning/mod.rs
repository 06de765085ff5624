//! A snapshot -> what the library teaches: patterns, words, groups of faces, an index, a report.
//!
//! Files in, files out; nothing here knows Redis or the catalogue. The same snapshot gives the
//! same files byte for byte, except the report, which tells times. Learned words never teach
//! again: descriptions count without what an earlier generation appended.

mod categories;
mod corpus;
mod descriptions;
mod eps_graph;
mod error;
mod faces;
mod improved;
mod index;
mod need;
mod pickle;
mod report;
mod synonyms;
mod together;
mod words;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

pub use error::LearnError;
pub use faces::FaceOptions;
pub use report::{TopCategory, TrainingReport};

use crate::clock::Clock;
use crate::generation::{Publication, files};
use crate::names::GenerationNumber;
use crate::snapshot::durable::HashedFile;
use crate::snapshot::{Snapshot, SnapshotManifest};
use report::Course;

/// The number of vectors from which a graph is built; below it exact search is better in every
/// respect.
pub const EXACT_BELOW: usize = 50_000;

/// How to learn.
#[derive(Debug, Clone)]
pub struct LearnOptions {
    /// Dates the report.
    pub clock: Clock,
    /// With fewer vectors than this the index compares with all of them.
    pub exact_below: usize,
    /// Bytes that the process may take; `None` for as many as it likes.
    pub memory_max: Option<u64>,
    /// When two faces are alike; belongs to the recognition model.
    pub faces: FaceOptions,
}

impl Default for LearnOptions {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            exact_below: EXACT_BELOW,
            memory_max: None,
            faces: FaceOptions::default(),
        }
    }
}

/// The steps of a training, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Reading the snapshot.
    Read,
    /// What is typical of each category.
    Categories,
    /// What goes with the words of descriptions.
    Descriptions,
    /// Synonyms and related words.
    Words,
    /// Groups of faces.
    Faces,
    /// The index.
    Index,
    /// Descriptions with what was learned.
    Improve,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Categories,
        Self::Descriptions,
        Self::Words,
        Self::Faces,
        Self::Index,
        Self::Improve,
    ];

    /// The word used in reports, logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Categories => "categories",
            Self::Descriptions => "descriptions",
            Self::Words => "words",
            Self::Faces => "faces",
            Self::Index => "index",
            Self::Improve => "improve",
        }
    }
}

/// Told the step and how much of it is done, 0 to 1; `Break` stops the training.
pub type Progress<'a> = dyn FnMut(Step, f32) -> ControlFlow<()> + 'a;

/// What a training came to.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Also written as `training_report.json`.
    pub report: TrainingReport,
    /// What it was learned from.
    pub snapshot: SnapshotManifest,
}

impl Learned {
    /// What the generation's manifest needs to know.
    pub fn publication(
        &self,
        number: GenerationNumber,
        parent: Option<GenerationNumber>,
        created_at: Timestamp,
    ) -> Publication {
        Publication {
            number,
            parent,
            library: self.snapshot.library.clone(),
            snapshot: self.snapshot.id.clone(),
            space: self.snapshot.space.clone(),
            dim: self.snapshot.dim,
            created_at,
            counts: self.report.counts(),
            quality: self.report.quality(),
        }
    }
}

/// Learns from `snapshot` and writes every file of a generation but its manifest to `build_dir`.
/// Blocking and long: call it from a thread of its own. `progress` is asked often enough that a
/// stop takes effect within about a second.
///
/// # Errors
/// The snapshot is empty or damaged, the index cannot be made to find its own vectors, the disk
/// refuses, or `progress` says stop.
pub fn learn(
    snapshot: &Snapshot,
    build_dir: &Path,
    options: &LearnOptions,
    progress: &mut Progress<'_>,
) -> Result<Learned, LearnError> {
    let exact_below = need::exact_below(snapshot.manifest(), options)?;
    let mut course = Course::start(&options.clock, progress);
    let corpus = course.step(Step::Read, |tick| corpus::gather(snapshot, tick))?;
    if corpus.totals.images == 0 {
        return Err(LearnError::NothingToLearn(snapshot.folder().to_owned()));
    }
    let vectors = snapshot.read_vectors()?;

    let categories = course.step(Step::Categories, |tick| categories::learn(&corpus, tick))?;
    write_json(build_dir, files::CATEGORY_PATTERNS, &categories)?;

    let descriptions =
        course.step(Step::Descriptions, |tick| descriptions::learn(&corpus, tick))?;
    write_json(build_dir, files::DESCRIPTION_PATTERNS, &descriptions)?;

    let dim = snapshot.manifest().dim;
    let words = course.step(Step::Words, |tick| words::learn(&corpus, &vectors, dim, tick))?;
    write_json(build_dir, files::SEARCH_INDEX, &words)?;

    let faces = course
        .step(Step::Faces, |tick| faces::learn(snapshot, &corpus.faces, options.faces, tick))?;
    write_json(build_dir, files::FACE_CLUSTERS, &faces.clusters)?;
    write_file(build_dir, files::FACE_CLUSTERS_PICKLE, |file| {
        file.write_all(&pickle::of_clusters(&faces.clusters))
    })?;
    index::write(build_dir, files::FACES, &faces.centres)?;

    let index = course.step(Step::Index, |tick| {
        index::build(dim, vectors, &corpus.vector_ids(), exact_below, tick)
    })?;
    index::write(build_dir, files::INDEX, &index.index)?;

    let improved = course
        .step(Step::Improve, |tick| improved::write(snapshot, build_dir, &descriptions, tick))?;

    let report = course.finish(&report::Findings {
        snapshot: snapshot.manifest(),
        corpus: &corpus,
        categories: &categories,
        descriptions: &descriptions,
        words: &words,
        faces: &faces,
        index: &index,
        improved,
    });
    write_json(build_dir, files::TRAINING_REPORT, &report)?;
    Ok(Learned { report, snapshot: snapshot.manifest().clone() })
}

/// Says how far a step is, 0 to 1; an error means stop.
type Tick<'a> = dyn FnMut(f32) -> Result<(), LearnError> + 'a;

fn write_json<T: Serialize>(folder: &Path, name: &str, value: &T) -> Result<(), LearnError> {
    write_file(folder, name, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

fn write_file(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut HashedFile) -> std::io::Result<()>,
) -> Result<(), LearnError> {
    let path = folder.join(name);
    let written = HashedFile::create(&path).and_then(|mut file| {
        write(&mut file)?;
        file.finish()
    });
    written.map(drop).map_err(LearnError::io(path))
}

#[cfg(test)]
mod tests;
