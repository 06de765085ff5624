//! The HTTP API: search, one image, status. Every answer and every error is JSON.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use fleetq::{Depth, Mode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::board::{Board, TrainingProgress, WatchFacts, WorkerFacts};
use crate::catalog::{Catalog, FailureReason, ImageRecord, StageCounts};
use crate::fate::Fate;
use crate::jobs::JobError;
use crate::names::{ImageId, LibraryId};
use crate::search::{SearchError, Searcher};

/// Hits of a search that names no limit.
const HITS_USUAL: usize = 20;

/// What the API answers from.
#[derive(Clone)]
pub struct Api {
    /// Images and counts.
    pub catalog: Catalog,
    /// Workers and progress.
    pub board: Board,
    /// Search.
    pub searcher: Searcher,
    /// Queues by name, for their depth.
    pub queues: Vec<(&'static str, fleetq::Queue)>,
}

impl Api {
    /// The routes under `/v1`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/search", get(search))
            .route("/v1/status", get(status))
            .route("/v1/images/{*image}", get(image))
            .fallback(|| async {
                problem(StatusCode::NOT_FOUND, "there is nothing at this address")
            })
            .with_state(self)
    }
}

fn main_library() -> LibraryId {
    LibraryId::main()
}

/// A query string that may be wrong: that too is answered in JSON.
type Asked<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

#[derive(Debug, Deserialize)]
struct SearchQuery {
    q: String,
    #[serde(default = "main_library")]
    library: LibraryId,
    limit: Option<usize>,
}

