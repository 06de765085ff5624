//! How far a restore has come: written before it touches anything, removed when it is done.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::BackupError;
use crate::snapshot::durable;

const FOLDER: &str = ".restore";
const NAME: &str = "journal.json";

/// The next step of a restore. Each can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    /// The file is unpacked aside. Only in the place of another restore that was cut short, whose half
    /// no fleet may start on; any other begins with the next step.
    Unpack,
    /// The catalogue is put in place.
    Database,
    /// What lies in the libraries' folders is put aside.
    Clear,
    /// The restored libraries are put in their places.
    Place,
    /// Redis, links and readable files follow.
    Tell,
}

/// What is being restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The hash in its seal.
    pub sha256: String,
    /// The next step.
    pub next: Next,
}

/// Where a restore unpacks and puts aside, in the data folder: on the same disk.
pub fn folder(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

impl Journal {
    /// The journal of a restore that was cut short; `None` where there is none.
    ///
    /// # Errors
    /// It does not read, or the disk refuses.
    pub fn read(data: &Path) -> Result<Option<Self>, BackupError> {
        let path = folder(data).join(NAME);
        let text = match fs::read(&path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            other => other.map_err(BackupError::io("read", &path))?,
        };
        let journal = serde_json::from_slice(&text);
        journal.map(Some).map_err(|error| BackupError::io("read", &path)(error.into()))
    }

    /// Brings it to the disk: what it says is done is on the disk before.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, data: &Path) -> Result<(), BackupError> {
        let path = folder(data).join(NAME);
        let text = serde_json::to_vec_pretty(self).expect("paths and words are JSON");
        durable::replace_file(&path, "new", |file| file.write_all(&text))
            .map_err(BackupError::io("write", &path))
    }

    /// Removes what restores have put beside the journal.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn clear_beside(data: &Path) -> Result<(), BackupError> {
        let folder = folder(data);
        let io = |error| BackupError::io("clear", &folder)(error);
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.is_dir() {
                durable::remove_folder(&path).map_err(io)?;
            } else if !path.ends_with(NAME) {
                fs::remove_file(&path).map_err(io)?;
            }
        }
        Ok(())
    }

    /// The restore is over: first nothing is left to be finished, then nothing is left.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(data: &Path) -> Result<(), BackupError> {
        let folder = folder(data);
        match fs::remove_file(folder.join(NAME)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(BackupError::io("remove", &folder)(error));
            }
            _ => {}
        }
        durable::remove_folder(&folder).map_err(BackupError::io("remove", &folder))
    }
}

/// Refuses to work on what a restore has left half.
///
/// # Errors
/// `Unfinished`, with the command that finishes it.
pub fn refuse_unfinished(data: &Path) -> Result<(), BackupError> {
    match Journal::read(data)? {
        Some(journal) => Err(BackupError::Unfinished { file: journal.file, data: data.to_owned() }),
        None => Ok(()),
    }
}
