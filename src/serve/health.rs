//! `/healthz`, `/readyz` and `/metrics`: the same three pages in every role.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::board::Board;
use crate::catalog::Catalog;

/// A dependency that does not answer within this counts as away.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What the pages look at.
#[derive(Clone)]
pub struct Health {
    role: &'static str,
    catalog: Catalog,
    board: Board,
    metrics: PrometheusHandle,
    stopping: Arc<AtomicBool>,
}

impl Health {
    /// The health of one process.
    pub fn new(
        role: &'static str,
        catalog: Catalog,
        board: Board,
        metrics: PrometheusHandle,
    ) -> Self {
        Self { role, catalog, board, metrics, stopping: Arc::default() }
    }

    /// From now on the process is not ready: it takes no more work.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// The three pages.
pub fn health_routes(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// The process runs its event loop: nothing else is asked, so that a database that is away does
/// not get every process killed.
async fn healthz(State(health): State<Health>) -> impl IntoResponse {
    Json(json!({ "status": "ok", "role": health.role, "version": crate::VERSION }))
}

/// Whether it can do work now, with the reason for each thing that is away.
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let catalog = within(async { health.catalog.ready().await.map_err(|e| e.to_string()) }).await;
    let redis = within(async { health.board.ping().await.map_err(|e| e.to_string()) }).await;
    let stopping = health.stopping.load(Ordering::Relaxed);
    let ready = catalog.is_ok() && redis.is_ok() && !stopping;
    let word = |answer: &Result<(), String>| match answer {
        Ok(()) => "ok".to_owned(),
        Err(why) => why.clone(),
    };
    let body = json!({
        "ready": ready,
        "role": health.role,
        "catalog": word(&catalog),
        "redis": word(&redis),
        "stopping": stopping,
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body))
}

async fn within(question: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let answer = tokio::time::timeout(ANSWER_MAX, question).await;
    answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs())))
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let text = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, text)], health.metrics.render())
}
