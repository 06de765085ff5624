//! The export as people and old tools read it: `images_metadata.json` and `export_timestamp.txt`.
//!
//! The fleet never reads these. They are made from a finished snapshot, streamed, and each
//! replaces its predecessor in one step.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::durable::replace_file;
use super::error::SnapshotError;
use super::reader::Snapshot;
use super::rows::{SnapshotImage, VECTORS};

/// One entry, with the predecessor's field names.
#[derive(Serialize)]
struct Entry<'a> {
    filename: &'a str,
    description: Option<&'a str>,
    detailed_description: Option<&'a str>,
    meta_tags: Vec<&'a str>,
    face_count: u32,
    embedding: Option<&'a [f32]>,
    created_at: Timestamp,
}

/// Writes both files into `library_dir`.
///
/// # Errors
/// The snapshot turns out to be damaged or the disk refuses; the old files then stay.
pub fn write_readable(snapshot: &Snapshot, library_dir: &Path) -> Result<(), SnapshotError> {
    let tag = snapshot.manifest().id.as_str();
    let path = library_dir.join("images_metadata.json");
    let mut damage = None;
    let written = replace_file(&path, tag, |file| write_entries(snapshot, file, &mut damage));
    if let Some(damage) = damage {
        return Err(damage);
    }
    written.map_err(SnapshotError::io("write", &path))?;
    let path = library_dir.join("export_timestamp.txt");
    replace_file(&path, tag, |file| writeln!(file, "{}", snapshot.manifest().finished_at))
        .map_err(SnapshotError::io("write", &path))
}

/// Streams the array. What is wrong with the snapshot itself goes to `damage`: the closure that
/// calls this can only answer I/O errors.
fn write_entries(
    snapshot: &Snapshot,
    file: &mut BufWriter<File>,
    damage: &mut Option<SnapshotError>,
) -> io::Result<()> {
    let mut vectors = BufReader::new(File::open(snapshot.folder().join(VECTORS))?);
    let mut vector = vec![0.0; snapshot.manifest().dim];
    let images = match snapshot.images() {
        Ok(images) => images,
        Err(error) => return Err(stop(damage, error)),
    };
    file.write_all(b"[")?;
    for (index, image) in images.enumerate() {
        let image = match image {
            Ok(image) => image,
            Err(error) => return Err(stop(damage, error)),
        };
        if image.vector.is_some() {
            read_row(&mut vectors, &mut vector)?;
        }
        file.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        let embedding = image.vector.map(|_| vector.as_slice());
        serde_json::to_writer(&mut *file, &entry(&image, embedding))?;
    }
    file.write_all(b"\n]\n")
}

fn stop(damage: &mut Option<SnapshotError>, error: SnapshotError) -> io::Error {
    *damage = Some(error);
    io::Error::other("the snapshot is damaged")
}

fn read_row(vectors: &mut impl Read, row: &mut [f32]) -> io::Result<()> {
    let mut bytes = [0; 4];
    for value in row {
        vectors.read_exact(&mut bytes)?;
        *value = f32::from_le_bytes(bytes);
    }
    Ok(())
}

fn entry<'a>(image: &'a SnapshotImage, embedding: Option<&'a [f32]>) -> Entry<'a> {
    Entry {
        filename: &image.filename,
        description: image.description.as_deref(),
        detailed_description: image.detailed_description.as_deref(),
        meta_tags: image.tags.iter().map(|tag| tag.name.as_str()).collect(),
        face_count: image.face_count,
        embedding,
        created_at: image.created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::samples;

    #[test]
    fn the_readable_export_is_one_array_with_the_old_names() {
        let library = tempfile::tempdir().unwrap();
        for number in [1, 2] {
            let snapshot = samples::written(library.path(), number, samples::few());
            write_readable(&snapshot, library.path()).unwrap();
        }
        let text = std::fs::read(library.path().join("images_metadata.json")).unwrap();
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        assert_eq!(entries.len(), samples::few().len());
        let mut names: Vec<&String> = entries[0].as_object().unwrap().keys().collect();
        names.sort();
        let mut expected = [
            "filename",
            "description",
            "detailed_description",
            "meta_tags",
            "face_count",
            "embedding",
            "created_at",
        ];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(entries[0]["embedding"].as_array().unwrap().len(), 3);
        let stamp = std::fs::read_to_string(library.path().join("export_timestamp.txt")).unwrap();
        assert!(stamp.trim().parse::<Timestamp>().is_ok(), "{stamp}");
    }
}
