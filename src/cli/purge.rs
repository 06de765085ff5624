//! `eyefleet library purge`: deletes a library with everything that is known of it.
//!
//! What must stay true: the library is closed first and its name is free last, so whatever comes
//! between may die and be repeated; nothing outside the data folder is touched; what cannot be
//! deleted from here is said.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use fleetq::Discarded;
use serde::Serialize;

use super::args::LibraryPurgeArgs;
use super::{Client, Exit, Progress};
use crate::board::BoardError;
use crate::catalog::{CatalogError, Floors, Forgotten, PurgedRows};
use crate::config::Secret;
use crate::generation;
use crate::jobs::{
    AnalyzeImage, DescribeInDetail, ExportSnapshot, RemoveImage, TrainGeneration, UpdateImage,
    id_prefix,
};
use crate::library_lock::LibraryLock;
use crate::names::{Fence, LibraryId};
use crate::supervise::FleetFile;
use crate::volume;

/// Time that those who write into its folders get to notice, beside the lease of their jobs.
const PATIENCE: Duration = Duration::from_secs(45);
/// Time that workers get to let go of what it learned, beside the time between two looks.
const WORKERS_MAX: Duration = Duration::from_secs(10);
/// Tries to delete a folder into which a leader may be putting a link.
const TRIES: usize = 20;
/// Time between two tries.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// What a purge removed.
#[derive(Debug, Default, Serialize)]
struct Purged {
    rows: PurgedRows,
    jobs: u64,
    jobs_being_worked_on: u64,
    files: u64,
    /// What is beyond our reach, or left to somebody else.
    notes: Vec<String>,
}

impl Purged {
    fn is_nothing(&self) -> bool {
        self.rows == PurgedRows::default() && self.jobs == 0 && self.files == 0
    }
}

pub(super) async fn purge(
    client: &Client,
    args: &LibraryPurgeArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let name = &args.name;
    let known = client.catalog.library(name).await?;
    if !args.yes && !confirmed(client, name, known.is_some()).await? {
        return Ok(Exit::Usage);
    }
    let mut purged = Purged::default();
    if let Some(outside) =
        known.filter(|it| it.root != volume::originals_dir(&client.config.data, name))
    {
        purged.notes.push(format!("the photos in {} are kept", outside.root.display()));
    }
    let was_there = run(client, name, json, &mut purged).await?;
    forget(client, &mut purged).await;
    if !was_there && purged.is_nothing() {
        return Err(CatalogError::UnknownLibrary(name.clone()).into());
    }
    if json {
        say!("{}", serde_json::to_string(&purged)?);
    } else {
        say!("{}", text(name, &purged));
    }
    Ok(Exit::Done)
}

/// On a terminal the library's name is to be typed; elsewhere `--yes` is needed.
async fn confirmed(client: &Client, name: &LibraryId, known: bool) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        eprintln!("eyefleet: a purge cannot be undone: say --yes where nobody can be asked");
        return Ok(false);
    }
    let images = if known { client.catalog.counts(name).await?.images } else { 0 };
    eprint!(
        "Everything known of library {name} ({images} images) is deleted for good. Type its name: "
    );
    std::io::stderr().flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    let same = typed.trim() == name.as_str();
    if !same {
        eprintln!("nothing was deleted");
    }
    Ok(same)
}

/// Deletes it from catalogue, queues, board and volume; says whether the catalogue knew it.
async fn run(
    client: &Client,
    name: &LibraryId,
    quiet: bool,
    purged: &mut Purged,
) -> anyhow::Result<bool> {
    let images = client.catalog.begin_purge(name).await?;
    // Its workers lose their jobs now, and have let go of its folders a moment later.
    discard(client, name, purged).await?;
    client.board.withdraw(name).await?;
    wait_for_writers(client, name).await?;

    let mut progress = Progress::new("purge", "images", images.unwrap_or_default(), quiet);
    purged.rows = client.catalog.purge_rows(name, |gone| progress.set(gone)).await?;
    progress.finish();
    remove_folders(client, name, purged).await?;

    // Again: somebody may have offered or settled a job while it was closed.
    let floors = discard(client, name, purged).await?;
    wait_for_workers(client, name).await?;
    client.board.forget(name).await?;
    client.catalog.end_purge(name, floors).await?;
    Ok(images.is_some())
}

