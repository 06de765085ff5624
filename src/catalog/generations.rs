//! Which generation of learned data is current, and who may say so.
//!
//! What must stay true: a trainer writes only while its fence is the newest that began; numbers
//! are given once and rise; every change of what is current, a rollback as well, raises the
//! library's change counter, so that a worker that polls never mistakes one for another.

use jiff::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::columns::{Row, json_text, plain, signed, unsigned};
use super::entities::generations::{ActiveModel, Column, Entity, Model};
use super::entities::libraries as library_rows;
use super::words::words;
use super::{Catalog, CatalogError, Result, Stored, libraries};
use crate::names::{Fence, GenerationNumber, LibraryId, SpaceId};

words! {
    /// What became of a generation.
    GenerationState {
        /// Its trainer is at work, or died.
        Building = "building",
        /// It was current once or is so now.
        Published = "published",
        /// It was given up, for the reason given.
        Failed = "failed",
    }
}

/// The generation in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// Its number.
    pub number: GenerationNumber,
    /// How often the library's current generation has changed.
    pub change: i64,
}

/// What came of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Published {
    /// It is current, now or by an earlier call of the same trainer.
    Published {
        /// The change counter after it.
        change: i64,
    },
    /// A newer trainer has begun, or the generation was given up; nothing was written.
    Superseded(String),
}

/// A generation as recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its number.
    pub number: GenerationNumber,
    /// What was current when it began.
    pub parent: Option<GenerationNumber>,
    /// The snapshot it learns from.
    pub snapshot: String,
    /// The fence of its trainer.
    pub fence: Fence,
    /// What became of it.
    pub state: GenerationState,
    /// Why it failed.
    pub reason: Option<String>,
    /// The space of its vectors, once published.
    pub space: Option<SpaceId>,
    /// How many images it learned from, once published.
    pub images: Option<u64>,
    /// The training report, once published.
    pub report: Option<serde_json::Value>,
    /// When its trainer began.
    pub created_at: Timestamp,
    /// When it became current first.
    pub published_at: Option<Timestamp>,
    /// When its training ended, however it did.
    pub ended_at: Option<Timestamp>,
    /// Whether its files are kept however old it is.
    pub pinned: bool,
}

