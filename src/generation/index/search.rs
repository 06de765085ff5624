//! Finding the nearest vectors: by comparing all, or by walking the graph.
//!
//! Results are ordered by cosine and then by row, so that the same question has the same answer.
//! A filter decides what may be answered, never what may be walked over: a deleted image still
//! leads to its neighbours.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{Index, IndexError, dot};
use crate::names::ImageId;

/// Candidates kept while walking the lowest layer, at least.
const BEAM: usize = 96;

/// A row and its cosine; greater is closer, and among equals the lower row.
#[derive(Clone, Copy, PartialEq)]
struct Scored {
    cosine: f32,
    row: u32,
}

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cosine.total_cmp(&other.cosine).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Keeps the best of what it is offered.
struct Best {
    room: usize,
    kept: BinaryHeap<Reverse<Scored>>,
}

impl Best {
    fn new(room: usize) -> Self {
        Self { room, kept: BinaryHeap::new() }
    }

    fn offer(&mut self, scored: Scored) {
        self.kept.push(Reverse(scored));
        if self.kept.len() > self.room {
            self.kept.pop();
        }
    }

    /// The worst that is kept, once there is no more room.
    fn floor(&self) -> Option<Scored> {
        let full = self.kept.len() >= self.room;
        self.kept.peek().filter(|_| full).map(|worst| worst.0)
    }

    fn into_sorted(self) -> Vec<(u32, f32)> {
        let mut sorted: Vec<Scored> = self.kept.into_iter().map(|kept| kept.0).collect();
        sorted.sort_by(|a, b| b.cmp(a));
        sorted.into_iter().map(|scored| (scored.row, scored.cosine)).collect()
    }
}

