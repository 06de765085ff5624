//! `eyefleet generations rollback`, `pin` and `unpin`.

use serde_json::json;

use super::super::{Client, Exit};
use super::diff::published_before;
use super::{nothing_learned, open, was_published};
use crate::board::Version;
use crate::library_lock;
use crate::names::{GenerationNumber, LibraryId};

/// What must stay true: what is current can be opened. A training that ends at the same time removes
/// old generations: so the one that is gone back to becomes current first, is looked at then, and
/// gives way again where it is gone.
pub(super) async fn rollback(
    client: &Client,
    library: &LibraryId,
    number: Option<GenerationNumber>,
    json: bool,
) -> anyhow::Result<Exit> {
    let Some(current) = client.catalog.current_generation(library).await? else {
        return Ok(nothing_learned(library));
    };
    let all = client.catalog.generations(library, super::RECENT).await?;
    let Some(number) = number.or_else(|| published_before(&all, current.number)) else {
        eprintln!(
            "eyefleet: library {library} has no generation before {}, which is current",
            current.number
        );
        return Ok(Exit::NotFound);
    };
    if !was_published(&all, library, number) {
        return Ok(Exit::NotFound);
    }
    let _lock = library_lock::hold(&client.catalog, &client.config.data, library).await?;
    // Looked at before as well: a wrong number must not disturb anybody.
    open(client, library, number).await?;
    let mut now = client.catalog.set_current(library, number).await?;
    if let Err(error) = open(client, library, number).await {
        now = client.catalog.set_current(library, current.number).await?;
        tracing::debug!(change = now.change, "went back to what was current");
        return Err(error);
    }
    let version = Version { change: now.change, number: now.number };
    if let Err(error) = client.board.announce(library, version).await {
        tracing::debug!(%error, "the leader announces it later");
    }
    if json {
        say!(
            "{}",
            json!({
                "library": library, "generation": number, "before": current.number,
                "change": now.change
            })
        );
    } else {
        say!("generation {number} of library {library} is current; {} was", current.number);
        say!("  workers apply it within seconds; the next training publishes a newer one");
    }
    Ok(Exit::Done)
}

pub(super) async fn pin(
    client: &Client,
    library: &LibraryId,
    number: GenerationNumber,
    pinned: bool,
    json: bool,
) -> anyhow::Result<Exit> {
    let all = client.catalog.generations(library, super::RECENT).await?;
    if !was_published(&all, library, number) {
        return Ok(Exit::NotFound);
    }
    if pinned {
        // One whose files are gone cannot be kept.
        open(client, library, number).await?;
    }
    client.catalog.pin_generation(library, number, pinned).await?;
    if json {
        say!("{}", json!({ "library": library, "generation": number, "pinned": pinned }));
    } else if pinned {
        say!("generation {number} of library {library} is kept until it is unpinned");
    } else {
        say!("generation {number} of library {library} is kept as long as others are");
    }
    Ok(Exit::Done)
}
