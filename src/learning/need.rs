//! How much memory a training takes, known before it takes it: a process that the system ends for want
//! of memory says nothing, and would be started again for the same end.

use super::LearnOptions;
use super::error::LearnError;
use super::together::PAIRS_MAX;
use crate::snapshot::SnapshotManifest;

/// The process itself, and what does not grow with the library.
const BASE: u64 = 64 << 20;
/// An image's words, tags and categories as numbers, its id, and its share of the pairs that are
/// counted: 225 bytes each of a million images with six tags (`cargo bench --bench timeline`), and room for
/// those that a hundred words describe.
const IMAGE: u64 = 900;
/// Pairs of words that an image may add to those that are counted, and what one takes twice: counted, and
/// in order.
const PAIRS: u64 = 1_000;
const PAIR: u64 = 64;
/// The graph over a vector while it is built, beside the vector itself: neighbours in 16 and more lists,
/// and the same frozen (5,138 bytes with a vector of 512 values, see `hnsw_rs`).
const GRAPH: u64 = 3_600;
/// What a face has beside its vector: its place, and those near to it.
const FACE: u64 = 600;

/// The number of vectors from which a graph is built, after what there is room for: one that does not
/// fit gives way to comparing with all, which is slower to ask and never wrong.
///
/// # Errors
/// [`LearnError::TooLarge`] where the library does not fit at all.
pub(super) fn exact_below(
    snapshot: &SnapshotManifest,
    options: &LearnOptions,
) -> Result<usize, LearnError> {
    let Some(room) = options.memory_max else { return Ok(options.exact_below) };
    let wants_graph = snapshot.vectors >= options.exact_below as u64;
    if wants_graph && need(snapshot, true) > room {
        tracing::warn!(
            images = snapshot.vectors,
            need_mib = need(snapshot, true) >> 20,
            room_mib = room >> 20,
            "the graph of the search index does not fit into train.memory_mib: search compares with all"
        );
    } else if wants_graph {
        return Ok(options.exact_below);
    }
    let need = need(snapshot, false);
    if need > room {
        return Err(LearnError::TooLarge { images: snapshot.images, need, room });
    }
    Ok(usize::MAX)
}

/// Bytes that learning from `snapshot` takes at its most.
fn need(snapshot: &SnapshotManifest, graph: bool) -> u64 {
    let vector = snapshot.dim as u64 * 4;
    let face = snapshot.face_dim.unwrap_or(0) as u64 * 4;
    let indexed = if graph { vector * 2 + GRAPH } else { vector };
    let pairs = (snapshot.images * PAIRS).min(PAIRS_MAX as u64) * PAIR;
    BASE + pairs
        + snapshot.images * IMAGE
        + snapshot.vectors * indexed
        + snapshot.faces * (face * 2 + FACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::Fate;
    use crate::snapshot::samples;

    fn manifest(images: u64, faces: u64) -> SnapshotManifest {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = samples::written(folder.path(), 1, samples::few()).manifest().clone();
        (manifest.images, manifest.vectors, manifest.faces) = (images, images, faces);
        (manifest.dim, manifest.face_dim) = (512, Some(512));
        manifest
    }

    fn with(memory_max: u64) -> LearnOptions {
        LearnOptions { memory_max: Some(memory_max), ..LearnOptions::default() }
    }

    #[test]
    fn a_graph_gives_way_before_a_training_does() {
        let (small, large) = (manifest(1_000, 100), manifest(1_000_000, 0));
        let below = |manifest, room: u64| exact_below(manifest, &with(room << 30)).unwrap();
        assert_eq!(below(&small, 1), usize::MAX, "no graph is wanted");
        assert_eq!(below(&large, 16), LearnOptions::default().exact_below);
        assert_eq!(below(&large, 4), usize::MAX);
        let error = exact_below(&large, &with(1 << 30)).unwrap_err();
        assert_eq!(error.fate(), Fate::Permanent);
        let text = error.to_string();
        assert!(text.contains("1000000 images") && text.contains("train.memory_mib"), "{text}");
        let faces = exact_below(&manifest(1_000, 1_000_000), &with(2 << 30));
        assert!(faces.is_err(), "faces count as well");
    }

    #[test]
    fn without_a_bound_nothing_gives_way() {
        let below = exact_below(&manifest(u32::MAX.into(), 0), &LearnOptions::default());
        assert_eq!(below.unwrap(), LearnOptions::default().exact_below);
    }
}