/// Removes its jobs from every queue, and gives what later libraries must be above.
async fn discard(client: &Client, name: &LibraryId, purged: &mut Purged) -> anyhow::Result<Floors> {
    let again = || format!("the jobs of library {name} are not all gone; run the purge again");
    let analyze = client.analyze.discard(&id_prefix::<AnalyzeImage>(name)).await;
    let analyze = analyze.with_context(again)?;
    let update = client.analyze.discard(&id_prefix::<UpdateImage>(name)).await;
    let update = update.with_context(again)?;
    let remove = client.analyze.discard(&id_prefix::<RemoveImage>(name)).await;
    let remove = remove.with_context(again)?;
    let export = client.export.discard(&id_prefix::<ExportSnapshot>(name)).await;
    let export = export.with_context(again)?;
    let detail = client.detail.discard(&id_prefix::<DescribeInDetail>(name)).await;
    let detail = detail.with_context(again)?;
    let train = client.train.discard(&id_prefix::<TrainGeneration>(name)).await;
    let train = train.with_context(again)?;
    for Discarded { jobs, claimed, .. } in [analyze, update, remove, export, detail, train] {
        purged.jobs += jobs;
        purged.jobs_being_worked_on += claimed;
    }
    let photos = [analyze, update, remove].map(|gone| gone.newest_token);
    let newest = photos.into_iter().max().unwrap_or_default();
    Ok(Floors::above(Fence(newest), Fence(train.newest_token)))
}

/// Those who began to write before the library was closed hold its lock; who comes later finds it
/// closed. So to have had it alone once is enough.
async fn wait_for_writers(client: &Client, name: &LibraryId) -> anyhow::Result<()> {
    let (data, library) = (client.config.data.clone(), name.clone());
    let patience = PATIENCE + client.config.lease;
    let alone = move || LibraryLock::alone(&data, &library, patience).map(drop);
    tokio::task::spawn_blocking(alone).await??;
    Ok(())
}

/// Workers that serve what it learned let go of it at their next look, and say so. One that does
/// not is dead or hangs: what the board says of it is removed all the same.
async fn wait_for_workers(client: &Client, name: &LibraryId) -> anyhow::Result<()> {
    let patience = WORKERS_MAX + client.config.reload_every;
    let serving = async {
        while client.board.workers().await?.iter().any(|it| it.serves.contains_key(name)) {
            tokio::time::sleep(TRY_EVERY).await;
        }
        Ok::<_, BoardError>(())
    };
    match tokio::time::timeout(patience, serving).await {
        Ok(waited) => Ok(waited?),
        Err(_) => Ok(()),
    }
}

