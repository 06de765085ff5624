//! Vectors, indexes and whole generations for the tests of this room and of those that use it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{
    CategoryPattern, CategoryPatterns, Clusters, DescriptionPatterns, Generation, GenerationStore,
    Index, Layer, Publication, Words, files,
};
use crate::names::{Fence, GenerationNumber, ImageId, LibraryId, SpaceId};
use crate::snapshot::SnapshotId;

/// A small repeatable source of numbers, so that tests need no generator crate.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// About normal, mean 0, deviation 1.
    pub(crate) fn normal(&mut self) -> f32 {
        let share = |bits: u64| (bits >> 40) as f32 / (1 << 24) as f32;
        (0..12).map(|_| share(self.next())).sum::<f32>() - 6.0
    }
}

pub(crate) fn ids(count: usize) -> Vec<ImageId> {
    (0..count).map(|n| ImageId::new(format!("img-{n:06}")).unwrap()).collect()
}

pub(crate) fn to_unit(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    for value in vector {
        *value /= norm;
    }
}

/// `count` unit vectors without structure, row after row.
pub(crate) fn unit_vectors(seed: u64, count: usize, dim: usize) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    let mut vectors: Vec<f32> = (0..count * dim).map(|_| dice.normal()).collect();
    vectors.chunks_mut(dim).for_each(to_unit);
    vectors
}

/// `count` unit vectors around `groups` centres; `spread` is the length of the noise.
pub(crate) fn grouped_vectors(
    seed: u64,
    count: usize,
    dim: usize,
    groups: usize,
    spread: f32,
) -> Vec<f32> {
    let centres = unit_vectors(seed ^ 0xabcd, groups, dim);
    let mut dice = Dice::new(seed);
    let noise = spread / (dim as f32).sqrt();
    let mut vectors = Vec::with_capacity(count * dim);
    for row in 0..count {
        let centre = &centres[(row % groups) * dim..][..dim];
        let mut vector: Vec<f32> = centre.iter().map(|x| x + noise * dice.normal()).collect();
        to_unit(&mut vector);
        vectors.extend(vector);
    }
    vectors
}

/// Six rows in a ring, three of them on a second layer.
pub(crate) fn small_graph() -> Index {
    let bottom = Layer {
        members: Vec::new(),
        offsets: vec![0, 2, 4, 6, 8, 10, 12],
        neighbours: vec![1, 5, 0, 2, 1, 3, 2, 4, 3, 5, 4, 0],
    };
    let top =
        Layer { members: vec![0, 2, 4], offsets: vec![0, 1, 2, 4], neighbours: vec![2, 4, 0, 2] };
    Index::exact(4, unit_vectors(2, 6, 4), &ids(6)).with_graph(vec![bottom, top], 4).unwrap()
}

pub(crate) fn space() -> SpaceId {
    SpaceId::new("0123456789abcdef").unwrap()
}

/// Writes the files of a small generation whose every part carries `number`.
pub(crate) fn fill(folder: &Path, number: i64) {
    let count = number as u64;
    let landscape = CategoryPattern { count, ..CategoryPattern::default() };
    let patterns = CategoryPatterns::from([("landscape".to_owned(), landscape)]);
    let words = Words { images: count, ..Words::default() };
    let clusters = Clusters { unclustered_faces: count, ..Clusters::default() };
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).unwrap();
    write(files::CATEGORY_PATTERNS, serde_json::to_vec(&patterns).unwrap());
    let nothing = DescriptionPatterns::new();
    write(files::DESCRIPTION_PATTERNS, serde_json::to_vec(&nothing).unwrap());
    write(files::SEARCH_INDEX, serde_json::to_vec(&words).unwrap());
    write(files::FACE_CLUSTERS, serde_json::to_vec(&clusters).unwrap());
    write(files::FACE_CLUSTERS_PICKLE, b"\x80\x02}.".to_vec());
    write(files::IMPROVED_DESCRIPTIONS, b"{}".to_vec());
    write(files::TRAINING_REPORT, b"{\"status\": \"completed\"}".to_vec());
    for (name, index) in
        [(files::INDEX, small_graph()), (files::FACES, Index::exact(4, Vec::new(), &[]))]
    {
        let mut bytes = Vec::new();
        index.write(&mut bytes).unwrap();
        write(name, bytes);
    }
}

pub(crate) fn publication(number: i64) -> Publication {
    let created_at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    Publication {
        number: GenerationNumber(number),
        parent: None,
        library: LibraryId::main(),
        snapshot: SnapshotId::new(created_at, Fence(1)),
        space: space(),
        dim: 4,
        created_at,
        counts: BTreeMap::new(),
        quality: BTreeMap::new(),
    }
}

pub(crate) fn publish(store: &GenerationStore, number: i64) {
    let build = store.begin(Fence(number)).unwrap();
    fill(build.path(), number);
    store.publish(&build, publication(number)).unwrap();
}

/// A store with small generations of these numbers.
pub(crate) fn published(library_dir: &Path, numbers: &[i64]) -> GenerationStore {
    let store = GenerationStore::new(library_dir);
    for number in numbers {
        publish(&store, *number);
    }
    store
}

/// Every part of a generation made by [`fill`] carries its number.
pub(crate) fn assert_whole(generation: &Generation) {
    let number = generation.number.0 as u64;
    assert_eq!(generation.manifest.generation, generation.number);
    assert_eq!(generation.patterns["landscape"].count, number);
    assert_eq!(generation.words.images, number);
    assert_eq!(generation.clusters.unclustered_faces, number);
}
