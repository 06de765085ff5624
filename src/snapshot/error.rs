//! What can go wrong with a snapshot, and what that means for the job that met it.

use std::io;
use std::path::{Path, PathBuf};

use crate::fate::Fate;
use crate::full_disk;

/// A failure of writing or reading a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Rows must come in the byte order of their ids, each once.
    #[error(
        "image {image:?} came after {previous:?}: a snapshot needs rows in the byte order of \
         their ids, each once; sort the export's query by id (in PostgreSQL with collate \"C\")"
    )]
    OutOfOrder {
        /// The row refused.
        image: String,
        /// The row before it.
        previous: String,
    },
    /// A row cannot be stored as it is.
    #[error("image {image:?} cannot be exported: {why}")]
    BadRow {
        /// The row refused.
        image: String,
        /// Which rule it breaks.
        why: String,
    },
    /// So much was left out that nothing is to be learned from the rest.
    #[error("snapshot {id} is not published: {why}")]
    TooMuchLeftOut {
        /// Its id.
        id: String,
        /// How much of what, and what can be done.
        why: String,
    },
    /// A snapshot of this id is there already.
    #[error("snapshot {0} exists already; start another export for a new id")]
    Exists(PathBuf),
    /// There is no finished snapshot.
    #[error("no finished snapshot in {0}: it has no manifest.json; run `eyefleet export`")]
    Missing(PathBuf),
    /// A file is not what its writer wrote.
    #[error("snapshot file {file} is damaged: {why}; run `eyefleet export` for a new snapshot")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The disk or file system refused.
    #[error("cannot {action} {path}: {source}; {next_step}")]
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
}

impl SnapshotError {
    /// What this failure means for a job.
    pub fn fate(&self) -> Fate {
        match self {
            Self::OutOfOrder { .. }
            | Self::BadRow { .. }
            | Self::TooMuchLeftOut { .. }
            | Self::Exists(_)
            | Self::Missing(_)
            | Self::Damaged { .. } => Fate::Permanent,
            Self::Io { .. } => Fate::Transient,
        }
    }

    /// For `map_err`: the action and the path that met an I/O error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            let next_step = full_disk::next_step(&path, &source);
            Self::Io { action, path, source, next_step }
        }
    }

    pub(crate) fn damaged(file: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), why: why.into() }
    }
}
