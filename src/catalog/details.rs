//! Detailed descriptions: which analyses have none yet, and the fenced write of what came.
//!
//! What must stay true: an analysis waits for one where it has none and none failed for its revision;
//! a description is stored where the photo still has the revision that was seen, once for each token.

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, LockType, OnConflict, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, FromQueryResult,
    PaginatorTrait, QueryFilter, QuerySelect, Statement,
};

use super::columns::{Row, json_text, plain, time_text, unsigned};
use super::entities::details::{ActiveModel, Column, Entity};
use super::entities::{analyses, images, outbox};
use super::{Catalog, Event, Result, Stored, WaitingImage};
use crate::names::{Fence, ImageId, LibraryId, Revision};

/// What came of one detailed description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Who was asked.
    pub model: String,
    /// The text, or why there is none and will be none.
    pub outcome: std::result::Result<String, String>,
}

/// How many detailed descriptions of a library stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DetailCounts {
    /// Analyses that wait for one.
    pub waiting: u64,
    /// Analyses that have one.
    pub done: u64,
    /// Analyses that get none.
    pub failed: u64,
}

/// No detailed description, and none that failed for this content.
const WAITS: &str = "a.library = $1 AND a.detailed_description IS NULL
    AND NOT EXISTS (SELECT 1 FROM details d WHERE d.library = a.library AND d.image = a.image
        AND d.revision = a.revision AND d.state = 'failed')";

#[derive(FromQueryResult)]
struct WaitingRow {
    image: String,
    path: String,
    revision: i64,
}

#[derive(FromQueryResult)]
struct Count {
    number: i64,
}

