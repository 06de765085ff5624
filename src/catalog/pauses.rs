//! Until when somebody has paused backfill and training. Whether that time has passed, the reader
//! decides.

use jiff::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait};

use super::columns::{Row, time_text};
use super::entities::pauses::{ActiveModel, Column, Entity};
use super::{Catalog, Result};

const ONLY_ROW: i32 = 1;

/// A pause that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When it was asked for.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl Catalog {
    /// Records a pause, in the place of one that stands.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn set_pause(&self, pause: Pause) -> Result<()> {
        let change = self.begin().await?;
        let row = ActiveModel {
            only_row: Set(ONLY_ROW),
            since: Set(time_text(pause.since)),
            until: Set(time_text(pause.until)),
        };
        let replaced = OnConflict::column(Column::OnlyRow)
            .update_columns([Column::Since, Column::Until])
            .to_owned();
        Entity::insert(row).on_conflict(replaced).exec_without_returning(&change).await?;
        change.commit().await?;
        Ok(())
    }

    /// Forgets the pause. Answers whether there was one.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn end_pause(&self) -> Result<bool> {
        let change = self.begin().await?;
        let ended = Entity::delete_by_id(ONLY_ROW).exec(&change).await?;
        change.commit().await?;
        Ok(ended.rows_affected > 0)
    }

    /// The pause that was asked for last, where nobody has ended it; its time may be over.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn pause(&self) -> Result<Option<Pause>> {
        let row = Entity::find_by_id(ONLY_ROW).one(&self.read).await?;
        let Some(row) = row else { return Ok(None) };
        let place = Row { table: "pauses", library: "*", key: "1" };
        Ok(Some(Pause { since: place.time(&row.since)?, until: place.time(&row.until)? }))
    }
}
