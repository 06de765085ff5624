//! Writes a snapshot: rows in, one folder out, in bounded memory.
//!
//! The folder gets its name only after every file and the manifest are on disk. Rows come in the
//! byte order of their ids, so that two exports of the same library are the same bytes and a
//! reader can merge without sorting. A vector that cannot be used costs its row the vector, not
//! the library its export: it is left out and counted.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::durable::{self, HashedFile};
use super::error::SnapshotError;
use super::rows::{
    FACES, IMAGES, MANIFEST, SCHEMA_VERSION, SnapshotId, SnapshotImage, SnapshotManifest, VECTORS,
};
use super::shelf;
use crate::names::{ImageId, LibraryId, SpaceId};

pub(super) const BUILD_PREFIX: &str = ".build-";

/// Rows longer than this are refused: a reader holds one at a time.
pub(super) const LINE_BYTES_MAX: usize = 4 << 20;

/// A snapshot being written. Dropped unfinished, it removes what it wrote.
pub struct SnapshotWriter {
    build: BuildFolder,
    target: PathBuf,
    images: zstd::Encoder<'static, HashedFile>,
    vectors: HashedFile,
    faces: HashedFile,
    manifest: SnapshotManifest,
    previous: Option<ImageId>,
    line: Vec<u8>,
}

/// Removes its folder when dropped, unless it was renamed away.
struct BuildFolder(PathBuf);

impl Drop for BuildFolder {
    fn drop(&mut self) {
        // Best effort: `collect` removes what a killed process left in any case.
        let _ = durable::remove_folder(&self.0);
    }
}

impl SnapshotWriter {
    /// Begins the snapshot `id` under `library_dir`. `dim` is the length of an image's vector.
    ///
    /// # Errors
    /// A snapshot of this id exists, or the disk refuses.
    pub fn create(
        library_dir: &Path,
        id: SnapshotId,
        library: LibraryId,
        space: SpaceId,
        dim: usize,
        started_at: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let target = shelf::path_of(library_dir, &id);
        if target.exists() {
            return Err(SnapshotError::Exists(target));
        }
        let folder = target.with_file_name(format!("{BUILD_PREFIX}{id}"));
        // The id carries the token of this export: a folder of that name is our own, left by a
        // start that died.
        durable::remove_folder(&folder).map_err(SnapshotError::io("clear", &folder))?;
        fs::create_dir_all(&folder).map_err(SnapshotError::io("create", &folder))?;
        let build = BuildFolder(folder);
        let open = |name: &str| {
            let path = build.0.join(name);
            HashedFile::create(&path).map_err(SnapshotError::io("create", &path))
        };
        let (images, vectors, faces) = (open(IMAGES)?, open(VECTORS)?, open(FACES)?);
        let images = zstd::Encoder::new(images, 3).map_err(SnapshotError::io("write", &build.0))?;
        let manifest = SnapshotManifest {
            schema_version: SCHEMA_VERSION,
            id,
            library,
            space,
            dim,
            face_dim: None,
            images: 0,
            vectors: 0,
            faces: 0,
            skipped: BTreeMap::new(),
            started_at,
            finished_at: started_at,
            files: BTreeMap::new(),
        };
        let line = Vec::new();
        Ok(Self { build, target, images, vectors, faces, manifest, previous: None, line })
    }

