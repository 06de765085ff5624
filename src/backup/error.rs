//! What can go wrong with a backup or a restore, each with the next step.

use std::io;
use std::path::{Path, PathBuf};

use crate::board::BoardError;
use crate::catalog::CatalogError;
use crate::full_disk;
use crate::generation::GenerationError;
use crate::library_lock::LockError;
use crate::names::{GenerationNumber, LibraryId};
use crate::snapshot::SnapshotError;
use crate::supervise::SuperviseError;

/// Why nothing was backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is not what was written.
    #[error(
        "{} is no whole backup: {why}; nothing was touched: copy it again from where it came, or take another backup",
        .file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        why: String,
    },
    /// It was made by a later program.
    #[error(
        "{} was made by a newer eyefleet ({program}): {why}; restore it with that version",
        .file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version that made it.
        program: String,
        /// What this one does not know.
        why: String,
    },
    /// Somebody works on the target.
    #[error("a fleet runs on the target: {0}; stop it first, a restore replaces what it works on")]
    Running(String),
    /// There is something to lose.
    #[error("{0} is not empty: name another folder or database, or say --force to replace it")]
    NotEmpty(String),
    /// Another restore was cut short here.
    #[error(
        "a restore of {} into {} was cut short: run `eyefleet restore {}` again to finish it",
        .file.display(), .data.display(), .file.display()
    )]
    Unfinished {
        /// What was being restored.
        file: PathBuf,
        /// Where to.
        data: PathBuf,
    },
    /// Two at once.
    #[error("another backup of {} runs: wait for its end", .0.display())]
    AnotherBackup(PathBuf),
    /// What workers serve is not there as it should be.
    #[error(
        "generation {number} of library {library}, which is current, cannot be backed up: {why}; `eyefleet train --force` learns a new one"
    )]
    Current {
        /// The library.
        library: LibraryId,
        /// The generation.
        number: GenerationNumber,
        /// What is wrong.
        why: String,
    },
    /// The disk or file system refused.
    #[error("cannot {action} {}: {source}; {next_step}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
        /// What can be done about it.
        next_step: String,
    },
    /// A thread of the program broke.
    #[error(
        "the {0} broke in the middle: this is a defect of the program; nothing was left behind"
    )]
    Broke(&'static str),
    /// The catalogue failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A library is written to or purged.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A snapshot on the volume.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A generation on the volume.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// The Redis that the settings name.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The folder's own processes.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
}

impl BackupError {
    /// For `map_err`: the action and the path that met an I/O error.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            let next_step = full_disk::next_step(&path, &source);
            Self::Io { action, path, source, next_step }
        }
    }

    pub(super) fn damaged(file: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), why: why.into() }
    }
}
