//! `eyefleet generations`: what was learned, newest first.

use serde_json::{Value, json};

use super::args::GenerationsArgs;
use super::{Client, Exit};
use crate::catalog::Generation;

pub(super) async fn generations(
    client: &Client,
    args: &GenerationsArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let generations = client.catalog.generations(&args.library, args.limit).await?;
    if json {
        let rows: Vec<_> = generations.iter().map(row).collect();
        say!("{}", serde_json::Value::from(rows));
        return Ok(Exit::Done);
    }
    let current = client.catalog.current_generation(&args.library).await?;
    let current = current.map(|current| current.number);
    say!("  number  state      images  snapshot");
    for generation in &generations {
        let mark = if Some(generation.number) == current { '*' } else { ' ' };
        say!(
            "{mark} {:>6}  {:<9} {:>7}  {}",
            generation.number.0,
            generation.state.as_str(),
            generation.images.unwrap_or_default(),
            generation.snapshot
        );
    }
    if generations.is_empty() {
        say!("  none yet: `eyefleet export` writes what is learned from");
    }
    Ok(Exit::Done)
}

/// One generation as JSON.
pub(super) fn row(generation: &Generation) -> Value {
    json!({
        "generation": generation.number,
        "state": generation.state,
        "reason": generation.reason,
        "parent": generation.parent,
        "snapshot": generation.snapshot,
        "images": generation.images,
        "created_at": generation.created_at.to_string(),
        "published_at": generation.published_at.map(|at| at.to_string()),
        "report": generation.report,
    })
}
