//! The files of a generation: what was learned from one snapshot, numbered and immutable.
//!
//! Written aside, verified as it is read, replaced as a whole. Live processes hold one generation
//! through [`Current`] and never see parts of two. Nothing here knows Redis, SQL or jobs: who may
//! publish and which number is current is the catalogue's to say.

mod clusters;
mod current;
mod diff;
mod error;
pub mod gate;
mod history;
mod index;
pub mod language;
mod links;
mod manifest;
mod opened;
mod patterns;
mod store;
mod words;

pub use clusters::{Cluster, Clusters, MemberFace};
pub use current::Current;
pub use diff::{Changed, Changes, Diff};
pub use error::GenerationError;
pub use history::{TrainingEntry, record_training};
pub use index::{Index, IndexError, IndexKind, Layer, Listed, dot, list};
pub use links::{LEARNED_LINKS, ROOT_LINKS, link_current, link_root, unlink_root};
pub use manifest::{GenerationManifest, Publication};
pub use opened::{Generation, files};
pub use patterns::{
    Association, CategoryPattern, CategoryPatterns, DescriptionPattern, DescriptionPatterns,
    TermKind, completeness, lower_bound,
};
pub use store::{BuildDir, GenerationStore};
pub use words::{Neighbour, WordEntry, Words};

#[cfg(test)]
pub(crate) mod samples;
