//! What a generation says of itself. Written last: a folder without it is no generation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Fence, GenerationNumber, LibraryId, SpaceId};
use crate::snapshot::{FileEntry, SnapshotId};

/// The version of this format; a reader refuses any other.
pub const SCHEMA_VERSION: u32 = 1;

/// The manifest of a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationManifest {
    /// The version of this format.
    pub schema_version: u32,
    /// Its number; the first is 1.
    pub generation: GenerationNumber,
    /// The current one when this was learned.
    pub parent: Option<GenerationNumber>,
    /// Whose images it was learned from.
    pub library: LibraryId,
    /// What it was learned from.
    pub snapshot: SnapshotId,
    /// The token of the trainer that wrote it.
    pub fence: Fence,
    /// The embedding space of its index.
    pub space: SpaceId,
    /// Values in a vector of its index.
    pub dim: usize,
    /// The version of the rules that cut text into words; see [`super::language::RULES`].
    pub language_rules: u32,
    /// The version of the code that wrote it.
    pub code_version: String,
    /// When it was published.
    pub created_at: Timestamp,
    /// How much there is: images, vectors, words, clusters.
    pub counts: BTreeMap<String, u64>,
    /// How good it is, each 0 to 1: the share of vectors that find themselves.
    pub quality: BTreeMap<String, f64>,
    /// Every other file of the folder.
    pub files: BTreeMap<String, FileEntry>,
}

/// What the trainer knows of a generation when it publishes it.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The number that the catalogue allocated.
    pub number: GenerationNumber,
    /// The current one when training began.
    pub parent: Option<GenerationNumber>,
    /// Whose images.
    pub library: LibraryId,
    /// What it was learned from.
    pub snapshot: SnapshotId,
    /// The embedding space of its index.
    pub space: SpaceId,
    /// Values in a vector of its index.
    pub dim: usize,
    /// Now.
    pub created_at: Timestamp,
    /// See [`GenerationManifest::counts`].
    pub counts: BTreeMap<String, u64>,
    /// See [`GenerationManifest::quality`].
    pub quality: BTreeMap<String, f64>,
}

impl Publication {
    pub(super) fn into_manifest(
        self,
        fence: Fence,
        files: BTreeMap<String, FileEntry>,
    ) -> GenerationManifest {
        GenerationManifest {
            schema_version: SCHEMA_VERSION,
            generation: self.number,
            parent: self.parent,
            library: self.library,
            snapshot: self.snapshot,
            fence,
            space: self.space,
            dim: self.dim,
            language_rules: super::language::RULES,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: self.created_at,
            counts: self.counts,
            quality: self.quality,
            files,
        }
    }
}
