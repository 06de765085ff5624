//! Opening a database: its address, its pools, its schema.
//!
//! What must stay true: every write transaction on SQLite begins with BEGIN IMMEDIATE. A deferred
//! one would take the write lock at its first write, in the middle, where SQLite cannot wait for
//! it but answers `database is locked`. So `Catalog::begin` opens every transaction, each kind on
//! the one connection that writes it, and reading connections refuse to write.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eyefleet_migrations::Migrator;
use rustix::fs::Access;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, IsolationLevel, RuntimeErr, SqliteTransactionMode, SqlxError, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use super::error::CatalogError;
use crate::config::Secret;
use crate::filesystem;

/// How long a writer waits for its turn: six busy processes never come near it.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// How often a start asks for the lock of the start before it.
const LOCK_POLL: Duration = Duration::from_millis(10);
/// How often a start that is patient asks for a database that is not there yet.
const START_POLL: Duration = Duration::from_millis(500);
/// How long a caller waits for a connection of this process to SQLite.
const POOL_WAIT: Duration = Duration::from_mins(1);
/// How long a caller waits for a connection to PostgreSQL; a running process tries a refused one again
/// meanwhile.
const POSTGRES_WAIT: Duration = Duration::from_secs(10);
/// Readers of one process at the same time.
const READERS_MAX: u32 = 4;
/// Connections of one process to PostgreSQL.
const POSTGRES_CONNECTIONS_MAX: u32 = 8;
/// The key of PostgreSQL's advisory lock under which the schema changes: "eyefleet" in bytes.
pub(super) const MIGRATION_LOCK: i64 = 0x6579_6566_6c65_6574;

/// The ways into one database.
pub struct Pools {
    /// For reading only.
    pub read: DatabaseConnection,
    /// For what must not be lost: once committed, it survives a power cut.
    pub write: DatabaseConnection,
    /// For results that can be made again: committed, they survive the death of every process.
    pub results: DatabaseConnection,
}

/// Opens the database at `url` and brings its schema up to date. One that is away, as while a fleet
/// and its database start together, is waited for up to `patience`; what no wait can mend is told at
/// once.
pub async fn open(url: &str, patience: Duration) -> Result<Pools, CatalogError> {
    let deadline = Instant::now() + patience;
    let mut waiting = false;
    loop {
        let error = match open_once(url).await {
            Ok(pools) => return Ok(pools),
            Err(error) => error,
        };
        if !error.may_pass_by_itself() || Instant::now() >= deadline {
            return Err(error);
        }
        if !waiting {
            tracing::warn!(%error, up_to_seconds = patience.as_secs(), "waiting for the database");
            waiting = true;
        }
        tokio::time::sleep(START_POLL).await;
    }
}

/// Opens the database at `url` for reading alone, as it is.
pub async fn open_to_look(url: &str) -> Result<Pools, CatalogError> {
    let read = match Address::parse(url)? {
        Address::Sqlite(path) => {
            let name = format!("sqlite://{}", path.display());
            let mut options = ConnectOptions::new("sqlite:catalogue");
            let mut journal = path.as_os_str().to_owned();
            journal.push("-wal");
            // Nobody has it open then. A reader would make the journal, and could not remove it.
            let immutable = !Path::new(&journal).exists();
            options
                .max_connections(READERS_MAX)
                .acquire_timeout(POOL_WAIT)
                .sqlx_logging(false)
                .record_stmt_in_spans(false)
                .map_sqlx_sqlite_opts(move |sqlite| {
                    let sqlite = sqlite.filename(&path).read_only(true).immutable(immutable);
                    sqlite.busy_timeout(LOCK_WAIT)
                });
            Database::connect(options).await.map_err(|error| at(&name, error.into()))?
        }
        Address::Postgres(url) => {
            let name = masked(&url);
            knock(&url).await.map_err(|error| at(&name, error))?;
            let mut options = ConnectOptions::new(url);
            options
                .max_connections(2)
                .acquire_timeout(POSTGRES_WAIT)
                .sqlx_logging(false)
                .record_stmt_in_spans(false)
                .set_application_name("eyefleet doctor");
            Database::connect(options).await.map_err(|error| at(&name, error.into()))?
        }
    };
    Ok(Pools { results: read.clone(), write: read.clone(), read })
}

async fn open_once(url: &str) -> Result<Pools, CatalogError> {
    match Address::parse(url)? {
        Address::Sqlite(path) => open_sqlite(&path).await,
        Address::Postgres(url) => open_postgres(&url).await,
    }
}

/// How every write transaction begins. PostgreSQL ignores the mode; there, rows are locked.
pub fn write_options() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// How a transaction begins that is to see one moment throughout. SQLite's do so by themselves;
/// PostgreSQL's default sees each statement's own.
pub fn read_options(backend: DbBackend) -> TransactionOptions {
    let isolation_level =
        (backend == DbBackend::Postgres).then_some(IsolationLevel::RepeatableRead);
    TransactionOptions { isolation_level, ..TransactionOptions::default() }
}