impl Catalog {
    /// Images whose analysis waits for a detailed description, by id, after `after`.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn without_detail(
        &self,
        library: &LibraryId,
        after: Option<&ImageId>,
        limit: u64,
    ) -> Result<Vec<WaitingImage>> {
        let question = format!(
            "SELECT a.image AS image, i.path AS path, a.revision AS revision
             FROM analyses a JOIN images i ON i.library = a.library AND i.image = a.image
             WHERE {WAITS} AND a.image > $2 AND i.removed_at IS NULL AND i.revision = a.revision
             ORDER BY a.image LIMIT {limit}"
        );
        let values = [library.as_str(), after.map_or("", ImageId::as_str)].map(Into::into);
        let backend = self.read.get_database_backend();
        let question = Statement::from_sql_and_values(backend, question, values);
        let rows = WaitingRow::find_by_statement(question).all(&self.read).await?;
        let read = |found: WaitingRow| {
            let row = Row { table: "analyses", library: library.as_str(), key: &found.image };
            Ok(WaitingImage {
                image: row.name(found.image.clone())?,
                path: row.name(found.path)?,
                revision: Revision(found.revision),
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Whether the analysis of this revision of the image has no detailed description. One that failed
    /// is not offered by itself; somebody who brings its job back wants it tried again.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn is_without_detail(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
    ) -> Result<bool> {
        let question = "SELECT count(*) AS number FROM analyses a
             WHERE a.library = $1 AND a.detailed_description IS NULL
                 AND a.image = $2 AND a.revision = $3";
        let values = [library.as_str().into(), image.as_str().into(), revision.0.into()];
        Ok(self.count_details(question, values.to_vec()).await? > 0)
    }

    /// How many detailed descriptions stand where.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn detail_counts(&self, library: &LibraryId) -> Result<DetailCounts> {
        let of = async |question: String| {
            self.count_details(&question, vec![library.as_str().into()]).await
        };
        let failed = "SELECT count(*) AS number FROM details d JOIN analyses a
             ON a.library = d.library AND a.image = d.image AND a.revision = d.revision
             WHERE d.library = $1 AND d.state = 'failed' AND a.detailed_description IS NULL";
        let none = "SELECT count(*) AS number FROM analyses a
             WHERE a.library = $1 AND a.detailed_description IS NULL";
        let (failed, none) = (of(failed.to_owned()).await?, of(none.to_owned()).await?);
        let all = self.analyses_count(library, None).await?;
        // Three questions are three moments: nothing may become negative.
        Ok(DetailCounts {
            waiting: none.saturating_sub(failed),
            done: all.saturating_sub(none),
            failed,
        })
    }

    async fn count_details(&self, question: &str, values: Vec<sea_orm::Value>) -> Result<u64> {
        let backend = self.read.get_database_backend();
        let question = Statement::from_sql_and_values(backend, question, values);
        let count = Count::find_by_statement(question).one(&self.read).await?;
        Ok(unsigned(count.map_or(0, |count| count.number)))
    }

    /// Stores what came of a detailed description, with an event, where the image still has this
    /// revision and an analysis of it, and nothing newer was written.
    ///
    /// # Errors
    /// A failure of the database; then nothing was written.
    pub async fn store_detail(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
        fence: Fence,
        detail: &Detail,
    ) -> Result<Stored> {
        let change = self.begin_result().await?;
        let now = self.now_text();
        let key = (library.to_string(), image.to_string());
        let found = images::Entity::find_by_id(key.clone());
        let found = found.lock(LockType::NoKeyUpdate).one(&change).await?;
        let is_it = |row: &images::Model| row.removed_at.is_none() && row.revision == revision.0;
        if !found.as_ref().is_some_and(is_it) {
            return Ok(Stored::Superseded(format!("image {image} was removed or changed")));
        }
        let before = Entity::find_by_id(key).one(&change).await?;
        let before = before.filter(|row| row.revision == revision.0);
        if let Some(newer) = before.as_ref().filter(|row| row.fence > fence.0) {
            let why = format!("image {image} was described with token {}", newer.fence);
            return Ok(Stored::Superseded(why));
        }
        if let Ok(text) = &detail.outcome {
            // The date makes search and the next training see it.
            let written = analyses::Entity::update_many()
                .col_expr(analyses::Column::DetailedDescription, Expr::value(plain(text)))
                .col_expr(analyses::Column::StoredAt, Expr::value(now.as_str()))
                .filter(analyses::Column::Library.eq(library.as_str()))
                .filter(analyses::Column::Image.eq(image.as_str()))
                .filter(analyses::Column::Revision.eq(revision.0))
                // A newer look, or one in a library that got the name of a purged one.
                .filter(analyses::Column::Fence.lte(fence.0))
                .exec(&change)
                .await?;
            if written.rows_affected == 0 {
                let why =
                    format!("image {image} has no analysis of revision {revision}, or a newer");
                return Ok(Stored::Superseded(why));
            }
        }
        if before.is_none_or(|row| row.fence != fence.0) {
            tell(&change, library, image, revision, detail, &now).await?;
        }
        let row = ActiveModel {
            library: Set(library.to_string()),
            image: Set(image.to_string()),
            revision: Set(revision.0),
            fence: Set(fence.0),
            state: Set(if detail.outcome.is_ok() { "done" } else { "failed" }.to_owned()),
            reason: Set(detail.outcome.as_ref().err().map(|reason| plain(reason))),
            written_by: Set(plain(&detail.model)),
            updated_at: Set(now),
        };
        let replaced = [
            Column::Revision,
            Column::Fence,
            Column::State,
            Column::Reason,
            Column::WrittenBy,
            Column::UpdatedAt,
        ];
        let mut key = OnConflict::columns([Column::Library, Column::Image]);
        Entity::insert(row)
            .on_conflict(key.update_columns(replaced).to_owned())
            .exec_without_returning(&change)
            .await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }

    /// How many detailed descriptions of a library failed, of images recorded at or after `since`; where
    /// they are to be tried `again`, they wait from now on.
    ///
    /// # Errors
    /// A failure of the database; then nothing was changed.
    pub async fn failed_details(
        &self,
        library: &LibraryId,
        since: Option<Timestamp>,
        again: bool,
    ) -> Result<u64> {
        let failed = || {
            let mut chosen = Condition::all()
                .add(Column::Library.eq(library.as_str()))
                .add(Column::State.eq("failed"));
            if let Some(since) = since {
                let recorded = Query::select()
                    .column(images::Column::Image)
                    .from(images::Entity)
                    .and_where(images::Column::Library.eq(library.as_str()))
                    .and_where(images::Column::CreatedAt.gte(time_text(since)))
                    .to_owned();
                chosen = chosen.add(Column::Image.in_subquery(recorded));
            }
            chosen
        };
        if !again {
            return Ok(Entity::find().filter(failed()).count(&self.read).await?);
        }
        let change = self.begin().await?;
        let forgotten = Entity::delete_many().filter(failed()).exec(&change).await?;
        change.commit().await?;
        Ok(forgotten.rows_affected)
    }

    /// Why this content of the image gets no detailed description, where that is so.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn detail_failure(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
    ) -> Result<Option<String>> {
        let key = (library.to_string(), image.to_string());
        let row = Entity::find_by_id(key).one(&self.read).await?;
        let failed = row.filter(|row| row.state == "failed" && row.revision == revision.0);
        Ok(failed.and_then(|row| row.reason))
    }
}

async fn tell(
    change: &DatabaseTransaction,
    library: &LibraryId,
    image: &ImageId,
    revision: Revision,
    detail: &Detail,
    now: &str,
) -> Result<()> {
    let (kind, told) = match &detail.outcome {
        Ok(text) => ("image-described", ("detailed_description", text)),
        Err(reason) => ("image-description-failed", ("reason", reason)),
    };
    let mut payload = serde_json::json!({ "image": image, "revision": revision });
    payload[told.0] = serde_json::Value::from(told.1.as_str());
    let event = Event { kind: kind.to_owned(), payload };
    let row = outbox::ActiveModel {
        library: Set(library.to_string()),
        image: Set(Some(image.to_string())),
        kind: Set(event.kind),
        payload: Set(json_text(&event.payload)?),
        created_at: Set(now.to_owned()),
        ..outbox::ActiveModel::default()
    };
    outbox::Entity::insert(row).exec_without_returning(change).await?;
    Ok(())
}
