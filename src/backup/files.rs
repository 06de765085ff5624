//! What a backup takes from the volume while the fleet works there.
//!
//! A training may remove old generations and an export old snapshots at any moment. So each is
//! linked into a folder of the backup first, under the library's lock, and read from there: a file
//! with two names stays until both are gone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::error::BackupError;
use super::manifest::LibraryEntry;
use super::members::{LOGS, is_plain};
use crate::catalog::dump::DumpedLibrary;
use crate::generation::{GenerationStore, files::MANIFEST};
use crate::library_lock::LibraryLock;
use crate::names::GenerationNumber;
use crate::snapshot::durable::measure;
use crate::snapshot::{self, Snapshot, SnapshotId};
use crate::volume;

const PREFIX: &str = ".backup-";
const LOCK: &str = ".backup.lock";

/// Everything of the volume that goes into a backup.
#[derive(Debug)]
pub struct Kept {
    folder: TempDir,
    /// One backup of a volume at a time: what another left behind can be removed then.
    _lock: File,
    /// What is there.
    pub libraries: Vec<LibraryEntry>,
    /// Paths in the backup with their sizes, in their order.
    pub files: Vec<(String, u64)>,
    /// What is left out, and why.
    pub notes: Vec<String>,
}

impl Kept {
    /// Where a file of `files` can be read.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Begins, and removes what killed backups left.
    ///
    /// # Errors
    /// Another backup runs, or the disk refuses.
    pub fn begin(data: &Path) -> Result<Self, BackupError> {
        let shelf = data.join("libraries");
        fs::create_dir_all(&shelf).map_err(BackupError::io("create", &shelf))?;
        let path = shelf.join(LOCK);
        let lock = File::create(&path).map_err(BackupError::io("create", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(BackupError::AnotherBackup(data.to_owned()));
            }
            Err(error) => return Err(BackupError::io("lock", &path)(error.into())),
        }
        for entry in fs::read_dir(&shelf).map_err(BackupError::io("list", &shelf))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                let left = entry.path();
                fs::remove_dir_all(&left).map_err(BackupError::io("remove", &left))?;
            }
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&shelf);
        let folder = folder.map_err(BackupError::io("create a folder in", &shelf))?;
        let (libraries, files, notes) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { folder, _lock: lock, libraries, files, notes })
    }

    /// Links what the catalogue knows of a library. Answers `false` where its current generation was
    /// removed since the catalogue was read: that moment is over.
    ///
    /// # Errors
    /// A purge of the library goes on, what is current is damaged, or the disk refuses.
    pub fn keep(&mut self, data: &Path, known: &DumpedLibrary) -> Result<bool, BackupError> {
        let library = &known.library;
        let _lock = LibraryLock::shared(data, library)?;
        let from = volume::library_dir(data, library);
        let store = GenerationStore::new(&from);
        let mut entry = LibraryEntry {
            library: library.clone(),
            current: known.current,
            generations: Vec::new(),
            snapshots: Vec::new(),
        };
        for number in &known.published {
            let name = format!("libraries/{library}/generations/{number}");
            let is_current = known.current == Some(*number);
            match self.link(&store.folder(*number), &name)? {
                None if is_current => return Ok(false),
                // Removed in its time, as old ones are.
                None => {}
                Some(names) => match self.whole_generation(&name, *number) {
                    Ok(()) => {
                        entry.generations.push(*number);
                        self.list(&name, &names)?;
                    }
                    Err(why) if is_current => {
                        let (library, number) = (library.clone(), *number);
                        return Err(BackupError::Current { library, number, why });
                    }
                    Err(why) => self.notes.push(format!(
                        "generation {number} of library {library} is left out: {why}"
                    )),
                },
            }
        }
        for id in known.snapshots.iter().filter_map(|id| SnapshotId::parse(id)) {
            let name = format!("libraries/{library}/snapshots/{id}");
            let Some(names) = self.link(&snapshot::path_of(&from, &id), &name)? else { continue };
            match Snapshot::open(&self.path(&name)) {
                Ok(_) => {
                    entry.snapshots.push(id.to_string());
                    self.list(&name, &names)?;
                }
                Err(why) => self.notes.push(format!("a snapshot is left out: {why}")),
            }
        }
        for log in LOGS {
            self.copy_log(&from.join(log), &format!("libraries/{library}/{log}"))?;
        }
        self.libraries.push(entry);
        Ok(true)
    }

    /// Links every file of a folder; `None` where it is not there, or not to its end.
    fn link(&self, from: &Path, name: &str) -> Result<Option<BTreeSet<String>>, BackupError> {
        let to = self.path(name);
        fs::create_dir_all(&to).map_err(BackupError::io("create", &to))?;
        let mut names = BTreeSet::new();
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let entries = match fs::read_dir(from) {
            Err(error) if gone(&error) => return Ok(None),
            other => other.map_err(BackupError::io("list", from))?,
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::io("list", from))?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if !is_plain(&file) {
                continue;
            }
            let link = to.join(&file);
            // A file system without links gets a copy.
            let linked = fs::hard_link(entry.path(), &link)
                .or_else(|_| fs::copy(entry.path(), &link).map(drop));
            match linked {
                Err(error) if gone(&error) => return Ok(None),
                other => other.map_err(BackupError::io("link", &entry.path()))?,
            }
            names.insert(file);
        }
        Ok(names.contains(MANIFEST).then_some(names))
    }

    /// Every file of a linked generation against its manifest.
    fn whole_generation(&self, name: &str, number: GenerationNumber) -> Result<(), String> {
        let folder = self.path(name);
        let text = fs::read(folder.join(MANIFEST)).map_err(|error| error.to_string())?;
        let manifest: crate::generation::GenerationManifest =
            serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if manifest.generation != number {
            return Err(format!("its manifest is of generation {}", manifest.generation));
        }
        for (file, expected) in &manifest.files {
            let found = measure(&folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
            if found != *expected {
                return Err(format!("{file} is not what its manifest says"));
            }
        }
        Ok(())
    }

    /// A log grows while it is read: the lines of this moment are copied.
    fn copy_log(&mut self, from: &Path, name: &str) -> Result<(), BackupError> {
        let to = self.path(name);
        match fs::copy(from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(BackupError::io("copy", from)(error)),
            Ok(size) => {
                self.files.push((name.to_owned(), size));
                Ok(())
            }
        }
    }

    fn list(&mut self, name: &str, files: &BTreeSet<String>) -> Result<(), BackupError> {
        for file in files {
            let path = self.path(name).join(file);
            let size = fs::metadata(&path).map_err(BackupError::io("look at", &path))?.len();
            self.files.push((format!("{name}/{file}"), size));
        }
        Ok(())
    }
}
