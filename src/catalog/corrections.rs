//! The owner's corrections: they stand above whatever a model or a generation says, for ever.

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect,
};

use super::columns::{Row, json_text, time_text};
use super::entities::corrections::{ActiveModel, Column, Entity, Model};
use super::entities::{analyses, images, outbox, stages};
use super::images::corrections_of;
use super::{Catalog, CatalogError, Reset, Result, Stage, StageState, Tag, WaitingImage};
use crate::names::{ImageId, LibraryId, Revision};
use crate::owners_word::{DECLINED, DESCRIPTION, FIELDS, Said, TAGS, UNDONE};

/// Most tags that are remembered as declined of one image: many times what models say of it.
const DECLINED_MAX: usize = 1000;

/// What came of a correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrected {
    /// Whether anything changed: else it was said before, or something else was said later.
    pub applied: bool,
    /// The image, for a job that enriches it anew.
    pub image: WaitingImage,
}

/// What the owner says of one field of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    /// The field, such as `description` or `tags`.
    pub field: String,
    /// What it is to be.
    pub value: serde_json::Value,
    /// When the owner said so last.
    pub created_at: Timestamp,
}

impl Catalog {
    /// Records what the owner says of `field`; a later word replaces an earlier one.
    ///
    /// # Errors
    /// `Refused` where the image is not recorded; a failure of the database.
    pub async fn set_correction(
        &self,
        library: &LibraryId,
        image: &ImageId,
        field: &str,
        value: &serde_json::Value,
    ) -> Result<()> {
        let text = json_text(value)?;
        let change = self.begin().await?;
        let now = self.now_text();
        let key = (library.to_string(), image.to_string());
        if images::Entity::find_by_id(key).one(&change).await?.is_none() {
            let what = format!("correcting {field:?} of image {image} in library {library}");
            return Err(CatalogError::refused(what, "no such image; list them with `status`"));
        }
        Entity::insert(ActiveModel {
            library: Set(library.to_string()),
            image: Set(image.to_string()),
            field: Set(field.to_owned()),
            value: Set(text),
            created_at: Set(now.clone()),
            said_at: Set(None),
        })
        .on_conflict(replaced())
        .exec_without_returning(&change)
        .await?;
        tell_followers(&change, library, image, &now).await?;
        change.commit().await?;
        Ok(())
    }

