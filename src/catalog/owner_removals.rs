//! Images that the owner removed: they stay removed until somebody adds them again.
//!
//! What must stay true: a removal that is told twice takes nothing away that was brought back in
//! between; a watched folder finds in here what it is not to bring back.

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};

use super::columns::{Row, json_text, signed, time_text, unsigned};
use super::entities::images::{Column, Entity};
use super::entities::outbox;
use super::images::take_away;
use super::{Catalog, ROWS_MAX, Result};
use crate::names::{ImageId, LibraryId, RelativePath};

/// What came of a removal by the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerRemoval {
    /// It is removed now, and stays so.
    Removed,
    /// It was removed before, by the owner or with its file, and stays so.
    WasRemoved,
    /// The same removal, or a later one, was carried out before; whatever came after it counts.
    Repeated,
    /// No such image is recorded.
    Unknown,
}

/// An image that the owner removed, as the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedFile {
    /// The image.
    pub image: ImageId,
    /// Where its file was seen last.
    pub path: RelativePath,
    /// The file's size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// Size and times of the file when it was seen last, where it was.
    pub stamp: Option<String>,
    /// The hash of its content, where it is known.
    pub content_hash: Option<String>,
}

impl Catalog {
    /// Removes an image as its owner wished at `said_at`, with an event `image-removed`.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn remove_for_owner(
        &self,
        library: &LibraryId,
        image: &ImageId,
        said_at: Timestamp,
    ) -> Result<OwnerRemoval> {
        let change = self.begin().await?;
        let (now, said_at) = (self.now_text(), time_text(said_at));
        let key = (library.to_string(), image.to_string());
        let found = Entity::find_by_id(key).lock(LockType::NoKeyUpdate).one(&change).await?;
        let Some(row) = found else { return Ok(OwnerRemoval::Unknown) };
        if row.owner_removed_at.is_some_and(|before| before >= said_at) {
            return Ok(OwnerRemoval::Repeated);
        }
        let stood = row.removed_at.is_none();
        if stood {
            take_away(&change, library, image, &now).await?;
            let payload = serde_json::json!({ "image": image, "revision": row.revision });
            let event = outbox::ActiveModel {
                library: Set(library.to_string()),
                image: Set(Some(image.to_string())),
                kind: Set("image-removed".to_owned()),
                payload: Set(json_text(&payload)?),
                created_at: Set(now.clone()),
                ..outbox::ActiveModel::default()
            };
            outbox::Entity::insert(event).exec_without_returning(&change).await?;
        }
        Entity::update_many()
            .col_expr(Column::OwnerRemovedAt, Expr::value(said_at))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(image.as_str()))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(if stood { OwnerRemoval::Removed } else { OwnerRemoval::WasRemoved })
    }

    /// Images that the owner removed, at one of these places or of one of these sizes; at most
    /// `limit` for each 500 of them.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn removed_by_owner(
        &self,
        library: &LibraryId,
        paths: &[RelativePath],
        sizes: &[u64],
        limit: u64,
    ) -> Result<Vec<RemovedFile>> {
        let mut found = Vec::new();
        let places = paths
            .chunks(ROWS_MAX)
            .map(|paths| Column::Path.is_in(paths.iter().map(RelativePath::as_str)));
        let like = sizes
            .chunks(ROWS_MAX)
            .map(|sizes| Column::Bytes.is_in(sizes.iter().map(|size| signed(*size))));
        for which in places.chain(like) {
            let rows = Entity::find()
                .filter(Column::Library.eq(library.as_str()))
                .filter(removed_by_owner())
                .filter(which)
                .limit(limit)
                .all(&self.read)
                .await?;
            for model in rows {
                let row = Row { table: "images", library: &model.library, key: &model.image };
                found.push(RemovedFile {
                    image: row.name(model.image.clone())?,
                    path: row.name(model.path.clone())?,
                    bytes: model.bytes.map(unsigned),
                    stamp: model.stamp,
                    content_hash: model.content_hash,
                });
            }
        }
        Ok(found)
    }

    /// Records where the file of an image that the owner removed lies now, so that the next look
    /// knows it without reading it.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn follow_removed(
        &self,
        library: &LibraryId,
        image: &ImageId,
        path: &RelativePath,
        stamp: &str,
    ) -> Result<()> {
        let change = self.begin().await?;
        Entity::update_many()
            .col_expr(Column::Path, Expr::value(path.as_str()))
            .col_expr(Column::Stamp, Expr::value(stamp))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(image.as_str()))
            .filter(removed_by_owner())
            .exec(&change)
            .await?;
        Ok(change.commit().await?)
    }
}

fn removed_by_owner() -> Condition {
    Condition::all().add(Column::RemovedAt.is_not_null()).add(Column::OwnerRemovedAt.is_not_null())
}
