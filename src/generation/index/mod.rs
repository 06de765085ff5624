//! The vectors of a generation and the search in them.
//!
//! One file format and one type for both kinds: `flat` is searched exactly, `graph` carries the
//! layers of an HNSW graph as well. The file is read into memory rather than mapped: what was
//! verified is then what is served, a file cut under a running process on a network share cannot
//! kill it (SIGBUS), and no unsafe code is needed. The price is one private copy per process,
//! dim x 4 bytes a vector.

mod file;
mod listed;
mod search;

pub use listed::{Listed, list};

use std::collections::BTreeMap;
use std::io;

use crate::names::ImageId;

/// A failure of reading, writing or asking an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The bytes are not an index.
    #[error("not an index: {0}")]
    Malformed(String),
    /// A vector of another length, or one that is not a direction.
    #[error("a vector of {got} values was asked of an index of {dim}: they come from other models")]
    WrongDimension {
        /// What was given.
        got: usize,
        /// What the index holds.
        dim: usize,
    },
    /// A vector with values that are not finite.
    #[error("a vector with values that are not finite cannot be looked for")]
    NotFinite,
    /// The disk refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// How an index searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// Compares with every vector.
    Exact,
    /// Walks a graph.
    Graph,
}

impl IndexKind {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Graph => "hnsw",
        }
    }
}

/// One layer of the graph. Neighbours of the member at position `i` are
/// `neighbours[offsets[i]..offsets[i + 1]]`, as rows of the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// Rows on this layer, ascending; on layer 0 every row, and then this list is empty.
    pub members: Vec<u32>,
    /// One more than there are members.
    pub offsets: Vec<u32>,
    /// Rows.
    pub neighbours: Vec<u32>,
}

/// Vectors with their images, ready to be searched. Unchangeable.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    dim: usize,
    vectors: Vec<f32>,
    /// Row `i` belongs to `ids[id_ends[i - 1]..id_ends[i]]`. One text instead of a million small
    /// ones, so that dropping an index is cheap.
    ids: String,
    id_ends: Vec<u64>,
    /// From the bottom up; empty for an exact index.
    layers: Vec<Layer>,
    entry: u32,
}

impl Index {
    /// An index that compares with every vector. `vectors` holds unit vectors of `dim` values, one
    /// for each of `ids`, row after row.
    pub fn exact(dim: usize, vectors: Vec<f32>, ids: &[ImageId]) -> Self {
        assert_eq!(vectors.len(), dim * ids.len(), "one vector for each id");
        let id_ends = ids.iter().scan(0, |end, id| {
            *end += id.as_str().len() as u64;
            Some(*end)
        });
        let id_ends = id_ends.collect();
        let ids = ids.iter().map(ImageId::as_str).collect();
        Self { dim, vectors, ids, id_ends, layers: Vec::new(), entry: 0 }
    }

    /// The same vectors with a graph over them; `entry` is a row on the topmost layer.
    ///
    /// # Errors
    /// A layer does not fit the vectors or another layer.
    pub fn with_graph(mut self, layers: Vec<Layer>, entry: u32) -> Result<Self, IndexError> {
        self.layers = layers;
        self.entry = entry;
        self.check_graph()?;
        Ok(self)
    }

    /// The same graph with more links on its lowest layer, each from one row to another.
    ///
    /// # Errors
    /// A row that is not there.
    pub fn with_links(mut self, links: &[(u32, u32)]) -> Result<Self, IndexError> {
        let Some(lowest) = self.layers.first_mut() else { return Ok(self) };
        let mut added: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (from, to) in links {
            added.entry(*from).or_default().push(*to);
        }
        let mut layer = Layer { offsets: vec![0], ..Layer::default() };
        for (row, ends) in lowest.offsets.windows(2).enumerate() {
            layer.neighbours.extend(&lowest.neighbours[ends[0] as usize..ends[1] as usize]);
            layer.neighbours.extend(added.remove(&(row as u32)).into_iter().flatten());
            layer.offsets.push(layer.neighbours.len() as u32);
        }
        if let Some(row) = added.keys().next() {
            return Err(IndexError::Malformed(format!(
                "a link begins at row {row}, which is not there"
            )));
        }
        *lowest = layer;
        self.check_graph()?;
        Ok(self)
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.id_ends.len()
    }

    /// Whether it holds no vector.
    pub fn is_empty(&self) -> bool {
        self.id_ends.is_empty()
    }

    /// Values in a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How it searches.
    pub fn kind(&self) -> IndexKind {
        if self.layers.is_empty() { IndexKind::Exact } else { IndexKind::Graph }
    }

    /// The id of the image of a row.
    ///
    /// # Panics
    /// The row is not under [`Index::len`].
    pub fn id(&self, row: u32) -> &str {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.id_ends[row - 1] };
        &self.ids[start as usize..self.id_ends[row] as usize]
    }

    /// The vector of a row.
    ///
    /// # Panics
    /// The row is not under [`Index::len`].
    pub fn vector(&self, row: u32) -> &[f32] {
        &self.vectors[row as usize * self.dim..][..self.dim]
    }

    /// Asks the index for its own vectors, `asked` of them evenly spread, and answers how many
    /// found themselves (or an equal) first, with the number asked.
    pub fn self_retrieval(&self, asked: usize) -> (usize, usize) {
        let asked = asked.min(self.len());
        let found = (0..asked).filter(|turn| {
            let row = (turn * self.len() / asked) as u32;
            self.finds_itself(row)
        });
        (found.count(), asked)
    }

    /// Whether the vector of `row` is found first, it or one as close to it.
    pub fn finds_itself(&self, row: u32) -> bool {
        let vector = self.vector(row);
        let own = dot(vector, vector);
        let best = self.nearest_rows(vector, 1, &|_| true);
        best.first().is_some_and(|(found, cosine)| *found == row || *cosine >= own - 1e-6)
    }
}

/// The scalar product; on unit vectors the cosine.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums side by side, so that the compiler may use wide registers.
    let mut sums = [0.0_f32; 8];
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in chunks_a.zip(chunks_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}
