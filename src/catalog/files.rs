//! Images as files on disk: by what a file is known to be the one that was recorded.
//!
//! What must stay true: a file whose stamp is the recorded one is not read again.

use std::collections::HashMap;

use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, signed, unsigned};
use super::entities::corrections;
use super::entities::images::{Column, Entity, Model};
use super::{Catalog, ROWS_MAX, Result};
use crate::names::{ImageId, LibraryId, RelativePath};
use crate::owners_word::UNDONE;

/// A living image as the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    /// The image.
    pub image: ImageId,
    /// Where its original lies beneath the library's root.
    pub path: RelativePath,
    /// The original's size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// Size and times of the file when it was recorded, where it was recorded from a file.
    pub stamp: Option<String>,
    /// The hash of its content, once somebody has read it.
    pub content_hash: Option<String>,
    /// When it was recorded first; text that sorts as time does.
    pub created_at: String,
}

impl Catalog {
    /// The living images whose originals lie at `paths`, by path.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn files_at(
        &self,
        library: &LibraryId,
        paths: &[RelativePath],
    ) -> Result<HashMap<RelativePath, KnownFile>> {
        let mut known = HashMap::new();
        for paths in paths.chunks(ROWS_MAX) {
            let rows = living(library)
                .filter(Column::Path.is_in(paths.iter().map(RelativePath::as_str)))
                .all(&self.read)
                .await?;
            for row in &rows {
                let file = KnownFile::read(row)?;
                known.insert(file.path.clone(), file);
            }
        }
        Ok(known)
    }

    /// At most `limit` living images whose originals have one of these sizes and a known hash.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn files_of_sizes(
        &self,
        library: &LibraryId,
        sizes: &[u64],
        limit: u64,
    ) -> Result<Vec<KnownFile>> {
        let mut found = Vec::new();
        for sizes in sizes.chunks(ROWS_MAX) {
            let rows = living(library)
                .filter(Column::Bytes.is_in(sizes.iter().map(|size| signed(*size))))
                .filter(Column::ContentHash.is_not_null())
                .limit(limit)
                .all(&self.read)
                .await?;
            for row in &rows {
                found.push(KnownFile::read(row)?);
            }
        }
        Ok(found)
    }

    /// Living images by path after `after`: those beneath the folder `beneath`, or all.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn files_beneath(
        &self,
        library: &LibraryId,
        beneath: Option<&RelativePath>,
        after: Option<&RelativePath>,
        limit: u64,
    ) -> Result<Vec<KnownFile>> {
        let mut files = living(library).order_by_asc(Column::Path).limit(limit);
        if let Some(folder) = beneath {
            // '0' follows '/' in the byte order in which both databases compare text.
            files = files
                .filter(Column::Path.gt(format!("{folder}/")))
                .filter(Column::Path.lt(format!("{folder}0")));
        }
        if let Some(after) = after {
            files = files.filter(Column::Path.gt(after.as_str()));
        }
        files.all(&self.read).await?.iter().map(KnownFile::read).collect()
    }

    /// At most `limit` living images whose originals have one of these sizes and on which the owner
    /// has said nothing, the youngest first.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn younger_of_sizes(
        &self,
        library: &LibraryId,
        sizes: &[u64],
        limit: u64,
    ) -> Result<Vec<KnownFile>> {
        let mut found = Vec::new();
        for sizes in sizes.chunks(ROWS_MAX) {
            let rows = living(library)
                .filter(Column::Bytes.is_in(sizes.iter().map(|size| signed(*size))))
                .filter(Column::Image.not_in_subquery(corrected(library)))
                .order_by_desc(Column::CreatedAt)
                .limit(limit)
                .all(&self.read)
                .await?;
            for row in &rows {
                found.push(KnownFile::read(row)?);
            }
        }
        Ok(found)
    }

    /// Those of `ids` that belong to somebody: to a living image (`None`), or to a removed one on
    /// which the owner has said something or which the owner removed, with the hash of its content
    /// where that is known.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn held_ids(
        &self,
        library: &LibraryId,
        ids: &[ImageId],
    ) -> Result<HashMap<String, Option<String>>> {
        let mut held = HashMap::new();
        for ids in ids.chunks(ROWS_MAX) {
            let with_words = Condition::any()
                .add(Column::RemovedAt.is_null())
                .add(Column::OwnerRemovedAt.is_not_null())
                .add(Column::Image.in_subquery(corrected(library)));
            let rows = Entity::find()
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::Image.is_in(ids.iter().map(ImageId::as_str)))
                .filter(with_words)
                .all(&self.read)
                .await?;
            for row in rows {
                let of_removed = row.removed_at.and(row.content_hash);
                held.insert(row.image, of_removed);
            }
        }
        Ok(held)
    }
}

/// The images on which the owner has said something.
fn corrected(library: &LibraryId) -> SelectStatement {
    Query::select()
        .column(corrections::Column::Image)
        .from(corrections::Entity)
        .and_where(corrections::Column::Library.eq(library.as_str()))
        .and_where(corrections::Column::Field.ne(UNDONE))
        .to_owned()
}

pub(super) fn living(library: &LibraryId) -> sea_orm::Select<Entity> {
    Entity::find().filter(Column::Library.eq(library.as_str())).filter(Column::RemovedAt.is_null())
}

impl KnownFile {
    fn read(model: &Model) -> Result<Self> {
        let row = Row { table: "images", library: &model.library, key: &model.image };
        Ok(Self {
            image: row.name(model.image.clone())?,
            path: row.name(model.path.clone())?,
            bytes: model.bytes.map(unsigned),
            stamp: model.stamp.clone(),
            content_hash: model.content_hash.clone(),
            created_at: model.created_at.clone(),
        })
    }
}
