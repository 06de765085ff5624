//! The rows and the manifest of a snapshot, as they are stored.
//!
//! These shapes are a file format: a field is added with a default, or `SCHEMA_VERSION` rises.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Fence, ImageId, LibraryId, RelativePath, Revision, SpaceId};

/// The version of this format; a reader refuses any other.
pub const SCHEMA_VERSION: u32 = 1;

/// The name of a snapshot, `20261122T131500Z-<fence>`: a later one sorts after an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The id of the export that began at `started_at` under the token `fence`.
    pub fn new(started_at: Timestamp, fence: Fence) -> Self {
        Self(format!("{}-{:016}", started_at.strftime("%Y%m%dT%H%M%SZ"), fence.0.max(0)))
    }

    /// Reads an id back from a folder's name; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, fence) = text.split_once('-')?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
        let right_shape = date.len() == 8 && clock.len() == 6 && text.len() <= 40;
        let all_digits = digits(date) && digits(clock) && digits(fence);
        (right_shape && all_digits).then(|| Self(text.to_owned()))
    }

    /// When the export began, in whole seconds.
    pub fn started_at(&self) -> Timestamp {
        let date = &self.0;
        let parts =
            [&date[0..4], &date[4..6], &date[6..8], &date[9..11], &date[11..13], &date[13..15]];
        let [year, month, day, hour, minute, second] = parts;
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        // Digits that are no date (a month 13) were written by nobody: from the beginning then.
        text.parse().unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a snapshot id"))
    }
}

/// One image as the catalogue knew it, with the owner's corrections applied.
///
/// The description is the model's or the owner's own, never an enriched one: what was learned
/// must not feed the next training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotImage {
    /// The application's id; rows are ordered by its bytes.
    pub image: ImageId,
    /// Where the original lies beneath the library's root.
    pub path: RelativePath,
    /// The name people know it by.
    pub filename: String,
    /// Which content of the image was analyzed.
    pub revision: Revision,
    /// One sentence.
    pub description: Option<String>,
    /// A longer text, where a describer gave one.
    pub detailed_description: Option<String>,
    /// What is in it.
    pub tags: Vec<SnapshotTag>,
    /// Broad kinds: `landscape`, `food`.
    pub categories: Vec<String>,
    /// When the application says that it came.
    pub created_at: Timestamp,
    /// How many faces were seen, with or without a vector.
    pub face_count: u32,
    /// The owner changed something of it; learned words are then not put into its mouth.
    #[serde(default)]
    pub corrected: bool,
    /// Its row in `vectors.f32`; set by the writer.
    #[serde(default)]
    pub vector: Option<u32>,
    /// Faces that have a vector.
    #[serde(default)]
    pub faces: Vec<SnapshotFace>,
}

/// A tag and how sure the model was, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotTag {
    /// The word or words.
    pub name: String,
    /// 0 to 1; 1 for what the owner said.
    pub score: f32,
}

/// A face with a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotFace {
    /// The catalogue's id of the face.
    pub face: i64,
    /// Left, top, width and height as shares of the picture, 0 to 1.
    pub bounds: [f32; 4],
    /// Its row in `faces.f32`; set by the writer.
    #[serde(default)]
    pub row: u32,
}

/// Size and hash of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// In bytes.
    pub size: u64,
    /// SHA-256 in small hex digits.
    pub sha256: String,
}

/// What a snapshot holds. Written last: a folder without it is no snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotManifest {
    /// The version of this format.
    pub schema_version: u32,
    /// Its own name.
    pub id: SnapshotId,
    /// Whose images.
    pub library: LibraryId,
    /// The embedding space of `vectors.f32`.
    pub space: SpaceId,
    /// Values in a row of `vectors.f32`.
    pub dim: usize,
    /// Values in a row of `faces.f32`; none where no face has a vector.
    pub face_dim: Option<usize>,
    /// Rows of `images.jsonl.zst`.
    pub images: u64,
    /// Rows of `vectors.f32`.
    pub vectors: u64,
    /// Rows of `faces.f32`.
    pub faces: u64,
    /// What was left out, counted by reason.
    pub skipped: BTreeMap<String, u64>,
    /// When the export began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Every other file of the folder.
    pub files: BTreeMap<String, FileEntry>,
}

pub(super) const IMAGES: &str = "images.jsonl.zst";
pub(super) const VECTORS: &str = "vectors.f32";
pub(super) const FACES: &str = "faces.f32";
pub(super) const MANIFEST: &str = "manifest.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_never_leave_their_folder() {
        let early = SnapshotId::new("2026-11-22T13:15:00Z".parse().unwrap(), Fence(99));
        let late = SnapshotId::new("2026-11-22T13:15:01Z".parse().unwrap(), Fence(5));
        assert_eq!(early.as_str(), "20261122T131500Z-0000000000000099");
        assert!(early < late);
        assert_eq!(early.started_at(), "2026-11-22T13:15:00Z".parse().unwrap());
        assert_eq!(SnapshotId::parse(early.as_str()), Some(early));
        for bad in ["", "../x", "20261122T131500Z-", "20261122T131500Z-../..", "current"] {
            assert_eq!(SnapshotId::parse(bad), None, "{bad:?}");
        }
    }
}
