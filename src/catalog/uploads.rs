//! Uploads: which images exist, and which of them changed.
//!
//! What must stay true: recording the same upload twice changes nothing, so whoever records may
//! die before saying so; a changed original raises the revision and puts every stage to waiting,
//! while the analysis of the old revision stands until a new one replaces it.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait,
    IntoActiveModel, QueryFilter,
};

use super::columns::signed;
use super::entities::images::{Column, Entity, Model};
use super::entities::stages;
use super::{Catalog, ROWS_MAX, Result, Stage, StageState, libraries};
use crate::names::{ImageId, LibraryId, RelativePath, Revision};

/// A photo that somebody says is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The application's id of it.
    pub image: ImageId,
    /// Where its original lies beneath the library's root.
    pub path: RelativePath,
    /// The original's size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// The hash of its content, where it is known. Two known hashes decide alone whether the
    /// original changed; else two known sizes do.
    pub content_hash: Option<String>,
    /// Size and times of the file, where it is one that is watched. Where a hash is missing, another
    /// stamp means another content.
    pub stamp: Option<String>,
    /// Who told us: `cli`, `laravel`, `http`, `folder`.
    pub source: String,
}

/// What an upload changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The image is new, or was removed before; all its stages wait.
    New,
    /// The original lies elsewhere or has other content; all its stages wait again.
    Changed,
    /// It was known as it is.
    Unchanged,
    /// Nothing was recorded: its path belongs to this other image.
    PathTaken(ImageId),
}

/// What became of one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The image.
    pub image: ImageId,
    /// Its path.
    pub path: RelativePath,
    /// Its present revision; 0 where nothing was recorded.
    pub revision: Revision,
    /// What changed.
    pub change: Change,
}

impl Catalog {
    /// Records uploads in one transaction and answers for each, in their order.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database; then nothing was recorded.
    pub async fn record_uploads(
        &self,
        library: &LibraryId,
        uploads: &[Upload],
    ) -> Result<Vec<Recorded>> {
        if uploads.is_empty() {
            return Ok(Vec::new());
        }
        let change = self.begin().await?;
        let now = self.now_text();
        let fence_floor = libraries::locked(&change, library).await?.fence_floor;
        let mut known = Known::load(&change, library, uploads).await?;
        known.fence_floor = fence_floor;
        let mut recorded = Vec::with_capacity(uploads.len());
        for upload in uploads {
            recorded.push(known.record(library, upload, &now));
        }
        known.write(&change, library, &now).await?;
        change.commit().await?;
        Ok(recorded)
    }
}

/// The rows that a batch of uploads speaks of, changed in memory first: one batch may name an
/// image or a path twice.
struct Known {
    images: HashMap<String, Model>,
    /// Which living image holds a path.
    owners: HashMap<String, String>,
    /// Images to write, and whether their stages start again. In order, so that two processes
    /// lock rows in the same order.
    touched: BTreeMap<String, bool>,
    /// Living images that leave their path.
    moved: Vec<String>,
    /// Writers with an older token worked for a library of this name that was purged.
    fence_floor: i64,
}

impl Known {
    async fn load(
        change: &DatabaseTransaction,
        library: &LibraryId,
        uploads: &[Upload],
    ) -> Result<Self> {
        let mut known = Self {
            images: HashMap::new(),
            owners: HashMap::new(),
            touched: BTreeMap::new(),
            moved: Vec::new(),
            fence_floor: 0,
        };
        for uploads in uploads.chunks(ROWS_MAX) {
            let ids = uploads.iter().map(|upload| upload.image.as_str());
            let paths = uploads.iter().map(|upload| upload.path.as_str());
            let of_library = Entity::find().filter(Column::Library.eq(library.as_str()));
            for row in of_library.clone().filter(Column::Image.is_in(ids)).all(change).await? {
                known.images.insert(row.image.clone(), row);
            }
            let living = of_library.filter(Column::RemovedAt.is_null());
            for row in living.filter(Column::Path.is_in(paths)).all(change).await? {
                known.owners.insert(row.path, row.image);
            }
        }
        Ok(known)
    }

    fn record(&mut self, library: &LibraryId, upload: &Upload, now: &str) -> Recorded {
        let answer = |revision: i64, change: Change| Recorded {
            image: upload.image.clone(),
            path: upload.path.clone(),
            revision: Revision(revision),
            change,
        };
        let (image, path) = (upload.image.as_str(), upload.path.as_str());
        if let Some(owner) = self.owners.get(path)
            && owner != image
            && let Ok(owner) = ImageId::new(owner.as_str())
        {
            return answer(0, Change::PathTaken(owner));
        }
        let Some(row) = self.images.get_mut(image) else {
            self.images.insert(image.to_owned(), new_row(library, upload, now));
            self.owners.insert(path.to_owned(), image.to_owned());
            self.touched.insert(image.to_owned(), true);
            return answer(1, Change::New);
        };
        let was_removed = row.removed_at.is_some();
        let changed = was_removed || differs(row, upload);
        let learned_hash = row.content_hash.is_none() && upload.content_hash.is_some();
        let new_stamp = upload.stamp.is_some() && row.stamp != upload.stamp;
        if !changed && !learned_hash && !new_stamp {
            return answer(row.revision, Change::Unchanged);
        }
        if changed {
            row.revision += 1;
            // What the old content measured is not true of the new one.
            (row.width, row.height) = (None, None);
            (row.bytes, row.content_hash, row.stamp) = (None, None, None);
            row.removed_at = None;
            if !was_removed && row.path != path {
                self.owners.remove(&row.path);
                self.moved.push(image.to_owned());
            }
            self.owners.insert(path.to_owned(), image.to_owned());
            path.clone_into(&mut row.path);
            row.source.clone_from(&upload.source);
        }
        row.bytes = upload.bytes.map(signed).or(row.bytes);
        row.content_hash = upload.content_hash.clone().or(row.content_hash.take());
        row.stamp = upload.stamp.clone().or(row.stamp.take());
        now.clone_into(&mut row.updated_at);
        *self.touched.entry(image.to_owned()).or_default() |= changed;
        let change = match (was_removed, changed) {
            (true, _) => Change::New,
            (false, true) => Change::Changed,
            (false, false) => Change::Unchanged,
        };
        answer(row.revision, change)
    }