async fn search(State(api): State<Api>, query: Asked<SearchQuery>) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let limit = query.limit.unwrap_or(HITS_USUAL);
    match api.searcher.search(&query.library, &query.q, limit).await {
        Ok(found) => Json(found).into_response(),
        Err(error @ SearchError::Query(_)) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error @ SearchError::UnknownLibrary(_)) => {
            problem(StatusCode::NOT_FOUND, &error.to_string())
        }
        Err(error) => {
            tracing::error!(%error, "a search failed");
            problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

#[derive(Debug, Deserialize)]
struct LibraryQuery {
    #[serde(default = "main_library")]
    library: LibraryId,
}

/// One image as the API and `eyefleet show --json` give it.
#[derive(Debug, Serialize)]
pub struct ImageAnswer {
    /// Its id.
    pub image: String,
    /// Where its original lies.
    pub path: String,
    /// Which content of it.
    pub revision: i64,
    /// State and reason of each stage.
    pub stages: BTreeMap<String, StageAnswer>,
    /// Pixels across, once decoded.
    pub width: Option<u32>,
    /// Pixels down, once decoded.
    pub height: Option<u32>,
    /// What the models say.
    pub description: Option<String>,
    /// The same with what was learned.
    pub enriched_description: Option<String>,
    /// The models' tags with their probability.
    pub tags: BTreeMap<String, f32>,
    /// Tags that were learned to go with them.
    pub related_tags: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Faces found; none where no face model ran.
    pub faces: usize,
    /// Generation that enriched it.
    pub generation: Option<i64>,
    /// Pack that looked at it.
    pub pack: Option<String>,
}

/// State of one stage.
#[derive(Debug, Serialize)]
pub struct StageAnswer {
    /// waiting, done, skipped or failed.
    pub state: String,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
}

impl From<ImageRecord> for ImageAnswer {
    fn from(record: ImageRecord) -> Self {
        let stages = record.stages.iter().map(|stage| {
            let answer =
                StageAnswer { state: stage.state.to_string(), reason: stage.reason.clone() };
            (stage.stage.to_string(), answer)
        });
        let stages = stages.collect();
        let analysis = record.analysis.as_ref();
        let enriched = analysis.and_then(|analysis| analysis.enriched.as_ref());
        Self {
            image: record.image.to_string(),
            path: record.path.to_string(),
            revision: record.revision.0,
            stages,
            width: record.width,
            height: record.height,
            description: analysis.and_then(|analysis| analysis.description.clone()),
            enriched_description: enriched.and_then(|enriched| enriched.description.clone()),
            tags: analysis
                .map(|analysis| {
                    analysis.tags.iter().map(|tag| (tag.name.clone(), tag.score)).collect()
                })
                .unwrap_or_default(),
            related_tags: enriched
                .map(|enriched| enriched.tags.iter().map(|tag| tag.name.clone()).collect())
                .unwrap_or_default(),
            categories: analysis.map(|analysis| analysis.categories.clone()).unwrap_or_default(),
            faces: record.faces.len(),
            generation: enriched.map(|enriched| enriched.generation.0),
            pack: analysis.map(|analysis| analysis.pack.clone()),
        }
    }
}

async fn image(
    State(api): State<Api>,
    Path(image): Path<String>,
    query: Asked<LibraryQuery>,
) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let image = match ImageId::new(image) {
        Ok(image) => image,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match api.catalog.image(&query.library, &image).await {
        Ok(Some(record)) => Json(ImageAnswer::from(record)).into_response(),
        Ok(None) => {
            let why = format!("library {} has no image {image}", query.library);
            problem(StatusCode::NOT_FOUND, &why)
        }
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// The state of a library and of the fleet, as the API and `eyefleet status --json` give it.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    /// The library in question.
    pub library: LibraryId,
    /// Images and their stages.
    pub counts: CountsAnswer,
    /// Jobs in each queue, by state.
    pub queues: BTreeMap<String, QueueAnswer>,
    /// Processes that reported in the last 15 s, with the generation each serves.
    pub workers: Vec<WorkerFacts>,
    /// Number of the current generation.
    pub generation: Option<i64>,
    /// The running training, if one runs.
    pub training: Option<TrainingProgress>,
    /// The library's watched folder, if it has one.
    pub watch: Option<WatchFacts>,
}

/// How many images stand where.
#[derive(Debug, Serialize)]
pub struct CountsAnswer {
    /// Images that are not removed.
    pub images: u64,
    /// Images whose vector is done.
    pub analyzed: u64,
    /// Images with a waiting stage.
    pub waiting: u64,
    /// Images with a failed stage.
    pub failed: u64,
    /// Stage -> state -> images.
    pub stages: BTreeMap<String, BTreeMap<String, u64>>,
    /// The most frequent reasons of failure and their images, most frequent first.
    pub failures: Vec<FailureAnswer>,
}

impl From<StageCounts> for CountsAnswer {
    fn from(counts: StageCounts) -> Self {
        let mut stages: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((stage, state), images) in counts.stages {
            stages.entry(stage.to_string()).or_default().insert(state.to_string(), images);
        }
        Self {
            images: counts.images,
            analyzed: counts.analyzed,
            waiting: counts.waiting,
            failed: counts.failed,
            stages,
            failures: counts.failures.into_iter().map(FailureAnswer::from).collect(),
        }
    }
}

/// Why images failed.
#[derive(Debug, Serialize)]
pub struct FailureAnswer {
    /// The reason, with `FILE` in the place of the image's path.
    pub reason: String,
    /// How many images have it.
    pub images: u64,
    /// The id of the first of them.
    pub example: String,
}

impl From<FailureReason> for FailureAnswer {
    fn from(failure: FailureReason) -> Self {
        Self { reason: failure.reason, images: failure.images, example: failure.example }
    }
}

/// Jobs of one queue by state, and how it stands.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueueAnswer {
    /// Waiting for a worker.
    pub ready: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// With a worker.
    pub claimed: u64,
    /// Quarantined.
    pub dead: u64,
    /// Whether it takes jobs and gives them out.
    pub mode: Mode,
    /// Most jobs that the whole fleet works on at once.
    pub cap: Option<u32>,
    /// Jobs done a second in the last minute.
    pub jobs_per_second: f64,
    /// How long what waits and runs will take at that pace; none where nothing was done, and in a
    /// queue that is paused.
    pub eta_seconds: Option<f64>,
}

impl From<&Depth> for QueueAnswer {
    fn from(depth: &Depth) -> Self {
        Self {
            ready: depth.ready(),
            scheduled: depth.scheduled,
            claimed: depth.claimed,
            dead: depth.dead,
            mode: depth.mode,
            cap: depth.cap,
            jobs_per_second: depth.pace.per_second(),
            eta_seconds: (depth.mode != Mode::Paused)
                .then(|| depth.eta())
                .flatten()
                .map(|eta| eta.as_secs_f64()),
        }
    }
}

/// Gathers the status of `library`.
///
/// # Errors
/// When the catalogue or Redis is away.
pub async fn status_of(
    catalog: &Catalog,
    board: &Board,
    queues: &[(&'static str, fleetq::Queue)],
    library: &LibraryId,
) -> Result<StatusAnswer, JobError> {
    let mut depths = BTreeMap::new();
    for (name, queue) in queues {
        depths.insert((*name).to_owned(), QueueAnswer::from(&queue.depth().await?));
    }
    // A fleet that was started a moment ago has no library yet, which is nothing wrong.
    let known = catalog.library(library).await?;
    let watched = known.as_ref().is_some_and(|library| library.watched);
    let fresh = *library == LibraryId::main() && known.is_none();
    let (counts, current) = if fresh {
        (StageCounts::default(), None)
    } else {
        (catalog.counts(library).await?, catalog.current_generation(library).await?)
    };
    Ok(StatusAnswer {
        library: library.clone(),
        counts: counts.into(),
        queues: depths,
        workers: board.workers().await?,
        generation: current.map(|current| current.number.0),
        training: board.training(library).await?,
        watch: if watched { board.watch(library).await? } else { None },
    })
}

async fn status(State(api): State<Api>, query: Asked<LibraryQuery>) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    if query.library != LibraryId::main() {
        match api.catalog.library(&query.library).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let why = format!("there is no library {}", query.library);
                return problem(StatusCode::NOT_FOUND, &why);
            }
            Err(error) => return problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        }
    }
    match status_of(&api.catalog, &api.board, &api.queues, &query.library).await {
        Ok(status) => Json(status).into_response(),
        Err(error) if matches!(error.fate, Fate::Transient | Fate::Away) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn problem(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
