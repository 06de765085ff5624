//! What a library has that its newest snapshot has not.

use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect};

use super::columns::{Row, time_text, unsigned};
use super::entities::{analyses, images};
use super::{Catalog, Result};
use crate::names::LibraryId;

/// What changed in a library since a moment: analyses that were stored or that the owner corrected,
/// images that were removed. What a generation adds to an analysis is no change: it is never learned
/// from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unlearned {
    /// How many there are.
    pub changes: u64,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
    /// The newest of them.
    pub newest: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Counted {
    changes: i64,
    oldest: Option<String>,
    newest: Option<String>,
}

impl Catalog {
    /// What changed in `library` since `since`, or ever.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn unlearned(
        &self,
        library: &LibraryId,
        since: Option<Timestamp>,
    ) -> Result<Unlearned> {
        let since = since.map(time_text).unwrap_or_default();
        let (stored, removed) = (analyses::Column::StoredAt, images::Column::RemovedAt);
        let counted = [
            analyses::Entity::find()
                .select_only()
                .column_as(stored.count(), "changes")
                .column_as(stored.min(), "oldest")
                .column_as(stored.max(), "newest")
                .filter(analyses::Column::Library.eq(library.as_str()))
                .filter(stored.gt(since.as_str()))
                .into_model::<Counted>()
                .one(&self.read)
                .await?,
            images::Entity::find()
                .select_only()
                .column_as(removed.count(), "changes")
                .column_as(removed.min(), "oldest")
                .column_as(removed.max(), "newest")
                .filter(images::Column::Library.eq(library.as_str()))
                .filter(removed.gt(since.as_str()))
                .into_model::<Counted>()
                .one(&self.read)
                .await?,
        ];
        let row = Row { table: "analyses", library: library.as_str(), key: "*" };
        let mut found = Unlearned::default();
        for counted in counted.into_iter().flatten() {
            found.changes += unsigned(counted.changes);
            let (oldest, newest) =
                (row.time_if(counted.oldest.as_deref())?, row.time_if(counted.newest.as_deref())?);
            found.oldest = found.oldest.into_iter().chain(oldest).min();
            found.newest = found.newest.into_iter().chain(newest).max();
        }
        Ok(found)
    }
}