    /// Adds an image. `embedding` and each of `faces` (one per entry of `image.faces`, in the
    /// same order) are brought to unit length; row numbers in `image` are set here.
    ///
    /// # Errors
    /// The row is out of order or too large, the faces and their vectors differ in number, or
    /// the disk refuses.
    pub fn push(
        &mut self,
        mut image: SnapshotImage,
        embedding: Option<&[f32]>,
        faces: &[Vec<f32>],
    ) -> Result<(), SnapshotError> {
        self.check_order(&image.image)?;
        if faces.len() != image.faces.len() {
            let why = format!("{} faces came with {} vectors", image.faces.len(), faces.len());
            return Err(SnapshotError::BadRow { image: image.image.to_string(), why });
        }
        image.vector = None;
        // A row that is refused leaves nothing: its vectors are written after it was found good.
        let mut left_out = Vec::new();
        let mut unit_vector = None;
        if let Some(embedding) = embedding {
            match usable(embedding, self.manifest.dim) {
                Ok(unit) => {
                    image.vector = Some(self.manifest.vectors as u32);
                    unit_vector = Some(unit);
                }
                Err(why) => left_out.push(format!("vector left out: {why}")),
            }
        }
        let described = std::mem::take(&mut image.faces);
        let (mut face_dim, mut unit_faces) = (self.manifest.face_dim, Vec::new());
        for (mut face, vector) in described.into_iter().zip(faces) {
            // The first face decides the length: the snapshot has one recognition model.
            let dim = face_dim.unwrap_or(vector.len());
            match usable(vector, dim) {
                Ok(unit) => {
                    face_dim = Some(dim);
                    face.row = (self.manifest.faces + unit_faces.len() as u64) as u32;
                    unit_faces.push(unit);
                    image.faces.push(face);
                }
                Err(why) => left_out.push(format!("face left out: {why}")),
            }
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, &image)
            .map_err(|error| bad_row(&image, &error.to_string()))?;
        self.line.push(b'\n');
        if self.line.len() > LINE_BYTES_MAX {
            let why = format!("its row has {} bytes, over {LINE_BYTES_MAX}", self.line.len());
            return Err(bad_row(&image, &why));
        }
        let io = |error| SnapshotError::io("write", &self.build.0)(error);
        if let Some(unit) = unit_vector {
            write_row(&mut self.vectors, &unit).map_err(io)?;
            self.manifest.vectors += 1;
        }
        for unit in unit_faces {
            write_row(&mut self.faces, &unit).map_err(io)?;
            self.manifest.faces += 1;
        }
        self.images.write_all(&self.line).map_err(io)?;
        self.manifest.face_dim = face_dim;
        self.manifest.images += 1;
        self.previous = Some(image.image);
        for reason in left_out {
            self.skip(&reason);
        }
        Ok(())
    }

    /// Counts an image that is not exported.
    pub fn skip(&mut self, reason: &str) {
        self.skip_many(reason, 1);
    }

    /// Counts `images` that are not exported.
    pub fn skip_many(&mut self, reason: &str, images: u64) {
        *self.manifest.skipped.entry(reason.to_owned()).or_default() += images;
    }

    /// What it holds so far.
    pub fn so_far(&self) -> &SnapshotManifest {
        &self.manifest
    }

    /// Brings everything to the disk, writes the manifest, gives the folder its name.
    ///
    /// # Errors
    /// The disk refuses; nothing is then published.
    pub fn finish(self, finished_at: Timestamp) -> Result<SnapshotManifest, SnapshotError> {
        let Self { build, target, images, vectors, faces, mut manifest, .. } = self;
        let folder = &build.0;
        let io = |action| SnapshotError::io(action, folder);
        let images = images.finish().map_err(io("compress"))?;
        for (name, file) in [(IMAGES, images), (VECTORS, vectors), (FACES, faces)] {
            let entry = file.finish().map_err(io("write"))?;
            manifest.files.insert(name.to_owned(), entry);
        }
        manifest.finished_at = finished_at;
        let path = folder.join(MANIFEST);
        let mut file = HashedFile::create(&path).map_err(SnapshotError::io("create", &path))?;
        serde_json::to_writer_pretty(&mut file, &manifest)
            .map_err(|error| SnapshotError::io("write", &path)(error.into()))?;
        file.finish().map_err(SnapshotError::io("write", &path))?;
        durable::sync_folder(folder).map_err(io("sync"))?;
        fs::rename(folder, &target).map_err(io("publish"))?;
        // The library's folder as well: with the first snapshot the shelf itself is new.
        for above in target.ancestors().skip(1).take(2) {
            durable::sync_folder(above).map_err(SnapshotError::io("sync", above))?;
        }
        Ok(manifest)
    }

