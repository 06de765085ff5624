//! Writing a backup while the fleet works.
//!
//! First the moment of the catalogue, then links to the files that it names, then the rows of that
//! moment, then the files. Memory stays bounded: rows cross a channel in parts of a few mebibytes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::archive;
use super::error::BackupError;
use super::files::Kept;
use super::manifest::{BackupManifest, FORMAT, PackEntry, TableEntry};
use super::members;
use super::{Step, Tell};
use crate::catalog::Catalog;
use crate::catalog::dump::{Dump, schema_changes};
use crate::clock::Clock;
use crate::snapshot::durable;

/// Rows read at once.
const PAGE: u64 = 1000;
/// Bytes of rows in one part, before they are compressed.
const PART_BYTES: usize = 4 << 20;
/// Parts on their way to the disk.
const PARTS_MAX: usize = 2;
/// Moments tried, where trainings remove what one names before it is linked.
const MOMENTS_MAX: usize = 3;

/// What a backup needs.
pub struct BackupDeps {
    /// What is backed up.
    pub catalog: Catalog,
    /// Dates it.
    pub clock: Clock,
    /// The data folder.
    pub data: PathBuf,
    /// The packs in use with the folder of each.
    pub packs: Vec<(PackEntry, PathBuf)>,
    /// Hears how far it is.
    pub tell: Tell,
}

/// A backup that was written.
#[derive(Debug)]
pub struct Written {
    /// What it holds.
    pub manifest: BackupManifest,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 in its seal.
    pub sha256: String,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Writes a backup of everything into `file`, which is replaced when it is whole.
///
/// # Errors
/// What is current is damaged or gone, a store is away, or the disk refuses; `file` is as before.
pub async fn write(deps: BackupDeps, file: &Path) -> Result<Written, BackupError> {
    let (dump, kept) = moment(&deps).await?;
    let created_at = deps.clock.now();
    let counters = dump.counters().await?;
    let manifest = BackupManifest {
        format: FORMAT,
        program: crate::VERSION.to_owned(),
        created_at,
        schema: schema_changes(),
        data: deps.data.clone(),
        tables: Vec::new(),
        counters,
        libraries: kept.libraries.clone(),
        packs: deps.packs.iter().map(|(entry, _)| entry.clone()).collect(),
        members: std::collections::BTreeMap::new(),
    };
    let (parts, incoming) = channel(PARTS_MAX);
    let writing = Writing {
        file: file.to_owned(),
        manifest,
        kept,
        packs: deps.packs,
        tell: deps.tell.clone(),
    };
    let writer = tokio::task::spawn_blocking(move || writing.run(incoming));
    let fed = feed(dump, &parts, &deps.tell).await;
    drop(parts);
    let written = writer.await.map_err(|_| BackupError::Broke("writing of the backup"))?;
    // Where the feed broke off, the catalogue's error is the cause. A writer that failed closes the
    // channel, which is no error of the feed.
    fed?;
    written?.ok_or(BackupError::Broke("reading of the catalogue"))
}

/// A moment of the catalogue and all files that it names.
async fn moment(deps: &BackupDeps) -> Result<(Dump, Kept), BackupError> {
    for left in (0..MOMENTS_MAX).rev() {
        let dump = deps.catalog.begin_dump().await?;
        let libraries = dump.libraries().await?;
        let current = libraries.iter().find_map(|it| Some((it.library.clone(), it.current?)));
        let data = deps.data.clone();
        let keeping = tokio::task::spawn_blocking(move || {
            let mut kept = Kept::begin(&data)?;
            for library in &libraries {
                if !kept.keep(&data, library)? {
                    return Ok(None);
                }
            }
            Ok::<_, BackupError>(Some(kept))
        });
        let kept = keeping.await.map_err(|_| BackupError::Broke("linking of files"))??;
        match (kept, current) {
            (Some(kept), _) => return Ok((dump, kept)),
            (None, Some((library, number))) if left == 0 => {
                let why = "its files are gone".to_owned();
                return Err(BackupError::Current { library, number, why });
            }
            (None, _) => {}
        }
    }
    Err(BackupError::Broke("search for a moment"))
}

/// What crosses the channel.
enum Fed {
    /// Compressed rows: the path and the bytes of a part.
    Part(String, Vec<u8>),
    /// All rows came.
    End(Vec<TableEntry>),
}

async fn feed(dump: Dump, parts: &Sender<Fed>, tell: &Tell) -> Result<(), BackupError> {
    let (mut total, mut done) = (0, 0);
    for table in dump.tables() {
        total += dump.count(table).await?;
    }
    tell(Step::Rows, 0, total);
    let mut entries = Vec::new();
    for table in dump.tables() {
        let (columns, name) = (table.column_names(), table.name.clone());
        let mut entry = TableEntry { name, columns, rows: 0, parts: 0 };
        let mut lines = Vec::new();
        let mut after = None;
        loop {
            let page = dump.page(table, after.as_ref(), PAGE).await?;
            for row in &page {
                serde_json::to_writer(&mut lines, row).expect("values of JSON are JSON");
                lines.push(b'\n');
                if lines.len() >= PART_BYTES && !send(parts, &mut entry, &mut lines).await? {
                    return Ok(());
                }
            }
            entry.rows += page.len() as u64;
            done += page.len() as u64;
            tell(Step::Rows, done, total.max(done));
            match page.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        if !lines.is_empty() && !send(parts, &mut entry, &mut lines).await? {
            return Ok(());
        }
        entries.push(entry);
    }
    let _the_writer_failed = parts.send(Fed::End(entries)).await;
    Ok(())
}

/// Sends the lines as the next part; `false` where the writer has ended.
async fn send(
    parts: &Sender<Fed>,
    entry: &mut TableEntry,
    lines: &mut Vec<u8>,
) -> Result<bool, BackupError> {
    let path = members::part(&entry.name, entry.parts);
    let text = std::mem::take(lines);
    let packing = tokio::task::spawn_blocking(move || zstd::encode_all(text.as_slice(), 3));
    let packed = packing.await.map_err(|_| BackupError::Broke("compression of rows"))?;
    let packed = packed.map_err(BackupError::io("compress", Path::new(&path)))?;
    entry.parts += 1;
    Ok(parts.send(Fed::Part(path, packed)).await.is_ok())
}

/// The blocking half.
struct Writing {
    file: PathBuf,
    manifest: BackupManifest,
    kept: Kept,
    packs: Vec<(PackEntry, PathBuf)>,
    tell: Tell,
}

/// The file aside, removed unless it was renamed.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _renamed_already = fs::remove_file(&self.0);
    }
}

