//! The fresh tail: what was analyzed after the snapshot that the index was built from, so that a
//! photo uploaded a second ago is found.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::rank::Candidate;
use crate::catalog::{Catalog, CatalogError, TailCursor};
use crate::generation::Generation;
use crate::names::{GenerationNumber, ImageId, LibraryId, SpaceId};

/// Rows read at once.
const PAGE: u64 = 1000;
/// Most rows kept. A training begins long before; beyond it the newest rows wait for the index.
const ROWS_MAX: usize = 200_000;
/// Rows are dated by their writers' clocks: what was stored this long before the snapshot began
/// is read as well.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_secs(120);
/// Rows are dated before their transaction ends, so one may appear after a later-dated one. Each
/// refresh begins this long before the newest row it has seen; reading a row twice is harmless.
const OVERLAP: SignedDuration = SignedDuration::from_secs(5);

/// Vectors of one library that the index may not hold.
#[derive(Default)]
pub(super) struct Tail {
    generation: Option<GenerationNumber>,
    newest: Option<Timestamp>,
    rows: HashMap<String, Vec<f32>>,
}

impl Tail {
    /// Reads what was stored since the last call; begins anew when the generation has changed.
    pub async fn refresh(
        &mut self,
        catalog: &Catalog,
        library: &LibraryId,
        space: &SpaceId,
        generation: Option<&Generation>,
    ) -> Result<(), CatalogError> {
        let number = generation.map(|learned| learned.number);
        if self.generation != number {
            *self = Self { generation: number, ..Self::default() };
        }
        let snapshot = generation.map(|learned| learned.manifest.snapshot.started_at());
        let since = match (self.newest, snapshot) {
            (Some(newest), _) => newest - OVERLAP,
            (None, Some(snapshot)) => snapshot - CLOCK_SKEW_MAX,
            (None, None) => Timestamp::UNIX_EPOCH,
        };
        let mut cursor: Option<TailCursor> = None;
        loop {
            let page = catalog.analyses_since(library, space, since, cursor.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            cursor = Some(last.cursor());
            self.newest = self.newest.max(Some(last.text.stored_at));
            let was_full = page.len() as u64 == PAGE;
            for row in page {
                if self.rows.len() < ROWS_MAX || self.rows.contains_key(row.text.image.as_str()) {
                    self.rows.insert(row.text.image.into(), row.embedding);
                }
            }
            if !was_full {
                return Ok(());
            }
        }
    }

    /// Whether this image's newest vector is here.
    pub fn holds(&self, image: &str) -> bool {
        self.rows.contains_key(image)
    }

    /// The `wanted` rows nearest to `vector`, in no order.
    pub fn nearest(&self, vector: &[f32], wanted: usize) -> Vec<Candidate> {
        let mut nearest: Vec<(&String, f32)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.len() == vector.len())
            .map(|(image, row)| (image, dot(row, vector)))
            .collect();
        if nearest.len() > wanted {
            nearest.select_nth_unstable_by(wanted, |a, b| b.1.total_cmp(&a.1));
            nearest.truncate(wanted);
        }
        let candidate = |(image, similarity): (&String, f32)| {
            let image = ImageId::new(image.as_str()).expect("it was an id when it came in");
            Candidate { image, similarity }
        };
        nearest.into_iter().map(candidate).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
