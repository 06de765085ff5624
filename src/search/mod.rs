//! A query in, ranked images out: meaning and words together, or an honest "nothing".
//!
//! Meaning comes from the text encoder against the generation's index and the fresh tail (what was
//! analyzed after the snapshot); words from descriptions and tags, widened by what the library's
//! own words taught. A picture below the pack's floor in meaning and without a word in common is
//! no hit, so a query can find nothing.

mod rank;
mod tail;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::catalog::{Catalog, CatalogError};
use crate::follow::Follower;
use crate::generation::{Generation, IndexError};
use crate::names::{ImageId, LibraryId};
use crate::telemetry::metrics;
use crate::vision::{TextEncoder, VisionError};

use rank::{Candidate, Texts};
use tail::Tail;

/// Candidates taken from the index for each hit that is wanted: words may reorder them.
const CANDIDATES_PER_HIT: usize = 8;
/// Least number of candidates.
const CANDIDATES_MIN: usize = 100;
/// Most hits of one search.
const HITS_MAX: usize = 1000;
/// Longest query in characters; the encoder reads far less.
const QUERY_MAX: usize = 1000;

/// Why a search gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The query cannot be searched for.
    #[error("the query is {0}: write one or more words")]
    Query(&'static str),
    /// The catalogue could not be asked.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The text could not be embedded.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The index refused the question.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// One found image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// Which image.
    pub image: ImageId,
    /// Where its original lies.
    pub path: String,
    /// What it is ranked by: similarity plus what its words add.
    pub score: f32,
    /// Cosine between query and picture, -1 to 1.
    pub similarity: f32,
    /// Words of the query, or words that mean the same here, that its texts hold.
    pub words: Vec<String>,
    /// What is said of it.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The answer to a query.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// Best first; empty where nothing is like the query.
    pub hits: Vec<Hit>,
    /// Number of the generation that was asked; none before the first.
    pub generation: Option<i64>,
    /// Words the query was widened by, with their weights.
    pub widened: Vec<(String, f32)>,
}

/// Searches the libraries of one catalogue.
#[derive(Clone)]
pub struct Searcher {
    catalog: Catalog,
    encoder: Arc<TextEncoder>,
    learned: Follower,
    tails: Arc<Mutex<HashMap<LibraryId, Arc<tokio::sync::Mutex<Tail>>>>>,
}

impl Searcher {
    /// A searcher that embeds with `encoder` and asks the generations of `learned`.
    pub fn new(catalog: Catalog, encoder: Arc<TextEncoder>, learned: Follower) -> Self {
        Self { catalog, encoder, learned, tails: Arc::default() }
    }

    /// The best `limit` images (1 to 1000) of `library` for `query`.
    ///
    /// # Errors
    /// An empty or endless query; a catalogue or an encoder that does not answer.
    pub async fn search(
        &self,
        library: &LibraryId,
        query: &str,
        limit: usize,
    ) -> Result<Found, SearchError> {
        let started = Instant::now();
        let found = self.answer(library, query, limit).await;
        let outcome = match &found {
            Ok(found) if found.hits.is_empty() => "nothing",
            Ok(_) => "found",
            Err(_) => "failed",
        };
        ::metrics::counter!(metrics::SEARCHES_TOTAL, "outcome" => outcome).increment(1);
        metrics::observe(metrics::SEARCH_SECONDS, started.elapsed());
        found
    }

    async fn answer(
        &self,
        library: &LibraryId,
        query: &str,
        limit: usize,
    ) -> Result<Found, SearchError> {
        let query = checked(query)?;
        let generation = self.learned.generation(library).await?;
        let widened =
            generation.as_ref().map(|learned| learned.words.expand(query)).unwrap_or_default();
        let vector = self.vector(query, &widened).await?;
        let limit = limit.clamp(1, HITS_MAX);
        let wanted = (limit * CANDIDATES_PER_HIT).max(CANDIDATES_MIN);
        let candidates =
            self.candidates(library, generation.as_deref(), vector.as_deref(), wanted).await?;
        let images: Vec<ImageId> = candidates.iter().map(|found| found.image.clone()).collect();
        let texts = self.catalog.texts(library, &images).await?;
        let texts = Texts::new(texts);
        let floor = self.encoder.search_floor();
        let hits = rank::rank(candidates, &texts, query, &widened, floor, limit);
        let generation = generation.map(|learned| learned.number.0);
        Ok(Found { hits, generation, widened })
    }

    /// The query as a vector. A word that the encoder does not know may have neighbours here that
    /// it does ("saree", "sari"): they stand in for it.
    async fn vector(
        &self,
        query: &str,
        widened: &[(String, f32)],
    ) -> Result<Option<Vec<f32>>, SearchError> {
        if let Some(vector) = self.encoder.embed(query).await? {
            return Ok(Some(vector));
        }
        let neighbours: Vec<&str> = widened.iter().map(|(word, _)| word.as_str()).collect();
        if neighbours.is_empty() {
            return Ok(None);
        }
        Ok(self.encoder.embed(&neighbours.join(" ")).await?)
    }

    /// Pictures near `vector` in the index and in the tail; the tail's word on an image is newer.
    async fn candidates(
        &self,
        library: &LibraryId,
        generation: Option<&Generation>,
        vector: Option<&[f32]>,
        wanted: usize,
    ) -> Result<Vec<Candidate>, SearchError> {
        let Some(vector) = vector else { return Ok(Vec::new()) };
        let tail = self.tail(library);
        let mut tail = tail.lock().await;
        tail.refresh(&self.catalog, library, self.encoder.space(), generation).await?;
        let mut candidates = tail.nearest(vector, wanted);
        if let Some(index) = generation.map(|learned| &learned.index) {
            let is_older = |image: &str| !tail.holds(image);
            let found = index.search(vector, wanted, &is_older)?;
            candidates.extend(
                found.into_iter().map(|(image, similarity)| Candidate { image, similarity }),
            );
        }
        candidates.sort_by(|a, b| {
            b.similarity.total_cmp(&a.similarity).then_with(|| a.image.cmp(&b.image))
        });
        candidates.truncate(wanted);
        Ok(candidates)
    }

    fn tail(&self, library: &LibraryId) -> Arc<tokio::sync::Mutex<Tail>> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tails.entry(library.clone()).or_default())
    }
}

fn checked(query: &str) -> Result<&str, SearchError> {
    let query = query.trim();
    if query.is_empty() {
        return Err(SearchError::Query("empty"));
    }
    if query.chars().count() > QUERY_MAX {
        return Err(SearchError::Query("longer than 1000 characters"));
    }
    Ok(query)
}
