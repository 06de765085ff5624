//! Purging a library: every row of it, in pages that let other writers in between.
//!
//! What must stay true: from `begin_purge` on nobody finds the library, and whoever began before
//! has committed; its own row goes last, so a purge that died is begun again where it stopped; a
//! library that gets the name later begins above every token and change that the old one saw.
//!
//! A late result cannot bring a row back: it needs its image, locked, and that is gone. Events need
//! an image or the library, so they are deleted after the images.

use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement,
};

use super::entities::{
    analyses, corrections, details, exports, faces, generations, images, libraries, outbox,
    person_constraints, persons, purges, stages,
};
use super::{Catalog, Result};
use crate::names::{Fence, LibraryId};

/// Images deleted in one transaction, each with all that hangs on it.
const PAGE: u64 = 200;
/// Other rows deleted in one transaction.
const ROWS: u64 = 500;

/// A file up to this size is written anew after a purge: it takes a few seconds.
const VACUUM_BYTES_MAX: i64 = 1 << 30;
/// Tries to fold in the log.
const FOLD_TRIES: usize = 20;
/// Time between two of them.
const FOLD_EVERY: Duration = Duration::from_millis(200);

/// How far deleted rows are gone from the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// Not a byte is left.
    Whole,
    /// Copies may be left in a file that is too large to be written anew beside a running fleet.
    TooLarge,
    /// A reader holds on to the log; the last process to close the catalogue folds it in.
    LogHeld,
    /// The database server frees them in its own time.
    LeftToServer,
}

/// What a new library begins with, so that nothing meant for a purged one of its name counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Floors {
    /// Results with an older token are refused.
    pub analyze: Fence,
    /// Trainers with an older token are refused.
    pub train: Fence,
    /// The change counter rises from here.
    pub(super) generation_change: i64,
}

impl Floors {
    /// Floors above these tokens, the newest that were given out.
    pub fn above(analyze: Fence, train: Fence) -> Self {
        let above = |token: Fence| Fence(token.0.saturating_add(1));
        Self { analyze: above(analyze), train: above(train), generation_change: 0 }
    }
}

/// How many rows a purge deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PurgedRows {
    /// Images, removed ones as well.
    pub images: u64,
    /// What the models saw.
    pub analyses: u64,
    /// Faces.
    pub faces: u64,
    /// The owner's corrections.
    pub corrections: u64,
    /// Persons.
    pub persons: u64,
    /// The owner's words on faces.
    pub constraints: u64,
    /// Generations.
    pub generations: u64,
    /// Exports.
    pub exports: u64,
    /// Events, told or not.
    pub events: u64,
}

