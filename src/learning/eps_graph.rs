//! For every face the faces within a distance, exactly: what DBSCAN asks for, worked out at once.
//!
//! linfa's own neighbour searches take minutes in hundreds of dimensions. A product of matrices,
//! tile by tile, gives all distances at the speed of the processor; the lists are then served to
//! DBSCAN through linfa's own trait. Nothing is approximate: a coarse search must never decide who
//! somebody is.

use std::sync::Arc;

use linfa::Float;
use linfa_nn::distance::Distance;
use linfa_nn::{BuildError, NearestNeighbour, NearestNeighbourIndex, NnError};
use ndarray16::linalg::general_mat_mul;
use ndarray16::{Array2, ArrayBase, ArrayView1, ArrayView2, Data, Ix2, s};

use super::Tick;
use super::error::LearnError;

/// Rows of a tile: two tiles and their product stay in the processor's cache.
const TILE: usize = 256;
/// Pairs kept at most (400 MB). With more, distances are worked out when asked for: slower, and
/// as exact. It takes tens of thousands of faces of which most look the same.
const PAIRS_MAX: usize = 100_000_000;

/// The faces within `distance` of each face.
#[derive(Debug, Clone)]
pub(super) struct EpsGraph {
    /// For each row the rows near it, itself included, ascending; none if there were too many.
    near: Option<Arc<Vec<Vec<u32>>>>,
}

impl EpsGraph {
    /// Compares all rows (unit vectors) with all rows. `distance` is Euclidean.
    pub fn new(
        rows: ArrayView2<'_, f32>,
        distance: f32,
        tick: &mut Tick<'_>,
    ) -> Result<Self, LearnError> {
        Self::with_room_for(PAIRS_MAX, rows, distance, tick)
    }

    fn with_room_for(
        pairs_max: usize,
        rows: ArrayView2<'_, f32>,
        distance: f32,
        tick: &mut Tick<'_>,
    ) -> Result<Self, LearnError> {
        // |a - b|^2 = 2 - 2 cos for unit vectors.
        let cosine_min = 1.0 - distance * distance / 2.0;
        let count = rows.nrows();
        let mut near: Vec<Vec<u32>> = (0..count as u32).map(|row| vec![row]).collect();
        let mut pairs = count;
        let mut products = Array2::<f32>::zeros((TILE, TILE));
        for top in (0..count).step_by(TILE) {
            tick(progress(top, count))?;
            let bottom = (top + TILE).min(count);
            for left in (top..count).step_by(TILE) {
                let right = (left + TILE).min(count);
                let (upper, other) =
                    (rows.slice(s![top..bottom, ..]), rows.slice(s![left..right, ..]));
                let mut tile = products.slice_mut(s![..bottom - top, ..right - left]);
                general_mat_mul(1.0, &upper, &other.t(), 0.0, &mut tile);
                for ((i, j), cosine) in tile.indexed_iter() {
                    let (first, second) = (top + i, left + j);
                    if first < second && *cosine >= cosine_min {
                        near[first].push(second as u32);
                        near[second].push(first as u32);
                        pairs += 2;
                    }
                }
                if pairs > pairs_max {
                    return Ok(Self { near: None });
                }
            }
        }
        for list in &mut near {
            list.sort_unstable();
        }
        Ok(Self { near: Some(Arc::new(near)) })
    }
}

/// The share of the pairs compared when `done` of `count` rows were compared with all after them.
fn progress(done: usize, count: usize) -> f32 {
    let left = (count - done) as f32 / count.max(1) as f32;
    1.0 - left * left
}

impl NearestNeighbour for EpsGraph {
    fn from_batch_with_leaf_size<'a, F: Float, DT: Data<Elem = F>, D: 'a + Distance<F>>(
        &self,
        batch: &'a ArrayBase<DT, Ix2>,
        _leaf_size: usize,
        _dist_fn: D,
    ) -> Result<Box<dyn 'a + Send + Sync + NearestNeighbourIndex<F>>, BuildError> {
        if batch.ncols() == 0 {
            return Err(BuildError::ZeroDimension);
        }
        let near = self.near.clone().filter(|near| near.len() == batch.nrows());
        Ok(Box::new(Served { rows: batch.view(), near }))
    }
}

/// The lists over the very rows they were worked out for.
#[derive(Debug)]
struct Served<'a, F> {
    rows: ArrayView2<'a, F>,
    near: Option<Arc<Vec<Vec<u32>>>>,
}

