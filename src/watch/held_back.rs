//! Files of photos that the owner removed from the library: the folder still has them, and the library
//! is not to take them in again.
//!
//! What must stay true: content decides. The same photo stays away wherever its file goes, another
//! photo under its name is a new one. A file is read only where its size is that of a removed photo,
//! and once: its place and stamp are remembered.

use super::changes::{CANDIDATES_MAX, Library};
use super::walk::FoundFile;
use crate::catalog::RemovedFile;
use crate::jobs::JobError;
use crate::names::ImageId;

/// What is known of a new file beside a removed photo, without reading it.
#[derive(Debug, PartialEq, Eq)]
enum Likeness {
    /// It is that photo.
    Same,
    /// Its content tells.
    Perhaps,
    Other,
}

impl Library {
    /// Those of `new` that the owner has not removed.
    ///
    /// # Errors
    /// A store that is away; then the same files are to be found again.
    pub(super) async fn without_removed(
        &self,
        new: Vec<FoundFile>,
    ) -> Result<Vec<FoundFile>, JobError> {
        if new.is_empty() {
            return Ok(new);
        }
        let paths: Vec<_> = new.iter().map(|file| file.path.clone()).collect();
        let sizes: Vec<u64> = new.iter().map(|file| file.bytes).collect();
        let catalog = &self.catalog;
        let removed = catalog.removed_by_owner(&self.id, &paths, &sizes, CANDIDATES_MAX).await?;
        if removed.is_empty() {
            return Ok(new);
        }
        let mut left = Vec::with_capacity(new.len());
        for file in new {
            match self.removed_as(&file, &removed).await? {
                Some(image) => {
                    tracing::debug!(library = %self.id, path = %file.path, %image, "stays removed");
                    catalog.follow_removed(&self.id, &image, &file.path, &file.stamp).await?;
                }
                None => left.push(file),
            }
        }
        Ok(left)
    }

    /// The removed photo that this file is, if it is one.
    async fn removed_as(
        &self,
        file: &FoundFile,
        removed: &[RemovedFile],
    ) -> Result<Option<ImageId>, JobError> {
        let mut candidates = Vec::new();
        for known in removed {
            match likeness(file, known) {
                Likeness::Same => return Ok(Some(known.image.clone())),
                Likeness::Perhaps => candidates.push(known),
                Likeness::Other => {}
            }
        }
        if candidates.is_empty() {
            return Ok(None);
        }
        // Where it cannot be read the analysis says why.
        let Some(hash) = self.hash_of(&file.path).await? else { return Ok(None) };
        candidates.retain(|known| known.content_hash.as_ref() == Some(&hash));
        if let Some(known) = candidates.iter().find(|known| known.path == file.path) {
            return Ok(Some(known.image.clone()));
        }
        let Some(known) = candidates.first() else { return Ok(None) };
        // The owner kept a copy of it, and this may be that one on its way to another place.
        let living = self.catalog.files_of_sizes(&self.id, &[file.bytes], CANDIDATES_MAX).await?;
        let has_copy = living.iter().any(|copy| copy.content_hash.as_ref() == Some(&hash));
        Ok((!has_copy).then(|| known.image.clone()))
    }
}

fn likeness(file: &FoundFile, removed: &RemovedFile) -> Likeness {
    let same_place = file.path == removed.path;
    if same_place && removed.stamp.as_ref() == Some(&file.stamp) {
        return Likeness::Same;
    }
    if removed.bytes != Some(file.bytes) {
        return Likeness::Other;
    }
    match (&removed.content_hash, same_place) {
        (Some(_), _) => Likeness::Perhaps,
        // Nobody has read it before it was removed: place and size are all that is known.
        (None, true) => Likeness::Same,
        (None, false) => Likeness::Other,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::names::RelativePath;

    fn file(path: &str, bytes: u64, stamp: &str) -> FoundFile {
        FoundFile {
            path: RelativePath::new(path).unwrap(),
            bytes,
            stamp: stamp.to_owned(),
            modified: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn content_decides_where_the_stamp_does_not() {
        let removed = RemovedFile {
            image: ImageId::new("a.jpg").unwrap(),
            path: RelativePath::new("a.jpg").unwrap(),
            bytes: Some(9),
            stamp: Some("s".to_owned()),
            content_hash: Some("h".to_owned()),
        };
        let unread = RemovedFile { content_hash: None, ..removed.clone() };
        for (path, bytes, stamp, of_read, of_unread) in [
            ("a.jpg", 9, "s", Likeness::Same, Likeness::Same),
            ("a.jpg", 9, "t", Likeness::Perhaps, Likeness::Same),
            ("a.jpg", 8, "t", Likeness::Other, Likeness::Other),
            ("b.jpg", 9, "s", Likeness::Perhaps, Likeness::Other),
            ("b.jpg", 8, "s", Likeness::Other, Likeness::Other),
        ] {
            let file = file(path, bytes, stamp);
            assert_eq!(likeness(&file, &removed), of_read, "{path} {bytes} {stamp}");
            assert_eq!(likeness(&file, &unread), of_unread, "{path} {bytes} {stamp}, unread");
        }
    }
}
