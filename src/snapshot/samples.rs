//! Small snapshots for the tests of this room and of those that read snapshots.

use std::path::Path;

use jiff::Timestamp;

use super::{Snapshot, SnapshotFace, SnapshotId, SnapshotImage, SnapshotTag, SnapshotWriter};
use crate::names::{Fence, ImageId, LibraryId, RelativePath, Revision, SpaceId};

/// A row with its vector and the vectors of its faces.
pub(crate) type Row = (SnapshotImage, Option<Vec<f32>>, Vec<Vec<f32>>);

pub(crate) fn space() -> SpaceId {
    SpaceId::new("0123456789abcdef").unwrap()
}

pub(crate) fn id(number: i64) -> (SnapshotId, Timestamp) {
    let now = Timestamp::from_second(1_700_000_000 + number).unwrap();
    (SnapshotId::new(now, Fence(number)), now)
}

pub(crate) fn image(id: &str) -> SnapshotImage {
    SnapshotImage {
        image: ImageId::new(id).unwrap(),
        path: RelativePath::new(format!("{id}.jpg")).unwrap(),
        filename: format!("{id}.jpg"),
        revision: Revision(1),
        description: None,
        detailed_description: None,
        tags: Vec::new(),
        categories: Vec::new(),
        created_at: Timestamp::from_second(1_700_000_000).unwrap(),
        face_count: 0,
        corrected: false,
        vector: None,
        faces: Vec::new(),
    }
}

pub(crate) fn tagged(id: &str, description: &str, tags: &[&str], categories: &[&str]) -> Row {
    let mut image = image(id);
    image.description = (!description.is_empty()).then(|| description.to_owned());
    image.tags =
        tags.iter().map(|name| SnapshotTag { name: (*name).to_owned(), score: 0.9 }).collect();
    image.categories = categories.iter().map(|name| (*name).to_owned()).collect();
    (image, None, Vec::new())
}

pub(crate) fn face(number: i64) -> SnapshotFace {
    SnapshotFace { face: number, bounds: [0.1, 0.1, 0.2, 0.2], row: 0 }
}

/// Three images: one plain, one without a vector, one with two faces.
pub(crate) fn few() -> Vec<Row> {
    let mut plain = tagged("a", "a dog on the beach", &["dog", "beach"], &["animals"]);
    plain.1 = Some(vec![1.0, 0.0, 0.0]);
    let unseen = tagged("b", "", &[], &[]);
    let mut faces = tagged("c", "two people", &["people"], &["people"]);
    faces.0.faces = vec![face(1), face(2)];
    faces.0.face_count = 2;
    faces.1 = Some(vec![0.0, 1.0, 0.0]);
    faces.2 = vec![vec![0.0, 1.0, 0.0, 0.0], vec![1.0, 0.0, 0.0, 0.0]];
    vec![plain, unseen, faces]
}

/// Writes `rows` as snapshot `number` of the library in `library_dir` and opens it. The length of
/// image vectors is that of the first one, 3 if there is none.
pub(crate) fn written(library_dir: &Path, number: i64, rows: Vec<Row>) -> Snapshot {
    let dim = rows.iter().find_map(|row| row.1.as_ref().map(Vec::len)).unwrap_or(3);
    let (id, now) = id(number);
    let mut writer =
        SnapshotWriter::create(library_dir, id.clone(), LibraryId::main(), space(), dim, now)
            .unwrap();
    for (image, vector, faces) in rows {
        writer.push(image, vector.as_deref(), &faces).unwrap();
    }
    writer.finish(now).unwrap();
    Snapshot::open(&super::path_of(library_dir, &id)).unwrap()
}
