//! Builds the index of a generation: exact for most libraries, a graph for the large ones.
//!
//! `hnsw_rs` builds the graph and is then left behind: its file can neither be trusted nor loaded
//! quickly. What it linked is frozen into our own file. Points are inserted one after the other in
//! a fixed order, so that the same vectors give the same graph. No graph is published that does
//! not lead to its own vectors.

use std::path::Path;

use hnsw_rs::prelude::{Distance, Hnsw};

use super::error::LearnError;
use super::{Tick, write_file};
use crate::generation::{Index, IndexError, IndexKind, Layer, dot};
use crate::names::ImageId;

/// Links of a point on the upper layers; twice as many on the lowest.
const LINKS: usize = 16;
/// Candidates looked at for each insertion.
const CANDIDATES: usize = 200;
const LAYERS_MAX: usize = 16;
/// A graph that fails is built once more, in another order.
const ATTEMPTS: u32 = 2;
/// Vectors that are asked for themselves, evenly spread.
const ASKED_MAX: usize = 10_000;
/// Rows without a way to them that are given one; a graph with more is a bad graph.
const LOST_MAX: usize = 1000;
/// The share of them that must find themselves.
const FOUND_MIN: f64 = 0.99;

/// An index that has passed the gate.
#[derive(Debug)]
pub(super) struct Built {
    pub index: Index,
    /// The share of the vectors asked that found themselves, 0 to 1; 1 for an empty index.
    pub self_retrieval: f64,
    pub attempts: u32,
}

/// Builds the index over `vectors`, exact for fewer than `exact_below`.
pub(super) fn build(
    dim: usize,
    vectors: Vec<f32>,
    ids: &[ImageId],
    exact_below: usize,
    tick: &mut Tick<'_>,
) -> Result<Built, LearnError> {
    let exact = Index::exact(dim, vectors, ids);
    if ids.len() < exact_below.max(1) {
        return gate(exact, 1).map_err(|lost| blind(ids.len(), lost, 1));
    }
    let mut lost = 0;
    for attempt in 1..=ATTEMPTS {
        let order = insertion_order(ids.len(), attempt);
        let graph = link_all(&exact, &order, tick)?;
        match gate(reach_all(freeze(&exact, &graph)), attempt) {
            Ok(built) => return Ok(built),
            Err(count) => lost = count,
        }
    }
    Err(blind(ids.len(), lost, ATTEMPTS))
}

/// Writes an index as the file `name`.
pub(super) fn write(folder: &Path, name: &str, index: &Index) -> Result<(), LearnError> {
    write_file(folder, name, |file| {
        index.write(file).map_err(|error| match error {
            IndexError::Io(error) => error,
            other => std::io::Error::other(other),
        })
    })
}

fn blind(vectors: usize, lost: usize, attempts: u32) -> LearnError {
    LearnError::BlindIndex { vectors, lost, attempts }
}

/// Whether every vector can be reached and nearly all find themselves; else how many do not.
fn gate(index: Index, attempts: u32) -> Result<Built, usize> {
    let unreachable = index.unreachable();
    // Comparing with all cannot miss: a few questions tell whether the vectors are vectors.
    let questions = if index.kind() == IndexKind::Exact { 100 } else { ASKED_MAX };
    let (found, asked) = index.self_retrieval(questions);
    let self_retrieval = if asked == 0 { 1.0 } else { found as f64 / asked as f64 };
    if unreachable > 0 || self_retrieval < FOUND_MIN {
        return Err(unreachable.max(asked - found));
    }
    Ok(Built { index, self_retrieval, attempts })
}

/// One minus the cosine of unit vectors.
#[derive(Debug, Clone, Copy, Default)]
struct UnitDistance;

impl Distance<f32> for UnitDistance {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        (1.0 - dot(a, b)).max(0.0)
    }
}

type Graph<'a> = Hnsw<'a, f32, UnitDistance>;

/// Rows in the order in which they enter the graph: as they are at first, then shuffled.
fn insertion_order(count: usize, attempt: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    if attempt > 1 {
        // A fixed multiplicative generator: the second attempt must be repeatable too.
        let mut state = u64::from(attempt);
        for last in (1..count).rev() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            order.swap(last, ((state >> 33) % (last as u64 + 1)) as usize);
        }
    }
    order
}

fn link_all<'a>(
    index: &Index,
    order: &[u32],
    tick: &mut Tick<'_>,
) -> Result<Graph<'a>, LearnError> {
    let graph = Graph::new(LINKS, order.len(), LAYERS_MAX, CANDIDATES, UnitDistance);
    for (number, row) in order.iter().enumerate() {
        graph.insert((index.vector(*row), *row as usize));
        if number % 64 == 0 {
            tick(0.9 * number as f32 / order.len() as f32)?;
        }
    }
    Ok(graph)
}

/// The links of the graph as plain lists, over the vectors of `exact`.
fn freeze(exact: &Index, graph: &Graph<'_>) -> Index {
    let top = usize::from(graph.get_max_level_observed());
    let mut levels = vec![0_usize; exact.len()];
    // For each layer the rows on it with their neighbours.
    let mut linked: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); top + 1];
    let mut entry = None;
    for point in graph.get_point_indexation() {
        let level = usize::from(point.get_point_id().0);
        let row = point.get_origin_id() as u32;
        levels[row as usize] = level;
        // The first that came to the top layer is where every walk begins.
        if level == top && entry.is_none() {
            entry = Some(row);
        }
        let neighbourhood = point.get_neighborhood_id();
        for (layer, neighbours) in neighbourhood.into_iter().enumerate().take(level + 1) {
            let rows = neighbours.iter().map(|neighbour| neighbour.get_origin_id() as u32);
            linked[layer].push((row, rows.filter(|other| *other != row).collect()));
        }
    }
    let layers = linked.into_iter().enumerate().map(|(number, mut members)| {
        members.sort_unstable();
        let mut layer = Layer { offsets: vec![0], ..Layer::default() };
        for (row, neighbours) in members {
            if number > 0 {
                layer.members.push(row);
            }
            // A neighbour that is not on this layer would lead nowhere.
            let here = neighbours.into_iter().filter(|other| levels[*other as usize] >= number);
            layer.neighbours.extend(here);
            layer.offsets.push(layer.neighbours.len() as u32);
        }
        layer
    });
    exact
        .clone()
        .with_graph(layers.collect(), entry.unwrap_or(0))
        .expect("every row is on layer 0 and every link stays on its layer")
}