impl Catalog {
    /// Closes the library to everybody and gives the number of its images, removed ones as well.
    /// `None`: there is no such library. Again after a purge that died.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn begin_purge(&self, id: &LibraryId) -> Result<Option<u64>> {
        let change = self.begin().await?;
        // As `locked` does it: whoever numbers something in this library comes before or after.
        let row = libraries::Entity::find_by_id(id.as_str())
            .lock(LockType::NoKeyUpdate)
            .one(&change)
            .await?;
        let Some(row) = row else { return Ok(None) };
        if !row.purging {
            libraries::Entity::update_many()
                .col_expr(libraries::Column::Purging, Expr::value(true))
                .filter(libraries::Column::Library.eq(id.as_str()))
                .exec(&change)
                .await?;
        }
        let images = images::Entity::find().filter(images::Column::Library.eq(id.as_str()));
        let images = images.count(&change).await?;
        change.commit().await?;
        Ok(Some(images))
    }

    /// The libraries whose purge has begun and not ended.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn half_purged(&self) -> Result<Vec<LibraryId>> {
        let rows = libraries::Entity::find()
            .filter(libraries::Column::Purging.eq(true))
            .order_by_asc(libraries::Column::Library)
            .all(&self.read)
            .await?;
        let name = |row: libraries::Model| {
            let table = "libraries";
            super::columns::Row { table, library: &row.library, key: "" }.name(row.library.clone())
        };
        rows.into_iter().map(name).collect()
    }

    /// Deletes every row of a library whose purge has begun, but its own. `deleted` hears how many
    /// images are gone.
    ///
    /// # Errors
    /// A failure of the database; what was deleted until then stays deleted.
    pub async fn purge_rows(
        &self,
        id: &LibraryId,
        mut deleted: impl FnMut(u64),
    ) -> Result<PurgedRows> {
        let mut all = PurgedRows::default();
        loop {
            let began = Instant::now();
            let change = self.begin().await?;
            let page = image_page(&change, id, &mut all).await?;
            change.commit().await?;
            if page == 0 {
                break;
            }
            deleted(all.images);
            give_way(began).await;
        }
        all.persons = self.delete_all::<persons::Entity>(id).await?;
        all.constraints = self.delete_all::<person_constraints::Entity>(id).await?;
        all.generations = self.delete_all::<generations::Entity>(id).await?;
        all.exports = self.delete_all::<exports::Entity>(id).await?;
        all.events = self.delete_events(id).await?;
        Ok(all)
    }

    /// Deletes the library's own row: the purge is over and its name is free. Libraries that are
    /// added from now on begin above `floors`. Says whether there was a row.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn end_purge(&self, id: &LibraryId, floors: Floors) -> Result<bool> {
        let change = self.begin().await?;
        // First the floors: whoever adds a library waits here, and not at the row of its name.
        let before = self::floors(&change).await?;
        let row = libraries::Entity::find_by_id(id.as_str()).one(&change).await?;
        let Some(row) = row.filter(|row| row.purging) else { return Ok(false) };
        purges::Entity::update_many()
            .col_expr(purges::Column::Fence, Expr::value(before.analyze.max(floors.analyze).0))
            .col_expr(purges::Column::TrainFence, Expr::value(before.train.max(floors.train).0))
            .col_expr(
                purges::Column::GenerationChange,
                Expr::value(before.generation_change.max(row.generation_change)),
            )
            .exec(&change)
            .await?;
        libraries::Entity::delete_by_id(id.as_str()).exec(&change).await?;
        change.commit().await?;
        Ok(true)
    }

    /// Takes what was deleted off the disk as well, as far as this database lets us.
    ///
    /// SQLite overwrites what it deletes (`connect.rs`), yet leaves copies of rows that it moved
    /// from page to page when a tree was balanced; only writing the file anew is rid of those.
    /// Others wait for that some seconds, so a large file is left to a quiet hour. PostgreSQL sees
    /// to its files itself.
    ///
    /// # Errors
    /// A failure of the database, such as a full disk.
    pub async fn forget_deleted(&self) -> Result<Forgotten> {
        if self.write.get_database_backend() != DbBackend::Sqlite {
            return Ok(Forgotten::LeftToServer);
        }
        let bytes =
            self.pragma("page_count").await?.saturating_mul(self.pragma("page_size").await?);
        let is_small = bytes <= VACUUM_BYTES_MAX;
        if is_small {
            // Statements of their own: neither runs within a transaction.
            self.write.execute_unprepared("VACUUM").await?;
        }
        // The log holds what was written before; a reader may hold on to it for a moment.
        for _ in 0..FOLD_TRIES {
            if self.pragma("wal_checkpoint(TRUNCATE)").await? == 0 {
                return Ok(if is_small { Forgotten::Whole } else { Forgotten::TooLarge });
            }
            tokio::time::sleep(FOLD_EVERY).await;
        }
        Ok(Forgotten::LogHeld)
    }

    async fn pragma(&self, what: &str) -> Result<i64> {
        let question = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {what}"));
        let row = self.write.query_one_raw(question).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
    }

    /// Deletes all rows of the library in a table whose rows are few and small, in pages.
    async fn delete_all<E: OfLibrary>(&self, id: &LibraryId) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let began = Instant::now();
            let change = self.begin().await?;
            let page = E::delete_page(&change, id).await?;
            change.commit().await?;
            deleted += page;
            if page < ROWS {
                return Ok(deleted);
            }
            give_way(began).await;
        }
    }

    /// Events have no index by library: they are looked for in one walk that locks nothing.
    async fn delete_events(&self, id: &LibraryId) -> Result<u64> {
        let (mut after, mut deleted) = (0, 0);
        loop {
            let page: Vec<i64> = outbox::Entity::find()
                .select_only()
                .column(outbox::Column::Id)
                .filter(outbox::Column::Library.eq(id.as_str()))
                .filter(outbox::Column::Id.gt(after))
                .order_by_asc(outbox::Column::Id)
                .limit(ROWS)
                .into_tuple()
                .all(&self.read)
                .await?;
            let Some(last) = page.last() else { return Ok(deleted) };
            after = *last;
            let began = Instant::now();
            let change = self.begin().await?;
            let of_page = outbox::Column::Id.is_in(page);
            let gone = outbox::Entity::delete_many().filter(of_page).exec(&change).await?;
            change.commit().await?;
            deleted += gone.rows_affected;
            give_way(began).await;
        }
    }
}

