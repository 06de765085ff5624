//! `eyefleet backup` and `eyefleet restore`: all that must not be lost, in one file.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde_json::json;

use super::args::{BackupArgs, RestoreArgs};
use super::{Exit, Progress};
use crate::backup::{
    self, BackupDeps, BackupManifest, PackEntry, RestoreRequest, Restored, Step, Tell, Written,
};
use crate::board::Board;
use crate::catalog::{Catalog, sqlite_path};
use crate::clock::Clock;
use crate::config::Config;
use crate::vision::Pack;

const MEBIBYTE: u64 = 1 << 20;

/// Writes a backup. Needs no Redis: what lies there can be made again.
///
/// # Errors
/// As `backup::write`, or a file that cannot be one.
pub async fn backup(config: Config, args: &BackupArgs, json: bool) -> anyhow::Result<Exit> {
    let (file, url) = (&args.file, config.database_url.expose());
    anyhow::ensure!(!file.is_dir(), "{} is a folder: name a file", file.display());
    let above = file.parent().filter(|it| !it.as_os_str().is_empty());
    anyhow::ensure!(
        above.is_none_or(std::path::Path::is_dir),
        "the folder of {} is not there: make it first",
        file.display()
    );
    if let Some(path) = sqlite_path(url) {
        anyhow::ensure!(
            path.is_file(),
            "there is no catalogue at {}: set EYEFLEET_DATA or DATABASE_URL to those of the fleet",
            path.display()
        );
    }
    let catalog = Catalog::open(url, Clock::system()).await?;
    let (packs, mut notes) = packs(&config).await?;
    let deps = BackupDeps {
        catalog: catalog.clone(),
        clock: Clock::system(),
        data: config.data,
        packs,
        tell: shown(json),
    };
    let written = backup::write(deps, file).await?;
    catalog.close().await?;
    notes.extend(written.notes.iter().cloned());
    if json {
        say!("{}", summary_json(&written, &file.display().to_string(), &notes));
    } else {
        say!("{}", summary(&written, &file.display().to_string(), &notes));
    }
    Ok(Exit::Done)
}

/// Restores a backup into the folder and the database that the settings name.
///
/// # Errors
/// As `backup::restore`.
pub async fn restore(config: Config, args: &RestoreArgs, json: bool) -> anyhow::Result<Exit> {
    let board = match &config.redis_url {
        Some(url) => Some(
            Board::open(url.expose(), &config.namespace)
                .with_context(|| format!("cannot use the Redis at {}", url.masked()))?,
        ),
        None => None,
    };
    let request = RestoreRequest {
        file: args.file.clone(),
        data: config.data.clone(),
        database_url: config.database_url.expose().to_owned(),
        board,
        force: args.force,
        tell: shown(json),
    };
    let Restored { manifest, resumed } = Box::pin(backup::restore(request)).await?;
    let (here, _) = packs(&config).await?;
    let notes = missing_packs(&manifest, &here);
    if json {
        say!(
            "{}",
            json!({
                "restored": args.file, "resumed": resumed, "created_at": manifest.created_at,
                "libraries": manifest.libraries, "rows": rows(&manifest), "notes": notes,
            })
        );
        return Ok(Exit::Done);
    }
    say!(
        "restored {} as of {:.0} into {}",
        contents(&manifest),
        manifest.created_at,
        config.data.display()
    );
    for note in notes {
        say!("  note: {note}");
    }
    say!("  the photos were not in it: put them where they were, then `eyefleet up`");
    Ok(Exit::Done)
}

/// The pack in use with its folder, and a note where it is not to be had.
async fn packs(config: &Config) -> anyhow::Result<(Vec<(PackEntry, PathBuf)>, Vec<String>)> {
    let (name, folders) = (config.pack.clone(), config.packs.clone());
    let found = tokio::task::spawn_blocking(move || {
        let folder = Pack::locate(&name, &folders)?;
        Pack::open(&folder).map(|pack| (pack, folder))
    });
    Ok(match found.await? {
        Ok((pack, folder)) => {
            let named = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (name, space) = (pack.name().to_string(), pack.space().clone());
            (vec![(PackEntry { folder: named, name, space }, folder)], Vec::new())
        }
        Err(error) => (Vec::new(), vec![format!("the manifest of the pack is left out: {error}")]),
    })
}