    fn check_order(&self, image: &ImageId) -> Result<(), SnapshotError> {
        match &self.previous {
            Some(previous) if previous.as_str() >= image.as_str() => {
                Err(SnapshotError::OutOfOrder {
                    image: image.to_string(),
                    previous: previous.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}

fn bad_row(image: &SnapshotImage, why: &str) -> SnapshotError {
    SnapshotError::BadRow { image: image.image.to_string(), why: why.to_owned() }
}

/// The vector at unit length, or why it has none.
fn usable(vector: &[f32], dim: usize) -> Result<Vec<f32>, &'static str> {
    if vector.len() != dim || dim == 0 {
        return Err("wrong length");
    }
    if vector.iter().any(|value| !value.is_finite()) {
        return Err("not finite");
    }
    let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if norm < 1e-12 {
        return Err("zero");
    }
    if (norm - 1.0).abs() < 1e-5 {
        // Already a unit: kept bit for bit, so that a snapshot of a snapshot is the same.
        return Ok(vector.to_vec());
    }
    Ok(vector.iter().map(|value| (f64::from(*value) / norm) as f32).collect())
}

fn write_row(file: &mut HashedFile, row: &[f32]) -> std::io::Result<()> {
    for value in row {
        file.write_all(&value.to_le_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::Fate;
    use crate::snapshot::{Snapshot, samples};

    fn writer(library: &Path) -> SnapshotWriter {
        let (id, now) = samples::id(1);
        let space = samples::space();
        SnapshotWriter::create(library, id, LibraryId::main(), space, 3, now).unwrap()
    }

    #[test]
    fn rows_out_of_order_or_twice_are_refused() {
        let library = tempfile::tempdir().unwrap();
        let mut writer = writer(library.path());
        writer.push(samples::image("b"), None, &[]).unwrap();
        for id in ["a", "b"] {
            let error = writer.push(samples::image(id), None, &[]).unwrap_err();
            assert!(matches!(error, SnapshotError::OutOfOrder { .. }), "{error}");
            assert_eq!(error.fate(), Fate::Permanent);
        }
        writer.push(samples::image("c"), None, &[]).unwrap();
    }

    #[test]
    fn a_useless_vector_costs_the_vector_and_is_counted() {
        let library = tempfile::tempdir().unwrap();
        let mut writer = writer(library.path());
        writer.push(samples::image("a"), Some(&[0.0, 3.0, 4.0]), &[]).unwrap();
        writer.push(samples::image("b"), Some(&[1.0]), &[]).unwrap();
        writer.push(samples::image("c"), Some(&[f32::NAN, 0.0, 0.0]), &[]).unwrap();
        writer.push(samples::image("d"), Some(&[0.0; 3]), &[]).unwrap();
        writer.skip("analysis failed");
        let manifest = writer.finish(samples::id(1).1).unwrap();
        assert_eq!((manifest.images, manifest.vectors), (4, 1));
        let expected = [
            ("analysis failed", 1),
            ("vector left out: not finite", 1),
            ("vector left out: wrong length", 1),
            ("vector left out: zero", 1),
        ];
        assert_eq!(manifest.skipped, expected.map(|(k, v)| (k.to_owned(), v)).into());
        let snapshot = Snapshot::open(&shelf::path_of(library.path(), &manifest.id)).unwrap();
        assert_eq!(snapshot.read_vectors().unwrap(), [0.0, 0.6, 0.8]);
    }

    #[test]
    fn nothing_is_seen_before_the_end_and_nothing_is_left_by_a_writer_that_gives_up() {
        let library = tempfile::tempdir().unwrap();
        let mut abandoned = writer(library.path());
        abandoned.push(samples::image("a"), None, &[]).unwrap();
        assert_eq!(shelf::list(library.path()).unwrap(), []);
        drop(abandoned);
        assert_eq!(fs::read_dir(library.path().join("snapshots")).unwrap().count(), 0);
    }

    #[test]
    fn the_same_rows_give_the_same_bytes() {
        let library = tempfile::tempdir().unwrap();
        let first = samples::written(library.path(), 1, samples::few());
        let second = samples::written(library.path(), 2, samples::few());
        assert_eq!(first.manifest().files, second.manifest().files);
    }
}