impl Catalog {
    /// Gives a trainer the number of the generation it is to build, and closes the door behind
    /// every trainer with an older fence. `None`: a newer one has begun. Asking again with the
    /// same fence and snapshot gives the same number.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn begin_training(
        &self,
        library: &LibraryId,
        fence: Fence,
        snapshot: &str,
    ) -> Result<Option<GenerationNumber>> {
        let change = self.begin().await?;
        let now = self.now_text();
        let row = libraries::locked(&change, library).await?;
        if fence.0 < row.train_fence {
            return Ok(None);
        }
        let of_library = || Entity::find().filter(Column::Library.eq(library.as_str()));
        let begun = of_library()
            .filter(Column::Fence.eq(fence.0))
            .filter(Column::Snapshot.eq(snapshot))
            .filter(Column::State.ne(GenerationState::Failed.as_str()))
            .one(&change)
            .await?;
        if let Some(begun) = begun {
            return Ok(Some(GenerationNumber(begun.number)));
        }
        give_up_older(&change, library, fence, &now).await?;
        let newest = of_library().order_by_desc(Column::Number).one(&change).await?;
        // A number whose training was given up and that nobody has seen is used again, so that a
        // killed trainer leaves no gap.
        let given_up = newest
            .as_ref()
            .filter(|it| it.state == GenerationState::Failed.as_str() && it.snapshot == snapshot);
        let number = match (given_up, &newest) {
            (Some(given_up), _) => given_up.number,
            (None, Some(newest)) => newest.number + 1,
            (None, None) => 1,
        };
        if given_up.is_some() {
            Entity::delete_by_id((library.to_string(), number)).exec(&change).await?;
        }
        Entity::insert(ActiveModel {
            library: Set(library.to_string()),
            number: Set(number),
            parent: Set(row.current_generation),
            snapshot: Set(snapshot.to_owned()),
            fence: Set(fence.0),
            state: Set(GenerationState::Building.as_str().to_owned()),
            created_at: Set(now),
            ..ActiveModel::default()
        })
        .exec_without_returning(&change)
        .await?;
        library_rows::Entity::update_many()
            .col_expr(library_rows::Column::TrainFence, Expr::value(fence.0))
            .filter(library_rows::Column::Library.eq(library.as_str()))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(Some(GenerationNumber(number)))
    }

    /// Makes the generation current, where its trainer is still the newest.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn publish_generation(
        &self,
        library: &LibraryId,
        fence: Fence,
        number: GenerationNumber,
        space: &SpaceId,
        images: u64,
        report: &serde_json::Value,
    ) -> Result<Published> {
        let report = json_text(report)?;
        let change = self.begin().await?;
        let now = self.now_text();
        let row = libraries::locked(&change, library).await?;
        let stands = match standing(&change, &row, library, fence, number).await? {
            Ok(stands) => stands,
            Err(newer) => return Ok(Published::Superseded(newer)),
        };
        if stands.state == GenerationState::Published.as_str() {
            // Said before and the answer was lost; a rollback since then is not undone.
            return Ok(Published::Published { change: row.generation_change });
        }
        Entity::update_many()
            .set(ActiveModel {
                state: Set(GenerationState::Published.as_str().to_owned()),
                space: Set(Some(space.to_string())),
                images: Set(Some(signed(images))),
                report: Set(Some(report)),
                published_at: Set(Some(now.clone())),
                ended_at: Set(Some(now)),
                ..ActiveModel::default()
            })
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Number.eq(number.0))
            .exec(&change)
            .await?;
        let counter = make_current(&change, &row, number).await?;
        change.commit().await?;
        Ok(Published::Published { change: counter })
    }

    /// Records that building the generation failed.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn fail_generation(
        &self,
        library: &LibraryId,
        fence: Fence,
        number: GenerationNumber,
        reason: &str,
    ) -> Result<Stored> {
        let change = self.begin().await?;
        let row = libraries::locked(&change, library).await?;
        let stands = match standing(&change, &row, library, fence, number).await? {
            Ok(stands) => stands,
            Err(newer) => return Ok(Stored::Superseded(newer)),
        };
        if stands.state == GenerationState::Published.as_str() {
            return Ok(Stored::Superseded(format!("generation {number} is published")));
        }
        Entity::update_many()
            .set(failed(reason, self.now_text()))
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Number.eq(number.0))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(Stored::Stored)
    }

    /// The generation in use, where one was published.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn current_generation(&self, library: &LibraryId) -> Result<Option<Current>> {
        let known = self.library(library).await?;
        let known = known.ok_or_else(|| CatalogError::UnknownLibrary(library.clone()))?;
        Ok(known.current)
    }

    /// The newest generations, the newest first.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn generations(&self, library: &LibraryId, limit: u64) -> Result<Vec<Generation>> {
        let rows = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .order_by_desc(Column::Number)
            .limit(limit)
            .all(&self.read)
            .await?;
        rows.iter().map(Generation::read).collect()
    }

    /// Makes a generation that was published before current again: a rollback, which is a change
    /// like any other. Gives what is current after it.
    ///
    /// # Errors
    /// `Refused` where it was never published; `UnknownLibrary`; a failure of the database.
    pub async fn set_current(
        &self,
        library: &LibraryId,
        number: GenerationNumber,
    ) -> Result<Current> {
        let change = self.begin().await?;
        let row = libraries::locked(&change, library).await?;
        let found = Entity::find_by_id((library.to_string(), number.0)).one(&change).await?;
        let published = found.is_some_and(|it| it.state == GenerationState::Published.as_str());
        if !published {
            let what = format!("making generation {number} of library {library} current");
            let why = "it was never published; `eyefleet generations` lists those that were";
            return Err(CatalogError::refused(what, why));
        }
        let counter = make_current(&change, &row, number).await?;
        change.commit().await?;
        Ok(Current { number, change: counter })
    }

    /// Keeps the files of a generation however old it is, or no longer. Answers `false` where it was
    /// never published.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn pin_generation(
        &self,
        library: &LibraryId,
        number: GenerationNumber,
        pinned: bool,
    ) -> Result<bool> {
        let change = self.begin().await?;
        let pinned = Entity::update_many()
            .set(ActiveModel { pinned: Set(pinned), ..ActiveModel::default() })
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Number.eq(number.0))
            .filter(Column::State.eq(GenerationState::Published.as_str()))
            .exec(&change)
            .await?;
        change.commit().await?;
        Ok(pinned.rows_affected > 0)
    }

    /// The generations whose files must stay whatever their age: the current one and the pinned.
    ///
    /// # Errors
    /// `UnknownLibrary`, or a failure of the database.
    pub async fn kept_generations(&self, library: &LibraryId) -> Result<Vec<GenerationNumber>> {
        let current = self.current_generation(library).await?.map(|current| current.number);
        let pinned = Entity::find()
            .filter(Column::Library.eq(library.as_str()))
            .filter(Column::Pinned.eq(true))
            .all(&self.read)
            .await?;
        let pinned = pinned.into_iter().map(|it| GenerationNumber(it.number));
        Ok(pinned.chain(current).collect())
    }
}

