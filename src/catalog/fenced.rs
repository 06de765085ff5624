//! The fence before every result: who may write to an image, and what is written with it.
//!
//! What must stay true: a writer changes stages only where the image still has the revision it
//! looked at and no stage it touches carries a newer fence. Everything that writes results asks
//! `standing` first, inside its transaction, with the image's row locked.

use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
};

use super::columns::{json_text, plain};
use super::entities::stages::{ActiveModel, Column, Entity, Model};
use super::entities::{images, outbox};
use super::{Event, Outcome, Result, Stage, StageState};
use crate::names::{Fence, ImageId, LibraryId, Revision};

/// A fenced write to one image.
pub(super) struct Write<'a> {
    pub library: &'a LibraryId,
    pub image: &'a ImageId,
    pub revision: Revision,
    pub fence: Fence,
    pub now: &'a str,
}

/// What a fenced write found where it may write.
pub(super) struct Standing {
    stages: Vec<Model>,
    /// Everything it would settle was settled with this very token: the write is a repetition.
    repeated: bool,
}

impl Write<'_> {
    /// Whether this writer may touch these stages, or else what stands against it.
    pub async fn standing(
        &self,
        change: &DatabaseTransaction,
        touched: &[Stage],
    ) -> Result<std::result::Result<Standing, String>> {
        let key = (self.library.to_string(), self.image.to_string());
        // On PostgreSQL this lock is what puts two writers of one image in a row.
        let found = images::Entity::find_by_id(key).lock(LockType::NoKeyUpdate).one(change).await?;
        let Some(found) = found else {
            return Ok(Err(format!("image {} is not recorded", self.image)));
        };
        if found.removed_at.is_some() {
            return Ok(Err(format!("image {} was removed", self.image)));
        }
        if found.revision != self.revision.0 {
            let (now, then) = (found.revision, self.revision);
            return Ok(Err(format!("image {} is at revision {now}, not {then}", self.image)));
        }
        let stages = Entity::find()
            .filter(Column::Library.eq(self.library.as_str()))
            .filter(Column::Image.eq(self.image.as_str()))
            .all(change)
            .await?;
        let is_touched = |row: &&Model| touched.iter().any(|stage| stage.as_str() == row.stage);
        let newest = stages.iter().filter(is_touched).map(|row| row.fence).max().unwrap_or(0);
        if newest > self.fence.0 {
            let (image, ours) = (self.image, self.fence);
            return Ok(Err(format!("image {image} was written with token {newest}, after {ours}")));
        }
        let settled = |row: &Model| {
            row.fence == self.fence.0
                && row.revision == self.revision.0
                && row.state != StageState::Waiting.as_str()
        };
        let repeated = stages.iter().filter(is_touched).all(settled)
            && stages.iter().any(|row| is_touched(&row));
        Ok(Ok(Standing { stages, repeated }))
    }

    /// Writes the outcomes.
    pub async fn settle(
        &self,
        change: &DatabaseTransaction,
        standing: &Standing,
        outcomes: &[Outcome],
    ) -> Result<()> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let rows = outcomes.iter().map(|outcome| {
            let stage = outcome.stage.as_str();
            let before = standing.stages.iter().find(|row| row.stage == stage);
            let attempts = match before {
                Some(row) if standing.repeated => row.attempts,
                Some(row) => row.attempts.saturating_add(1),
                None => 1,
            };
            ActiveModel {
                library: Set(self.library.to_string()),
                image: Set(self.image.to_string()),
                stage: Set(stage.to_owned()),
                state: Set(outcome.state.as_str().to_owned()),
                reason: Set(outcome.reason.as_deref().map(plain)),
                revision: Set(self.revision.0),
                fence: Set(self.fence.0),
                attempts: Set(attempts),
                updated_at: Set(self.now.to_owned()),
            }
        });
        Entity::insert_many(rows)
            .on_conflict(
                OnConflict::columns([Column::Library, Column::Image, Column::Stage])
                    .update_columns([
                        Column::State,
                        Column::Reason,
                        Column::Revision,
                        Column::Fence,
                        Column::Attempts,
                        Column::UpdatedAt,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(change)
            .await?;
        Ok(())
    }

    /// Leaves the event in the outbox, once per token.
    pub async fn tell(
        &self,
        change: &DatabaseTransaction,
        standing: &Standing,
        event: Option<&Event>,
    ) -> Result<()> {
        let Some(event) = event else { return Ok(()) };
        if standing.repeated {
            return Ok(());
        }
        let row = outbox::ActiveModel {
            library: Set(self.library.to_string()),
            image: Set(Some(self.image.to_string())),
            kind: Set(event.kind.clone()),
            payload: Set(json_text(&event.payload)?),
            created_at: Set(self.now.to_owned()),
            ..outbox::ActiveModel::default()
        };
        outbox::Entity::insert(row).exec_without_returning(change).await?;
        Ok(())
    }
}