/// What libraries begin with that are added now. The row is locked: a purge that ends comes before
/// or after, in whole.
pub(super) async fn floors(change: &DatabaseTransaction) -> Result<Floors> {
    let row = purges::Entity::find().lock(LockType::NoKeyUpdate).one(change).await?;
    Ok(row.map_or_else(Floors::default, |row| Floors {
        analyze: Fence(row.fence),
        train: Fence(row.train_fence),
        generation_change: row.generation_change,
    }))
}

/// Others get as much time as this page took: on SQLite they look for their turn by themselves,
/// every now and then, and one who writes without a pause would never let them have it.
async fn give_way(began: Instant) {
    tokio::time::sleep(began.elapsed()).await;
}

/// Deletes the next images with everything that hangs on them; gives their number.
async fn image_page(
    change: &DatabaseTransaction,
    id: &LibraryId,
    all: &mut PurgedRows,
) -> Result<u64> {
    // Locked, as whoever stores a result does: it is stored before and deleted here, or refused.
    let page: Vec<String> = images::Entity::find()
        .filter(images::Column::Library.eq(id.as_str()))
        .order_by_asc(images::Column::Image)
        .limit(PAGE)
        .lock(LockType::Update)
        .all(change)
        .await?
        .into_iter()
        .map(|row| row.image)
        .collect();
    if page.is_empty() {
        return Ok(0);
    }
    macro_rules! of_page {
        ($table:ident) => {
            $table::Entity::delete_many()
                .filter($table::Column::Library.eq(id.as_str()))
                .filter($table::Column::Image.is_in(page.iter().map(String::as_str)))
                .exec(change)
                .await?
                .rows_affected
        };
    }
    of_page!(stages);
    of_page!(details);
    all.faces += of_page!(faces);
    all.corrections += of_page!(corrections);
    all.analyses += of_page!(analyses);
    let images = of_page!(images);
    all.images += images;
    Ok(images)
}

/// A table whose rows belong to a library and to nothing else.
trait OfLibrary: EntityTrait {
    /// Deletes up to `ROWS` rows of the library and gives their number.
    async fn delete_page(change: &DatabaseTransaction, id: &LibraryId) -> Result<u64>;
}

macro_rules! of_library {
    ($table:ident, $key:ident) => {
        impl OfLibrary for $table::Entity {
            async fn delete_page(change: &DatabaseTransaction, id: &LibraryId) -> Result<u64> {
                let page = $table::Entity::find()
                    .select_only()
                    .column($table::Column::$key)
                    .filter($table::Column::Library.eq(id.as_str()))
                    .order_by_asc($table::Column::$key)
                    .limit(ROWS)
                    .into_query();
                let gone = $table::Entity::delete_many()
                    .filter($table::Column::Library.eq(id.as_str()))
                    .filter($table::Column::$key.in_subquery(page))
                    .exec(change)
                    .await?;
                Ok(gone.rows_affected)
            }
        }
    };
}

of_library!(persons, Person);
of_library!(person_constraints, ConstraintId);
of_library!(generations, Number);
of_library!(exports, Export);