#[derive(Debug, PartialEq)]
enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Address {
    fn parse(url: &str) -> Result<Self, CatalogError> {
        let refuse = |why: &str| CatalogError::Url { url: masked(url), why: why.to_owned() };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        let Some(path) = url.strip_prefix("sqlite://") else {
            return Err(refuse(
                "use sqlite:///absolute/path/catalog.sqlite or postgres://user:password@host/name",
            ));
        };
        if path.is_empty() || path.starts_with(':') {
            return Err(refuse("name a file: sqlite:///absolute/path/catalog.sqlite"));
        }
        let path = PathBuf::from(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(refuse("the folder of the file does not exist; create it first"));
        }
        Ok(Self::Sqlite(path))
    }
}

/// `url` with its password replaced, for messages and logs.
pub fn masked(url: &str) -> String {
    Secret::new(url).masked()
}

async fn open_sqlite(path: &Path) -> Result<Pools, CatalogError> {
    let name = format!("sqlite://{}", path.display());
    refuse_network(path, &name).await?;
    refuse_read_only(path, &name)?;
    // Held until the schema is up to date. Changing to WAL is the one step in which SQLite does
    // not wait for others, so two first starts at once need a lock outside the database.
    let _lock = StartLock::take(path).await?;
    let write = connect_sqlite(path, Side::Write).await.map_err(|error| at(&name, error))?;
    migrate(&write, &name).await?;
    let results = connect_sqlite(path, Side::Results).await.map_err(|error| at(&name, error))?;
    let read = connect_sqlite(path, Side::Read).await.map_err(|error| at(&name, error))?;
    Ok(Pools { read, write, results })
}

/// A database that another machine may open as well is refused before anything is written: WAL
/// keeps its index in shared memory, which ends at this machine.
async fn refuse_network(path: &Path, name: &str) -> Result<(), CatalogError> {
    let file = path.to_owned();
    // A network's file system may take long to answer.
    let found = tokio::task::spawn_blocking(move || filesystem::of(&file)).await;
    match found {
        Ok(Ok(below)) if below.network => Err(CatalogError::NetworkFilesystem {
            database: format!("{name} "),
            kind: below.kind,
            mounted_at: below.mounted_at.display().to_string(),
        }),
        Ok(Ok(_)) => Ok(()),
        // A system that does not say, without /proc for one, must not keep anybody out.
        unknown => {
            tracing::debug!(?unknown, database = name, "the kind of its file system is not told");
            Ok(())
        }
    }
}

/// SQLite opens a file that it may not write for reading, even for BEGIN IMMEDIATE, and every write
/// after that would fail. The system is asked by name: opening the file to try, and closing it again,
/// would end the locks that this process holds on it (POSIX locks go with any descriptor).
fn refuse_read_only(path: &Path, name: &str) -> Result<(), CatalogError> {
    if !path.exists() {
        return Ok(());
    }
    rustix::fs::access(path, Access::WRITE_OK).map_err(|error| CatalogError::NotWritable {
        database: format!("{name} "),
        cause: std::io::Error::from(error).to_string(),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Read,
    Write,
    Results,
}

async fn connect_sqlite(path: &Path, side: Side) -> Result<DatabaseConnection, CatalogError> {
    let file = path.to_owned();
    // The file name goes in as a path, not in the URL, where ? and % would mean something.
    let mut options = ConnectOptions::new("sqlite:catalogue");
    options
        .max_connections(if side == Side::Read { READERS_MAX } else { 1 })
        .acquire_timeout(POOL_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire(false)
        .map_sqlx_sqlite_pool_opts(|pool| pool.after_release(|it, _| Box::pin(ended(it))))
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = sqlite.filename(&file).busy_timeout(LOCK_WAIT).foreign_keys(true);
            // What is deleted or replaced is overwritten: a purge is to leave nothing to be found.
            let sqlite = sqlite.pragma("secure_delete", "ON");
            match side {
                // FULL: under NORMAL a power cut takes the last commits with it, and an upload
                // whose payload has already left Laravel's queue would be known to nobody.
                Side::Write => sqlite
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full),
                // NORMAL: a result that a power cut takes leaves its image waiting, fence and event
                // gone with it, and reconciliation has it made again. One fsync less per image.
                Side::Results => sqlite.synchronous(SqliteSynchronous::Normal),
                Side::Read => sqlite.pragma("query_only", "ON"),
            }
        });
    Ok(Database::connect(options).await?)
}

