//! What is known of images that may be done again, and the reset that puts their stages to waiting.
//!
//! What must stay true: a reset touches what it was decided on and nothing that changed since; the
//! fences stay, so that no writer from before it can come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, time_text};
use super::entities::stages::{Column, Entity};
use super::entities::{analyses, images, libraries};
use super::{Catalog, ROWS_MAX, Result, Stage, StageRecord, StageState, WaitingImage};
use crate::names::{GenerationNumber, ImageId, LibraryId, Revision, SpaceId};

/// An image with what its analysis came from.
#[derive(Debug, Clone, PartialEq)]
pub struct DoneImage {
    /// The image, its place and its present revision.
    pub image: WaitingImage,
    /// Its stages.
    pub stages: Vec<StageRecord>,
    /// What saw its present content, where something has.
    pub seen: Option<SeenBy>,
}

/// By what an image was analyzed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBy {
    /// The pack, `id@version`.
    pub pack: String,
    /// The space of its vector.
    pub space: SpaceId,
    /// The generation that enriched it.
    pub generation: Option<GenerationNumber>,
}

/// A reset of stages of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// The image as it was when that was decided.
    pub image: WaitingImage,
    /// What is to be done again.
    pub stages: BTreeSet<Stage>,
}

#[derive(FromQueryResult)]
struct SeenRow {
    image: String,
    revision: i64,
    pack: String,
    space: String,
    generation: Option<i64>,
}

