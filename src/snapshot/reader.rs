//! Reads a snapshot, never trusting it: sizes and hashes first, then every row.
//!
//! Rows are streamed; one is in memory at a time. A row is refused as soon as it breaks a rule
//! that the writer keeps (order, row numbers, counts), so whoever reads may rely on them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::durable;
use super::error::SnapshotError;
use super::rows::{
    FACES, IMAGES, MANIFEST, SCHEMA_VERSION, SnapshotImage, SnapshotManifest, VECTORS,
};
use super::writer::LINE_BYTES_MAX;
use crate::names::ImageId;

/// A finished snapshot whose files were found to be what their writer wrote.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    manifest: SnapshotManifest,
}

impl Snapshot {
    /// Opens the snapshot in `folder` and verifies size and hash of every file.
    ///
    /// # Errors
    /// There is no finished snapshot, a file was altered or cut, or the disk refuses.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SnapshotError::Missing(folder.to_owned()));
            }
            other => other.map_err(SnapshotError::io("read", &path))?,
        };
        let manifest: SnapshotManifest = serde_json::from_slice(&text)
            .map_err(|error| SnapshotError::damaged(&path, error.to_string()))?;
        if manifest.schema_version != SCHEMA_VERSION {
            let why = format!("its format is {}, not {SCHEMA_VERSION}", manifest.schema_version);
            return Err(SnapshotError::damaged(&path, why));
        }
        let snapshot = Self { folder: folder.to_owned(), manifest };
        for name in [IMAGES, VECTORS, FACES] {
            snapshot.verify(name)?;
        }
        snapshot.verify_rows(VECTORS, snapshot.manifest.vectors, snapshot.manifest.dim)?;
        let face_dim = snapshot.manifest.face_dim.unwrap_or(0);
        snapshot.verify_rows(FACES, snapshot.manifest.faces, face_dim)?;
        Ok(snapshot)
    }

    /// What it holds.
    pub fn manifest(&self) -> &SnapshotManifest {
        &self.manifest
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The images, in the order of their ids. The iterator ends at its first error; it ends
    /// without one only if all rows came.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn images(&self) -> Result<Images<'_>, SnapshotError> {
        let path = self.folder.join(IMAGES);
        let io = |error| SnapshotError::io("read", &path)(error);
        let file = File::open(&path).map_err(io)?;
        let decoder = zstd::Decoder::new(file)
            .map_err(|error| SnapshotError::io("decompress", &path)(error))?;
        Ok(Images {
            snapshot: self,
            lines: BufReader::with_capacity(1 << 16, decoder),
            line: Vec::new(),
            seen: Seen::default(),
            over: false,
        })
    }

    /// All image vectors, row after row, `manifest().dim` values each.
    ///
    /// # Errors
    /// The file was changed since it was opened, holds a value that is not finite, or cannot be
    /// read.
    pub fn read_vectors(&self) -> Result<Vec<f32>, SnapshotError> {
        self.read_rows(VECTORS, self.manifest.vectors, self.manifest.dim)
    }

    /// All face vectors, row after row, `manifest().face_dim` values each.
    ///
    /// # Errors
    /// As [`Snapshot::read_vectors`].
    pub fn read_faces(&self) -> Result<Vec<f32>, SnapshotError> {
        self.read_rows(FACES, self.manifest.faces, self.manifest.face_dim.unwrap_or(0))
    }

    fn verify(&self, name: &str) -> Result<(), SnapshotError> {
        let path = self.folder.join(name);
        let Some(expected) = self.manifest.files.get(name) else {
            return Err(SnapshotError::damaged(&path, "the manifest does not name it"));
        };
        if !path.is_file() {
            return Err(SnapshotError::damaged(&path, "it is missing"));
        }
        let found = durable::measure(&path).map_err(SnapshotError::io("read", &path))?;
        if found.size != expected.size {
            let why = format!("{} bytes instead of {}", found.size, expected.size);
            return Err(SnapshotError::damaged(&path, why));
        }
        if found.sha256 != expected.sha256 {
            return Err(SnapshotError::damaged(&path, "its checksum differs from the manifest's"));
        }
        Ok(())
    }

    fn verify_rows(&self, name: &str, rows: u64, dim: usize) -> Result<(), SnapshotError> {
        let expected = rows.checked_mul(dim as u64).and_then(|values| values.checked_mul(4));
        let found = self.manifest.files.get(name).map(|entry| entry.size);
        if expected.is_none() || expected != found {
            let why = format!("its size does not fit {rows} rows of {dim} values");
            return Err(SnapshotError::damaged(&self.folder.join(name), why));
        }
        Ok(())
    }

    fn read_rows(&self, name: &str, rows: u64, dim: usize) -> Result<Vec<f32>, SnapshotError> {
        let path = self.folder.join(name);
        let file = File::open(&path).map_err(SnapshotError::io("read", &path))?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let count = rows as usize * dim;
        let mut values = Vec::with_capacity(count);
        let mut bytes = [0; 4];
        for _ in 0..count {
            file.read_exact(&mut bytes).map_err(SnapshotError::io("read", &path))?;
            let value = f32::from_le_bytes(bytes);
            if !value.is_finite() {
                return Err(SnapshotError::damaged(&path, "it holds a value that is not finite"));
            }
            values.push(value);
        }
        Ok(values)
    }
}

/// The rows of a snapshot, one at a time.
pub struct Images<'a> {
    snapshot: &'a Snapshot,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    line: Vec<u8>,
    seen: Seen,
    over: bool,
}