fn missing_packs(manifest: &BackupManifest, here: &[(PackEntry, PathBuf)]) -> Vec<String> {
    let same = |pack: &PackEntry| here.iter().any(|(other, _)| other.space == pack.space);
    let missing = manifest.packs.iter().filter(|pack| !same(pack));
    let note = |pack: &PackEntry| {
        format!(
            "the photos were analyzed with pack {} (space {}), which is not the one in use here: \
             install it, or what was learned is of no use to this one",
            pack.name, pack.space
        )
    };
    missing.map(note).collect()
}

fn rows(manifest: &BackupManifest) -> u64 {
    manifest.tables.iter().map(|table| table.rows).sum()
}

fn contents(manifest: &BackupManifest) -> String {
    let libraries = &manifest.libraries;
    let generations: usize = libraries.iter().map(|it| it.generations.len()).sum();
    let snapshots: usize = libraries.iter().map(|it| it.snapshots.len()).sum();
    let count = |count: usize, one: &str, many: &str| {
        if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
    };
    format!(
        "{} with {} rows, {} and {}",
        count(libraries.len(), "library", "libraries"),
        rows(manifest),
        count(generations, "generation", "generations"),
        count(snapshots, "snapshot", "snapshots"),
    )
}

fn summary(written: &Written, file: &str, notes: &[String]) -> String {
    let size = written.bytes as f64 / MEBIBYTE as f64;
    let mut text = format!(
        "backed up {} into {file} ({size:.1} MiB)\n  sha256 {}",
        contents(&written.manifest),
        written.sha256
    );
    for note in notes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  note: {note}");
    }
    text.push_str("\n  the photos themselves are not in it");
    text
}

fn summary_json(written: &Written, file: &str, notes: &[String]) -> serde_json::Value {
    json!({
        "file": file, "bytes": written.bytes, "sha256": written.sha256,
        "created_at": written.manifest.created_at, "libraries": written.manifest.libraries,
        "rows": rows(&written.manifest), "notes": notes,
    })
}

/// A bar for each step, with its rate and the time that is left.
fn shown(quiet: bool) -> Tell {
    let bar: Mutex<Option<(Step, Progress)>> = Mutex::new(None);
    Arc::new(move |step, done, total| {
        let (label, unit, scale) = match step {
            Step::Rows => ("catalogue", "rows", 1),
            Step::Files => ("files", "MiB", MEBIBYTE),
            Step::Verify => ("verify", "MiB", MEBIBYTE),
            Step::Unpack => ("unpack", "MiB", MEBIBYTE),
            Step::Load => ("load", "rows", 1),
        };
        let total = total.div_ceil(scale);
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, finished)) = bar.take_if(|(shown, _)| *shown != step) {
            finished.finish();
        }
        let (_, progress) =
            bar.get_or_insert_with(|| (step, Progress::new(label, unit, total, quiet)));
        progress.set_total(total);
        progress.set(done.div_ceil(scale));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SpaceId;

    #[test]
    fn a_pack_of_another_space_is_named() {
        let pack = |space: &str| PackEntry {
            folder: "p".to_owned(),
            name: "p@1".to_owned(),
            space: SpaceId::new(space).unwrap(),
        };
        let manifest: BackupManifest = serde_json::from_value(json!({
            "format": 1, "program": "1", "created_at": "2026-11-22T13:15:00Z", "schema": [],
            "data": "/d", "tables": [], "counters": {}, "libraries": [],
            "packs": [pack("00112233aabbccdd")], "members": {},
        }))
        .unwrap();
        let here = |space: &str| [(pack(space), PathBuf::new())];
        assert_eq!(missing_packs(&manifest, &here("00112233aabbccdd")), Vec::<String>::new());
        let notes = missing_packs(&manifest, &here("ff112233aabbccdd"));
        assert!(notes[0].contains("p@1"), "{notes:?}");
        assert_eq!(contents(&manifest), "0 libraries with 0 rows, 0 generations and 0 snapshots");
    }
}
