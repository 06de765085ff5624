//! Files that moved, and files that are gone.
//!
//! What must stay true: a photo that only changed its place keeps its id, its analysis and the owner's
//! word; a removal touches what was asked for and nothing that was brought back meanwhile.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};

use super::entities::images::{Column, Entity};
use super::entities::{analyses, faces, stages};
use super::files::living;
use super::{Catalog, KnownFile, ROWS_MAX, Result, StageState, libraries};
use crate::names::{ImageId, LibraryId, RelativePath, Revision};

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

/// What came of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It lies there now, and what was seen of it stays.
    Kept,
    /// It lies there now and waits as this revision: the job of the one before has the old path.
    Again(Revision),
    /// It is not at its old path any more, or another image is at the new one.
    Refused,
}

impl Catalog {
    /// Records that files lie elsewhere now, their content unchanged, and that others were `replaced`
    /// by them, which removes those; answers for each of `moved`. All places change at once, so that
    /// files may take each other's.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database; then nothing was recorded.
    pub async fn move_files(
        &self,
        library: &LibraryId,
        moved: &[MovedFile],
        replaced: &[KnownFile],
    ) -> Result<Vec<Moved>> {
        let change = self.begin().await?;
        libraries::locked(&change, library).await?;
        let now = self.now_text();
        remove_still_there(&change, library, replaced, &now).await?;
        let allowed = allowed_moves(&change, library, moved).await?;
        // Off the index of living paths first: no order of writing then meets a path still taken.
        let leaving = moved.iter().filter(|file| allowed.contains(file.image.as_str()));
        Entity::update_many()
            .col_expr(Column::RemovedAt, Expr::value(now.as_str()))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.is_in(leaving.map(|file| file.image.as_str())))
            .exec(&change)
            .await?;
        let mut done = Vec::with_capacity(moved.len());
        for file in moved {
            if allowed.contains(file.image.as_str()) {
                done.push(arrive(&change, library, file, &now).await?);
            } else {
                done.push(Moved::Refused);
            }
        }
        change.commit().await?;
        Ok(done)
    }

    /// Moves `gone`, whose file is not there any more, to the place of its younger `copy`, which
    /// becomes one with it. Answers whether both were as given, and `gone` was seen already.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database; then nothing was recorded.
    pub async fn adopt_copy(
        &self,
        library: &LibraryId,
        gone: &KnownFile,
        copy: &KnownFile,
    ) -> Result<bool> {
        let change = self.begin().await?;
        libraries::locked(&change, library).await?;
        let now = self.now_text();
        let both = [gone, copy];
        if still_there(&change, library, &both).await?.len() < both.len()
            || waits(&change, library, &gone.image).await?
        {
            return Ok(false);
        }
        remove_still_there(&change, library, std::slice::from_ref(copy), &now).await?;
        Entity::update_many()
            .col_expr(Column::Path, Expr::value(copy.path.as_str()))
            .col_expr(Column::Stamp, Expr::value(copy.stamp.clone()))
            .col_expr(Column::UpdatedAt, Expr::value(now.as_str()))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.eq(gone.image.as_str()))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(true)
    }

    /// Removes the images whose files are gone, with all that was seen of them, as `remove_image`
    /// does for one. An image that meanwhile has another path or stamp stays. Gives their number.
    ///
    /// # Errors
    /// A failure of the database; then the batches before it are removed.
    pub async fn remove_files(&self, library: &LibraryId, gone: &[KnownFile]) -> Result<u64> {
        let mut removed = 0;
        for gone in gone.chunks(ROWS_MAX) {
            let change = self.begin().await?;
            libraries::locked(&change, library).await?;
            removed += remove_still_there(&change, library, gone, &self.now_text()).await?;
            change.commit().await?;
        }
        Ok(removed)
    }
}

/// The images of `files` that are as given: alive, at that path, with that stamp.
async fn still_there(
    change: &DatabaseTransaction,
    library: &LibraryId,
    files: &[&KnownFile],
) -> Result<Vec<String>> {
    let mut still = Vec::new();
    for files in files.chunks(ROWS_MAX) {
        let rows = living(library)
            .filter(Column::Image.is_in(files.iter().map(|file| file.image.as_str())))
            .all(change)
            .await?;
        let given: HashMap<&str, &KnownFile> =
            files.iter().map(|file| (file.image.as_str(), *file)).collect();
        let as_given = rows.into_iter().filter(|row| {
            given
                .get(row.image.as_str())
                .is_some_and(|file| file.path.as_str() == row.path && file.stamp == row.stamp)
        });
        still.extend(as_given.map(|row| row.image));
    }
    Ok(still)
}

