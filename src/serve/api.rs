//! The HTTP API: search, one image, status. Every answer and every error is JSON.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::board::Board;
use crate::catalog::{Catalog, ImageRecord};
use crate::fate::Fate;
use crate::names::{ImageId, LibraryId};
use crate::owners_word::OwnersWord;
use crate::quiet::QuietHours;
use crate::search::{SearchError, Searcher};

use super::status::status_of;

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
    /// Hours without backfill and training.
    pub quiet_hours: QuietHours,
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
    /// What the owner says, else the models.
    pub description: Option<String>,
    /// A longer description, where an Ollama wrote one.
    pub detailed_description: Option<String>,
    /// The same with what was learned.
    pub enriched_description: Option<String>,
    /// The owner's tags, each with 1, else the models' with their probability.
    pub tags: BTreeMap<String, f32>,
    /// Tags that were learned to go with them; none that the owner took away.
    pub related_tags: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Faces found; none where no face model ran.
    pub faces: usize,
    /// Generation that enriched it.
    pub generation: Option<i64>,
    /// Pack that looked at it.
    pub pack: Option<String>,
    /// What the owner has corrected: `description`, `tags`.
    pub corrected: Vec<&'static str>,
    /// When it was removed from the library, if it is.
    pub removed_at: Option<jiff::Timestamp>,
    /// Whether the owner removed it: then a watched folder does not bring it back.
    pub removed_by_owner: bool,
}

impl ImageAnswer {
    /// The same with what came of its detailed description, `failed` for this reason.
    #[must_use]
    pub fn with_detail(mut self, failed: Option<String>) -> Self {
        let state = if self.detailed_description.is_some() {
            Some(StageAnswer { state: "done".to_owned(), reason: None })
        } else {
            failed.map(|why| StageAnswer { state: "failed".to_owned(), reason: Some(why) })
        };
        self.stages.extend(state.map(|state| ("detail".to_owned(), state)));
        self
    }
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
        let owner = OwnersWord::of(&record.corrections);
        let of_models = analysis.map_or(&[][..], |analysis| &analysis.tags);
        let enriched = analysis.and_then(|analysis| analysis.enriched.clone());
        let enriched = enriched.map(|enriched| owner.enriched(enriched, of_models));
        let enriched = enriched.as_ref();
        let tags = owner.tags(of_models.to_vec());
        Self {
            image: record.image.to_string(),
            path: record.path.to_string(),
            revision: record.revision.0,
            stages,
            width: record.width,
            height: record.height,
            description: owner
                .description(analysis.and_then(|analysis| analysis.description.clone())),
            detailed_description: analysis
                .and_then(|analysis| analysis.detailed_description.clone()),
            enriched_description: enriched.and_then(|enriched| enriched.description.clone()),
            tags: tags.into_iter().map(|tag| (tag.name, tag.score)).collect(),
            related_tags: enriched
                .map(|enriched| enriched.tags.iter().map(|tag| tag.name.clone()).collect())
                .unwrap_or_default(),
            categories: analysis.map(|analysis| analysis.categories.clone()).unwrap_or_default(),
            faces: record.faces.len(),
            generation: enriched.map(|enriched| enriched.generation.0),
            pack: analysis.map(|analysis| analysis.pack.clone()),
            corrected: owner.fields(),
            removed_at: record.removed_at,
            removed_by_owner: record.removed_by_owner,
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
    let found = async {
        let Some(record) = api.catalog.image(&query.library, &image).await? else {
            return Ok::<_, crate::catalog::CatalogError>(None);
        };
        let failed = api.catalog.detail_failure(&query.library, &image, record.revision).await?;
        Ok(Some(ImageAnswer::from(record).with_detail(failed)))
    };
    match found.await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => {
            let why = format!("library {} has no image {image}", query.library);
            problem(StatusCode::NOT_FOUND, &why)
        }
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
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
    match status_of(&api.catalog, &api.board, &api.queues, &api.quiet_hours, &query.library).await {
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