/// Whether the last transaction of a connection came to its end; if not, the pool closes it.
///
/// On a full disk SQLite undoes a transaction by itself. The driver's own ROLLBACK then fails and
/// it counts that transaction as open for ever: every later one would be a savepoint within it,
/// which looks committed and is not.
async fn ended(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // The rollback of a dropped transaction is only queued: the ping is answered after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn open_postgres(url: &str) -> Result<Pools, CatalogError> {
    let name = masked(url);
    knock(url).await.map_err(|error| at(&name, error))?;
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(POSTGRES_CONNECTIONS_MAX)
        .acquire_timeout(POSTGRES_WAIT)
        .test_before_acquire_if_idle_for(Duration::from_secs(30))
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .set_application_name("eyefleet");
    let pool = Database::connect(options).await.map_err(|error| at(&name, error.into()))?;
    migrate(&pool, &name).await?;
    // PostgreSQL lets concurrent commits share one fsync: results need no way of their own.
    Ok(Pools { read: pool.clone(), results: pool.clone(), write: pool })
}

/// One connection outside the pool: the pool would try a refused one again until its time is over, and
/// then say that the time is over instead of who refused.
async fn knock(url: &str) -> Result<(), CatalogError> {
    let failed = |error: SqlxError| DbErr::Conn(RuntimeErr::SqlxError(error.into()));
    let late = |_| CatalogError::Unreachable {
        database: String::new(),
        cause: format!("no answer in {POSTGRES_WAIT:?}"),
    };
    let connected = tokio::time::timeout(POSTGRES_WAIT, PgConnection::connect(url)).await;
    let connection = connected.map_err(late)?.map_err(failed)?;
    Ok(connection.close().await.map_err(failed)?)
}

/// Applies what is missing, all of it in one transaction, one process at a time.
async fn migrate(database: &DatabaseConnection, name: &str) -> Result<(), CatalogError> {
    let change = changed(database, name).await?;
    change.commit().await.map_err(|error| not_migrated(name, error))
}

/// The schema brought up to date in a transaction that nobody else sees yet. One that is dropped,
/// or whose process dies, leaves nothing behind and lets the next one in.
pub(super) async fn changed(
    database: &DatabaseConnection,
    name: &str,
) -> Result<DatabaseTransaction, CatalogError> {
    let failed = |error| not_migrated(name, error);
    let change = database.begin_with_options(write_options()).await.map_err(failed)?;
    if change.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        change.execute_unprepared(&lock).await.map_err(failed)?;
    }
    Migrator::up(&change, None).await.map_err(failed)?;
    Ok(change)
}

fn not_migrated(name: &str, error: DbErr) -> CatalogError {
    match CatalogError::from(error) {
        CatalogError::Query { cause } => {
            CatalogError::Migration { database: name.to_owned(), cause }
        }
        known => at(name, known),
    }
}

/// Adds the database's name to an error that could not know it.
fn at(name: &str, error: CatalogError) -> CatalogError {
    match error {
        CatalogError::Unreachable { cause, .. } => {
            CatalogError::Unreachable { database: format!("{name} "), cause }
        }
        CatalogError::Denied { cause, .. } => {
            CatalogError::Denied { database: format!("{name} "), cause }
        }
        CatalogError::NotWritable { cause, .. } => {
            CatalogError::NotWritable { database: format!("{name} "), cause }
        }
        CatalogError::Damaged { cause, .. } => {
            CatalogError::Damaged { database: format!("{name} "), cause }
        }
        other => other,
    }
}

/// A lock file beside a SQLite database, held while one process opens it. The system releases it
/// when the process ends, however it ends.
pub(super) struct StartLock {
    _file: File,
}

impl StartLock {
    pub(super) async fn take(database: &Path) -> Result<Self, CatalogError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let unusable = |error: std::io::Error| CatalogError::NotWritable {
            database: format!("sqlite://{} ", database.display()),
            cause: format!("{}: {error}", path.display()),
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(unusable)?;
        let polls = async {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                    Err(TryLockError::Error(error)) => return Err(unusable(error)),
                }
            }
        };
        let held = |_| CatalogError::Busy {
            cause: format!("{} is held by another start", path.display()),
        };
        tokio::time::timeout(LOCK_WAIT, polls).await.map_err(held)??;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        for (url, shown) in [
            ("postgres://eye:s3cret@db:5432/eye", "postgres://eye:***@db:5432/eye"),
            ("postgres://eye:p@ss@db/eye", "postgres://eye:***@db/eye"),
            ("postgres://db/eye", "postgres://db/eye"),
            ("sqlite:///tmp/x", "sqlite:///tmp/x"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn an_address_that_cannot_work_says_which_one_does() {
        for bad in ["", "mysql://x", "sqlite://", "sqlite://:memory:", "sqlite:///no/such/x.sqlite"]
        {
            let error = Address::parse(bad).unwrap_err();
            assert!(matches!(error, CatalogError::Url { .. }), "{error}");
        }
        assert_eq!(
            Address::parse("sqlite:///tmp/a?b%20c.sqlite").unwrap(),
            Address::Sqlite("/tmp/a?b%20c.sqlite".into())
        );
    }
}
