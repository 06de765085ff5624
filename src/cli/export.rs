//! `eyefleet export`: a snapshot of the library's metadata.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::args::{ExportArgs, Limit};
use super::queued::{Queued, ask_for, look_up};
use super::{Client, Exit, Progress};
use crate::catalog::{CatalogError, Export, ExportState};
use crate::jobs::{ExportSnapshot, Origin};
use crate::names::LibraryId;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Exports looked through for the one that was asked for.
const RECENT: u64 = 50;

pub(super) async fn export(client: &Client, args: &ExportArgs, json: bool) -> anyhow::Result<Exit> {
    let limit = match args.limit {
        Some(Limit::All) => None,
        Some(Limit::Rows(rows)) => Some(rows),
        None => client.config.export_limit,
    };
    if !args.wait {
        let job = enqueue(client, &args.library, limit).await?;
        if json {
            say!("{}", json!({ "enqueued": job }));
        } else {
            say!("export of library {} is enqueued", args.library);
        }
        return Ok(Exit::Done);
    }
    let export = export_and_wait(client, &args.library, limit, json).await?;
    if json {
        say!(
            "{}",
            json!({ "snapshot": export.export, "images": export.images, "skipped": export.skipped })
        );
    } else {
        say!("exported {} images into snapshot {}", export.images, export.export);
    }
    Ok(Exit::Done)
}

async fn enqueue(
    client: &Client,
    library: &LibraryId,
    limit: Option<u64>,
) -> anyhow::Result<String> {
    if client.catalog.library(library).await?.is_none() {
        return Err(CatalogError::UnknownLibrary(library.clone()).into());
    }
    let request = Uuid::now_v7().to_string();
    let job = ExportSnapshot { library: library.clone(), limit, request };
    let id = job.id();
    ask_for(&client.export, job.queued(&Origin::command())?).await?;
    Ok(id)
}

/// Asks for an export and waits for its end. An export that somebody else asked for meanwhile is
/// as good: it is at least as fresh.
///
/// # Errors
/// A library that does not exist, an export that failed, a store that is away.
pub async fn export_and_wait(
    client: &Client,
    library: &LibraryId,
    limit: Option<u64>,
    quiet: bool,
) -> anyhow::Result<Export> {
    let known: BTreeSet<String> =
        client.catalog.exports(library, RECENT).await?.into_iter().map(|it| it.export).collect();
    let id = enqueue(client, library, limit).await?;
    let mut progress = Progress::new("export", "images", 0, quiet);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // Asked before the exports: a job that is gone has written its row.
        let still_queued = matches!(look_up(&client.export, &id).await?, Queued::Alive);
        let exports = client.catalog.exports(library, RECENT).await?;
        let newest = exports.into_iter().find(|export| !known.contains(&export.export));
        let Some(export) = newest else {
            anyhow::ensure!(
                still_queued,
                "the export was lost before it began (was Redis emptied?): ask again"
            );
            continue;
        };
        progress.set_total(export.images);
        progress.set(export.images);
        match export.state {
            ExportState::Done if !still_queued => {
                progress.finish();
                return Ok(export);
            }
            // While the job lives, the queue tries again.
            ExportState::Failed if !still_queued => {
                anyhow::bail!("the export failed: {}", export.reason.unwrap_or_default())
            }
            ExportState::Running if !still_queued => {
                anyhow::bail!("the export was lost while it ran: ask again")
            }
            ExportState::Done | ExportState::Failed | ExportState::Running => {}
        }
    }
}
