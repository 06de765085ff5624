//! The fresh tail: the vectors that the index does not hold, so that a photo uploaded a second ago
//! is found, and one that its snapshot left out as well.
//!
//! What must stay true: the index is the authority on what it holds. A row is kept only where the
//! image is absent from the index or has another vector there, and then the tail's is the newer.
//! Pure, and cheap to clone: a search compares on a thread of its own with the rows of its moment.

use std::collections::HashMap;
use std::sync::Arc;

use super::rank::Candidate;
use crate::generation::{Index, dot};
use crate::names::ImageId;

/// Most rows kept: 400 MB of vectors of 512 values.
pub const ROWS_MAX: usize = 200_000;
/// Vectors with a cosine so near to 1 are the same: a snapshot brings a vector to unit length, and
/// a model may answer a little differently in another batch.
const SAME_WITHIN: f64 = 1e-6;

/// The rows of an index in the order of their ids, to find an image's row.
#[derive(Debug, Clone, Default)]
pub(super) struct RowsById(Arc<Vec<u32>>);

impl RowsById {
    /// Looks at every row once: call it from a thread that may be busy for a moment.
    pub fn of(index: &Index) -> Self {
        let mut rows: Vec<u32> = (0..index.len() as u32).collect();
        // They come sorted from an export, which this sort notices.
        rows.sort_by(|a, b| index.id(*a).cmp(index.id(*b)));
        Self(Arc::new(rows))
    }

    /// The vector of `image` in `index`, which must be the one that this was made of.
    pub fn vector<'a>(&self, index: &'a Index, image: &str) -> Option<&'a [f32]> {
        let place = self.0.binary_search_by(|row| index.id(*row).cmp(image)).ok()?;
        Some(index.vector(self.0[place]))
    }
}

/// What became of a row that was offered to the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is here now.
    Kept,
    /// The index holds it.
    Indexed,
    /// There is no room: it waits for the next index.
    Refused,
}

/// Vectors of one library that the index does not hold.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    rows: Arc<HashMap<Arc<str>, Arc<[f32]>>>,
    room: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self { rows: Arc::default(), room: ROWS_MAX }
    }
}

impl Tail {
    /// Takes the newest vector of `image`; `indexed` is the one that the index holds.
    pub fn take(&mut self, image: &ImageId, vector: &[f32], indexed: Option<&[f32]>) -> Taken {
        let known = self.rows.get(image.as_str());
        if indexed.is_some_and(|indexed| is_same(indexed, vector)) {
            if known.is_some() {
                Arc::make_mut(&mut self.rows).remove(image.as_str());
            }
            return Taken::Indexed;
        }
        // Most rows are read a second time: no copy is made for those of a search under way.
        if known.is_some_and(|known| **known == *vector) {
            return Taken::Kept;
        }
        if known.is_none() && self.rows.len() >= self.room {
            return Taken::Refused;
        }
        Arc::make_mut(&mut self.rows).insert(image.as_str().into(), vector.into());
        Taken::Kept
    }

    /// Whether this image's newest vector is here, and not in the index.
    pub fn holds(&self, image: &str) -> bool {
        self.rows.contains_key(image)
    }

    /// The vector of `image`, where it is here.
    pub fn vector(&self, image: &str) -> Option<&[f32]> {
        self.rows.get(image).map(|vector| &**vector)
    }

    /// Images that the index does not have at all.
    pub fn absent_from(&self, index: &Index, rows: &RowsById) -> usize {
        self.rows.keys().filter(|image| rows.vector(index, image).is_none()).count()
    }

    /// The `wanted` rows nearest to `vector`, in no order.
    pub fn nearest(&self, vector: &[f32], wanted: usize) -> Vec<Candidate> {
        let mut nearest: Vec<(&Arc<str>, f32)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.len() == vector.len())
            .map(|(image, row)| (image, dot(row, vector)))
            .collect();
        if nearest.len() > wanted {
            nearest.select_nth_unstable_by(wanted, |a, b| {
                b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0))
            });
            nearest.truncate(wanted);
        }
        let candidate = |(image, similarity): (&Arc<str>, f32)| {
            let image = ImageId::new(&**image).expect("it was an id when it came in");
            Candidate { image, similarity }
        };
        nearest.into_iter().map(candidate).collect()
    }
}

