//! What a watched folder stands on: the folder itself and the mounts that it lies on and holds.
//!
//! A file that is missing was deleted only where the ground is the one on which it was seen. A drive
//! that went away leaves an empty folder, or a folder of the same name on another disk.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::filesystem::{self, Mount};

/// The ground of a folder at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    root: PathBuf,
    /// Device and number of the folder.
    identity: (u64, u64),
    mounts: Vec<Mount>,
}

impl Ground {
    /// The ground of `root` now. Blocking.
    ///
    /// # Errors
    /// Why nothing can be said of it, for people.
    pub fn of(root: &Path) -> Result<Self, String> {
        let said = |error: std::io::Error| {
            format!("the folder {} cannot be read: {error}; is its drive mounted?", root.display())
        };
        let facts = std::fs::metadata(root).map_err(said)?;
        let mut entries = std::fs::read_dir(root).map_err(said)?;
        if entries.next().is_none() {
            return Err(format!("the folder {} is empty: is its drive mounted?", root.display()));
        }
        let mounts = filesystem::mounts_of(root).map_err(said)?;
        Ok(Self { root: root.to_owned(), identity: (facts.dev(), facts.ino()), mounts })
    }

    /// Whether it is still the ground. Blocking.
    pub fn stands(&self) -> bool {
        Self::of(&self.root).is_ok_and(|now| now == *self)
    }

    /// Where its mounts are.
    pub fn mounts(&self) -> Vec<PathBuf> {
        self.mounts.iter().map(|mount| mount.at.clone()).collect()
    }

    /// Those of `before`, the mounts of an earlier look, that are missing. One beneath the root whose
    /// folder was deleted is missed no more.
    pub fn missing(&self, before: &[PathBuf]) -> Vec<PathBuf> {
        let is_here = |at: &PathBuf| self.mounts.iter().any(|mount| mount.at == *at);
        let is_missed = |at: &&PathBuf| !is_here(at) && (self.root.starts_with(at) || at.exists());
        before.iter().filter(is_missed).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_folder_at_the_same_place_is_another_ground() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        std::fs::create_dir(&root).unwrap();
        assert!(Ground::of(&root).unwrap_err().contains("empty"));
        std::fs::write(root.join("a.jpg"), "x").unwrap();
        let ground = Ground::of(&root).unwrap();
        assert!(ground.stands());
        std::fs::rename(&root, folder.path().join("aside")).unwrap();
        assert!(!ground.stands());
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("b.jpg"), "x").unwrap();
        assert!(!ground.stands(), "the other folder was taken for it");
    }

    #[test]
    fn a_mount_that_was_there_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("nas")).unwrap();
        let ground = Ground::of(folder.path()).unwrap();
        assert_eq!(ground.missing(&ground.mounts()), Vec::<PathBuf>::new());
        let nas = folder.path().join("nas");
        assert_eq!(ground.missing(std::slice::from_ref(&nas)), std::slice::from_ref(&nas));
        // What the root lay on is missed even though its folder may be gone.
        let below = folder.path().to_owned();
        assert_eq!(ground.missing(std::slice::from_ref(&below)), [below]);
        std::fs::remove_dir(&nas).unwrap();
        assert_eq!(ground.missing(&[nas]), Vec::<PathBuf>::new(), "its folder was deleted");
    }
}