/// What the rows so far amount to.
#[derive(Default)]
struct Seen {
    images: u64,
    vectors: u32,
    faces: u32,
    previous: Option<ImageId>,
}

impl Images<'_> {
    fn read(&mut self) -> Result<Option<SnapshotImage>, SnapshotError> {
        let path = self.snapshot.folder.join(IMAGES);
        self.line.clear();
        let mut limited = (&mut self.lines).take(LINE_BYTES_MAX as u64 + 1);
        limited
            .read_until(b'\n', &mut self.line)
            .map_err(|error| SnapshotError::damaged(&path, format!("cannot unpack: {error}")))?;
        if self.line.is_empty() {
            return self.end(&path).map(|()| None);
        }
        let damaged = |why: &str| {
            SnapshotError::damaged(&path, format!("row {}: {why}", self.seen.images + 1))
        };
        if self.line.len() > LINE_BYTES_MAX || self.line.last() != Some(&b'\n') {
            return Err(damaged("it is too long or cut"));
        }
        let image: SnapshotImage =
            serde_json::from_slice(&self.line).map_err(|error| damaged(&error.to_string()))?;
        let out_of_order =
            self.seen.previous.as_ref().is_some_and(|previous| *previous >= image.image);
        if out_of_order {
            return Err(damaged("its id is not after the one before"));
        }
        if image.vector.is_some_and(|row| row != self.seen.vectors) {
            return Err(damaged("its vector's row is not the next one"));
        }
        for (next, face) in (self.seen.faces..).zip(&image.faces) {
            if face.row != next {
                return Err(damaged("a face's row is not the next one"));
            }
        }
        self.seen.images += 1;
        self.seen.vectors += u32::from(image.vector.is_some());
        self.seen.faces += image.faces.len() as u32;
        self.seen.previous = Some(image.image.clone());
        Ok(Some(image))
    }

    fn end(&self, path: &Path) -> Result<(), SnapshotError> {
        let manifest = &self.snapshot.manifest;
        let found = (self.seen.images, u64::from(self.seen.vectors), u64::from(self.seen.faces));
        let expected = (manifest.images, manifest.vectors, manifest.faces);
        if found != expected {
            let why =
                format!("images, vectors, faces are {found:?}, the manifest says {expected:?}");
            return Err(SnapshotError::damaged(path, why));
        }
        Ok(())
    }
}

impl Iterator for Images<'_> {
    type Item = Result<SnapshotImage, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.read().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::Fate;
    use crate::snapshot::samples;

    #[test]
    fn what_was_written_is_read() {
        let library = tempfile::tempdir().unwrap();
        let rows = samples::few();
        let snapshot = samples::written(library.path(), 1, rows.clone());
        let read: Vec<SnapshotImage> = snapshot.images().unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), rows.len());
        for (read, (image, vector, faces)) in read.iter().zip(&rows) {
            assert_eq!(read.image, image.image);
            assert_eq!(read.tags, image.tags);
            assert_eq!(read.vector.is_some(), vector.is_some());
            assert_eq!(read.faces.len(), faces.len());
        }
        assert_eq!(snapshot.manifest().faces, 2);
        assert_eq!(snapshot.read_faces().unwrap().len(), 2 * 4);
    }

    #[test]
    fn a_folder_without_a_manifest_is_no_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let error = Snapshot::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("eyefleet export"), "{error}");
        assert_eq!(error.fate(), Fate::Permanent);
    }

    #[test]
    fn a_cut_an_altered_or_a_lost_file_is_refused_by_name() {
        for name in [IMAGES, VECTORS, FACES] {
            for harm in ["cut", "altered", "lost"] {
                let library = tempfile::tempdir().unwrap();
                let snapshot = samples::written(library.path(), 1, samples::few());
                let path = snapshot.folder().join(name);
                let mut bytes = fs::read(&path).unwrap();
                match harm {
                    "cut" => {
                        bytes.pop();
                        fs::write(&path, &bytes).unwrap();
                    }
                    "altered" => {
                        bytes[5] ^= 1;
                        fs::write(&path, &bytes).unwrap();
                    }
                    _ => fs::remove_file(&path).unwrap(),
                }
                let error = Snapshot::open(snapshot.folder()).unwrap_err().to_string();
                assert!(error.contains(name) && error.contains("run `eyefleet export`"), "{error}");
            }
        }
    }

    #[test]
    fn rows_that_do_not_fit_the_manifest_are_refused() {
        // Hashes guard against accidents; this guards against a manifest written by somebody else.
        let library = tempfile::tempdir().unwrap();
        let written = samples::written(library.path(), 1, samples::few());
        let mut manifest = written.manifest().clone();
        manifest.images += 1;
        let text = serde_json::to_vec(&manifest).unwrap();
        fs::write(written.folder().join(MANIFEST), text).unwrap();
        let snapshot = Snapshot::open(written.folder()).unwrap();
        let last = snapshot.images().unwrap().last().unwrap();
        assert!(last.unwrap_err().to_string().contains("the manifest says"));
    }

    #[test]
    fn an_empty_snapshot_is_a_snapshot() {
        let library = tempfile::tempdir().unwrap();
        let snapshot = samples::written(library.path(), 1, Vec::new());
        assert_eq!(snapshot.images().unwrap().count(), 0);
        assert!(snapshot.read_vectors().unwrap().is_empty());
    }
}
