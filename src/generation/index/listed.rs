//! What an index holds, read without its vectors: for whoever compares it with something else and
//! must not need a gigabyte for that.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::IndexError;
use super::file::{HEADER_BYTES, Header};
use crate::names::ImageId;

/// The images of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    ids: String,
    ends: Vec<u64>,
}

/// Reads which images the index in the file at `path` holds. Checked is what is read: lengths, ids.
///
/// # Errors
/// The bytes are not an index, or reading fails.
pub fn list(path: &Path) -> Result<Listed, IndexError> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut from = BufReader::new(file);
    let header = Header::read(&mut from, size)?;
    let vectors = u64::from(header.dim) * u64::from(header.count) * 4;
    let left = size
        .checked_sub(HEADER_BYTES)
        .and_then(|left| left.checked_sub(vectors))
        .and_then(|left| left.checked_sub(u64::from(header.count) * 8))
        .and_then(|left| left.checked_sub(header.id_bytes));
    if left.is_none() {
        return Err(IndexError::Malformed("it is shorter than it says".to_owned()));
    }
    from.seek(SeekFrom::Start(HEADER_BYTES + vectors))?;
    let mut ends = Vec::with_capacity(header.count as usize);
    for _ in 0..header.count {
        let mut end = [0; 8];
        from.read_exact(&mut end)?;
        ends.push(u64::from_le_bytes(end));
    }
    let mut ids = String::new();
    from.take(header.id_bytes).read_to_string(&mut ids)?;
    Ok(Listed { ids, ends })
}

impl Listed {
    /// How many images it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The images from row `from` on, at most `limit`.
    ///
    /// # Errors
    /// A row without an id.
    pub fn images(&self, from: usize, limit: usize) -> Result<Vec<ImageId>, IndexError> {
        let mut start = if from == 0 { 0 } else { self.ends.get(from - 1).copied().unwrap_or(0) };
        let mut images = Vec::with_capacity(limit.min(self.ends.len()));
        for end in self.ends.iter().skip(from).take(limit) {
            // `get` refuses what lies outside, backwards or inside a character.
            let id = self.ids.get(start as usize..*end as usize);
            let id = id.and_then(|id| ImageId::new(id).ok());
            let id =
                id.ok_or_else(|| IndexError::Malformed("an id lies outside the ids".into()))?;
            images.push(id);
            start = *end;
        }
        Ok(images)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Index;

    fn written(names: &[&str]) -> Vec<u8> {
        let ids: Vec<ImageId> = names.iter().map(|name| ImageId::new(*name).unwrap()).collect();
        let mut bytes = Vec::new();
        Index::exact(2, vec![1.0; 2 * ids.len()], &ids).write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_images_are_read_without_the_vectors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        std::fs::write(&path, written(&["a", "bücher/b", "c"])).unwrap();
        let listed = list(&path).unwrap();
        assert_eq!(listed.len(), 3);
        let names = |from, limit| -> Vec<String> {
            listed.images(from, limit).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(0, 2), ["a", "bücher/b"]);
        assert_eq!(names(2, 2), ["c"]);
        assert_eq!(names(3, 2), [""; 0]);
        std::fs::write(&path, written(&[])).unwrap();
        assert!(list(&path).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let whole = written(&["a", "b"]);
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(list(&path).is_err(), "{length} of {}", whole.len());
        }
        let mut wild = whole.clone();
        let ends = whole.len() - 2 - 16;
        wild[ends] = 200;
        std::fs::write(&path, &wild).unwrap();
        assert!(list(&path).unwrap().images(0, 2).is_err());
    }
}
