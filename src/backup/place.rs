//! Putting what was unpacked in place, step by step.
//!
//! What must stay true: each step can be repeated however far it came before it was killed, and the
//! journal names the next one only when the one before is on the disk. What was there is put aside
//! and removed at the end.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Tell;
use super::error::BackupError;
use super::journal::{self, Journal, Next};
use super::manifest::BackupManifest;
use super::stage;
use crate::board::Board;
use crate::catalog::dump::Loading;
use crate::catalog::sqlite_path;
use crate::generation::{self, GenerationStore};
use crate::names::LibraryId;
use crate::snapshot::{self, Snapshot, durable};
use crate::volume;

/// A restore whose journal is written.
pub struct Placing {
    pub journal: Journal,
    pub manifest: BackupManifest,
    pub data: PathBuf,
    pub database_url: String,
    pub board: Option<Board>,
    pub tell: Tell,
}

/// Where the members were unpacked.
pub fn unpacked(data: &Path) -> PathBuf {
    journal::folder(data).join("new")
}

/// The database that was filled beside the one that it replaces.
pub fn staged_database(database: &Path) -> PathBuf {
    with_suffix(database, ".restoring")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Placing {
    /// All steps that are left.
    ///
    /// # Errors
    /// A store or the disk refuses; the same command goes on from there.
    pub async fn run(mut self) -> Result<BackupManifest, BackupError> {
        while self.step().await? {}
        Ok(self.manifest)
    }

    /// The next step; `false` after the last.
    ///
    /// # Errors
    /// As [`Placing::run`].
    pub async fn step(&mut self) -> Result<bool, BackupError> {
        let next = match self.journal.next {
            Next::Unpack => unreachable!("what is placed was unpacked"),
            Next::Database => {
                self.database().await?;
                Next::Clear
            }
            Next::Clear => {
                self.clear()?;
                Next::Place
            }
            Next::Place => {
                self.place()?;
                Next::Tell
            }
            Next::Tell => {
                self.tell_redis().await?;
                self.link()?;
                Journal::remove(&self.data)?;
                return Ok(false);
            }
        };
        self.journal.next = next;
        self.journal.write(&self.data)?;
        Ok(true)
    }

    async fn database(&self) -> Result<(), BackupError> {
        let Some(path) = sqlite_path(&self.database_url) else {
            let changes = self.manifest.schema.len();
            let loading = Loading::into_postgres(&self.database_url, changes).await?;
            let (file, folder) = (&self.journal.file, unpacked(&self.data));
            return stage::load(loading, file, &self.manifest, &folder, &self.data, &self.tell)
                .await;
        };
        let staged = staged_database(&path);
        if !staged.exists() {
            // Renamed before this was killed.
            return Ok(());
        }
        // The log of the old file would be read into the new one.
        for suffix in ["-wal", "-shm", "-journal"] {
            let beside = with_suffix(&path, suffix);
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(BackupError::io("remove", &beside)(error));
                }
                _ => {}
            }
        }
        fs::rename(&staged, &path).map_err(BackupError::io("rename to", &path))?;
        sync_above(&path)
    }

    fn clear(&self) -> Result<(), BackupError> {
        let old = journal::folder(&self.data).join("old");
        fs::create_dir_all(&old).map_err(BackupError::io("create", &old))?;
        move_all(&self.data.join("libraries"), &old)
    }

    fn place(&self) -> Result<(), BackupError> {
        let shelf = self.data.join("libraries");
        fs::create_dir_all(&shelf).map_err(BackupError::io("create", &shelf))?;
        move_all(&unpacked(&self.data).join("libraries"), &shelf)
    }

    /// Redis holds who works on what, of another state of the catalogue: the private one begins
    /// anew, one that is shared forgets what it says of this catalogue. The next leader offers what
    /// waits and announces what is current.
    async fn tell_redis(&self) -> Result<(), BackupError> {
        let folder = self.data.join("redis");
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Held by us.
            if entry.file_name() == "lock" {
                continue;
            }
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let gone = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.map_err(BackupError::io("remove", &path))?;
        }
        if let Some(board) = &self.board {
            board.forget_catalogue().await?;
        }
        Ok(())
    }

    /// The names under which people find what is current.
    fn link(&self) -> Result<(), BackupError> {
        for entry in &self.manifest.libraries {
            let folder = volume::library_dir(&self.data, &entry.library);
            if let Some(current) = entry.current {
                GenerationStore::new(&folder).set_current_link(current)?;
            }
            if let Some(newest) = snapshot::list(&folder)?.last() {
                let newest = Snapshot::open(&snapshot::path_of(&folder, newest))?;
                snapshot::write_readable(&newest, &folder)?;
            }
        }
        let main = LibraryId::main();
        if self.manifest.libraries.iter().any(|entry| entry.library == main) {
            generation::link_root(&self.data)?;
        }
        generation::unlink_root(&self.data)?;
        Ok(())
    }
}

/// Moves every folder of `from` into `to`; what has a dot in front is no library.
fn move_all(from: &Path, to: &Path) -> Result<(), BackupError> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(BackupError::io("list", from))?,
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::io("list", from))?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let there = to.join(entry.file_name());
        durable::remove_folder(&there).map_err(BackupError::io("remove", &there))?;
        let path = entry.path();
        fs::rename(&path, &there).map_err(BackupError::io("move", &path))?;
    }
    for folder in [from, to] {
        durable::sync_folder(folder).map_err(BackupError::io("sync", folder))?;
    }
    Ok(())
}

fn sync_above(path: &Path) -> Result<(), BackupError> {
    let above = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    durable::sync_folder(above).map_err(BackupError::io("sync", above))
}
