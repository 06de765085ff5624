//! The outbox: events written with the result they tell of, until somebody has told them.
//!
//! What must stay true: an event is delivered at least once. Whoever delivers says so afterwards;
//! dying in between tells it again, so receivers go by the event's id.

use jiff::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, json_text, time_text};
use super::entities::outbox::{ActiveModel, Column, Entity, Model};
use super::{Catalog, Event, ROWS_MAX, Result, libraries};
use crate::names::{ImageId, LibraryId};

/// An event that is still to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEvent {
    /// Its number: rises in the order of writing, with gaps.
    pub id: i64,
    /// The library it speaks of.
    pub library: LibraryId,
    /// The image it speaks of, where it is one.
    pub image: Option<ImageId>,
    /// What happened and what to tell of it.
    pub event: Event,
    /// When it was written.
    pub created_at: Timestamp,
}

impl Catalog {
    /// Leaves an event that belongs to no image, such as a published generation.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn tell(&self, library: &LibraryId, event: &Event) -> Result<()> {
        let row = ActiveModel {
            library: Set(library.to_string()),
            kind: Set(event.kind.clone()),
            payload: Set(json_text(&event.payload)?),
            created_at: Set(self.now_text()),
            ..ActiveModel::default()
        };
        let change = self.begin().await?;
        libraries::locked(&change, library).await?;
        Entity::insert(row).exec_without_returning(&change).await?;
        change.commit().await?;
        Ok(())
    }

    /// The oldest events of all libraries that are still to be told.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn undelivered(&self, limit: u64) -> Result<Vec<OutboxEvent>> {
        let rows = Entity::find()
            .filter(Column::DeliveredAt.is_null())
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.read)
            .await?;
        rows.iter().map(OutboxEvent::read).collect()
    }

    /// Records that these events were told.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn mark_delivered(&self, ids: &[i64]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let change = self.begin().await?;
        let now = self.now_text();
        for ids in ids.chunks(ROWS_MAX) {
            Entity::update_many()
                .col_expr(Column::DeliveredAt, Expr::value(now.as_str()))
                .filter(Column::Id.is_in(ids.iter().copied()))
                .filter(Column::DeliveredAt.is_null())
                .exec(&change)
                .await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// Deletes at most `limit` events told before `older_than`; gives their number.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn prune_delivered(&self, older_than: Timestamp, limit: u64) -> Result<u64> {
        let change = self.begin().await?;
        let ids: Vec<i64> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::DeliveredAt.is_not_null())
            .filter(Column::DeliveredAt.lt(time_text(older_than)))
            .order_by_asc(Column::DeliveredAt)
            .limit(limit)
            .into_tuple()
            .all(&change)
            .await?;
        let mut pruned = 0;
        for ids in ids.chunks(ROWS_MAX) {
            let ids = ids.iter().copied();
            let gone = Entity::delete_many().filter(Column::Id.is_in(ids)).exec(&change).await?;
            pruned += gone.rows_affected;
        }
        change.commit().await?;
        Ok(pruned)
    }
}

impl OutboxEvent {
    fn read(model: &Model) -> Result<Self> {
        let key = model.id.to_string();
        let row = Row { table: "outbox", library: &model.library, key: &key };
        Ok(Self {
            id: model.id,
            library: row.name(model.library.clone())?,
            image: model.image.clone().map(|image| row.name(image)).transpose()?,
            event: Event { kind: model.kind.clone(), payload: row.json(&model.payload)? },
            created_at: row.time(&model.created_at)?,
        })
    }
}
