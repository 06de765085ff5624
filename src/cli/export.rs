//! `eyefleet export`: a snapshot of the library's metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
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
    if args.history {
        return history(client, &args.library, json).await;
    }
    let since = args.since.map(|since| since.moment(client.clock.now(), TimeZone::system()));
    if !args.wait {
        let job = enqueue(client, &args.library, limit, since).await?;
        if json {
            say!("{}", json!({ "enqueued": job }));
        } else {
            say!("export of library {} is enqueued", args.library);
        }
        return Ok(Exit::Done);
    }
    let export = wait_for_export(client, &args.library, limit, since, json).await?;
    if json {
        say!(
            "{}",
            json!({ "snapshot": export.export, "images": export.images, "skipped": export.skipped })
        );
    } else {
        say!("exported {} images into snapshot {}", export.images, export.export);
        if !export.skipped.is_empty() {
            say!("  left out: {}", counted(&export.skipped));
        }
    }
    Ok(Exit::Done)
}

async fn enqueue(
    client: &Client,
    library: &LibraryId,
    limit: Option<u64>,
    since: Option<Timestamp>,
) -> anyhow::Result<String> {
    if client.catalog.library(library).await?.is_none() {
        return Err(CatalogError::UnknownLibrary(library.clone()).into());
    }
    let request = Uuid::now_v7().to_string();
    let job = ExportSnapshot { library: library.clone(), limit, since, request };
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
    wait_for_export(client, library, limit, None, quiet).await
}

async fn wait_for_export(
    client: &Client,
    library: &LibraryId,
    limit: Option<u64>,
    since: Option<Timestamp>,
    quiet: bool,
) -> anyhow::Result<Export> {
    let known: BTreeSet<String> =
        client.catalog.exports(library, RECENT).await?.into_iter().map(|it| it.export).collect();
    let id = enqueue(client, library, limit, since).await?;
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

async fn history(client: &Client, library: &LibraryId, json: bool) -> anyhow::Result<Exit> {
    if client.catalog.library(library).await?.is_none() {
        return Err(CatalogError::UnknownLibrary(library.clone()).into());
    }
    let exports = client.catalog.exports(library, RECENT).await?;
    if json {
        say!("{}", Value::from(exports.iter().map(row).collect::<Vec<_>>()));
    } else {
        say!("{}", text(&exports));
    }
    Ok(Exit::Done)
}

/// How long an export took; none while it runs.
fn took(export: &Export) -> Option<f64> {
    let finished = export.finished_at?;
    Some(finished.duration_since(export.started_at).as_secs_f64())
}

fn row(export: &Export) -> Value {
    json!({
        "snapshot": export.export,
        "state": export.state,
        "images": export.images,
        "limit": export.limit,
        "since": export.since,
        "skipped": export.skipped,
        "reason": export.reason,
        "started_at": export.started_at,
        "finished_at": export.finished_at,
        "seconds": took(export),
    })
}

fn text(exports: &[Export]) -> String {
    let mut lines = vec![format!(
        "{:<20}  {:<7}  {:>8}  {:>8}  {}",
        "began", "state", "images", "took", "snapshot"
    )];
    for export in exports {
        let took = took(export).map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
        lines.push(format!(
            "{:<20}  {:<7}  {:>8}  {took:>8}  {}",
            format!("{:.0}", export.started_at),
            export.state.as_str(),
            export.images,
            export.export
        ));
        let mut notes = Vec::new();
        notes.extend(export.limit.map(|limit| format!("of the newest {limit}")));
        notes.extend(export.since.map(|since| format!("of what changed since {since:.0}")));
        notes.extend(export.reason.clone());
        if !export.skipped.is_empty() {
            notes.push(format!("left out: {}", counted(&export.skipped)));
        }
        lines.extend(notes.into_iter().map(|note| format!("  {note}")));
    }
    if exports.is_empty() {
        lines.push("none yet: `eyefleet export` writes the first".to_owned());
    }
    lines.join("\n")
}

fn counted(skipped: &BTreeMap<String, u64>) -> String {
    let counts: Vec<String> =
        skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Fence;

    #[test]
    fn the_history_reads_well() {
        let done = Export {
            export: "20261122T110000Z-0000000000000001".to_owned(),
            images: 1200,
            skipped: [("not analyzed yet".to_owned(), 3)].into(),
            limit: Some(5000),
            since: None,
            state: ExportState::Done,
            reason: None,
            fence: Fence(1),
            started_at: "2026-11-22T11:00:00Z".parse().unwrap(),
            finished_at: Some("2026-11-22T11:00:02.5Z".parse().unwrap()),
        };
        let failed = Export {
            images: 0,
            skipped: BTreeMap::new(),
            limit: None,
            since: Some("2026-11-20T00:00:00Z".parse().unwrap()),
            state: ExportState::Failed,
            reason: Some("no room".to_owned()),
            ..done.clone()
        };
        let running = Export {
            state: ExportState::Running,
            finished_at: None,
            reason: None,
            since: None,
            ..failed.clone()
        };
        insta::assert_snapshot!(text(&[running, failed, done]));
    }
}
