//! What can go wrong with a training, and what that means for the job that met it.

use std::io;
use std::path::PathBuf;

use crate::fate::Fate;
use crate::full_disk;
use crate::snapshot::SnapshotError;

/// A failure of learning.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// No image was exported.
    #[error(
        "nothing to learn from: snapshot {0} holds no image; add pictures, wait until they are \
         analyzed (`eyefleet status`), then run `eyefleet export`"
    )]
    NothingToLearn(PathBuf),
    /// It takes more memory than it may.
    #[error(
        "learning from {images} images takes about {} MiB of memory and may take {}: raise \
         train.memory_mib, or train on a machine with more memory",
        need >> 20,
        room >> 20
    )]
    TooLarge {
        /// In the snapshot.
        images: u64,
        /// Bytes that it takes.
        need: u64,
        /// Bytes that it may take.
        room: u64,
    },
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The graph does not lead to its own vectors, twice.
    #[error(
        "the index over {vectors} vectors cannot find {lost} of them, after {attempts} builds; \
         raise `exact_below` over {vectors} to search without a graph, and report this"
    )]
    BlindIndex {
        /// In the index.
        vectors: usize,
        /// That are not found or not reachable.
        lost: usize,
        /// That were built.
        attempts: u32,
    },
    /// The faces cannot be grouped with these settings.
    #[error("faces cannot be grouped: {0}; correct the face settings of the pack or the config")]
    Faces(String),
    /// Someone said stop.
    #[error("training was stopped before its end")]
    Interrupted,
    /// The disk refused.
    #[error("cannot write {path}: {source}; {next_step}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
        /// What can be done about it.
        next_step: String,
    },
}

impl LearnError {
    /// What this failure means for a job.
    pub fn fate(&self) -> Fate {
        match self {
            Self::NothingToLearn(_)
            | Self::TooLarge { .. }
            | Self::BlindIndex { .. }
            | Self::Faces(_) => Fate::Permanent,
            Self::Snapshot(error) => error.fate(),
            Self::Interrupted => Fate::Interrupted,
            Self::Io { .. } => Fate::Transient,
        }
    }

    /// For `map_err`: the file that met an I/O error.
    pub(crate) fn io(path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let next_step = full_disk::next_step(&path, &source);
            Self::Io { path, source, next_step }
        }
    }
}
