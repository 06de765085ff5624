//! How many images of a library stand where, and why some failed.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, JoinType, Order};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, RelationTrait,
};

use super::columns::{Row, unsigned};
use super::entities::images;
use super::entities::stages::{Column, Entity, Relation};
use super::{Catalog, Result, Stage, StageState};
use crate::names::LibraryId;

/// How many images of a library stand where. Removed images do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// Images that are not removed.
    pub images: u64,
    /// Images whose vector is done for their present revision.
    pub analyzed: u64,
    /// Images with at least one waiting stage.
    pub waiting: u64,
    /// Images with at least one failed stage.
    pub failed: u64,
    /// Images by stage and state; what is absent is 0.
    pub stages: BTreeMap<(Stage, StageState), u64>,
    /// The ten most frequent reasons of failure, the most frequent first.
    pub failures: Vec<FailureReason>,
}

impl StageCounts {
    /// Images whose `stage` is in `state`.
    pub fn of(&self, stage: Stage, state: StageState) -> u64 {
        self.stages.get(&(stage, state)).copied().unwrap_or(0)
    }
}

/// Why images failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReason {
    /// The reason as recorded, with `FILE` in the place of the image's path.
    pub reason: String,
    /// How many images have it.
    pub images: u64,
    /// The first of them.
    pub example: String,
}

impl Catalog {
    /// How many images wait for at least one stage; much cheaper than all `counts`.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn waiting_count(&self, library: &LibraryId) -> Result<u64> {
        images_in(&self.read, library, StageState::Waiting).await
    }

    /// How many images are analyzed.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn analyzed_count(&self, library: &LibraryId) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::State.eq(StageState::Done.as_str()))
            .filter(Column::Stage.eq(Stage::Embed.as_str()))
            .count(&self.read)
            .await?)
    }

    /// How many images stand where, all of it at one moment.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn counts(&self, library: &LibraryId) -> Result<StageCounts> {
        // One transaction: an image that is stored between two questions would be in neither answer.
        let moment = self.begin_reading().await?;
        let images = images::Entity::find()
            .filter(images::Column::Library.eq(library.as_str()))
            .filter(images::Column::RemovedAt.is_null())
            .count(&moment)
            .await?;
        let grouped: Vec<(String, String, i64)> = Entity::find()
            .select_only()
            .columns([Column::Stage, Column::State])
            .column_as(Column::Image.count(), "images")
            .filter(Column::Library.eq(library.as_str()))
            .group_by(Column::Stage)
            .group_by(Column::State)
            .into_tuple()
            .all(&moment)
            .await?;
        let row = Row { table: "stages", library: library.as_str(), key: "*" };
        let mut counts = StageCounts { images, ..StageCounts::default() };
        for (stage, state, images) in grouped {
            counts.stages.insert((row.name(stage)?, row.name(state)?), unsigned(images));
        }
        counts.analyzed = counts.of(Stage::Embed, StageState::Done);
        counts.waiting = images_in(&moment, library, StageState::Waiting).await?;
        counts.failed = images_in(&moment, library, StageState::Failed).await?;
        if counts.failed > 0 {
            counts.failures = failure_reasons(&moment, library).await?;
        }
        moment.commit().await?;
        Ok(counts)
    }
}

async fn images_in(
    moment: &impl ConnectionTrait,
    library: &LibraryId,
    state: StageState,
) -> Result<u64> {
    let count: Option<i64> = Entity::find()
        .select_only()
        .column_as(distinct_images(), "images")
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::State.eq(state.as_str()))
        .into_tuple()
        .one(moment)
        .await?;
    Ok(unsigned(count.unwrap_or(0)))
}

async fn failure_reasons(
    moment: &DatabaseTransaction,
    library: &LibraryId,
) -> Result<Vec<FailureReason>> {
    // A reason names its file; without it, those of the same kind are one. No parameters in here:
    // PostgreSQL would take those of SELECT and GROUP BY for different ones.
    let kind = || Expr::cust("replace(stages.reason, images.path, 'FILE')");
    let rows: Vec<(Option<String>, i64, String)> = Entity::find()
        .select_only()
        .column_as(kind(), "kind")
        .column_as(distinct_images(), "images")
        .column_as(Expr::col((images::Entity, images::Column::Image)).min(), "example")
        .join(JoinType::InnerJoin, Relation::Image.def())
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::State.eq(StageState::Failed.as_str()))
        .group_by(kind())
        .order_by(distinct_images(), Order::Desc)
        .order_by(kind(), Order::Asc)
        .limit(10)
        .into_tuple()
        .all(moment)
        .await?;
    let named = |(reason, images, example): (Option<String>, i64, String)| FailureReason {
        reason: reason.unwrap_or_else(|| "no reason was recorded".to_owned()),
        images: unsigned(images),
        example,
    };
    Ok(rows.into_iter().map(named).collect())
}

/// The number of images among stages.
pub(super) fn distinct_images() -> Expr {
    Func::count_distinct(Expr::col((Entity, Column::Image))).into()
}
