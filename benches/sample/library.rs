//! Libraries as the trainer gets them: a snapshot of images with words, vectors and faces.

use std::ops::ControlFlow;
use std::path::Path;

use eyefleet::generation::{Generation, GenerationStore};
use eyefleet::learning::{LearnError, LearnOptions, learn};
use eyefleet::names::{
    Fence, GenerationNumber, ImageId, LibraryId, RelativePath, Revision, SpaceId,
};
use eyefleet::snapshot::{
    Snapshot, SnapshotFace, SnapshotId, SnapshotImage, SnapshotTag, SnapshotWriter, path_of,
};
use jiff::Timestamp;

use super::vectors::{Dice, grouped};

/// Subjects with the words that go with them and their category.
const KINDS: [(&str, [&str; 4], &str); 8] = [
    ("saree", ["traditional", "dress", "jewelry", "silk"], "fashion"),
    ("sari", ["traditional", "dress", "jewelry", "silk"], "fashion"),
    ("dog", ["park", "grass", "ball", "lead"], "animals"),
    ("cat", ["park", "grass", "sofa", "window"], "animals"),
    ("sailboat", ["sea", "wave", "sky", "harbour"], "water"),
    ("mountain", ["snow", "forest", "sky", "path"], "landscape"),
    ("pizza", ["plate", "table", "cheese", "basil"], "food"),
    ("train", ["station", "rail", "platform", "clock"], "travel"),
];

/// What a library holds.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub images: usize,
    pub dim: usize,
    /// One each on the first images.
    pub faces: usize,
    pub face_dim: usize,
    /// Whether images have descriptions, tags and categories.
    pub words: bool,
}

/// Writes a library into `folder` and opens it.
pub fn snapshot(folder: &Path, size: Size) -> Snapshot {
    let started_at = Timestamp::from_second(1_700_000_000).unwrap();
    let id = SnapshotId::new(started_at, Fence(1));
    let space = SpaceId::new("0123456789abcdef").unwrap();
    let library = LibraryId::main();
    let mut writer =
        SnapshotWriter::create(folder, id.clone(), library, space, size.dim, started_at).unwrap();
    let vectors = grouped(1, size.images, size.dim, 200, 0.6);
    let faces = grouped(2, size.faces, size.face_dim, size.faces.div_ceil(20).max(1), 0.5);
    let mut dice = Dice::new(3);
    for number in 0..size.images {
        let mut image = image(number, size.words, &mut dice);
        let mut face = Vec::new();
        if number < size.faces {
            let bounds = [0.1, 0.1, 0.2, 0.2];
            image.faces.push(SnapshotFace { face: number as i64, bounds, row: 0 });
            image.face_count = 1;
            face.push(faces[number * size.face_dim..][..size.face_dim].to_vec());
        }
        writer.push(image, Some(&vectors[number * size.dim..][..size.dim]), &face).unwrap();
    }
    writer.finish(started_at).unwrap();
    Snapshot::open(&path_of(folder, &id)).unwrap()
}

fn image(number: usize, words: bool, dice: &mut Dice) -> SnapshotImage {
    let id = format!("img-{number:06}");
    let mut image = SnapshotImage {
        image: ImageId::new(&id).unwrap(),
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
    };
    if words {
        let (subject, with, category) = KINDS[dice.below(KINDS.len())];
        let said: Vec<&str> = with.into_iter().filter(|_| dice.below(10) < 6).collect();
        let noise = dice.below(400);
        let tags = std::iter::once(subject).chain(said.iter().copied());
        image.tags = tags.map(|tag| SnapshotTag { name: tag.to_owned(), score: 0.9 }).collect();
        let with = said.join(" and ");
        image.description = Some(format!("a bright {subject} with {with} and thing{noise}"));
        image.categories = vec![category.to_owned()];
    }
    image
}

/// Learns from `snapshot` under `library_dir` as the trainer does and opens the generation.
///
/// # Errors
/// As the trainer: a graph that loses vectors is not published.
pub fn learned(
    library_dir: &Path,
    snapshot: &Snapshot,
    options: &LearnOptions,
) -> Result<Generation, LearnError> {
    let store = GenerationStore::new(library_dir);
    let build = store.begin(Fence(1)).unwrap();
    let learned = learn(snapshot, build.path(), options, &mut |_, _| ControlFlow::Continue(()))?;
    let (number, now) = (GenerationNumber(1), snapshot.manifest().finished_at);
    store.publish(&build, learned.publication(number, None, now)).unwrap();
    Ok(store.open(number, None).unwrap())
}
