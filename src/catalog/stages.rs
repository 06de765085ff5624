//! The state of each stage of each image: who waits, what failed, what starts again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, time_text, unsigned};
use super::counts::distinct_images;
use super::entities::images;
use super::entities::stages::{Column, Entity, Model};
use super::fenced::Write;
use super::words::words;
use super::{Catalog, Event, ROWS_MAX, Result};
use crate::names::{Fence, ImageId, LibraryId, RelativePath, Revision};

words! {
    /// One step of what is done to an image.
    Stage {
        /// The vector of the whole picture. An image whose vector is done counts as analyzed.
        Embed = "embed",
        /// Tags and categories.
        Tag = "tag",
        /// The description.
        Describe = "describe",
        /// Faces and their vectors.
        Faces = "faces",
        /// What the learned generation added.
        Enrich = "enrich",
    }
}

words! {
    /// How far a stage of an image has come.
    StageState {
        /// Nobody has finished it for the image's present revision.
        Waiting = "waiting",
        /// Done.
        Done = "done",
        /// Not to be done, for the reason given (no face model, the original is gone).
        Skipped = "skipped",
        /// Cannot be done, for the reason given.
        Failed = "failed",
    }
}

/// What came of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The stage.
    pub stage: Stage,
    /// What came of it.
    pub state: StageState,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
}

impl Outcome {
    /// `stage` is done.
    pub fn done(stage: Stage) -> Self {
        Self { stage, state: StageState::Done, reason: None }
    }

    /// `stage` is not to be done.
    pub fn skipped(stage: Stage, reason: impl Into<String>) -> Self {
        Self { stage, state: StageState::Skipped, reason: Some(reason.into()) }
    }

    /// `stage` cannot be done.
    pub fn failed(stage: Stage, reason: impl Into<String>) -> Self {
        Self { stage, state: StageState::Failed, reason: Some(reason.into()) }
    }
}

/// What came of a fenced write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// It is written, now or by an earlier call with the same token.
    Stored,
    /// Something newer stands there, named here; nothing was written.
    Superseded(String),
}

/// One stage of one image, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRecord {
    /// The stage.
    pub stage: Stage,
    /// How far it has come.
    pub state: StageState,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// The revision it speaks of.
    pub revision: Revision,
    /// The fence of its last writer; 0 before the first.
    pub fence: Fence,
    /// How many writers have settled it for this revision.
    pub attempts: u32,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// An image that waits for at least one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingImage {
    /// The image.
    pub image: ImageId,
    /// Where its original lies.
    pub path: RelativePath,
    /// Its present revision.
    pub revision: Revision,
}

