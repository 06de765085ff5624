//! One image with all that is known of it, and its removal.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::columns::{Row, unsigned};
use super::entities::images::{Column, Entity, Model};
use super::entities::{analyses, corrections, faces, stages};
use super::{Analysis, Catalog, Correction, Face, ROWS_MAX, Result, StageRecord};
use crate::names::{ImageId, LibraryId, RelativePath, Revision};
use crate::owners_word::UNDONE;

/// One image with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// The application's id of it.
    pub image: ImageId,
    /// Where its original lies beneath the library's root.
    pub path: RelativePath,
    /// Its present revision.
    pub revision: Revision,
    /// The original's size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// The hash of the original, where it is known.
    pub content_hash: Option<String>,
    /// Who uploaded it.
    pub source: String,
    /// Width of the oriented original in pixels, once it was seen.
    pub width: Option<u32>,
    /// Height of the oriented original in pixels, once it was seen.
    pub height: Option<u32>,
    /// When it was first recorded.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
    /// Whether the owner removed it; a watched folder does not bring it back then.
    pub removed_by_owner: bool,
    /// Its stages in their order; none where it is removed.
    pub stages: Vec<StageRecord>,
    /// What was seen, of this revision or, while that waits, of the one before.
    pub analysis: Option<Analysis>,
    /// Its faces by number.
    pub faces: Vec<Face>,
    /// The owner's corrections by field.
    pub corrections: Vec<Correction>,
}

impl Catalog {
    /// The image with this id, removed or not.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn image(&self, library: &LibraryId, image: &ImageId) -> Result<Option<ImageRecord>> {
        let key = (library.to_string(), image.to_string());
        match Entity::find_by_id(key).one(&self.read).await? {
            Some(model) => Ok(Some(self.record(library, model).await?)),
            None => Ok(None),
        }
    }

    /// The image whose original lies at `path`, where it is not removed.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn image_by_path(
        &self,
        library: &LibraryId,
        path: &RelativePath,
    ) -> Result<Option<ImageRecord>> {
        let found = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Path.eq(path.as_str()))
            .filter(Column::RemovedAt.is_null())
            .one(&self.read)
            .await?;
        match found {
            Some(model) => Ok(Some(self.record(library, model).await?)),
            None => Ok(None),
        }
    }

    async fn record(&self, library: &LibraryId, model: Model) -> Result<ImageRecord> {
        let row = Row { table: "images", library: &model.library, key: &model.image };
        let key = (model.library.clone(), model.image.clone());
        let mut stages = stages::Entity::find()
            .filter(stages::Column::Library.eq(library.as_str()))
            .filter(stages::Column::Image.eq(model.image.as_str()))
            .all(&self.read)
            .await?
            .into_iter()
            .map(StageRecord::read)
            .collect::<Result<Vec<_>>>()?;
        stages.sort_by_key(|record| record.stage);
        let analysis = analyses::Entity::find_by_id(key).one(&self.read).await?;
        let ids = [model.image.clone()];
        Ok(ImageRecord {
            image: row.name(model.image.clone())?,
            path: row.name(model.path.clone())?,
            revision: Revision(model.revision),
            bytes: model.bytes.map(unsigned),
            content_hash: model.content_hash.clone(),
            source: model.source.clone(),
            width: model.width.map(|width| row.number(width)).transpose()?,
            height: model.height.map(|height| row.number(height)).transpose()?,
            created_at: row.time(&model.created_at)?,
            updated_at: row.time(&model.updated_at)?,
            removed_at: row.time_if(model.removed_at.as_deref())?,
            removed_by_owner: model.removed_at.is_some() && model.owner_removed_at.is_some(),
            stages,
            analysis: analysis.as_ref().map(Analysis::read).transpose()?,
            faces: faces_of(&self.read, library, &ids).await?.remove(&ids[0]).unwrap_or_default(),
            corrections: corrections_of(&self.read, library, &ids)
                .await?
                .remove(&ids[0])
                .unwrap_or_default(),
        })
    }

    /// Removes an image with all that was seen of it. Its id and the owner's corrections stay:
    /// an upload under the same id brings it back. Says whether there was one to remove.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn remove_image(&self, library: &LibraryId, image: &ImageId) -> Result<bool> {
        let change = self.begin().await?;
        let now = self.now_text();
        let key = (library.to_string(), image.to_string());
        let found = Entity::find_by_id(key).lock(LockType::NoKeyUpdate).one(&change).await?;
        if found.is_none_or(|row| row.removed_at.is_some()) {
            return Ok(false);
        }
        take_away(&change, library, image, &now).await?;
        change.commit().await?;
        Ok(true)
    }
}

/// Removes an image that stands, with all that was seen of it.
pub(super) async fn take_away(
    change: &DatabaseTransaction,
    library: &LibraryId,
    image: &ImageId,
    now: &str,
) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::RemovedAt, Expr::value(now))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::Image.eq(image.as_str()))
        .exec(change)
        .await?;
    stages::Entity::delete_many()
        .filter(stages::Column::Library.eq(library.as_str()))
        .filter(stages::Column::Image.eq(image.as_str()))
        .exec(change)
        .await?;
    analyses::Entity::delete_many()
        .filter(analyses::Column::Library.eq(library.as_str()))
        .filter(analyses::Column::Image.eq(image.as_str()))
        .exec(change)
        .await?;
    faces::Entity::delete_many()
        .filter(faces::Column::Library.eq(library.as_str()))
        .filter(faces::Column::Image.eq(image.as_str()))
        .exec(change)
        .await?;
    Ok(())
}

/// The faces of these images, by image and in the order of their numbers.
pub(super) async fn faces_of(
    database: &impl ConnectionTrait,
    library: &LibraryId,
    images: &[String],
) -> Result<HashMap<String, Vec<Face>>> {
    let mut found: HashMap<String, Vec<Face>> = HashMap::new();
    for images in images.chunks(ROWS_MAX) {
        let rows = faces::Entity::find()
            .filter(faces::Column::Library.eq(library.as_str()))
            .filter(faces::Column::Image.is_in(images))
            .order_by_asc(faces::Column::Image)
            .order_by_asc(faces::Column::Face)
            .all(database)
            .await?;
        for row in rows {
            found.entry(row.image.clone()).or_default().push(Face::read(&row)?);
        }
    }
    Ok(found)
}

/// The owner's corrections of these images, by image and in the order of their fields.
pub(super) async fn corrections_of(
    database: &impl ConnectionTrait,
    library: &LibraryId,
    images: &[String],
) -> Result<HashMap<String, Vec<Correction>>> {
    let mut found: HashMap<String, Vec<Correction>> = HashMap::new();
    for images in images.chunks(ROWS_MAX) {
        let rows = corrections::Entity::find()
            .filter(corrections::Column::Library.eq(library.as_str()))
            .filter(corrections::Column::Image.is_in(images))
            .filter(corrections::Column::Field.ne(UNDONE))
            .order_by_asc(corrections::Column::Image)
            .order_by_asc(corrections::Column::Field)
            .all(database)
            .await?;
        for row in rows {
            found.entry(row.image.clone()).or_default().push(Correction::read(&row)?);
        }
    }
    Ok(found)
}