/// Its folders on the volume. A watched folder is the person's own and lies elsewhere.
async fn remove_folders(
    client: &Client,
    name: &LibraryId,
    purged: &mut Purged,
) -> anyhow::Result<()> {
    let data = &client.config.data;
    for folder in [volume::library_dir(data, name), volume::originals_dir(data, name)] {
        let mut tries = 0;
        loop {
            let at = folder.clone();
            match tokio::task::spawn_blocking(move || remove(&at)).await? {
                Ok(files) => {
                    purged.files += files;
                    break;
                }
                Err(_) if tries < TRIES => tries += 1,
                Err(error) => {
                    return Err(error).with_context(|| {
                        format!("cannot remove {}; purge again when it can be", folder.display())
                    });
                }
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }
    if *name == LibraryId::main() {
        generation::unlink_root(data)?;
    }
    Ok(())
}

/// Removes a folder with all that is in it, not following links; gives the number of files.
fn remove(folder: &Path) -> std::io::Result<u64> {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    let files = files.filter(|entry| entry.file_type().is_file() && entry.file_name() != ".lock");
    let count = files.count() as u64;
    crate::snapshot::durable::remove_folder(folder)?;
    match folder.parent() {
        Some(above) if above.is_dir() => crate::snapshot::durable::sync_folder(above)?,
        _ => {}
    }
    Ok(count)
}

/// Takes what was deleted out of the stores' own files, and says where that is not for us to do.
async fn forget(client: &Client, purged: &mut Purged) {
    let notes = &mut purged.notes;
    match client.catalog.forget_deleted().await {
        Ok(Forgotten::Whole) => {}
        Ok(Forgotten::LogHeld) => notes.push(
            "a reader held on to the catalogue's log: it is folded in when the fleet stops"
                .to_owned(),
        ),
        Ok(Forgotten::TooLarge) => notes.push(
            "the catalogue's file is large and was not written anew: VACUUM it in a quiet hour, \
             until then it may hold copies of deleted rows"
                .to_owned(),
        ),
        Ok(Forgotten::LeftToServer) => notes.push(
            "PostgreSQL frees deleted rows by VACUUM, and its log and backups in their own time"
                .to_owned(),
        ),
        Err(error) => {
            notes.push(format!(
                "the catalogue's file may still hold copies of deleted rows: {error}"
            ));
        }
    }
    let url = client.config.redis_url.as_ref().map(Secret::expose);
    let is_private = FleetFile::find(&client.config.data)
        .is_some_and(|facts| Some(facts.redis_url.as_str()) == url);
    if !is_private {
        notes.push(
            "the Redis is not this fleet's own: what it has on disk is rewritten in its own time (BGREWRITEAOF, BGSAVE)"
                .to_owned(),
        );
    } else if let Err(error) = client.board.rewrite_log().await {
        notes.push(format!("the log of the private Redis still holds its names: {error}"));
    }
    if client.config.data.join("log").is_dir() {
        notes.push(format!(
            "logs in {} may still name photos of it: delete them where that matters",
            client.config.data.join("log").display()
        ));
    }
}

fn text(name: &LibraryId, purged: &Purged) -> String {
    let rows = &purged.rows;
    let counts = [
        (rows.images, "images"),
        (rows.analyses, "analyses"),
        (rows.faces, "faces"),
        (rows.persons, "persons"),
        (rows.corrections, "corrections"),
        (rows.constraints, "words on faces"),
        (rows.generations, "generations"),
        (rows.exports, "exports"),
        (rows.events, "events"),
        (purged.jobs, "jobs"),
        (purged.files, "files"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let counts = if counts.is_empty() { "it was empty".to_owned() } else { counts.join(", ") };
    let mut lines = vec![format!("purged library {name}: {counts}")];
    lines.extend(purged.notes.iter().map(|note| format!("  note: {note}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_told_in_counts() {
        let name = LibraryId::new("b").unwrap();
        let mut purged = Purged { files: 3, ..Purged::default() };
        purged.rows.images = 2;
        purged.notes.push("kept".to_owned());
        assert_eq!(text(&name, &purged), "purged library b: 2 images, 3 files\n  note: kept");
        assert!(text(&name, &Purged::default()).ends_with("it was empty"));
    }

    #[test]
    fn a_link_to_a_persons_folder_is_removed_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (own, photos) = (folder.path().join("own"), folder.path().join("photos"));
        std::fs::create_dir_all(own.join("a")).unwrap();
        std::fs::create_dir_all(&photos).unwrap();
        std::fs::write(photos.join("1.jpg"), "x").unwrap();
        std::fs::write(own.join("a/2.jpg"), "x").unwrap();
        std::os::unix::fs::symlink(&photos, own.join("there")).unwrap();
        assert_eq!(remove(&own).unwrap(), 1);
        assert!(!own.exists() && photos.join("1.jpg").exists());
        assert_eq!(remove(&own).unwrap(), 0);
    }
}
