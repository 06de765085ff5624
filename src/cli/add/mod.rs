//! `eyefleet add`: photos into the library, recorded in the catalogue, enqueued.

mod take;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use fleetq::{Lane, Mode};
use serde::Serialize;
use serde_json::json;

use take::{files_of, take};

use super::args::AddArgs;
use super::{Client, Exit, Progress};
use crate::catalog::{Change, StageState, Upload, WaitingImage};
use crate::jobs::{Origin, offer};
use crate::library_lock;
use crate::names::{ImageId, LibraryId};
use crate::reconcile::analyze_job;
use crate::volume;

/// Files recorded in one transaction.
const BATCH: usize = 200;
/// Time between two looks at how far the analysis is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What came of adding.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Added {
    /// Files found.
    pub files: u64,
    /// Images that are new or changed, and therefore enqueued.
    pub enqueued: u64,
    /// Images that are new or changed and recorded, while the queue is drained and takes no jobs:
    /// they are enqueued when somebody resumes it.
    pub held: u64,
    /// Images that were known with the same content.
    pub unchanged: u64,
    /// Files that could not be taken, with the reason.
    pub refused: Vec<String>,
}

pub(super) async fn add(client: &Client, args: &AddArgs, json: bool) -> anyhow::Result<Exit> {
    let failed_before = match client.catalog.library(&args.library).await? {
        Some(_) => client.catalog.counts(&args.library).await?.failed,
        None => 0,
    };
    let added = add_files(client, &args.library, &args.paths, json).await?;
    for refused in &added.refused {
        eprintln!("refused: {refused}");
    }
    if added.enqueued + added.held > 0 || args.wait {
        tell_of_queue(client, &added).await?;
    }
    let mut failed = 0;
    if args.wait {
        let failed_now = wait(client, &args.library, json).await?;
        failed = failed_now.saturating_sub(failed_before);
        if failed > 0 {
            eprintln!("failed: {failed}; `eyefleet status` shows why");
        }
    }
    if json {
        say!("{}", json!({ "added": added, "failed": args.wait.then_some(failed) }));
    } else {
        say!(
            "added {} of {} files ({} unchanged, {} refused)",
            added.enqueued + added.held,
            added.files,
            added.unchanged,
            added.refused.len()
        );
    }
    let all_well = added.refused.is_empty() && failed == 0;
    Ok(if all_well { Exit::Done } else { Exit::SomeFailed })
}

/// Records and enqueues every photo of `paths`.
///
/// # Errors
/// A path that does not exist, a root that cannot be used, a store that is away. Single files that
/// cannot be taken are listed in the answer.
pub async fn add_files(
    client: &Client,
    library: &LibraryId,
    paths: &[PathBuf],
    quiet: bool,
) -> anyhow::Result<Added> {
    let data = &client.config.data;
    let root = root_of(client, library).await?;

    let mut added = Added::default();
    let searched = paths.to_vec();
    let found = tokio::task::spawn_blocking(move || {
        let mut refused = Vec::new();
        files_of(&searched, &mut refused).map(|files| (files, refused))
    });
    let (files, refused) = found.await??;
    added.refused = refused;
    added.files = files.len() as u64;
    let mut progress = Progress::new("add", "files", added.files, quiet);
    let mut done = 0;
    for chunk in files.chunks(BATCH) {
        // From the copy to the queue: a purge of this library comes before or after.
        let _held = library_lock::hold(&client.catalog, data, library).await?;
        let (chunk_owned, root) = (chunk.to_vec(), root.clone());
        let most = client.config.original_bytes_max;
        let taken = tokio::task::spawn_blocking(move || take(&chunk_owned, &root, most)).await?;
        let mut uploads = Vec::with_capacity(taken.len());
        for upload in taken {
            match upload {
                Ok(upload) => uploads.push(upload),
                Err(refused) => added.refused.push(refused),
            }
        }
        record(client, library, &uploads, &mut added).await?;
        done += chunk.len() as u64;
        progress.set(done);
    }
    progress.finish();
    Ok(added)
}

