//! Publishes the outbox's events, at least once.
//!
//! An event is written in the same transaction as the result it tells of, and marked after it was
//! published, so a crash between the two repeats it. The channel itself keeps nothing: a listener
//! that is away misses events and asks the catalogue.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::board::Board;
use crate::catalog::Catalog;
use crate::jobs::JobError;
use crate::telemetry::metrics;

/// Events handed on in one round.
const BATCH: u64 = 200;
/// Delivered events are kept this long, so that one can look what was told.
const KEPT: Duration = Duration::from_hours(24);
/// Delivered events removed in one round.
const PRUNED: u64 = 500;

/// Hands on what waits, one batch. Returns how many events that were.
///
/// # Errors
/// When the catalogue or Redis is away; what was not marked is handed on again.
pub async fn relay(catalog: &Catalog, board: &Board) -> Result<usize, JobError> {
    let events = catalog.undelivered(BATCH).await?;
    for event in &events {
        let text = json!({
            "id": event.id,
            "kind": event.event.kind,
            "library": event.library,
            "image": event.image,
            "data": event.event.payload,
            "at": event.created_at.to_string(),
        });
        board.publish(&text.to_string()).await?;
    }
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    if !ids.is_empty() {
        catalog.mark_delivered(&ids).await?;
        ::metrics::counter!(metrics::OUTBOX_DELIVERED_TOTAL).increment(ids.len() as u64);
    }
    Ok(ids.len())
}

/// Removes events that were delivered long ago, a bounded number.
///
/// # Errors
/// When the catalogue is away.
pub async fn prune(catalog: &Catalog, now: Timestamp) -> Result<(), JobError> {
    let kept = SignedDuration::try_from(KEPT).expect("a day fits");
    catalog.prune_delivered(now - kept, PRUNED).await?;
    Ok(())
}
