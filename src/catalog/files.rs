//! Images as files on disk: by what a file is known to be the one that was recorded.
//!
//! What must stay true: a file whose stamp is the recorded one is not read again; a photo that only
//! changed its place keeps its id, its analysis and the owner's word; a removal touches what was
//! asked for and nothing that was brought back meanwhile.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::columns::{Row, signed, unsigned};
use super::entities::images::{Column, Entity, Model};
use super::entities::{analyses, faces, stages};
use super::{Catalog, ROWS_MAX, Result, StageState, libraries};
use crate::names::{ImageId, LibraryId, RelativePath};

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
}

/// An image whose file lies elsewhere now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedFile {
    /// The image.
    pub image: ImageId,
    /// Where it was.
    pub from: RelativePath,
    /// Where it is.
    pub to: RelativePath,
    /// The stamp of the file there.
    pub stamp: String,
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

    /// Those of `ids` that living images hold.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn living_ids(
        &self,
        library: &LibraryId,
        ids: &[ImageId],
    ) -> Result<HashSet<String>> {
        let mut held = HashSet::new();
        for ids in ids.chunks(ROWS_MAX) {
            let found: Vec<String> = living(library)
                .select_only()
                .column(Column::Image)
                .filter(Column::Image.is_in(ids.iter().map(ImageId::as_str)))
                .into_tuple()
                .all(&self.read)
                .await?;
            held.extend(found);
        }
        Ok(held)
    }

    /// Records that files lie elsewhere now, their content unchanged, and answers for each whether
    /// it was. Refused (`false`) where the image is not at its old path any more, where the new path
    /// belongs to another, or while the image waits: a job with the old path is under way then, and
    /// the move is a change like any other.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database; then nothing was recorded.
    pub async fn move_files(&self, library: &LibraryId, moved: &[MovedFile]) -> Result<Vec<bool>> {
        let change = self.begin().await?;
        libraries::locked(&change, library).await?;
        let now = self.now_text();
        let mut done = Vec::with_capacity(moved.len());
        for file in moved {
            let waits = stages::Entity::find()
                .filter(stages::Column::Library.eq(library.as_str()))
                .filter(stages::Column::Image.eq(file.image.as_str()))
                .filter(stages::Column::State.eq(StageState::Waiting.as_str()))
                .one(&change)
                .await?;
            let taken = living(library).filter(Column::Path.eq(file.to.as_str())).one(&change);
            if waits.is_some() || taken.await?.is_some() {
                done.push(false);
                continue;
            }
            let set = Entity::update_many()
                .col_expr(Column::Path, Expr::value(file.to.as_str()))
                .col_expr(Column::Stamp, Expr::value(file.stamp.as_str()))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_str()))
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::Image.eq(file.image.as_str()))
                .filter(Column::Path.eq(file.from.as_str()))
                .filter(Column::RemovedAt.is_null())
                .exec(&change)
                .await?;
            done.push(set.rows_affected > 0);
        }
        change.commit().await?;
        Ok(done)
    }

    /// Removes the images whose files are gone, with all that was seen of them, as `remove_image`
    /// does for one. An image that meanwhile has another path stays. Gives their number.
    ///
    /// # Errors
    /// A failure of the database; then the batches before it are removed.
    pub async fn remove_files(&self, library: &LibraryId, gone: &[KnownFile]) -> Result<u64> {
        let mut removed = 0;
        for gone in gone.chunks(ROWS_MAX) {
            let change = self.begin().await?;
            libraries::locked(&change, library).await?;
            let now = self.now_text();
            let paths = gone.iter().map(|file| file.path.as_str());
            let ids: Vec<&str> = gone.iter().map(|file| file.image.as_str()).collect();
            let still: Vec<String> = living(library)
                .select_only()
                .column(Column::Image)
                .filter(Column::Image.is_in(ids))
                .filter(Column::Path.is_in(paths))
                .into_tuple()
                .all(&change)
                .await?;
            Entity::update_many()
                .col_expr(Column::RemovedAt, Expr::value(now.as_str()))
                .col_expr(Column::UpdatedAt, Expr::value(now.as_str()))
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::Image.is_in(still.iter().map(String::as_str)))
                .exec(&change)
                .await?;
            stages::Entity::delete_many()
                .filter(stages::Column::Library.eq(library.as_str()))
                .filter(stages::Column::Image.is_in(still.iter().map(String::as_str)))
                .exec(&change)
                .await?;
            analyses::Entity::delete_many()
                .filter(analyses::Column::Library.eq(library.as_str()))
                .filter(analyses::Column::Image.is_in(still.iter().map(String::as_str)))
                .exec(&change)
                .await?;
            faces::Entity::delete_many()
                .filter(faces::Column::Library.eq(library.as_str()))
                .filter(faces::Column::Image.is_in(still.iter().map(String::as_str)))
                .exec(&change)
                .await?;
            change.commit().await?;
            removed += still.len() as u64;
        }
        Ok(removed)
    }
}

fn living(library: &LibraryId) -> sea_orm::Select<Entity> {
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
        })
    }
}