impl Writing {
    /// `None` where the feed broke off.
    fn run(mut self, mut incoming: Receiver<Fed>) -> Result<Option<Written>, BackupError> {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.file.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let aside = Aside(folder.join(format!(".{name}.{}", std::process::id())));
        let path = aside.0.clone();
        let io = |error| BackupError::io("write", &path)(error);
        let opened = File::create(&path).map_err(io)?;
        let mut archive = archive::Writer::new(BufWriter::with_capacity(1 << 20, opened));
        loop {
            match incoming.blocking_recv() {
                Some(Fed::Part(name, bytes)) => {
                    archive.add(&name, bytes.len() as u64, bytes.as_slice()).map_err(io)?;
                }
                Some(Fed::End(tables)) => {
                    self.manifest.tables = tables;
                    break;
                }
                None => return Ok(None),
            }
        }
        self.add_files(&mut archive, &path)?;
        let (file, manifest, sha256) = archive.finish(self.manifest).map_err(io)?;
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        fs::rename(&path, &self.file).map_err(BackupError::io("rename to", &self.file))?;
        durable::sync_folder(&folder).map_err(BackupError::io("sync", &folder))?;
        let notes = std::mem::take(&mut self.kept.notes);
        Ok(Some(Written { manifest, bytes, sha256, notes }))
    }

    fn add_files<W: Write>(
        &self,
        archive: &mut archive::Writer<W>,
        aside: &Path,
    ) -> Result<(), BackupError> {
        let total: u64 = self.kept.files.iter().map(|(_, size)| size).sum();
        let mut done = 0;
        (self.tell)(Step::Files, 0, total);
        for (name, size) in &self.kept.files {
            let path = self.kept.path(name);
            let file = File::open(&path).map_err(BackupError::io("read", &path))?;
            archive.add(name, *size, file).map_err(BackupError::io("write", aside))?;
            done += size;
            (self.tell)(Step::Files, done, total);
        }
        for (pack, folder) in &self.packs {
            let path = folder.join("manifest.json");
            let text = fs::read(&path).map_err(BackupError::io("read", &path))?;
            let name = format!("packs/{}/manifest.json", pack.folder);
            let added = archive.add(&name, text.len() as u64, text.as_slice());
            added.map_err(BackupError::io("write", aside))?;
        }
        Ok(())
    }
}
