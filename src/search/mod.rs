//! A query in, ranked images out: meaning and words together, or an honest "nothing".
//!
//! Meaning comes from the text encoder against the generation's index and the fresh tail (what the
//! index does not hold); words from descriptions and tags, widened by what the library's own words
//! taught. Where the encoder knows no word of the query, the words alone are asked. A picture below
//! the pack's floor in meaning and without words in common is no hit: a query can find nothing.

#[cfg(test)]
mod measured;
mod near;
mod rank;
mod refresh;
mod tail;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, CatalogError};
use crate::follow::Follower;
use crate::generation::{Generation, IndexError};
use crate::names::{ImageId, LibraryId};
use crate::telemetry::metrics;
use crate::vision::{TextEncoder, VisionError};

pub use tail::ROWS_MAX as TAIL_ROWS_MAX;

use near::Near;
use rank::{Asked, Candidate, Texts};
use refresh::FollowedTail;

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
    /// Nobody has recorded this library.
    #[error(
        "library {0} is not known; add photos to it first: `eyefleet add --library {0} FOLDER`"
    )]
    UnknownLibrary(LibraryId),
    /// The catalogue could not be asked.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The text could not be embedded.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// The index refused the question.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A thread that compares vectors panicked or was stopped.
    #[error("comparing vectors broke off: {0}; ask again, and report it where it happens again")]
    Broke(String),
}

impl SearchError {
    fn broke(error: &tokio::task::JoinError) -> Self {
        Self::Broke(error.to_string())
    }
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
    /// Cosine between query and picture, -1 to 1; 0 where the query is words alone.
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
    tails: Arc<Mutex<HashMap<LibraryId, KeptTail>>>,
}

/// A library's tail, and when that library was first recorded: another one may get its name.
type KeptTail = (Timestamp, Arc<tokio::sync::Mutex<FollowedTail>>);

impl Searcher {
    /// A searcher that embeds with `encoder` and asks the generations of `learned`.
    pub fn new(catalog: Catalog, encoder: Arc<TextEncoder>, learned: Follower) -> Self {
        Self { catalog, encoder, learned, tails: Arc::default() }
    }

    /// The best `limit` images (1 to 1000) of `library` for `query`.
    ///
    /// # Errors
    /// An empty or endless query; a library that nobody added to (except `main`, in which nothing
    /// is found then); a catalogue or an encoder that does not answer.
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

    /// Lets go of what is kept for libraries that are gone, every `every` until `stop`.
    pub async fn forget_purged(self, every: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let tails = || self.tails.lock().unwrap_or_else(PoisonError::into_inner);
            let kept: Vec<LibraryId> = tails().keys().cloned().collect();
            for library in kept {
                if matches!(self.catalog.library(&library).await, Ok(None)) {
                    tails().remove(&library);
                }
            }
        }
    }

    async fn answer(
        &self,
        library: &LibraryId,
        query: &str,
        limit: usize,
    ) -> Result<Found, SearchError> {
        let query = checked(query)?;
        let Some(since) = self.known_since(library).await? else {
            return Ok(Found { hits: Vec::new(), generation: None, widened: Vec::new() });
        };
        let generation = self.learned.generation(library).await?;
        let widened =
            generation.as_ref().map(|learned| learned.words.expand(query)).unwrap_or_default();
        let asked = Asked::new(query, &widened);
        let limit = limit.clamp(1, HITS_MAX);
        let wanted = (limit * CANDIDATES_PER_HIT).max(CANDIDATES_MIN);

        let mut vector = self.vector(query, &asked).await?;
        let mut said = Vec::new();
        if vector.is_none() {
            said = words::said(&self.catalog, library, &asked, wanted).await?;
            vector = self.stand_in(&widened).await?;
        }
        let candidates = self.candidates(library, since, generation.as_ref(), vector, said, wanted);
        let candidates = candidates.await?;
        let images: Vec<ImageId> = candidates.iter().map(|found| found.image.clone()).collect();
        let texts = self.catalog.texts(library, &images).await?;
        let texts = Texts::new(texts);
        let hits = rank::rank(candidates, &texts, &asked, self.encoder.search_floor(), limit);
        let generation = generation.map(|learned| learned.number.0);
        Ok(Found { hits, generation, widened })
    }

    /// When the library was recorded; `main` may be one that nobody has added to yet. Asked for
    /// every search: anyone can name libraries, and one that is purged is gone at once.
    async fn known_since(&self, library: &LibraryId) -> Result<Option<Timestamp>, SearchError> {
        if let Some(known) = self.catalog.library(library).await? {
            return Ok(Some(known.created_at));
        }
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).remove(library);
        if *library == LibraryId::main() {
            return Ok(None);
        }
        Err(SearchError::UnknownLibrary(library.clone()))
    }

    /// The query as a vector; none where the encoder knows no word of it that says something.
    async fn vector(&self, query: &str, asked: &Asked) -> Result<Option<Vec<f32>>, SearchError> {
        // Words such as "my" have a place in the space as well, and anything is near to it.
        if !self.encoder.knows(&asked.own())? {
            return Ok(None);
        }
        Ok(self.encoder.embed(query).await?)
    }

    /// A word that the encoder does not know may have neighbours here that it does ("saree",
    /// "sari"): they stand in for it.
    async fn stand_in(&self, widened: &[(String, f32)]) -> Result<Option<Vec<f32>>, SearchError> {
        let neighbours: Vec<&str> = widened.iter().map(|(word, _)| word.as_str()).collect();
        if neighbours.is_empty() {
            return Ok(None);
        }
        Ok(self.encoder.embed(&neighbours.join(" ")).await?)
    }

    /// Pictures near `vector`, and those of `said`.
    async fn candidates(
        &self,
        library: &LibraryId,
        since: Timestamp,
        generation: Option<&Arc<Generation>>,
        vector: Option<Vec<f32>>,
        said: Vec<ImageId>,
        wanted: usize,
    ) -> Result<Vec<Candidate>, SearchError> {
        let Some(vector) = vector else {
            let unlike = |image| Candidate { image, similarity: 0.0 };
            return Ok(said.into_iter().map(unlike).collect());
        };
        let tail = self.tail(library, since);
        let refreshed = tail
            .lock()
            .await
            .refresh(&self.catalog, library, self.encoder.space(), generation)
            .await?;
        let (tail, indexed) = refreshed;
        let near = Near { generation: generation.cloned(), tail, indexed };
        let found = tokio::task::spawn_blocking(move || near.candidates(&vector, said, wanted));
        Ok(found.await.map_err(|error| SearchError::broke(&error))??)
    }

    fn tail(&self, library: &LibraryId, since: Timestamp) -> Arc<tokio::sync::Mutex<FollowedTail>> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = tails.entry(library.clone()).or_insert_with(|| (since, Arc::default()));
        if kept.0 != since {
            *kept = (since, Arc::default());
        }
        Arc::clone(&kept.1)
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