    /// What the owner has said of this image, by field.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn corrections(
        &self,
        library: &LibraryId,
        image: &ImageId,
    ) -> Result<Vec<Correction>> {
        let ids = [image.to_string()];
        let mut found = corrections_of(&self.read, library, &ids).await?;
        Ok(found.remove(image.as_str()).unwrap_or_default())
    }

    /// Records what the owner said of an image at `said_at`, where nothing was said of the same later.
    /// With new tags, what else was said of the image until then is noted as declined. An image that
    /// was enriched waits for that again. Answers none where the image is not recorded.
    ///
    /// # Errors
    /// A failure of the database; then nothing was recorded.
    pub async fn correct(
        &self,
        library: &LibraryId,
        image: &ImageId,
        said: &Said,
        said_at: Timestamp,
    ) -> Result<Option<Corrected>> {
        let change = self.begin().await?;
        let now = self.now_text();
        let Some(row) = locked(&change, library, image).await? else { return Ok(None) };
        let said_text = time_text(said_at);
        let before = of_image(library, image).all(&change).await?;
        let is_news = |field: &str| {
            let mut known = before.iter().filter(|row| row.field == field || row.field == UNDONE);
            known.all(|row| *row.said_at.as_ref().unwrap_or(&row.created_at) < said_text)
        };
        let mut fields = Vec::new();
        if let Some(description) = said.description.as_ref().filter(|_| is_news(DESCRIPTION)) {
            let wanted = (!description.is_empty()).then_some(description);
            fields.push((DESCRIPTION, json_text(&wanted)?));
        }
        if let Some(tags) = said.tags.as_ref().filter(|_| is_news(TAGS)) {
            let declined = declined(&change, library, image, &before, tags).await?;
            fields.push((TAGS, json_text(tags)?));
            fields.push((DECLINED, json_text(&declined)?));
        }
        let applied = !fields.is_empty();
        if applied {
            let rows = fields.into_iter().map(|(field, value)| ActiveModel {
                library: Set(library.to_string()),
                image: Set(image.to_string()),
                field: Set(field.to_owned()),
                value: Set(value),
                created_at: Set(now.clone()),
                said_at: Set(Some(said_text.clone())),
            });
            Entity::insert_many(rows)
                .on_conflict(replaced())
                .exec_without_returning(&change)
                .await?;
            follow_up(&change, &row, library, image, &now).await?;
        }
        change.commit().await?;
        Ok(Some(Corrected { applied, image: waiting_image(&row)? }))
    }

    /// Puts the stage `enrich` of an image to waiting where what its owner has said is not `said` any
    /// more. Answers whether that was so. A correction that comes while an enrichment is being made finds
    /// the stage waiting already, and the end of that enrichment settles it.
    ///
    /// # Errors
    /// A failure of the database; then nothing was changed.
    pub async fn enrich_again_if_corrected(
        &self,
        library: &LibraryId,
        image: WaitingImage,
        said: &[Correction],
    ) -> Result<bool> {
        let is_news = self.corrections(library, &image.image).await? != said;
        if is_news {
            self.reset(library, &[Reset { image, stages: [Stage::Enrich].into() }]).await?;
        }
        Ok(is_news)
    }

    /// Forgets what the owner said of an image until `said_at`: the models' words count again. Answers
    /// none where the image is not recorded.
    ///
    /// # Errors
    /// A failure of the database; then nothing was forgotten.
    pub async fn undo_corrections(
        &self,
        library: &LibraryId,
        image: &ImageId,
        said_at: Timestamp,
    ) -> Result<Option<Corrected>> {
        let change = self.begin().await?;
        let now = self.now_text();
        let Some(row) = locked(&change, library, image).await? else { return Ok(None) };
        let forgotten = Entity::delete_many()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(image.as_str()))
            .filter(Column::Field.is_in(FIELDS))
            .filter(said_until(said_at))
            .exec(&change)
            .await?;
        let applied = forgotten.rows_affected > 0;
        let said_text = time_text(said_at);
        let undone = of_image(library, image).filter(Column::Field.eq(UNDONE)).one(&change).await?;
        if undone.is_none_or(|row| row.said_at.is_none_or(|time| time < said_text)) {
            let row = ActiveModel {
                library: Set(library.to_string()),
                image: Set(image.to_string()),
                field: Set(UNDONE.to_owned()),
                value: Set("null".to_owned()),
                created_at: Set(now.clone()),
                said_at: Set(Some(said_text)),
            };
            Entity::insert(row).on_conflict(replaced()).exec_without_returning(&change).await?;
        }
        if applied {
            follow_up(&change, &row, library, image, &now).await?;
        }
        change.commit().await?;
        Ok(Some(Corrected { applied, image: waiting_image(&row)? }))
    }
}

fn said_until(time: Timestamp) -> Condition {
    let time = time_text(time);
    let dated_by_its_row =
        Condition::all().add(Column::SaidAt.is_null()).add(Column::CreatedAt.lte(time.as_str()));
    Condition::any().add(Column::SaidAt.lte(time.as_str())).add(dated_by_its_row)
}

fn replaced() -> OnConflict {
    OnConflict::columns([Column::Library, Column::Image, Column::Field])
        .update_columns([Column::Value, Column::CreatedAt, Column::SaidAt])
        .to_owned()
}

fn of_image(library: &LibraryId, image: &ImageId) -> sea_orm::Select<Entity> {
    Entity::find()
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::Image.eq(image.as_str()))
}

/// The image's row, locked: two words on one image come one after the other.
async fn locked(
    change: &DatabaseTransaction,
    library: &LibraryId,
    image: &ImageId,
) -> Result<Option<images::Model>> {
    let key = (library.to_string(), image.to_string());
    Ok(images::Entity::find_by_id(key).lock(LockType::NoKeyUpdate).one(change).await?)
}

fn waiting_image(row: &images::Model) -> Result<WaitingImage> {
    let read = Row { table: "images", library: &row.library, key: &row.image };
    Ok(WaitingImage {
        image: read.name(row.image.clone())?,
        path: read.name(row.path.clone())?,
        revision: Revision(row.revision),
    })
}

