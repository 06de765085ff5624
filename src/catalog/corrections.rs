//! The owner's corrections: they stand above whatever a model or a generation says, for ever.

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::columns::{Row, json_text};
use super::entities::corrections::{ActiveModel, Column, Entity, Model};
use super::entities::{analyses, images};
use super::{Catalog, CatalogError, Result};
use crate::names::{ImageId, LibraryId};

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
        })
        .on_conflict(
            OnConflict::columns([Column::Library, Column::Image, Column::Field])
                .update_columns([Column::Value, Column::CreatedAt])
                .to_owned(),
        )
        .exec_without_returning(&change)
        .await?;
        // Whoever follows the tail (search) learns of the correction as of a new analysis.
        analyses::Entity::update_many()
            .col_expr(analyses::Column::StoredAt, Expr::value(now))
            .filter(analyses::Column::Library.eq(library.as_str()))
            .filter(analyses::Column::Image.eq(image.as_str()))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(())
    }
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