impl Catalog {
    /// Images that are not removed by id, after `after`, recorded at or after `since`. Whoever follows
    /// them page by page meets each once.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn done_page(
        &self,
        library: &LibraryId,
        since: Option<Timestamp>,
        after: Option<&ImageId>,
        limit: u64,
    ) -> Result<Vec<DoneImage>> {
        let mut page = images::Entity::find()
            .filter(images::Column::Library.eq(library.as_str()))
            .filter(images::Column::RemovedAt.is_null())
            .order_by_asc(images::Column::Image)
            .limit(limit);
        if let Some(after) = after {
            page = page.filter(images::Column::Image.gt(after.as_str()));
        }
        if let Some(since) = since {
            page = page.filter(images::Column::CreatedAt.gte(time_text(since)));
        }
        let mut found = Vec::new();
        for rows in page.all(&self.read).await?.chunks(ROWS_MAX) {
            let ids: Vec<&str> = rows.iter().map(|row| row.image.as_str()).collect();
            let mut stages = self.stages_of(library, &ids).await?;
            let mut seen = self.seen_of(library, &ids).await?;
            for model in rows {
                let row = Row { table: "images", library: &model.library, key: &model.image };
                let seen = seen.remove(&model.image).filter(|(of, _)| *of == model.revision);
                found.push(DoneImage {
                    image: WaitingImage {
                        image: row.name(model.image.clone())?,
                        path: row.name(model.path.clone())?,
                        revision: Revision(model.revision),
                    },
                    stages: stages.remove(&model.image).unwrap_or_default(),
                    seen: seen.map(|(_, seen)| seen),
                });
            }
        }
        Ok(found)
    }

    async fn stages_of(
        &self,
        library: &LibraryId,
        ids: &[&str],
    ) -> Result<HashMap<String, Vec<StageRecord>>> {
        let rows = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.is_in(ids.iter().copied()))
            .all(&self.read)
            .await?;
        let mut stages: HashMap<String, Vec<StageRecord>> = HashMap::new();
        for row in rows {
            stages.entry(row.image.clone()).or_default().push(StageRecord::read(row)?);
        }
        for of_image in stages.values_mut() {
            of_image.sort_by_key(|record| record.stage);
        }
        Ok(stages)
    }

    /// By what images were seen, and of which revision: without their vectors.
    async fn seen_of(
        &self,
        library: &LibraryId,
        ids: &[&str],
    ) -> Result<HashMap<String, (i64, SeenBy)>> {
        let rows = analyses::Entity::find()
            .select_only()
            .columns([
                analyses::Column::Image,
                analyses::Column::Revision,
                analyses::Column::Pack,
                analyses::Column::Space,
                analyses::Column::Generation,
            ])
            .filter(analyses::Column::Library.eq(library.as_str()))
            .filter(analyses::Column::Image.is_in(ids.iter().copied()))
            .into_model::<SeenRow>()
            .all(&self.read)
            .await?;
        let mut seen = HashMap::with_capacity(rows.len());
        for found in rows {
            let row = Row { table: "analyses", library: library.as_str(), key: &found.image };
            let by = SeenBy {
                pack: found.pack,
                space: row.name(found.space)?,
                generation: found.generation.map(GenerationNumber),
            };
            seen.insert(found.image, (found.revision, by));
        }
        Ok(seen)
    }

    /// Puts stages to waiting, all in one transaction; an image that has other content meanwhile or
    /// was removed is left out.
    ///
    /// # Errors
    /// A failure of the database; then nothing was changed.
    pub async fn reset(&self, library: &LibraryId, resets: &[Reset]) -> Result<()> {
        // Most of a batch are alike, and become one statement.
        let mut alike: BTreeMap<(Revision, &BTreeSet<Stage>), Vec<&str>> = BTreeMap::new();
        for reset in resets {
            let key = (reset.image.revision, &reset.stages);
            alike.entry(key).or_default().push(reset.image.image.as_str());
        }
        let change = self.begin().await?;
        let now = self.now_text();
        // Writers of results take an image's row before its stages, and so does this: two that took
        // stages in another order would stop each other.
        let mut locked: Vec<&str> = alike.values().flatten().copied().collect();
        locked.sort_unstable();
        for ids in locked.chunks(ROWS_MAX) {
            let _held_until_the_end: Vec<String> = images::Entity::find()
                .select_only()
                .column(images::Column::Image)
                .filter(images::Column::Library.eq(library.as_str()))
                .filter(images::Column::Image.is_in(ids.iter().copied()))
                .order_by_asc(images::Column::Image)
                .lock(LockType::NoKeyUpdate)
                .into_tuple()
                .all(&change)
                .await?;
        }
        for ((revision, stages), ids) in alike {
            for ids in ids.chunks(ROWS_MAX) {
                Entity::update_many()
                    .col_expr(Column::State, Expr::value(StageState::Waiting.as_str()))
                    .col_expr(Column::Reason, Expr::value(None::<String>))
                    .col_expr(Column::Attempts, Expr::value(0))
                    .col_expr(Column::UpdatedAt, Expr::value(now.as_str()))
                    .filter(Column::Library.eq(library.as_str()))
                    .filter(Column::Image.is_in(ids.iter().copied()))
                    .filter(Column::Revision.eq(revision.0))
                    .filter(Column::Stage.is_in(stages.iter().map(|stage| stage.as_str())))
                    .filter(Column::State.ne(StageState::Waiting.as_str()))
                    .exec(&change)
                    .await?;
            }
        }
        Ok(change.commit().await?)
    }

    /// The stages of this revision of the image that wait.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn waiting_stages(
        &self,
        library: &LibraryId,
        image: &ImageId,
        revision: Revision,
    ) -> Result<BTreeSet<Stage>> {
        let rows = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(image.as_str()))
            .filter(Column::Revision.eq(revision.0))
            .filter(Column::State.eq(StageState::Waiting.as_str()))
            .all(&self.read)
            .await?;
        rows.into_iter().map(|row| Ok(StageRecord::read(row)?.stage)).collect()
    }

    /// Those of these waiting images whose present content was analyzed before: they are done again,
    /// and nobody waits for that as for an upload.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn seen_among(
        &self,
        library: &LibraryId,
        waiting: &[WaitingImage],
    ) -> Result<BTreeSet<ImageId>> {
        let mut before = BTreeSet::new();
        for waiting in waiting.chunks(ROWS_MAX) {
            let ids: Vec<&str> = waiting.iter().map(|waiting| waiting.image.as_str()).collect();
            let seen = self.seen_of(library, &ids).await?;
            let known = waiting.iter().filter(|waiting| {
                let of = seen.get(waiting.image.as_str()).map(|(revision, _)| *revision);
                of == Some(waiting.revision.0)
            });
            before.extend(known.map(|waiting| waiting.image.clone()));
        }
        Ok(before)
    }

    /// Since when the whole library is analyzed again by force, where that has not come to its end.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn forced_since(&self, library: &LibraryId) -> Result<Option<Timestamp>> {
        let found = libraries::Entity::find_by_id(library.as_str()).one(&self.read).await?;
        let row = Row { table: "libraries", library: library.as_str(), key: "" };
        row.time_if(found.and_then(|library| library.forced_since).as_deref())
    }

    /// Remembers since when a library is analyzed again by force; none where that has come to its
    /// end.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn set_forced_since(
        &self,
        library: &LibraryId,
        since: Option<Timestamp>,
    ) -> Result<()> {
        let change = self.begin().await?;
        libraries::Entity::update_many()
            .col_expr(libraries::Column::ForcedSince, Expr::value(since.map(time_text)))
            .filter(libraries::Column::Library.eq(library.as_str()))
            .exec(&change)
            .await?;
        Ok(change.commit().await?)
    }
}
