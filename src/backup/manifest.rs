//! What a backup says of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{GenerationNumber, LibraryId, SpaceId};
use crate::snapshot::FileEntry;

/// The version of this format; a restore refuses any other.
pub const FORMAT: u32 = 1;

/// `manifest.json` of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// The version of this format.
    pub format: u32,
    /// The version of the program that wrote it.
    pub program: String,
    /// The moment that it shows.
    pub created_at: Timestamp,
    /// Changes of the schema that its rows were made with, in their order.
    pub schema: Vec<String>,
    /// The data folder that it was taken of: libraries beneath it move with a restore.
    pub data: PathBuf,
    /// The catalogue, each table after those that it refers to.
    pub tables: Vec<TableEntry>,
    /// Last numbers of tables that count.
    pub counters: BTreeMap<String, i64>,
    /// What is in it of the volume.
    pub libraries: Vec<LibraryEntry>,
    /// The packs in use.
    pub packs: Vec<PackEntry>,
    /// Every other member but the seal.
    pub members: BTreeMap<String, FileEntry>,
}

/// A table of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name.
    pub name: String,
    /// Its columns, in the order of each row's values.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: u64,
    /// Its parts.
    pub parts: u64,
}

/// A library's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryEntry {
    /// Which library.
    pub library: LibraryId,
    /// What workers served.
    pub current: Option<GenerationNumber>,
    /// Generations in the file.
    pub generations: Vec<GenerationNumber>,
    /// Snapshots in the file.
    pub snapshots: Vec<String>,
}

/// A pack that was in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackEntry {
    /// Its folder's name.
    pub folder: String,
    /// Its id and version.
    pub name: String,
    /// The space of its vectors.
    pub space: SpaceId,
}