/// Where the library's photos lie; a library that is new gets a folder of its own.
async fn root_of(client: &Client, library: &LibraryId) -> anyhow::Result<PathBuf> {
    let data = &client.config.data;
    let own = volume::originals_dir(data, library);
    let root = match client.catalog.library(library).await? {
        Some(known) => known.root,
        None => client.catalog.ensure_library(library, &own).await?.root,
    };
    if root == own {
        let _not_purged_meanwhile = library_lock::hold(&client.catalog, data, library).await?;
        tokio::fs::create_dir_all(&own)
            .await
            .with_context(|| format!("cannot create {}", own.display()))?;
    }
    tokio::fs::canonicalize(&root)
        .await
        .with_context(|| format!("the folder of library {library}, {}, is away", root.display()))
}

/// The catalogue first, the queue second: a crash between them is what reconciliation mends.
async fn record(
    client: &Client,
    library: &LibraryId,
    uploads: &[Upload],
    added: &mut Added,
) -> anyhow::Result<()> {
    let recorded = client.catalog.record_uploads(library, uploads).await?;
    let unchanged = recorded.iter().filter(|image| image.change == Change::Unchanged);
    let unchanged: Vec<ImageId> = unchanged.map(|image| image.image.clone()).collect();
    // An earlier try may have ended between the two, and whoever adds them again waits for them.
    let still_waiting = client.catalog.in_state(library, &unchanged, StageState::Waiting).await?;
    let (mut jobs, mut again) = (Vec::new(), Vec::new());
    let origin = Origin::command();
    for image in recorded {
        let jobs = match &image.change {
            Change::New | Change::Changed => &mut jobs,
            Change::Unchanged => {
                added.unchanged += 1;
                if !still_waiting.contains(&image.image) {
                    continue;
                }
                &mut again
            }
            Change::PathTaken(owner) => {
                added.refused.push(format!("{}: it is image {owner} already", image.path));
                continue;
            }
        };
        let waiting =
            WaitingImage { image: image.image, path: image.path, revision: image.revision };
        jobs.push(analyze_job(library, &waiting, Lane::Upload, &origin));
    }
    let photos = jobs.len() as u64;
    jobs.append(&mut again);
    let kept = "the photos are recorded and are analyzed by themselves once redis takes jobs again";
    match offer(&client.analyze, jobs).await.context(kept)? {
        Some(_) => added.enqueued += photos,
        None => added.held += photos,
    }
    Ok(())
}

/// Says where somebody keeps the photos from being analyzed.
async fn tell_of_queue(client: &Client, added: &Added) -> anyhow::Result<()> {
    let until = "`eyefleet queue resume analyze`";
    match client.analyze.depth().await?.mode {
        _ if added.held == 1 => {
            eprintln!(
                "queue analyze is being drained: 1 photo is recorded and waits until {until}"
            );
        }
        _ if added.held > 0 => eprintln!(
            "queue analyze is being drained: {} photos are recorded and wait until {until}",
            added.held
        ),
        Mode::Paused => eprintln!("queue analyze is paused: nothing is analyzed until {until}"),
        Mode::Running | Mode::Draining => {}
    }
    Ok(())
}

/// Waits until nothing of the library waits. Returns how many of its images are failed.
async fn wait(client: &Client, library: &LibraryId, quiet: bool) -> anyhow::Result<u64> {
    let before = client.catalog.counts(library).await?;
    let mut progress = Progress::new("analyze", "images", before.waiting, quiet);
    loop {
        let counts = client.catalog.counts(library).await?;
        progress.set_total(before.waiting.max(counts.waiting));
        progress.set(before.waiting.saturating_sub(counts.waiting));
        if counts.waiting == 0 {
            progress.finish();
            return Ok(counts.failed);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