/// Gives every row that no way leads to a link from the nearest row that is reached. Pruning may
/// take the last link to a photo in a tight group; the group is then still the way to it.
fn reach_all(index: Index) -> Index {
    let lost = index.unreachable_rows();
    if lost.is_empty() || lost.len() > LOST_MAX {
        return index;
    }
    let nearest = |row: u32| {
        let vector = index.vector(row);
        let reached = (0..index.len() as u32).filter(|other| lost.binary_search(other).is_err());
        reached
            .max_by(|a, b| dot(vector, index.vector(*a)).total_cmp(&dot(vector, index.vector(*b))))
    };
    let links: Vec<(u32, u32)> =
        lost.iter().filter_map(|row| Some((nearest(*row)?, *row))).collect();
    index.with_links(&links).expect("both ends of every link are rows of this index")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::samples::{grouped_vectors, ids, unit_vectors};

    fn recall_at_10(index: &Index, exact: &Index, queries: &[f32]) -> f64 {
        let (mut found, mut asked) = (0, 0);
        for query in queries.chunks(index.dim()) {
            let expected = exact.search(query, 10, &|_| true).unwrap();
            let answer = index.search(query, 10, &|_| true).unwrap();
            found += answer.iter().filter(|hit| expected.contains(hit)).count();
            asked += expected.len();
        }
        found as f64 / asked as f64
    }

    #[test]
    fn the_frozen_graph_finds_what_comparing_with_all_finds() {
        let (count, dim) = (1500, 24);
        let vectors = grouped_vectors(21, count, dim, 40, 0.6);
        let exact = Index::exact(dim, vectors.clone(), &ids(count));
        let built = build(dim, vectors.clone(), &ids(count), 100, &mut |_| Ok(())).unwrap();
        assert_eq!(built.index.kind(), IndexKind::Graph);
        assert!(built.self_retrieval >= FOUND_MIN);
        let mut queries = grouped_vectors(22, 100, dim, 40, 0.6);
        queries.extend(unit_vectors(23, 50, dim));
        let recall = recall_at_10(&built.index, &exact, &queries);
        assert!(recall >= 0.95, "recall@10 is {recall}");

        let even = |id: &str| id.ends_with(['0', '2', '4', '6', '8']);
        let query = &vectors[..dim];
        let wanted = built.index.search(query, 10, &even).unwrap();
        assert_eq!(wanted.len(), 10);
        assert!(wanted.iter().all(|(id, _)| even(id.as_str())));
        assert_eq!(wanted[0], exact.search(query, 1, &even).unwrap()[0]);
    }

    #[test]
    fn few_vectors_are_compared_exactly() {
        for count in [0, 1, 99] {
            let vectors = unit_vectors(1, count, 8);
            let built = build(8, vectors, &ids(count), 100, &mut |_| Ok(())).unwrap();
            assert_eq!((built.index.kind(), built.index.len()), (IndexKind::Exact, count));
            assert!(built.self_retrieval > 0.999);
        }
    }

    #[test]
    fn a_graph_that_loses_vectors_does_not_pass() {
        let layer = Layer { members: Vec::new(), offsets: vec![0; 6], neighbours: Vec::new() };
        let alone = Index::exact(8, unit_vectors(1, 5, 8), &ids(5));
        let index = alone.with_graph(vec![layer], 0).unwrap();
        assert_eq!(gate(index, 1).unwrap_err(), 4);
    }

    #[test]
    fn a_row_that_lost_its_last_link_gets_one_from_its_nearest() {
        // 0 leads to 1 and 2; 3 and 4 lead to others, and nobody leads to them.
        let layer = Layer {
            members: Vec::new(),
            offsets: vec![0, 2, 3, 4, 5, 6],
            neighbours: vec![1, 2, 0, 0, 4, 3],
        };
        let (count, dim) = (5, 8);
        let vectors = unit_vectors(4, count, dim);
        let index = Index::exact(dim, vectors, &ids(count)).with_graph(vec![layer], 0).unwrap();
        assert_eq!(index.unreachable_rows(), [3, 4]);
        let whole = reach_all(index);
        assert_eq!(whole.unreachable(), 0);
        assert!((0..count as u32).all(|row| whole.finds_itself(row)));
        assert!(gate(whole, 1).unwrap().self_retrieval > 0.999);
    }

    #[test]
    fn orders_differ_and_repeat() {
        let second = insertion_order(100, 2);
        assert_ne!(second, insertion_order(100, 1));
        assert_eq!(second, insertion_order(100, 2));
        let mut sorted = second;
        sorted.sort_unstable();
        assert_eq!(sorted, insertion_order(100, 1));
    }

    #[test]
    fn a_stop_is_heard() {
        let vectors = unit_vectors(1, 200, 8);
        let stopped = build(8, vectors, &ids(200), 10, &mut |_| Err(LearnError::Interrupted));
        assert!(matches!(stopped, Err(LearnError::Interrupted)));
    }
}
