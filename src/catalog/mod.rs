//! The catalogue: what must not be lost, and every query over it.
//!
//! Which images exist, the state of each stage, what the models saw, people and the owner's word
//! on them, which generation is current, which events are still to be told. It holds no rules: it
//! answers, and it writes where a writer's revision and fence are not older than what is stored.
//!
//! What must stay true: no query crosses libraries; a result is written in one transaction with
//! the state of its stages and its event; a refused write is an answer, not an error.

mod again;
mod analyses;
mod assignment;
mod columns;
mod connect;
mod constraints;
mod corrections;
mod counts;
mod details;
mod drift;
pub mod dump;
mod entities;
mod error;
mod export_pages;
mod exports;
mod fenced;
mod files;
mod generations;
mod images;
mod inspect;
mod libraries;
mod moves;
mod outbox;
mod owner_removals;
mod pauses;
mod people;
mod purge;
mod seen;
mod stages;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod unlearned;
mod uploads;
mod words;

use std::time::Duration;

use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};

pub use self::again::{DoneImage, Reset, SeenBy};
pub use self::assignment::{Assignment, FaceAssignment, PeopleNow};
pub use self::constraints::{Constraint, ConstraintKind, NewConstraint};
pub use self::corrections::{Corrected, Correction};
pub use self::counts::{FailureReason, StageCounts};
pub use self::details::{Detail, DetailCounts};
pub use self::drift::{Damage, Standing};
pub use self::error::CatalogError;
pub use self::export_pages::{ExportPage, ExportRow, ExportScope};
pub use self::exports::{Export, ExportState};
pub use self::files::KnownFile;
pub use self::generations::{Current, Generation, GenerationState, Published};
pub use self::images::ImageRecord;
pub use self::inspect::{DatabaseKind, Inspected, inspect, sqlite_path};
pub use self::libraries::Library;
pub use self::moves::{Moved, MovedFile};
pub use self::outbox::OutboxEvent;
pub use self::owner_removals::{OwnerRemoval, RemovedFile};
pub use self::pauses::Pause;
pub use self::people::{FaceRef, OwnedFace, Person, PersonId};
pub use self::purge::{Floors, Forgotten, PurgedRows};
pub use self::seen::{Analysis, Enriched, Event, Face, NewAnalysis, NewFace, Tag};
pub use self::stages::{Outcome, Stage, StageRecord, StageState, Stored, WaitingImage};
pub use self::tail::{ImageText, TailCursor, TailRow};
pub use self::unlearned::Unlearned;
pub use self::uploads::{Change, Recorded, Upload};

use crate::clock::Clock;

/// What the catalogue's calls return.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// Rows written or asked for in one statement. Both databases allow more parameters than this
/// needs, and a longer statement gains nothing.
const ROWS_MAX: usize = 500;

/// How long `ready` waits for an answer.
const READY_WAIT: Duration = Duration::from_secs(2);

/// The catalogue, open. Clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    read: DatabaseConnection,
    write: DatabaseConnection,
    results: DatabaseConnection,
    clock: Clock,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the catalogue at `url`, `sqlite:///path/catalog.sqlite` (made when absent) or
    /// `postgres://user:password@host/name`, and brings its schema up to date. Any number of
    /// processes may do so at once.
    ///
    /// # Errors
    /// `Url` for an address that cannot work, `NetworkFilesystem`, `NotWritable`, `Denied`,
    /// `Unreachable`, and `Migration` where the schema is newer than this build.
    pub async fn open(url: &str, clock: Clock) -> Result<Self> {
        Self::open_within(url, clock, Duration::ZERO).await
    }

    /// The same, and a database that is not there yet is waited for up to `patience`.
    ///
    /// # Errors
    /// As `open`; a wrong password, a wrong address or a newer schema are told at once.
    pub async fn open_within(url: &str, clock: Clock, patience: Duration) -> Result<Self> {
        let connect::Pools { read, write, results } = connect::open(url, patience).await?;
        Ok(Self { read, write, results, clock })
    }

    /// Opens the catalogue at `url` to read what is there: nothing is made, changed or left behind.
    /// Its schema must be this build's (see [`inspect`]).
    ///
    /// # Errors
    /// As `open`, where it is not there or does not let this user in.
    pub async fn open_to_look(url: &str, clock: Clock) -> Result<Self> {
        let connect::Pools { read, write, results } = connect::open_to_look(url).await?;
        Ok(Self { read, write, results, clock })
    }

    /// `url` with its password masked, for messages.
    pub fn masked_url(url: &str) -> String {
        connect::masked(url)
    }

    /// Asks the database whether it answers, for at most two seconds.
    ///
    /// # Errors
    /// `Unreachable` or `Busy`.
    pub async fn ready(&self) -> Result<()> {
        let late = |_| CatalogError::Busy { cause: format!("no answer in {READY_WAIT:?}") };
        tokio::time::timeout(READY_WAIT, self.read.ping()).await.map_err(late)??;
        Ok(())
    }

    /// Closes every connection; on SQLite the last process to do so folds the log into the file.
    ///
    /// # Errors
    /// `Query` where a connection does not close.
    pub async fn close(&self) -> Result<()> {
        self.read.close_by_ref().await?;
        self.results.close_by_ref().await?;
        self.write.close_by_ref().await?;
        Ok(())
    }

    /// Begins a transaction for what must not be lost. Dropping it without a commit undoes it.
    async fn begin(&self) -> Result<DatabaseTransaction> {
        Ok(self.write.begin_with_options(connect::write_options()).await?)
    }

    /// The same for results, which reconciliation has made again if a power cut takes them.
    async fn begin_result(&self) -> Result<DatabaseTransaction> {
        Ok(self.results.begin_with_options(connect::write_options()).await?)
    }

    /// Begins a transaction that only reads and sees one moment throughout.
    async fn begin_reading(&self) -> Result<DatabaseTransaction> {
        let options = connect::read_options(self.read.get_database_backend());
        Ok(self.read.begin_with_options(options).await?)
    }

    /// The time now, by the clock that dates this catalogue's rows.
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// The time of a write. Asked once its transaction has begun: on SQLite, where writers come
    /// one after the other, rows then carry their times in the order of their commits.
    fn now_text(&self) -> String {
        columns::time_text(self.clock.now())
    }
}
