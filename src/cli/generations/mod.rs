//! `eyefleet generations`: what was learned, and the way back to it.

mod diff;
mod list;
mod show;
mod steer;

use anyhow::Context;

pub(super) use list::row;

use super::args::{GenerationsArgs, GenerationsCommand};
use super::{Client, Exit};
use crate::catalog::{CatalogError, Generation as Recorded, GenerationState};
use crate::generation::{Generation, GenerationStore};
use crate::names::{GenerationNumber, LibraryId};
use crate::volume;

/// Generations looked through for one that was published.
const RECENT: u64 = 1000;

pub(super) async fn generations(
    client: &Client,
    args: &GenerationsArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let library = &args.library;
    if client.catalog.library(library).await?.is_none() {
        return Err(CatalogError::UnknownLibrary(library.clone()).into());
    }
    match &args.command {
        None => list::list(client, library, args.list.limit, json).await,
        Some(GenerationsCommand::List(args)) => list::list(client, library, args.limit, json).await,
        Some(GenerationsCommand::Show { number }) => {
            show::show(client, library, *number, json).await
        }
        Some(GenerationsCommand::Diff(args)) => diff::diff(client, library, args, json).await,
        Some(GenerationsCommand::Rollback { number }) => {
            steer::rollback(client, library, *number, json).await
        }
        Some(GenerationsCommand::Pin { number }) => {
            steer::pin(client, library, *number, true, json).await
        }
        Some(GenerationsCommand::Unpin { number }) => {
            steer::pin(client, library, *number, false, json).await
        }
    }
}

/// The given number, or that of the current generation; none where nothing was learned yet.
async fn given_or_current(
    client: &Client,
    library: &LibraryId,
    given: Option<GenerationNumber>,
) -> anyhow::Result<Option<GenerationNumber>> {
    let current = client.catalog.current_generation(library).await?;
    Ok(given.or(current.map(|current| current.number)))
}

/// Reads and verifies the files of a generation.
async fn open(
    client: &Client,
    library: &LibraryId,
    number: GenerationNumber,
) -> anyhow::Result<Generation> {
    let store = GenerationStore::new(volume::library_dir(&client.config.data, library));
    let opened = tokio::task::spawn_blocking(move || store.open(number, None)).await?;
    opened.with_context(|| format!("generation {number} of library {library}"))
}

/// Whether the generation was published; says so where it was not.
fn was_published(all: &[Recorded], library: &LibraryId, number: GenerationNumber) -> bool {
    let published =
        all.iter().any(|it| it.number == number && it.state == GenerationState::Published);
    if !published {
        eprintln!(
            "eyefleet: library {library} has not published a generation {number}: \
             `eyefleet generations` lists those it has"
        );
    }
    published
}

fn nothing_learned(library: &LibraryId) -> Exit {
    eprintln!(
        "eyefleet: library {library} has learned nothing yet: `eyefleet train` learns from the \
         newest snapshot"
    );
    Exit::NotFound
}
