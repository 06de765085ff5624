//! A pack: a folder with models and a manifest, checked before a byte of it is used.
//!
//! Whoever holds a `Pack` holds files whose size and hash are those of the manifest and which lie
//! in the pack's own folder. What only a loaded graph can tell (its real inputs and outputs, the
//! self test) is checked where the graph is loaded.

mod check;
pub mod manifest;
mod space;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};

use self::manifest::{FileRole, Manifest, SCHEMA_VERSION};
use crate::fate::Fate;
use crate::names::SpaceId;

const MANIFEST_NAME: &str = "manifest.json";
/// A manifest is a few kilobytes; nothing larger is read.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// A verified model folder.
#[derive(Debug, Clone)]
pub struct Pack {
    folder: PathBuf,
    manifest: Manifest,
    name: PackName,
    space: SpaceId,
}

/// Which pack, in which version: `starter@1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackName {
    /// The pack's id.
    pub id: String,
    /// The pack's version.
    pub version: String,
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}

/// What helps against a pack with a broken file.
const MEND: &str = "copy the whole pack again from where it came";

/// Why a folder is not used as a pack.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// No folder of that name in any of the places.
    #[error(
        "no pack {name:?}; looked at {}; correct the setting vision.pack, or name the folder that \
         holds it in paths.packs",
        list(looked_at)
    )]
    NotFound {
        /// The name asked for.
        name: String,
        /// Every folder that was tried, in order.
        looked_at: Vec<PathBuf>,
    },
    /// A file is missing or unreadable.
    #[error("{} cannot be read: {cause}; {MEND}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The manifest is no manifest.
    #[error("{} is no valid manifest: {cause}; {MEND}", path.display())]
    BadManifest {
        /// The manifest's path.
        path: PathBuf,
        /// What is wrong, and where.
        cause: String,
    },
    /// A manifest of another time.
    #[error("{} has schema_version {found}, this program reads {SCHEMA_VERSION}", path.display())]
    OtherSchema {
        /// The manifest's path.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// A file would lie outside the pack.
    #[error("the pack in {} names {file:?}, which leaves its folder", folder.display())]
    Escapes {
        /// The pack's folder.
        folder: PathBuf,
        /// The path in the manifest.
        file: String,
    },
    /// A hash that proves nothing.
    #[error("the pack in {} has no usable sha256 for {file:?}", folder.display())]
    NoHash {
        /// The pack's folder.
        folder: PathBuf,
        /// The path in the manifest.
        file: String,
    },
    /// A file has another size than the manifest says.
    #[error("{} has {found} bytes, its manifest says {expected}; {MEND}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Bytes on disk.
        found: u64,
        /// Bytes in the manifest.
        expected: u64,
    },
    /// A file has other content than the manifest says.
    #[error("{} has sha256 {found}, its manifest says {expected}; {MEND}", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Hash of the content.
        found: String,
        /// Hash in the manifest.
        expected: String,
    },
}

impl PackError {
    /// A pack is the worker's equipment: its faults say nothing about the photo at hand.
    pub fn fate(&self) -> Fate {
        match self {
            Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::BadManifest { .. }
            | Self::OtherSchema { .. }
            | Self::Escapes { .. }
            | Self::NoHash { .. }
            | Self::WrongSize { .. }
            | Self::WrongHash { .. } => Fate::Transient,
        }
    }
}

impl Pack {
    /// Reads the manifest in `folder` and verifies every file it lists: size, SHA-256, and that it
    /// lies inside. Reads all the files once; call it from a thread that may block.
    ///
    /// # Errors
    /// `PackError` names the file and what is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, PackError> {
        let manifest = read_manifest(&folder.join(MANIFEST_NAME))?;
        for file in &manifest.files {
            verify::verify(folder, file)?;
        }
        let name = PackName { id: manifest.id.clone(), version: manifest.version.clone() };
        let space = space::space_id(&manifest);
        Ok(Self { folder: folder.to_path_buf(), manifest, name, space })
    }

    /// Finds the pack called `name` as `<folder>/<name>` in `folders`, else in a `models` folder
    /// above the executable or the current folder, and opens it.
    ///
    /// # Errors
    /// `PackError::NotFound` lists the places; the others are those of `open`.
    pub fn find(name: &str, folders: &[PathBuf]) -> Result<Self, PackError> {
        Self::open(&Self::locate(name, folders)?)
    }

    /// The folder that `find` would open.
    ///
    /// # Errors
    /// `PackError::NotFound` lists the places.
    pub fn locate(name: &str, folders: &[PathBuf]) -> Result<PathBuf, PackError> {
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        let places = if is_plain { places(name, folders) } else { Vec::new() };
        match places.iter().find(|place| place.join(MANIFEST_NAME).is_file()) {
            Some(place) => Ok(place.clone()),
            None => Err(PackError::NotFound { name: name.to_owned(), looked_at: places }),
        }
    }

    /// Id and version.
    pub fn name(&self) -> &PackName {
        &self.name
    }

    /// The space that its vectors lie in.
    pub fn space(&self) -> &SpaceId {
        &self.space
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the file of `role` lies. Every role exists in a pack that was opened.
    pub(super) fn path(&self, role: FileRole) -> PathBuf {
        let file = self.manifest.files.iter().find(|file| file.role == role);
        self.folder.join(&file.expect("problems() demands a file of every role").path)
    }
}

fn places(name: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let executable = std::env::current_exe().ok();
    let current_folder = std::env::current_dir().ok();
    let mut places: Vec<PathBuf> = folders.iter().map(|folder| folder.join(name)).collect();
    let starts = [executable.as_deref().and_then(Path::parent), current_folder.as_deref()];
    for start in starts.into_iter().flatten() {
        for folder in start.ancestors() {
            let place = folder.join("models").join(name);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

fn read_manifest(path: &Path) -> Result<Manifest, PackError> {
    let bad = |cause: String| PackError::BadManifest { path: path.to_path_buf(), cause };
    let text = verify::read_small(path, MANIFEST_BYTES_MAX)?;
    let loose: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let version = loose.get("schema_version").and_then(serde_json::Value::as_u64);
    let version = version.ok_or_else(|| bad("schema_version is missing".to_owned()))?;
    if version != u64::from(SCHEMA_VERSION) {
        return Err(PackError::OtherSchema { path: path.to_path_buf(), found: version });
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let problems = manifest.problems();
    if !problems.is_empty() {
        return Err(bad(problems.join("; ")));
    }
    Ok(manifest)
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests;