impl Catalog {
    /// Images with a waiting stage, by id, after `after`. With `older_than`, only those that
    /// have waited since before that time.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn waiting(
        &self,
        library: &LibraryId,
        after: Option<&ImageId>,
        limit: u64,
        older_than: Option<Timestamp>,
    ) -> Result<Vec<WaitingImage>> {
        let mut waiting = Entity::find()
            .select_only()
            .column(Column::Image)
            .distinct()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::State.eq(StageState::Waiting.as_str()))
            .order_by_asc(Column::Image)
            .limit(limit);
        if let Some(after) = after {
            waiting = waiting.filter(Column::Image.gt(after.as_str()));
        }
        if let Some(time) = older_than {
            waiting = waiting.filter(Column::UpdatedAt.lt(time_text(time)));
        }
        let ids: Vec<String> = waiting.into_tuple().all(&self.read).await?;
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(ROWS_MAX) {
            let rows = images::Entity::find()
                .filter(images::Column::Library.eq(library.as_str()))
                .filter(images::Column::Image.is_in(ids))
                .order_by_asc(images::Column::Image)
                .all(&self.read)
                .await?;
            for model in rows {
                let row = Row { table: "images", library: &model.library, key: &model.image };
                found.push(WaitingImage {
                    image: row.name(model.image.clone())?,
                    path: row.name(model.path.clone())?,
                    revision: Revision(model.revision),
                });
            }
        }
        Ok(found)
    }

    /// Whether a stage of this revision of the image waits. One that was enqueued twice does not, once
    /// it was analyzed.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn is_waiting(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
    ) -> Result<bool> {
        let waiting = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(image.as_str()))
            .filter(Column::Revision.eq(revision.0))
            .filter(Column::State.eq(StageState::Waiting.as_str()))
            .one(&self.read)
            .await?;
        Ok(waiting.is_some())
    }

    /// Those of `images` that have a stage in that state.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn in_state(
        &self,
        library: &LibraryId,
        images: &[ImageId],
        state: StageState,
    ) -> Result<BTreeSet<ImageId>> {
        let mut in_state = BTreeSet::new();
        for ids in images.chunks(ROWS_MAX) {
            let found: Vec<String> = Entity::find()
                .select_only()
                .column(Column::Image)
                .distinct()
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::State.eq(state.as_str()))
                .filter(Column::Image.is_in(ids.iter().map(ImageId::as_str)))
                .into_tuple()
                .all(&self.read)
                .await?;
            for image in found {
                let row = Row { table: "stages", library: library.as_str(), key: &image };
                in_state.insert(row.name(image.clone())?);
            }
        }
        Ok(in_state)
    }

    /// Records that `stages` of an image failed for `reason`, with an event `image-failed` for
    /// whoever uploaded it.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn fail_image(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
        fence: Fence,
        reason: &str,
        stages: &[Stage],
    ) -> Result<Stored> {
        let outcomes: Vec<Outcome> =
            stages.iter().map(|stage| Outcome::failed(*stage, reason)).collect();
        let event = Event {
            kind: "image-failed".to_owned(),
            payload: serde_json::json!({
                "image": image, "revision": revision, "reason": reason, "stages": stages,
            }),
        };
        self.settle_stages(library, image, revision, fence, &outcomes, Some(&event)).await
    }

    /// Records outcomes without a result, such as stages that are skipped because the original
    /// is gone.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn settle_stages(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
        fence: Fence,
        outcomes: &[Outcome],
        event: Option<&Event>,
    ) -> Result<Stored> {
        let touched: Vec<Stage> = outcomes.iter().map(|outcome| outcome.stage).collect();
        let change = self.begin_result().await?;
        let now = self.now_text();
        let write = Write { library, image, revision, fence, now: &now };
        let standing = match write.standing(&change, &touched).await? {
            Ok(standing) => standing,
            Err(newer) => return Ok(Stored::Superseded(newer)),
        };
        write.settle(&change, &standing, outcomes).await?;
        write.tell(&change, &standing, event).await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }

    /// Puts the named stages of these images back to waiting, whatever became of them. Images
    /// that are removed or unknown are left out. Gives the number of images.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn reset_stages(
        &self,
        library: &LibraryId,
        images: &[ImageId],
        stages: &[Stage],
    ) -> Result<u64> {
        let stages = stages.iter().map(|stage| stage.as_str());
        let change = self.begin().await?;
        let now = self.now_text();
        let mut reset = 0;
        for ids in images.chunks(ROWS_MAX) {
            // Reason and attempts belonged to the outcome that is withdrawn; the fence stays, or
            // a writer from before the reset could come back.
            let ids = Column::Image.is_in(ids.iter().map(ImageId::as_str));
            let of_library = Column::Library.eq(library.as_str());
            Entity::update_many()
                .col_expr(Column::State, Expr::value(StageState::Waiting.as_str()))
                .col_expr(Column::Reason, Expr::value(None::<String>))
                .col_expr(Column::Attempts, Expr::value(0))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_str()))
                .filter(of_library.clone())
                .filter(ids.clone())
                .filter(Column::Stage.is_in(stages.clone()))
                .exec(&change)
                .await?;
            let count: Option<i64> = Entity::find()
                .select_only()
                .column_as(distinct_images(), "images")
                .filter(of_library)
                .filter(ids)
                .into_tuple()
                .one(&change)
                .await?;
            reset += unsigned(count.unwrap_or(0));
        }
        change.commit().await?;
        Ok(reset)
    }
}

impl StageRecord {
    pub(super) fn read(model: Model) -> Result<Self> {
        let key = format!("{}/{}", model.image, model.stage);
        let row = Row { table: "stages", library: &model.library, key: &key };
        Ok(Self {
            updated_at: row.time(&model.updated_at)?,
            attempts: row.number(model.attempts)?,
            stage: row.name(model.stage.clone())?,
            state: row.name(model.state.clone())?,
            reason: model.reason,
            revision: Revision(model.revision),
            fence: Fence(model.fence),
        })
    }
}