/// The trainer's generation, or else what stands against its trainer.
async fn standing(
    change: &DatabaseTransaction,
    row: &library_rows::Model,
    library: &LibraryId,
    fence: Fence,
    number: GenerationNumber,
) -> Result<std::result::Result<Model, String>> {
    if row.train_fence != fence.0 {
        let newest = row.train_fence;
        return Ok(Err(format!("a trainer with token {newest} began after {fence}")));
    }
    let found = Entity::find_by_id((library.to_string(), number.0)).one(change).await?;
    Ok(match found {
        Some(found) if found.fence != fence.0 => {
            Err(format!("generation {number} belongs to token {}, not {fence}", found.fence))
        }
        Some(found) if found.state == GenerationState::Failed.as_str() => {
            Err(format!("generation {number} was given up"))
        }
        Some(found) => Ok(found),
        None => Err(format!("generation {number} is not recorded")),
    })
}

async fn make_current(
    change: &DatabaseTransaction,
    row: &library_rows::Model,
    number: GenerationNumber,
) -> Result<i64> {
    let counter = row.generation_change + 1;
    library_rows::Entity::update_many()
        .col_expr(library_rows::Column::CurrentGeneration, Expr::value(number.0))
        .col_expr(library_rows::Column::GenerationChange, Expr::value(counter))
        .filter(library_rows::Column::Library.eq(row.library.as_str()))
        .exec(change)
        .await?;
    Ok(counter)
}

/// What older trainers left unfinished can never be published any more.
async fn give_up_older(
    change: &DatabaseTransaction,
    library: &LibraryId,
    fence: Fence,
    now: &str,
) -> Result<()> {
    let why = format!("a newer trainer began with token {fence}");
    Entity::update_many()
        .set(failed(&why, now.to_owned()))
        .filter(Column::Library.eq(library.as_str()))
        .filter(Column::State.eq(GenerationState::Building.as_str()))
        .exec(change)
        .await?;
    Ok(())
}

fn failed(reason: &str, now: String) -> ActiveModel {
    ActiveModel {
        state: Set(GenerationState::Failed.as_str().to_owned()),
        reason: Set(Some(plain(reason))),
        ended_at: Set(Some(now)),
        ..ActiveModel::default()
    }
}

impl Generation {
    fn read(model: &Model) -> Result<Self> {
        let key = model.number.to_string();
        let row = Row { table: "generations", library: &model.library, key: &key };
        Ok(Self {
            number: GenerationNumber(model.number),
            parent: model.parent.map(GenerationNumber),
            snapshot: model.snapshot.clone(),
            fence: Fence(model.fence),
            state: row.name(model.state.clone())?,
            reason: model.reason.clone(),
            space: model.space.clone().map(|space| row.name(space)).transpose()?,
            images: model.images.map(unsigned),
            report: model.report.as_deref().map(|report| row.json(report)).transpose()?,
            created_at: row.time(&model.created_at)?,
            published_at: row.time_if(model.published_at.as_deref())?,
            ended_at: row.time_if(model.ended_at.as_deref())?,
            pinned: model.pinned,
        })
    }
}
