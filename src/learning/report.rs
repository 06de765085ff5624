//! How a training went: `training_report.json`, for people, `jq` and the manifest.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::corpus::Corpus;
use super::error::LearnError;
use super::faces::FaceGroups;
use super::index::Built;
use super::{Progress, Step, Tick};
use crate::clock::Clock;
use crate::generation::{CategoryPatterns, DescriptionPatterns, WordEntry, Words};
use crate::names::LibraryId;
use crate::snapshot::{SnapshotId, SnapshotManifest};

const TOP_CATEGORIES: usize = 10;

/// What a training found and how long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingReport {
    /// "completed".
    pub status: String,
    /// Whose images.
    pub library: LibraryId,
    /// What it learned from.
    pub snapshot: SnapshotId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Images in the snapshot.
    pub total_images: u64,
    /// Tags of all images together.
    pub total_tags: u64,
    /// Different tags.
    pub distinct_tags: u64,
    /// Images with at least one face.
    pub images_with_faces: u64,
    /// Images with a description.
    pub images_with_description: u64,
    /// Images with a longer description.
    pub images_with_detailed_desc: u64,
    /// Images that the owner changed.
    pub images_corrected: u64,
    /// What the export left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// The most frequent categories, the most frequent first.
    pub top_categories: Vec<TopCategory>,
    /// Categories with something typical.
    pub category_patterns: u64,
    /// Terms with something that goes with them.
    pub description_patterns: u64,
    /// Images whose description gained something.
    pub improved_descriptions: u64,
    /// What is known of words.
    pub vocabulary: VocabularyReport,
    /// What is known of faces.
    pub faces: FacesReport,
    /// The index.
    pub index: IndexReport,
    /// Step -> seconds; `total` is all of it.
    pub durations: BTreeMap<String, f64>,
}

/// A category and its number of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopCategory {
    /// Its name.
    pub category: String,
    /// Images in it.
    pub count: u64,
}

/// What is known of words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VocabularyReport {
    /// Words with at least one link.
    pub words: u64,
    /// Words with synonyms.
    pub with_synonyms: u64,
    /// Words with related words.
    pub with_related: u64,
}

/// What is known of faces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacesReport {
    /// Faces with a vector.
    pub faces: u64,
    /// Groups of faces that look alike.
    pub clusters: u64,
    /// Faces in none.
    pub unclustered: u64,
}

/// The index of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexReport {
    /// "exact" or "hnsw".
    pub kind: String,
    /// Vectors in it.
    pub vectors: u64,
    /// Values in a vector.
    pub dim: u64,
    /// The share of the vectors asked that found themselves, 0 to 1.
    pub self_retrieval: f64,
    /// Graphs that were built until one was good.
    pub attempts: u32,
}

impl TrainingReport {
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let counts = [
            ("images", self.total_images),
            ("tags", self.total_tags),
            ("category_patterns", self.category_patterns),
            ("description_patterns", self.description_patterns),
            ("words", self.vocabulary.words),
            ("faces", self.faces.faces),
            ("clusters", self.faces.clusters),
            ("vectors", self.index.vectors),
        ];
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    pub(super) fn quality(&self) -> BTreeMap<String, f64> {
        let described = self.images_with_description.max(1) as f64;
        let improved = self.improved_descriptions as f64 / described;
        let figures =
            [("self_retrieval", self.index.self_retrieval), ("improved_descriptions", improved)];
        figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect()
    }
}

/// Everything that the report tells of.
pub(super) struct Findings<'a> {
    pub snapshot: &'a SnapshotManifest,
    pub corpus: &'a Corpus,
    pub categories: &'a CategoryPatterns,
    pub descriptions: &'a DescriptionPatterns,
    pub words: &'a Words,
    pub faces: &'a FaceGroups,
    pub index: &'a Built,
    pub improved: u64,
}

/// A training under way: takes the time of each step and asks whether to go on.
pub(super) struct Course<'a, 'b> {
    clock: &'a Clock,
    started_at: Timestamp,
    began: Instant,
    progress: &'a mut Progress<'b>,
    durations: BTreeMap<String, f64>,
}

impl<'a, 'b> Course<'a, 'b> {
    pub fn start(clock: &'a Clock, progress: &'a mut Progress<'b>) -> Self {
        let (started_at, began) = (clock.now(), Instant::now());
        Self { clock, started_at, began, progress, durations: BTreeMap::new() }
    }

    /// Does one step, from 0 to 1 of its progress.
    pub fn step<T>(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Tick<'_>) -> Result<T, LearnError>,
    ) -> Result<T, LearnError> {
        let began = Instant::now();
        let mut tick = |share: f32| match (self.progress)(step, share) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(LearnError::Interrupted),
        };
        tick(0.0)?;
        let result = work(&mut tick)?;
        tick(1.0)?;
        self.durations.insert(step.as_str().to_owned(), seconds(began));
        Ok(result)
    }

    pub fn finish(mut self, found: &Findings<'_>) -> TrainingReport {
        self.durations.insert("total".to_owned(), seconds(self.began));
        let totals = &found.corpus.totals;
        let with = |has: fn(&WordEntry) -> bool| {
            found.words.words.values().filter(|entry| has(entry)).count() as u64
        };
        let top = found.corpus.category_counts().into_iter().take(TOP_CATEGORIES);
        let clusters = &found.faces.clusters;
        let index = &found.index.index;
        TrainingReport {
            status: "completed".to_owned(),
            library: found.snapshot.library.clone(),
            snapshot: found.snapshot.id.clone(),
            started_at: self.started_at,
            finished_at: self.clock.now(),
            total_images: totals.images,
            total_tags: totals.tags,
            distinct_tags: found.corpus.terms.iter().filter(|term| term.in_tags > 0).count() as u64,
            images_with_faces: totals.with_faces,
            images_with_description: totals.with_description,
            images_with_detailed_desc: totals.with_detailed_description,
            images_corrected: totals.corrected,
            skipped: found.snapshot.skipped.clone(),
            top_categories: top
                .map(|(category, count)| TopCategory { category: category.to_owned(), count })
                .collect(),
            category_patterns: found
                .categories
                .values()
                .filter(|p| !p.common_words.is_empty() || !p.co_occurring_tags.is_empty())
                .count() as u64,
            description_patterns: found.descriptions.len() as u64,
            improved_descriptions: found.improved,
            vocabulary: VocabularyReport {
                words: found.words.words.len() as u64,
                with_synonyms: with(|entry| !entry.synonyms.is_empty()),
                with_related: with(|entry| !entry.related.is_empty()),
            },
            faces: FacesReport {
                faces: found.corpus.faces.len() as u64,
                clusters: clusters.clusters.len() as u64,
                unclustered: clusters.unclustered_faces,
            },
            index: IndexReport {
                kind: index.kind().as_str().to_owned(),
                vectors: index.len() as u64,
                dim: index.dim() as u64,
                self_retrieval: found.index.self_retrieval,
                attempts: found.index.attempts,
            },
            durations: self.durations,
        }
    }
}

fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e4).round() / 1e4
}