impl<F: Float> Served<'_, F> {
    /// Which row `point` is. DBSCAN asks with views of the rows it was given, so the place in
    /// memory tells; none for a point from elsewhere.
    fn row_of(&self, point: &ArrayView1<'_, F>) -> Option<usize> {
        if !self.rows.is_standard_layout() {
            return None;
        }
        let bytes = point.as_ptr().addr().checked_sub(self.rows.as_ptr().addr())?;
        let row_bytes = self.rows.ncols() * size_of::<F>();
        let row = bytes / row_bytes;
        (bytes % row_bytes == 0 && row < self.rows.nrows()).then_some(row)
    }

    fn compare_with_all(&self, point: &ArrayView1<'_, F>, range: F) -> Vec<usize> {
        let within = |row: &ArrayView1<'_, F>| {
            let squares = row.iter().zip(point).map(|(a, b)| (*a - *b) * (*a - *b));
            squares.fold(F::zero(), |sum, square| sum + square) <= range * range
        };
        let rows = self.rows.rows().into_iter().enumerate();
        rows.filter(|(_, row)| within(row)).map(|(number, _)| number).collect()
    }
}

impl<F: Float> NearestNeighbourIndex<F> for Served<'_, F> {
    /// Not asked by DBSCAN; answered all the same, by comparing with all.
    fn k_nearest(
        &self,
        point: ArrayView1<'_, F>,
        k: usize,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        if point.len() != self.rows.ncols() {
            return Err(NnError::WrongDimension);
        }
        let distance = |row: usize| {
            let squares =
                self.rows.row(row).into_iter().zip(&point).map(|(a, b)| (*a - *b) * (*a - *b));
            squares.fold(F::zero(), |sum, square| sum + square)
        };
        let mut found: Vec<(F, usize)> =
            (0..self.rows.nrows()).map(|row| (distance(row), row)).collect();
        found.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        Ok(found.into_iter().take(k).map(|(_, row)| (self.rows.row(row), row)).collect())
    }

    /// `range` is the distance that the lists were worked out for.
    fn within_range(
        &self,
        point: ArrayView1<'_, F>,
        range: F,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        if point.len() != self.rows.ncols() {
            return Err(NnError::WrongDimension);
        }
        let row = self.row_of(&point);
        let found = match (&self.near, row) {
            (Some(near), Some(row)) => near[row].iter().map(|other| *other as usize).collect(),
            _ => self.compare_with_all(&point, range),
        };
        Ok(found.into_iter().map(|number| (self.rows.row(number), number)).collect())
    }
}

#[cfg(test)]
mod tests {
    use linfa::traits::Transformer;
    use linfa_clustering::Dbscan;
    use linfa_nn::CommonNearestNeighbour;
    use linfa_nn::distance::L2Dist;

    use super::*;
    use crate::generation::samples::grouped_vectors;

    /// More rows than a tile, so that tiles meet.
    fn rows() -> Array2<f32> {
        Array2::from_shape_vec((300, 16), grouped_vectors(5, 300, 16, 12, 0.4)).unwrap()
    }

    fn near(graph: &EpsGraph, rows: &Array2<f32>, row: usize) -> Vec<usize> {
        let index = graph.from_batch(rows, L2Dist).unwrap();
        let mut found: Vec<usize> = index
            .within_range(rows.row(row), 0.7)
            .unwrap()
            .into_iter()
            .map(|(_, number)| number)
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn the_lists_are_those_of_comparing_every_pair() {
        let rows = rows();
        let graph = EpsGraph::new(rows.view(), 0.7, &mut |_| Ok(())).unwrap();
        let without_lists = EpsGraph { near: None };
        for row in 0..300 {
            let expected = near(&without_lists, &rows, row);
            assert!(expected.contains(&row));
            assert_eq!(near(&graph, &rows, row), expected, "row {row}");
        }
    }

    #[test]
    fn dbscan_gives_the_labels_of_linfas_own_search() {
        let rows = rows();
        let graph = EpsGraph::new(rows.view(), 0.5, &mut |_| Ok(())).unwrap();
        let ours = Dbscan::params_with(4, L2Dist, graph).tolerance(0.5).transform(&rows);
        let linear = CommonNearestNeighbour::LinearSearch;
        let theirs = Dbscan::params_with(4, L2Dist, linear).tolerance(0.5).transform(&rows);
        let ours = ours.unwrap();
        assert_eq!(ours, theirs.unwrap());
        assert!(ours.iter().any(Option::is_some) && ours.iter().any(Option::is_none));
    }

    #[test]
    fn too_many_pairs_are_worked_out_when_asked_for() {
        let rows = rows();
        let graph = EpsGraph::with_room_for(500, rows.view(), 0.7, &mut |_| Ok(())).unwrap();
        assert!(graph.near.is_none());
        assert!(near(&graph, &rows, 3).len() > 10);
    }

    #[test]
    fn a_point_from_elsewhere_is_compared_with_all() {
        let rows = rows();
        let graph = EpsGraph::new(rows.view(), 0.7, &mut |_| Ok(())).unwrap();
        let copy = rows.row(4).to_owned();
        let index = graph.from_batch(&rows, L2Dist).unwrap();
        let found = index.within_range(copy.view(), 0.7).unwrap();
        assert_eq!(found.len(), near(&graph, &rows, 4).len());
        assert_eq!(index.k_nearest(copy.view(), 2).unwrap()[0].1, 4);
    }
}