/// Whether two vectors have one direction.
fn is_same(a: &[f32], b: &[f32]) -> bool {
    if a == b {
        return true;
    }
    if a.len() != b.len() {
        return false;
    }
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    let lengths = product(a, a).sqrt() * product(b, b).sqrt();
    // A vector without a direction (zero, not finite) is the same as no other.
    product(a, b) / lengths >= 1.0 - SAME_WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str) -> ImageId {
        ImageId::new(id).unwrap()
    }

    fn ids(candidates: Vec<Candidate>) -> Vec<String> {
        let mut ids: Vec<String> =
            candidates.into_iter().map(|found| found.image.to_string()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn rows_are_found_by_id_whatever_their_order() {
        let names = [image("c"), image("a"), image("b")];
        let index = Index::exact(1, vec![3.0, 1.0, 2.0], &names);
        let rows = RowsById::of(&index);
        assert_eq!(rows.vector(&index, "a"), Some(&[1.0][..]));
        assert_eq!(rows.vector(&index, "b"), Some(&[2.0][..]));
        assert_eq!(rows.vector(&index, "c"), Some(&[3.0][..]));
        assert_eq!(rows.vector(&index, "d"), None);
        let empty = Index::exact(1, Vec::new(), &[]);
        assert_eq!(RowsById::of(&empty).vector(&empty, "a"), None);
    }

    #[test]
    fn what_the_index_holds_is_not_kept() {
        let mut tail = Tail::default();
        let indexed = [0.6, 0.8];
        // As stored before the snapshot brought it to unit length.
        for same in [[0.6, 0.8], [3.0, 4.0], [0.600_001, 0.799_999]] {
            assert_eq!(tail.take(&image("a"), &same, Some(&indexed)), Taken::Indexed, "{same:?}");
            assert!(!tail.holds("a"));
        }
        assert_eq!(tail.take(&image("a"), &[0.8, 0.6], Some(&indexed)), Taken::Kept);
        assert_eq!(tail.take(&image("b"), &[0.6, 0.8], None), Taken::Kept);
        assert!(tail.holds("a") && tail.holds("b"));
        // Analyzed a third time, and as in the index again.
        assert_eq!(tail.take(&image("a"), &indexed, Some(&indexed)), Taken::Indexed);
        assert!(!tail.holds("a") && tail.holds("b"));
    }

    #[test]
    fn a_vector_without_direction_is_the_same_as_no_other() {
        assert!(!is_same(&[0.0, 0.0], &[1.0, 0.0]));
        assert!(!is_same(&[f32::NAN, 0.0], &[1.0, 0.0]));
        assert!(!is_same(&[1.0], &[1.0, 0.0]));
        assert!(!is_same(&[1.0, 0.0], &[-1.0, 0.0]));
    }

    #[test]
    fn a_full_tail_refuses_new_images_and_still_follows_those_it_has() {
        let mut tail = Tail { room: 1, ..Tail::default() };
        assert_eq!(tail.take(&image("a"), &[1.0, 0.0], None), Taken::Kept);
        assert_eq!(tail.take(&image("b"), &[1.0, 0.0], None), Taken::Refused);
        assert_eq!(tail.take(&image("a"), &[0.0, 1.0], None), Taken::Kept);
        assert_eq!(tail.vector("a"), Some(&[0.0, 1.0][..]));
        assert_eq!(tail.vector("b"), None);
    }

    #[test]
    fn a_search_under_way_keeps_the_rows_of_its_moment() {
        let mut tail = Tail::default();
        tail.take(&image("a"), &[1.0, 0.0], None);
        let under_way = tail.clone();
        tail.take(&image("b"), &[1.0, 0.0], None);
        assert_eq!(ids(under_way.nearest(&[1.0, 0.0], 9)), ["a"]);
        assert_eq!(ids(tail.nearest(&[1.0, 0.0], 9)), ["a", "b"]);
    }

    #[test]
    fn the_nearest_are_wanted_and_other_lengths_are_passed_over() {
        let mut tail = Tail::default();
        tail.take(&image("far"), &[-1.0, 0.0], None);
        tail.take(&image("near"), &[0.8, 0.6], None);
        tail.take(&image("nearest"), &[1.0, 0.0], None);
        tail.take(&image("other"), &[1.0], None);
        assert_eq!(ids(tail.nearest(&[1.0, 0.0], 2)), ["near", "nearest"]);
        assert_eq!(tail.nearest(&[1.0, 0.0], 9).len(), 3);
        let index = Index::exact(2, vec![0.0, 1.0], &[image("near")]);
        assert_eq!(tail.absent_from(&index, &RowsById::of(&index)), 3);
    }
}