/// Everything that was said of the image until now, by models, a generation or declined before, and
/// that is none of `tags`.
async fn declined(
    change: &DatabaseTransaction,
    library: &LibraryId,
    image: &ImageId,
    before: &[Model],
    tags: &[String],
) -> Result<Vec<String>> {
    let row = Row { table: "corrections", library: library.as_str(), key: image.as_str() };
    let known = before.iter().find(|row| row.field == DECLINED);
    let mut declined: Vec<String> = row.list(known.map(|row| row.value.as_str()))?;
    let said_before = before.iter().find(|row| row.field == TAGS);
    let taken_away: Vec<String> = row.list(said_before.map(|row| row.value.as_str()))?;
    declined.extend(taken_away);
    let key = (library.to_string(), image.to_string());
    if let Some(seen) = analyses::Entity::find_by_id(key).one(change).await? {
        let row = Row { table: "analyses", ..row };
        let of_models: Vec<Tag> = row.json(&seen.tags)?;
        let learned: Vec<Tag> = row.list(seen.enriched_tags.as_deref())?;
        declined.extend(of_models.into_iter().chain(learned).map(|tag| tag.name));
    }
    let is_kept = |name: &String| tags.iter().any(|tag| tag.to_lowercase() == name.to_lowercase());
    declined.retain(|name| !is_kept(name));
    declined.sort();
    declined.dedup();
    declined.truncate(DECLINED_MAX);
    Ok(declined)
}

/// What a correction brings about: it is news to those who learn and search, a listener is told, and
/// what a generation added is to be made anew from the owner's words.
async fn follow_up(
    change: &DatabaseTransaction,
    row: &images::Model,
    library: &LibraryId,
    image: &ImageId,
    now: &str,
) -> Result<()> {
    tell_followers(change, library, image, now).await?;
    let event = outbox::ActiveModel {
        library: Set(library.to_string()),
        image: Set(Some(image.to_string())),
        kind: Set("image-corrected".to_owned()),
        payload: Set(json_text(&serde_json::json!({ "image": image, "revision": row.revision }))?),
        created_at: Set(now.to_owned()),
        ..outbox::ActiveModel::default()
    };
    outbox::Entity::insert(event).exec_without_returning(change).await?;
    let was_enriched = analyses::Entity::find_by_id((library.to_string(), image.to_string()))
        .filter(analyses::Column::Revision.eq(row.revision))
        .filter(analyses::Column::Generation.is_not_null())
        .one(change)
        .await?;
    if was_enriched.is_some() && row.removed_at.is_none() {
        stages::Entity::update_many()
            .col_expr(stages::Column::State, Expr::value(StageState::Waiting.as_str()))
            .col_expr(stages::Column::Reason, Expr::value(None::<String>))
            .col_expr(stages::Column::Attempts, Expr::value(0))
            .col_expr(stages::Column::UpdatedAt, Expr::value(now))
            .filter(stages::Column::Library.eq(library.as_str()))
            .filter(stages::Column::Image.eq(image.as_str()))
            .filter(stages::Column::Stage.eq(Stage::Enrich.as_str()))
            .exec(change)
            .await?;
    }
    Ok(())
}

/// Whoever follows the tail (search, the schedule of trainings) learns of a correction as of a new
/// analysis.
async fn tell_followers(
    change: &DatabaseTransaction,
    library: &LibraryId,
    image: &ImageId,
    now: &str,
) -> Result<()> {
    analyses::Entity::update_many()
        .col_expr(analyses::Column::StoredAt, Expr::value(now))
        .filter(analyses::Column::Library.eq(library.as_str()))
        .filter(analyses::Column::Image.eq(image.as_str()))
        .exec(change)
        .await?;
    Ok(())
}

impl Correction {
    pub(super) fn read(model: &Model) -> Result<Self> {
        let key = format!("{}/{}", model.image, model.field);
        let row = Row { table: "corrections", library: &model.library, key: &key };
        Ok(Self {
            field: model.field.clone(),
            value: row.json(&model.value)?,
            created_at: row.time(&model.created_at)?,
        })
    }
}
