//! Backup and restore: everything that must not be lost of a fleet, in one file.
//!
//! The file is a plain tar that any tar can list and unpack:
//!
//! | member | content |
//! |---|---|
//! | `catalogue/<table>/<part>.jsonl.zst` | rows as JSON lists in the order of their keys, the same for both databases |
//! | `libraries/<library>/snapshots/<id>/...` | every complete snapshot that the catalogue knows |
//! | `libraries/<library>/generations/<number>/...` | every published generation whose files are kept |
//! | `libraries/<library>/training.log`, `training_history.log` | how trainings went |
//! | `packs/<name>/manifest.json` | what the packs in use say of themselves, without their models |
//! | `manifest.json` | size and SHA-256 of every other member; schema, program, tables, libraries |
//! | `seal.sha256` | the SHA-256 of all bytes before it |
//!
//! What must stay true: a file is whole or refused, whatever byte of it was changed; nothing of the
//! target is touched before everything was verified and unpacked aside; a restore that was killed is
//! finished by the same command, and no fleet starts on what it left half. Photos are not in it.

mod archive;
mod error;
mod files;
mod journal;
mod manifest;
mod members;
mod place;
mod restore;
mod stage;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

pub use error::BackupError;
pub use journal::refuse_unfinished;
pub use manifest::{BackupManifest, LibraryEntry, PackEntry, TableEntry};
pub use restore::{RestoreRequest, Restored, restore};
pub use write::{BackupDeps, Written, write};

/// What a backup or a restore is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Rows of the catalogue go into the file.
    Rows,
    /// Snapshots and generations go into the file.
    Files,
    /// The file is verified.
    Verify,
    /// It is unpacked aside and its members are verified.
    Unpack,
    /// Rows go into a database.
    Load,
}

/// Hears how far a step is: done and total, in rows for the catalogue, else in bytes.
pub type Tell = Arc<dyn Fn(Step, u64, u64) + Send + Sync>;
