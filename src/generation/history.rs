//! `training.log` and `training_history.log`: one line for each training, for `tail` and `jq`.
//!
//! Lines are appended whole, never rewritten. The catalogue holds the history that counts; these
//! files are for people.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::GenerationError;
use crate::names::{GenerationNumber, LibraryId};
use crate::snapshot::SnapshotId;

/// How one training went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingEntry {
    /// When it ended.
    pub at: Timestamp,
    /// Whose images.
    pub library: LibraryId,
    /// "completed", "failed", "superseded", "interrupted".
    pub status: String,
    /// What came of it.
    pub generation: Option<GenerationNumber>,
    /// What it learned from.
    pub snapshot: Option<SnapshotId>,
    /// Images in the snapshot.
    pub images: u64,
    /// How long it took.
    pub seconds: f64,
    /// What else a person should know: the cause of a failure and the next step.
    pub message: String,
}

/// Appends `entry` to both files in `library_dir`.
///
/// # Errors
/// The disk refuses.
pub fn record_training(library_dir: &Path, entry: &TrainingEntry) -> Result<(), GenerationError> {
    let history = library_dir.join("training_history.log");
    let json = serde_json::to_string(entry)
        .map_err(|error| GenerationError::io("write", &history)(error.into()))?;
    append(&library_dir.join("training.log"), &sentence(entry))?;
    append(&history, &json)
}

fn sentence(entry: &TrainingEntry) -> String {
    let generation = entry.generation.map(|number| format!(" generation {number}"));
    let snapshot = entry.snapshot.as_ref().map(|id| format!(" from snapshot {id}"));
    // One line, whatever the message holds.
    let message: Vec<&str> = entry.message.split_whitespace().collect();
    format!(
        "{} training of {} {}:{}{} {} images in {:.1} s; {}",
        entry.at,
        entry.library,
        entry.status,
        generation.unwrap_or_default(),
        snapshot.unwrap_or_default(),
        entry.images,
        entry.seconds,
        message.join(" "),
    )
}

fn append(path: &Path, line: &str) -> Result<(), GenerationError> {
    let written = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
        // One write: two processes appending at once do not mix their lines.
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(GenerationError::io("append to", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_training_is_one_line_in_both_files() {
        let library = tempfile::tempdir().unwrap();
        let mut entry = TrainingEntry {
            at: "2026-11-22T13:15:00Z".parse().unwrap(),
            library: LibraryId::main(),
            status: "completed".into(),
            generation: Some(GenerationNumber(3)),
            snapshot: None,
            images: 300,
            seconds: 1.25,
            message: "two\nlines".into(),
        };
        record_training(library.path(), &entry).unwrap();
        entry.status = "failed".into();
        record_training(library.path(), &entry).unwrap();
        let read = |name| std::fs::read_to_string(library.path().join(name)).unwrap();
        let log = read("training.log");
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.starts_with("2026-11-22T13:15:00Z training of main completed: generation 3"));
        let history = read("training_history.log");
        let entries: Vec<TrainingEntry> =
            history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(entries[1], entry);
    }
}
