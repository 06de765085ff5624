//! Libraries: one tenant's photos each, and where their originals lie.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sea_orm::sea_query::{Expr, LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::columns::{Row, json_text};
use super::entities::libraries::{ActiveModel, Column, Entity, Model};
use super::{Catalog, CatalogError, Current, Result, purge};
use crate::names::{Fence, GenerationNumber, LibraryId};

/// One library.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    /// Its name.
    pub id: LibraryId,
    /// The absolute path beneath which its originals lie.
    pub root: PathBuf,
    /// When it was first recorded.
    pub created_at: Timestamp,
    /// What was learned last and is in use, where something was.
    pub current: Option<Current>,
    /// The fence of the newest trainer.
    pub train_fence: Fence,
    /// Whether its root is watched for new, changed, moved and deleted photos.
    pub watched: bool,
    /// The mount that held the root at the last good look at it, and those beneath the root.
    pub mounts: Vec<PathBuf>,
}

impl Catalog {
    /// Records the library, or moves it to another root where it is known with a different one.
    ///
    /// # Errors
    /// `Refused` where `root` is not absolute or not UTF-8, or the library is being purged; a
    /// failure of the database.
    pub async fn ensure_library(&self, id: &LibraryId, root: &Path) -> Result<Library> {
        let refuse = |why: &str| {
            CatalogError::refused(format!("library {id} with its root at {}", root.display()), why)
        };
        let text = root.to_str().ok_or_else(|| refuse("the path is not UTF-8; rename it"))?;
        if !root.is_absolute() {
            return Err(refuse("the path is not absolute; give it from / on"));
        }
        // Every start asks; a library that stands as asked costs no write.
        if let Some(known) = self.library(id).await?
            && known.root == root
        {
            return Ok(known);
        }
        let change = self.begin().await?;
        let floors = purge::floors(&change).await?;
        Entity::insert(ActiveModel {
            library: Set(id.to_string()),
            root: Set(text.to_owned()),
            created_at: Set(self.now_text()),
            generation_change: Set(floors.generation_change),
            train_fence: Set(floors.train.0),
            watched: Set(false),
            mounts: Set("[]".to_owned()),
            purging: Set(false),
            fence_floor: Set(floors.analyze.0),
            ..ActiveModel::default()
        })
        .on_conflict(OnConflict::column(Column::Library).update_column(Column::Root).to_owned())
        .exec_without_returning(&change)
        .await?;
        change.commit().await?;
        let being_purged = "it is being purged; let `eyefleet library purge` come to its end first";
        self.library(id).await?.ok_or_else(|| refuse(being_purged))
    }

    /// Records whether the library's root is watched. Says whether there is such a library.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn set_watched(&self, id: &LibraryId, watched: bool) -> Result<bool> {
        let change = self.begin().await?;
        let set = Entity::update_many()
            .col_expr(Column::Watched, Expr::value(watched))
            .filter(Column::Library.eq(id.as_str()))
            .filter(Column::Purging.eq(false))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(set.rows_affected > 0)
    }

    /// Records on which mounts the library's photos lie.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn set_mounts(&self, id: &LibraryId, mounts: &[PathBuf]) -> Result<()> {
        let change = self.begin().await?;
        Entity::update_many()
            .col_expr(Column::Mounts, Expr::value(json_text(&mounts)?))
            .filter(Column::Library.eq(id.as_str()))
            .exec(&change)
            .await?;
        Ok(change.commit().await?)
    }

    /// The library, where it is known. One that is being purged is not.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn library(&self, id: &LibraryId) -> Result<Option<Library>> {
        Entity::find_by_id(id.as_str())
            .filter(Column::Purging.eq(false))
            .one(&self.read)
            .await?
            .as_ref()
            .map(Library::read)
            .transpose()
    }

    /// All libraries by name, without those that are being purged.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn libraries(&self) -> Result<Vec<Library>> {
        let rows = Entity::find()
            .filter(Column::Purging.eq(false))
            .order_by_asc(Column::Library)
            .all(&self.read)
            .await?;
        rows.iter().map(Library::read).collect()
    }
}

/// The library's row, locked until the transaction ends: whoever numbers something within a
/// library, or decides over several of its rows, passes here first. So does a purge: whoever has
/// passed has committed before it begins, and nobody passes afterwards.
pub(super) async fn locked(change: &DatabaseTransaction, id: &LibraryId) -> Result<Model> {
    // Not FOR UPDATE: that would stop every insert which refers to the library's key.
    Entity::find_by_id(id.as_str())
        .lock(LockType::NoKeyUpdate)
        .one(change)
        .await?
        .filter(|row| !row.purging)
        .ok_or_else(|| CatalogError::UnknownLibrary(id.clone()))
}

impl Library {
    fn read(model: &Model) -> Result<Self> {
        let row = Row { table: "libraries", library: &model.library, key: "" };
        let current = model.current_generation.map(|number| Current {
            number: GenerationNumber(number),
            change: model.generation_change,
        });
        Ok(Self {
            created_at: row.time(&model.created_at)?,
            root: PathBuf::from(&model.root),
            current,
            train_fence: Fence(model.train_fence),
            watched: model.watched,
            mounts: row.json(&model.mounts)?,
            id: row.name(model.library.clone())?,
        })
    }
}
