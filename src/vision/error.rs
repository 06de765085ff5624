//! What can go wrong between a verified pack and an embedding, and what that means for a job.

use std::path::PathBuf;

use super::graph::GraphError;
use super::model::ModelError;
use super::pack::PackName;
use crate::fate::Fate;

/// Why a pack was not loaded or a photo not seen.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// ONNX Runtime is older than the pack needs.
    #[error("pack {pack} needs ONNX Runtime 1.{needed}, found 1.{found}; run scripts/setup")]
    RuntimeTooOld {
        /// The pack.
        pack: PackName,
        /// Least minor version.
        needed: u32,
        /// Minor version of the library.
        found: u32,
    },
    /// A graph was refused.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The tokenizer or the vocabulary was refused.
    #[error("{} is not usable: {cause}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A prompt of the vocabulary that the tokenizer cannot read.
    #[error("the tokenizer knows no word of the vocabulary's prompt {prompt:?}")]
    UnknownPrompt {
        /// The prompt.
        prompt: String,
    },
    /// The known picture gave another answer.
    #[error(
        "the self test of pack {pack} differs by {difference} where {tolerance} is allowed: the \
         model, its runtime or the preprocessing is not the one the pack was made with"
    )]
    SelfTest {
        /// The pack.
        pack: PackName,
        /// The largest difference.
        difference: f32,
        /// The one allowed.
        tolerance: f32,
    },
    /// Something failed while loading.
    #[error("the pack could not be loaded: {cause}")]
    LoadFailed {
        /// What failed.
        cause: String,
    },
    /// The tokenizer failed on a text.
    #[error("the text cannot be read: {cause}")]
    BadText {
        /// What the tokenizer said.
        cause: String,
    },
    /// The model's answer is zero or not finite.
    #[error("the model gave a vector without a direction")]
    NoDirection,
    /// The model failed on this input, or has stopped.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The picture could not be prepared.
    #[error("the picture could not be prepared: {cause}")]
    NotPrepared {
        /// What happened.
        cause: String,
    },
}

impl VisionError {
    /// What the job that met it should do.
    pub fn fate(&self) -> Fate {
        match self {
            // Equipment: another worker, or this one repaired, can do the work. Preparing only
            // fails by a panic of ours, or because the async runtime is shutting down.
            Self::RuntimeTooOld { .. }
            | Self::Graph(_)
            | Self::BadFile { .. }
            | Self::UnknownPrompt { .. }
            | Self::SelfTest { .. }
            | Self::LoadFailed { .. }
            | Self::NotPrepared { .. } => Fate::Transient,
            // The same input gives the same answer again.
            Self::BadText { .. } | Self::NoDirection => Fate::Permanent,
            Self::Model(error) => error.fate(),
        }
    }

    pub(super) fn load_failed(cause: String) -> Self {
        Self::LoadFailed { cause }
    }
}
