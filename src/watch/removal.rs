//! Photos whose files are gone → removed from the library, unless they only moved.
//!
//! What must stay true: nothing is removed because a folder cannot be seen. A file counts as gone where
//! the system says so and the folder still stands on the ground on which it was looked at.

use std::collections::{BTreeSet, HashSet};

use super::changes::{CANDIDATES_MAX, Changes, Library, blocking};
use super::ground::Ground;
use crate::catalog::KnownFile;
use crate::fate::Fate;
use crate::jobs::JobError;
use crate::names::{ImageId, RelativePath};

/// Images looked at at once for being gone.
const PAGE: u64 = 500;

/// What may be removed, and what must wait.
#[derive(Debug, Clone)]
pub struct Removal {
    /// On what the folder stood when its files were looked at.
    pub ground: Ground,
    /// Folders that cannot be seen now: nothing beneath them is gone.
    pub unseen: Vec<RelativePath>,
    /// Sizes of files that are still being written: one may be the photo that seems to be gone.
    pub arriving: BTreeSet<u64>,
}

/// What came of a removal.
#[derive(Debug, Default)]
pub struct Removed {
    /// What changed: photos that are gone, and some that turned out to have moved.
    pub changes: Changes,
    /// What is to be looked at again.
    pub later: Vec<RelativePath>,
}

impl Library {
    /// Removes the images beneath `folder` (all without one) whose files are gone.
    ///
    /// # Errors
    /// A store that is away, or a folder that is not the one any more that was looked at.
    pub async fn remove_gone(
        &self,
        folder: Option<&RelativePath>,
        removal: &Removal,
    ) -> Result<Removed, JobError> {
        let mut removed = Removed::default();
        let mut after: Option<RelativePath> = None;
        loop {
            let page = self.catalog.files_beneath(&self.id, folder, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(removed) };
            after = Some(last.path.clone());
            self.remove(page, removal, &mut removed).await?;
        }
    }

    /// Removes the image at `path`, if its file is gone.
    ///
    /// # Errors
    /// As `remove_gone`.
    pub async fn remove_at(
        &self,
        path: &RelativePath,
        removal: &Removal,
    ) -> Result<Removed, JobError> {
        let mut removed = Removed::default();
        let known = self.catalog.files_at(&self.id, std::slice::from_ref(path)).await?;
        self.remove(known.into_values().collect(), removal, &mut removed).await?;
        Ok(removed)
    }

    async fn remove(
        &self,
        files: Vec<KnownFile>,
        removal: &Removal,
        removed: &mut Removed,
    ) -> Result<(), JobError> {
        let mut gone = self.gone(files).await?;
        gone.retain(|file| {
            let beneath = |folder: &RelativePath| {
                let rest = file.path.as_str().strip_prefix(folder.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            };
            !removal.unseen.iter().any(beneath)
        });
        let may_arrive =
            |file: &KnownFile| file.bytes.is_some_and(|bytes| removal.arriving.contains(&bytes));
        let (later, gone): (Vec<_>, Vec<_>) = gone.into_iter().partition(may_arrive);
        removed.later.extend(later.into_iter().map(|file| file.path));
        if gone.is_empty() {
            return Ok(());
        }
        let gone = self.move_to_copies(gone, &mut removed.changes).await?;
        // Last of all, after every file was asked for: was that still the folder?
        let ground = removal.ground.clone();
        if !blocking("looking at a watched folder", move || ground.stands()).await? {
            let why = format!(
                "the folder {} went away while it was looked at; nothing more is removed",
                self.root.display()
            );
            return Err(JobError::new(Fate::Transient, why));
        }
        removed.changes.removed += self.catalog.remove_files(&self.id, &gone).await?;
        Ok(())
    }

    /// A photo that was copied and then deleted at its old place has moved, though it was recorded
    /// as a new one meanwhile. Gives back those without a copy.
    async fn move_to_copies(
        &self,
        gone: Vec<KnownFile>,
        changes: &mut Changes,
    ) -> Result<Vec<KnownFile>, JobError> {
        let sizes: Vec<u64> = gone.iter().filter_map(|file| file.bytes).collect();
        let lost: HashSet<ImageId> = gone.iter().map(|file| file.image.clone()).collect();
        let mut copies = self.catalog.younger_of_sizes(&self.id, &sizes, CANDIDATES_MAX).await?;
        copies.retain(|copy| !lost.contains(&copy.image));
        let mut left = Vec::new();
        for file in gone {
            let mut moved = false;
            for place in 0..copies.len() {
                let copy = &copies[place];
                let alike = copy.bytes == file.bytes && copy.created_at > file.created_at;
                if !alike || file.content_hash.is_none() {
                    continue;
                }
                let hash = match &copy.content_hash {
                    Some(hash) => Some(hash.clone()),
                    None => self.hash_of(&copy.path).await?,
                };
                if hash == file.content_hash {
                    moved = self.catalog.adopt_copy(&self.id, &file, copy).await?;
                    copies.swap_remove(place);
                    break;
                }
            }
            if moved {
                changes.moved += 1;
            } else {
                left.push(file);
            }
        }
        Ok(left)
    }
}