async fn remove_still_there(
    change: &DatabaseTransaction,
    library: &LibraryId,
    files: &[KnownFile],
    now: &str,
) -> Result<u64> {
    let files: Vec<&KnownFile> = files.iter().collect();
    let still = still_there(change, library, &files).await?;
    for still in still.chunks(ROWS_MAX) {
        let ids = || still.iter().map(String::as_str);
        Entity::update_many()
            .col_expr(Column::RemovedAt, Expr::value(now))
            // One that the owner had removed and brought back went by itself this time.
            .col_expr(Column::OwnerRemovedAt, Expr::value(None::<String>))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Image.is_in(ids()))
            .exec(change)
            .await?;
        stages::Entity::delete_many()
            .filter(stages::Column::Library.eq(library.as_str()))
            .filter(stages::Column::Image.is_in(ids()))
            .exec(change)
            .await?;
        analyses::Entity::delete_many()
            .filter(analyses::Column::Library.eq(library.as_str()))
            .filter(analyses::Column::Image.is_in(ids()))
            .exec(change)
            .await?;
        faces::Entity::delete_many()
            .filter(faces::Column::Library.eq(library.as_str()))
            .filter(faces::Column::Image.is_in(ids()))
            .exec(change)
            .await?;
    }
    Ok(still.len() as u64)
}

/// The images that may move: they are at their old path, and nobody who stays is at the new one.
async fn allowed_moves<'a>(
    change: &DatabaseTransaction,
    library: &LibraryId,
    moved: &'a [MovedFile],
) -> Result<HashSet<&'a str>> {
    let (mut from, mut at_target) = (HashMap::new(), HashMap::new());
    for moved in moved.chunks(ROWS_MAX) {
        let ids = moved.iter().map(|file| file.image.as_str());
        for row in living(library).filter(Column::Image.is_in(ids)).all(change).await? {
            from.insert(row.image, row.path);
        }
        let paths = moved.iter().map(|file| file.to.as_str());
        for row in living(library).filter(Column::Path.is_in(paths)).all(change).await? {
            at_target.insert(row.path, row.image);
        }
    }
    let at_home = |file: &&MovedFile| {
        from.get(file.image.as_str()).is_some_and(|path| path == file.from.as_str())
    };
    let mut allowed: HashSet<&str> =
        moved.iter().filter(at_home).map(|file| file.image.as_str()).collect();
    loop {
        let blocked: Vec<&str> = moved
            .iter()
            .filter(|file| {
                let holder = at_target.get(file.to.as_str());
                holder.is_some_and(|holder| !allowed.contains(holder.as_str()))
            })
            .map(|file| file.image.as_str())
            .filter(|image| allowed.contains(image))
            .collect();
        if blocked.is_empty() {
            return Ok(allowed);
        }
        // Whoever stays keeps its path, which may be another's target.
        allowed.retain(|image| !blocked.contains(image));
    }
}

async fn arrive(
    change: &DatabaseTransaction,
    library: &LibraryId,
    file: &MovedFile,
    now: &str,
) -> Result<Moved> {
    let mut row = Entity::update_many()
        .col_expr(Column::Path, Expr::value(file.to.as_str()))
        .col_expr(Column::Stamp, Expr::value(file.stamp.as_str()))
        .col_expr(Column::RemovedAt, Expr::value(None::<String>))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::Image.eq(file.image.as_str()));
    let waiting = waits(change, library, &file.image).await?;
    if waiting {
        row = row.col_expr(Column::Revision, Expr::col(Column::Revision).add(1));
    }
    row.exec(change).await?;
    if !waiting {
        return Ok(Moved::Kept);
    }
    let key = (library.to_string(), file.image.to_string());
    let revision = Entity::find_by_id(key).one(change).await?.map_or(1, |row| row.revision);
    stages::Entity::update_many()
        .col_expr(stages::Column::State, Expr::value(StageState::Waiting.as_str()))
        .col_expr(stages::Column::Reason, Expr::value(None::<String>))
        .col_expr(stages::Column::Revision, Expr::value(revision))
        .col_expr(stages::Column::Attempts, Expr::value(0))
        .col_expr(stages::Column::UpdatedAt, Expr::value(now))
        .filter(stages::Column::Library.eq(library.as_str()))
        .filter(stages::Column::Image.eq(file.image.as_str()))
        .exec(change)
        .await?;
    Ok(Moved::Again(Revision(revision)))
}

async fn waits(change: &DatabaseTransaction, library: &LibraryId, image: &ImageId) -> Result<bool> {
    let waiting = stages::Entity::find()
        .filter(stages::Column::Library.eq(library.as_str()))
        .filter(stages::Column::Image.eq(image.as_str()))
        .filter(stages::Column::State.eq(StageState::Waiting.as_str()))
        .one(change)
        .await?;
    Ok(waiting.is_some())
}
