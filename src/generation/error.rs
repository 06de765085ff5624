//! What can go wrong with the files of a generation, and what that means for the job that met it.

use std::io;
use std::path::{Path, PathBuf};

use super::index::IndexError;
use crate::fate::Fate;
use crate::full_disk;
use crate::names::{Fence, GenerationNumber};

/// A failure of writing, publishing or opening a generation.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// There is no finished generation of this number.
    #[error(
        "generation {number} is not in {folder}: it was collected or never published; run \
         `eyefleet train`, or choose one that `eyefleet generations` lists"
    )]
    Missing {
        /// Which was asked for.
        number: GenerationNumber,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A file is not what the manifest says.
    #[error(
        "generation file {file} is damaged: {why}; go back with `eyefleet generations`, or run \
         `eyefleet train` for a new one"
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It was learned from vectors of another model.
    #[error(
        "generation {number} was learned in embedding space {found}, this process works in \
         {wanted}: analyze the library again with this pack, then export and train"
    )]
    OtherSpace {
        /// Which generation.
        number: GenerationNumber,
        /// Its embedding space.
        found: String,
        /// The one asked for.
        wanted: String,
    },
    /// It would be a step back.
    #[error(
        "generation {number} is held back: {}; look at what was exported (`eyefleet export --json`), \
         publish it as it is with `eyefleet train --publish-anyway`, or allow more with \
         train.shrink_max_share",
        objections.join("; ")
    )]
    HeldBack {
        /// Which generation.
        number: GenerationNumber,
        /// What speaks against it.
        objections: Vec<String>,
    },
    /// Its index does not find its own vectors.
    #[error(
        "generation {number}: its index found only {found} of {asked} of its own vectors; run \
         `eyefleet train` for a new one"
    )]
    Blind {
        /// Which generation.
        number: GenerationNumber,
        /// Vectors that found themselves.
        found: usize,
        /// Vectors that were asked.
        asked: usize,
    },
    /// Something else already has this number.
    #[error(
        "generation {number} in {folder} exists with other content: a number is never used \
         twice; take the next number and publish again"
    )]
    Taken {
        /// The number.
        number: GenerationNumber,
        /// Where it lies.
        folder: PathBuf,
    },
    /// A newer trainer has begun.
    #[error("a training with token {newer} has begun after token {mine}; this one gives way")]
    Superseded {
        /// This trainer's token.
        mine: Fence,
        /// The newer one.
        newer: Fence,
    },
    /// Something that is not a link lies where a link must be.
    #[error("{0} is in the way: it is not a link; move it elsewhere and repeat")]
    InTheWay(PathBuf),
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

impl GenerationError {
    /// What this failure means for a job.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Missing { .. }
            | Self::Damaged { .. }
            | Self::OtherSpace { .. }
            | Self::Blind { .. }
            | Self::Taken { .. }
            | Self::HeldBack { .. }
            | Self::InTheWay(_) => Fate::Permanent,
            Self::Superseded { .. } => Fate::Superseded,
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

    pub(crate) fn index(file: &Path, error: IndexError) -> Self {
        match error {
            IndexError::Io(source) => Self::io("read", file)(source),
            other => Self::damaged(file, other.to_string()),
        }
    }
}
