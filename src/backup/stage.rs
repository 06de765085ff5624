//! Unpacking a backup aside, and its rows into a database: every member against the manifest.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use super::archive;
use super::error::BackupError;
use super::manifest::{BackupManifest, FORMAT, TableEntry};
use super::members::{self, Member};
use super::{Step, Tell};
use crate::catalog::dump::{DumpRow, Loading, schema_changes};
use crate::snapshot::FileEntry;
use crate::snapshot::durable::{self, HashedFile};

/// Bytes that one part may become: nobody's memory is filled by a hostile file.
const PART_BYTES_MAX: u64 = 256 << 20;

/// Whether this program can restore what the manifest describes. Answers how many changes of the
/// schema its rows were made with.
///
/// # Errors
/// A newer format or schema, or a manifest that contradicts itself.
pub fn check(file: &Path, manifest: &BackupManifest) -> Result<usize, BackupError> {
    let program = manifest.program.clone();
    let newer = |why: String| BackupError::Newer { file: file.to_owned(), program, why };
    if manifest.format != FORMAT {
        return Err(newer(format!("its format is {}, this one reads {FORMAT}", manifest.format)));
    }
    let known = schema_changes();
    if !known.starts_with(&manifest.schema) {
        let unknown = manifest.schema.iter().find(|change| !known.contains(change));
        let unknown = unknown.map_or("in another order", String::as_str);
        return Err(newer(format!("its catalogue has changes that are not known: {unknown}")));
    }
    let damaged = |why: String| Err(BackupError::damaged(file, why));
    for name in manifest.members.keys() {
        if !matches!(members::parse(name), Some(Member::Part(..) | Member::File | Member::Pack)) {
            return damaged(format!("its manifest names {name:?}"));
        }
    }
    for entry in &manifest.libraries {
        if let Some(current) = entry.current.filter(|it| !entry.generations.contains(it)) {
            return damaged(format!("generation {current} of {} is missing", entry.library));
        }
    }
    Ok(manifest.schema.len())
}

/// Unpacks the members into `folder`, which must not exist. What is there afterwards is what the
/// manifest says, file for file.
///
/// # Errors
/// A member is missing, unknown, twice there or changed, or the disk refuses.
pub fn unpack(
    file: &Path,
    manifest: &BackupManifest,
    folder: &Path,
    tell: &Tell,
) -> Result<(), BackupError> {
    fs::create_dir_all(folder).map_err(BackupError::io("create", folder))?;
    let total: u64 = manifest.members.values().map(|entry| entry.size).sum();
    let (mut done, mut found) = (0, BTreeMap::<String, FileEntry>::new());
    archive::each_member(file, |member, name, content| {
        if matches!(member, Member::Manifest | Member::Seal) {
            return Ok(());
        }
        let path = folder.join(name);
        let above = path.parent().unwrap_or(folder);
        fs::create_dir_all(above).map_err(BackupError::io("create", above))?;
        if found.contains_key(name) {
            return Err(BackupError::damaged(file, format!("{name} is there twice")));
        }
        let io = |error| BackupError::io("write", &path)(error);
        let mut written = HashedFile::create(&path).map_err(io)?;
        io::copy(content, &mut written).map_err(io)?;
        let entry = written.finish().map_err(io)?;
        if manifest.members.get(name) != Some(&entry) {
            return Err(BackupError::damaged(
                file,
                format!("{name} is not what its manifest says"),
            ));
        }
        done += entry.size;
        found.insert(name.to_owned(), entry);
        tell(Step::Unpack, done, total);
        Ok(())
    })?;
    match manifest.members.keys().find(|name| !found.contains_key(*name)) {
        Some(missing) => Err(BackupError::damaged(file, format!("{missing} is missing"))),
        None => sync_folders(folder),
    }
}

/// The names of what was unpacked survive a power cut: the journal says next that they are there.
fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        if entry.file_type().is_dir() {
            let path = entry.path();
            durable::sync_folder(path).map_err(BackupError::io("sync", path))?;
        }
    }
    Ok(())
}

/// Loads the unpacked rows and commits them.
///
/// # Errors
/// Rows that are not those of the manifest or do not fit the schema, or a failure of the database:
/// it is as before then.
pub async fn load(
    loading: Loading,
    file: &Path,
    manifest: &BackupManifest,
    folder: &Path,
    data: &Path,
    tell: &Tell,
) -> Result<(), BackupError> {
    let damaged = |why: String| BackupError::damaged(file, why);
    let entries: BTreeMap<&str, &TableEntry> =
        manifest.tables.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let total = manifest.tables.iter().map(|entry| entry.rows).sum();
    let mut done = 0;
    if entries.len() != loading.tables().len() {
        return Err(damaged(format!("{} tables are described", entries.len())));
    }
    for table in loading.tables() {
        let entry = entries.get(table.name.as_str());
        let entry = entry.ok_or_else(|| damaged(format!("table {} is missing", table.name)))?;
        if entry.columns != table.column_names() {
            return Err(damaged(format!("table {} has other columns", table.name)));
        }
        let mut rows = 0;
        for part in 0..entry.parts {
            let path = folder.join(members::part(&table.name, part));
            let reading = tokio::task::spawn_blocking(move || read_part(&path));
            let page = reading.await.map_err(|_| BackupError::Broke("reading of rows"))?;
            let page = page.map_err(|error| damaged(format!("table {}: {error}", table.name)))?;
            loading.insert(&table.name, &page).await?;
            rows += page.len() as u64;
            done += page.len() as u64;
            tell(Step::Load, done, total);
        }
        if rows != entry.rows {
            return Err(damaged(format!("table {} has {rows} rows", table.name)));
        }
    }
    let text = |path: &Path| path.to_string_lossy().trim_end_matches('/').to_owned();
    loading.finish(&manifest.counters, (&text(&manifest.data), &text(data))).await?;
    Ok(())
}

fn read_part(path: &PathBuf) -> io::Result<Vec<DumpRow>> {
    let decoder = zstd::Decoder::new(fs::File::open(path)?)?;
    let mut lines = io::BufReader::new(decoder.take(PART_BYTES_MAX));
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(rows);
        }
        rows.push(serde_json::from_slice(&line)?);
    }
}