    async fn write(
        self,
        change: &DatabaseTransaction,
        library: &LibraryId,
        now: &str,
    ) -> Result<()> {
        let touched: Vec<&Model> =
            self.touched.keys().filter_map(|image| self.images.get(image)).collect();
        // Photos may follow each other through the same paths in one batch. Whoever moves first
        // leaves the index of living paths, so that no order of writing meets a path still taken.
        for moved in self.moved.chunks(ROWS_MAX) {
            Entity::update_many()
                .col_expr(Column::RemovedAt, Expr::value(now))
                .filter(Column::Library.eq(library.as_str()))
                .filter(Column::Image.is_in(moved))
                .exec(change)
                .await?;
        }
        for rows in touched.chunks(ROWS_MAX) {
            let rows = rows.iter().map(|row| (*row).clone().into_active_model().reset_all());
            Entity::insert_many(rows)
                .on_conflict(
                    OnConflict::columns([Column::Library, Column::Image])
                        .update_columns([
                            Column::Path,
                            Column::Revision,
                            Column::Bytes,
                            Column::ContentHash,
                            Column::Source,
                            Column::Width,
                            Column::Height,
                            Column::UpdatedAt,
                            Column::RemovedAt,
                            Column::Stamp,
                        ])
                        .to_owned(),
                )
                .exec_without_returning(change)
                .await?;
        }
        let restarted: Vec<&Model> =
            touched.into_iter().filter(|row| self.touched[&row.image]).collect();
        wait_again(change, library, &restarted, self.fence_floor, now).await
    }
}

/// Puts every stage of these images to waiting for their present revision, also one that has no row.
pub(super) async fn wait_again(
    change: &DatabaseTransaction,
    library: &LibraryId,
    images: &[&Model],
    fence_floor: i64,
    now: &str,
) -> Result<()> {
    for rows in images.chunks(ROWS_MAX) {
        let stages = rows.iter().flat_map(|row| {
            let waiting = |stage| waiting_stage(library, row, stage, fence_floor, now);
            Stage::ALL.iter().copied().map(waiting)
        });
        // The fence stays: with the raised revision it keeps every older writer out.
        stages::Entity::insert_many(stages)
            .on_conflict(
                OnConflict::columns([
                    stages::Column::Library,
                    stages::Column::Image,
                    stages::Column::Stage,
                ])
                .update_columns([
                    stages::Column::State,
                    stages::Column::Reason,
                    stages::Column::Revision,
                    stages::Column::Attempts,
                    stages::Column::UpdatedAt,
                ])
                .to_owned(),
            )
            .exec_without_returning(change)
            .await?;
    }
    Ok(())
}

fn differs(row: &Model, upload: &Upload) -> bool {
    if row.path != upload.path.as_str() {
        return true;
    }
    if let (Some(before), Some(after)) = (&row.content_hash, &upload.content_hash) {
        return before != after;
    }
    if let (Some(before), Some(after)) = (&row.stamp, &upload.stamp)
        && before != after
    {
        return true;
    }
    matches!((row.bytes, upload.bytes.map(signed)), (Some(before), Some(after)) if before != after)
}

fn new_row(library: &LibraryId, upload: &Upload, now: &str) -> Model {
    Model {
        library: library.to_string(),
        image: upload.image.to_string(),
        path: upload.path.to_string(),
        revision: 1,
        bytes: upload.bytes.map(signed),
        content_hash: upload.content_hash.clone(),
        source: upload.source.clone(),
        width: None,
        height: None,
        created_at: now.to_owned(),
        updated_at: now.to_owned(),
        removed_at: None,
        stamp: upload.stamp.clone(),
        owner_removed_at: None,
    }
}

fn waiting_stage(
    library: &LibraryId,
    row: &Model,
    stage: Stage,
    fence_floor: i64,
    now: &str,
) -> stages::ActiveModel {
    stages::ActiveModel {
        library: Set(library.to_string()),
        image: Set(row.image.clone()),
        stage: Set(stage.as_str().to_owned()),
        state: Set(StageState::Waiting.as_str().to_owned()),
        reason: Set(None),
        revision: Set(row.revision),
        fence: Set(fence_floor),
        attempts: Set(0),
        updated_at: Set(now.to_owned()),
    }
}