impl Index {
    /// The `k` images nearest to `query` (a unit vector of the same embedding space) among those
    /// that `wanted` admits, with their cosines, nearest first.
    ///
    /// # Errors
    /// The query has another length, or values that are not finite.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<(ImageId, f32)>, IndexError> {
        if query.len() != self.dim() {
            return Err(IndexError::WrongDimension { got: query.len(), dim: self.dim() });
        }
        if query.iter().any(|value| !value.is_finite()) {
            return Err(IndexError::NotFinite);
        }
        let rows = self.nearest_rows(query, k, &|row| wanted(self.id(row)));
        let name = |(row, cosine): (u32, f32)| {
            let id = ImageId::new(self.id(row)).expect("ids were checked when the index was made");
            (id, cosine)
        };
        Ok(rows.into_iter().map(name).collect())
    }

    pub(super) fn nearest_rows(
        &self,
        query: &[f32],
        k: usize,
        wanted: &dyn Fn(u32) -> bool,
    ) -> Vec<(u32, f32)> {
        if k == 0 || self.is_empty() {
            return Vec::new();
        }
        let mut found = if self.layers.is_empty() {
            self.compare_all(query, k, wanted)
        } else {
            self.walk(query, BEAM.max(k * 2), wanted)
        };
        found.truncate(k);
        found
    }

    fn score(&self, query: &[f32], row: u32) -> Scored {
        Scored { cosine: dot(query, self.vector(row)), row }
    }

    fn compare_all(
        &self,
        query: &[f32],
        k: usize,
        wanted: &dyn Fn(u32) -> bool,
    ) -> Vec<(u32, f32)> {
        let mut best = Best::new(k);
        for row in 0..self.len() as u32 {
            let scored = self.score(query, row);
            // The filter is asked only about what would be kept: it may be the dearer question.
            let would_be_kept = best.floor().is_none_or(|floor| scored > floor);
            if would_be_kept && wanted(row) {
                best.offer(scored);
            }
        }
        best.into_sorted()
    }

    fn walk(&self, query: &[f32], beam: usize, wanted: &dyn Fn(u32) -> bool) -> Vec<(u32, f32)> {
        let mut nearest = self.score(query, self.entry);
        for layer in (1..self.layers.len()).rev() {
            nearest = self.descend(query, nearest, layer);
        }
        let mut visited = vec![false; self.len()];
        visited[nearest.row as usize] = true;
        let mut best = Best::new(beam);
        let mut to_visit = BinaryHeap::from([nearest]);
        if wanted(nearest.row) {
            best.offer(nearest);
        }
        while let Some(candidate) = to_visit.pop() {
            if best.floor().is_some_and(|floor| candidate < floor) {
                break;
            }
            for &row in self.neighbours(0, candidate.row) {
                if std::mem::replace(&mut visited[row as usize], true) {
                    continue;
                }
                let scored = self.score(query, row);
                if best.floor().is_some_and(|floor| scored < floor) {
                    continue;
                }
                to_visit.push(scored);
                if wanted(row) {
                    best.offer(scored);
                }
            }
        }
        best.into_sorted()
    }

    /// Goes to the closest neighbour until none is closer. Ends: every step is strictly better.
    fn descend(&self, query: &[f32], from: Scored, layer: usize) -> Scored {
        let mut nearest = from;
        loop {
            let neighbours = self.neighbours(layer, nearest.row).iter();
            let closest = neighbours.map(|row| self.score(query, *row)).max();
            match closest {
                Some(closer) if closer > nearest => nearest = closer,
                _ => return nearest,
            }
        }
    }

    /// The neighbours of a row on a layer; none if it is not there.
    pub(super) fn neighbours(&self, layer: usize, row: u32) -> &[u32] {
        let layer = &self.layers[layer];
        let position = if layer.members.is_empty() {
            Some(row as usize)
        } else {
            layer.members.binary_search(&row).ok()
        };
        position.map_or(&[], |position| {
            &layer.neighbours
                [layer.offsets[position] as usize..layer.offsets[position + 1] as usize]
        })
    }

    /// Rows that no way from the entry leads to: from layer to layer downwards, whatever was
    /// reached above is a start below. A good graph has none.
    pub fn unreachable(&self) -> usize {
        self.unreachable_rows().len()
    }

    /// The rows that [`Index::unreachable`] counts, ascending.
    pub fn unreachable_rows(&self) -> Vec<u32> {
        if self.layers.is_empty() {
            return Vec::new();
        }
        let mut reached = vec![false; self.len()];
        reached[self.entry as usize] = true;
        let mut starts = vec![self.entry];
        for layer in (0..self.layers.len()).rev() {
            let mut to_visit = starts.clone();
            while let Some(row) = to_visit.pop() {
                for &next in self.neighbours(layer, row) {
                    if !std::mem::replace(&mut reached[next as usize], true) {
                        to_visit.push(next);
                        starts.push(next);
                    }
                }
            }
        }
        (0..self.len() as u32).filter(|row| !reached[*row as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Layer;
    use crate::generation::samples::{ids, unit_vectors};

    #[test]
    fn the_exact_search_is_the_sorted_list() {
        let vectors = unit_vectors(3, 200, 16);
        let index = Index::exact(16, vectors.clone(), &ids(200));
        let query = &vectors[16 * 7..16 * 8];
        let mut expected: Vec<(u32, f32)> =
            (0..200).map(|row| (row, dot(query, index.vector(row)))).collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(index.nearest_rows(query, 10, &|_| true), expected[..10]);
        assert_eq!(index.nearest_rows(query, 1000, &|_| true), expected);
        let odd: Vec<(u32, f32)> =
            expected.iter().copied().filter(|(row, _)| row % 2 == 1).take(10).collect();
        assert_eq!(index.nearest_rows(query, 10, &|row| row % 2 == 1), odd);
        assert_eq!(index.search(query, 1, &|_| true).unwrap()[0].0.as_str(), ids(200)[7].as_str());
        assert_eq!(index.self_retrieval(50), (50, 50));
    }

    #[test]
    fn strange_questions_get_errors_and_empty_indexes_answer_nothing() {
        let index = Index::exact(4, unit_vectors(1, 5, 4), &ids(5));
        let wrong = index.search(&[1.0; 3], 1, &|_| true).unwrap_err();
        assert!(matches!(wrong, IndexError::WrongDimension { got: 3, dim: 4 }));
        let not_finite = index.search(&[f32::NAN; 4], 1, &|_| true).unwrap_err();
        assert!(matches!(not_finite, IndexError::NotFinite));
        assert_eq!(index.search(&[1.0; 4], 0, &|_| true).unwrap(), []);
        let empty = Index::exact(4, Vec::new(), &[]);
        assert_eq!(empty.search(&[1.0; 4], 3, &|_| true).unwrap(), []);
        assert_eq!(empty.self_retrieval(10), (0, 0));
    }

    #[test]
    fn a_filter_bounds_the_answer_and_not_the_walk() {
        // A chain 0 - 1 - 2 - 3: the wanted end is reached over unwanted rows.
        let vectors: Vec<f32> = (0..4)
            .flat_map(|row| {
                let angle = row as f32 * 0.3;
                [angle.cos(), angle.sin()]
            })
            .collect();
        let chain = Layer {
            members: Vec::new(),
            offsets: vec![0, 1, 3, 5, 6],
            neighbours: vec![1, 0, 2, 1, 3, 2],
        };
        let index = Index::exact(2, vectors, &ids(4)).with_graph(vec![chain], 0).unwrap();
        assert_eq!(index.unreachable(), 0);
        let found = index.nearest_rows(&[1.0, 0.0], 1, &|row| row == 3);
        assert_eq!(found.iter().map(|hit| hit.0).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn rows_without_a_way_to_them_are_counted() {
        let alone =
            Layer { members: Vec::new(), offsets: vec![0, 1, 2, 2], neighbours: vec![1, 0] };
        let index =
            Index::exact(2, unit_vectors(1, 3, 2), &ids(3)).with_graph(vec![alone], 0).unwrap();
        assert_eq!(index.unreachable(), 1);
    }
}
