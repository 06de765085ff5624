//! `eyefleet generations list`: what was learned, newest first.

use serde_json::{Value, json};

use super::super::{Client, Exit};
use crate::catalog::Generation;
use crate::names::LibraryId;

pub(super) async fn list(
    client: &Client,
    library: &LibraryId,
    limit: u64,
    json: bool,
) -> anyhow::Result<Exit> {
    let generations = client.catalog.generations(library, limit).await?;
    if json {
        let rows: Vec<_> = generations.iter().map(row).collect();
        say!("{}", Value::from(rows));
        return Ok(Exit::Done);
    }
    let current = client.catalog.current_generation(library).await?;
    let current = current.map(|current| current.number);
    say!("  number  state      images  pinned  snapshot");
    for generation in &generations {
        let mark = if Some(generation.number) == current { '*' } else { ' ' };
        say!(
            "{mark} {:>6}  {:<9} {:>7}  {:<6}  {}",
            generation.number.0,
            generation.state.as_str(),
            generation.images.unwrap_or_default(),
            if generation.pinned { "pinned" } else { "" },
            generation.snapshot
        );
    }
    if generations.is_empty() {
        say!("  none yet: `eyefleet export` writes what is learned from");
    }
    Ok(Exit::Done)
}

/// One generation as JSON.
pub(in crate::cli) fn row(generation: &Generation) -> Value {
    json!({
        "generation": generation.number,
        "state": generation.state,
        "pinned": generation.pinned,
        "reason": generation.reason,
        "parent": generation.parent,
        "snapshot": generation.snapshot,
        "images": generation.images,
        "created_at": generation.created_at.to_string(),
        "published_at": generation.published_at.map(|at| at.to_string()),
        "report": generation.report,
    })
}
