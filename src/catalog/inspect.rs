//! A look at a database that changes nothing: no schema, no file, no lock.
//!
//! `connect` is not used: it brings the schema up to date and makes the file that is missing.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use eyefleet_migrations::Migrator;
use sea_orm::DbErr;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm_migration::MigratorTrait;

use super::connect::masked;
use super::error::CatalogError;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file of this machine.
    Sqlite,
    /// A server.
    Postgres,
}

/// What was seen of a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Which database.
    pub kind: DatabaseKind,
    /// Its version as it says itself.
    pub version: String,
    /// Changes of the schema that are made, in their order; empty for a new database.
    pub applied: Vec<String>,
    /// Why nothing can be written, where that is so.
    pub refuses_writes: Option<String>,
    /// Its time in seconds since 1970, where it has a clock of its own.
    pub seconds: Option<f64>,
}

impl Inspected {
    /// Changes that this build knows and the database has not.
    pub fn missing(&self) -> usize {
        known().iter().filter(|name| !self.applied.contains(name)).count()
    }

    /// Changes that a newer build made.
    pub fn unknown(&self) -> Vec<String> {
        let known = known();
        self.applied.iter().filter(|name| !known.contains(name)).cloned().collect()
    }
}

fn known() -> Vec<String> {
    Migrator::migrations().iter().map(|change| change.name().to_owned()).collect()
}

/// The file that a SQLite address names.
pub fn sqlite_path(url: &str) -> Option<PathBuf> {
    url.strip_prefix("sqlite://").map(PathBuf::from)
}

/// Looks at the database at `url`.
///
/// # Errors
/// It is away, no database, or does not let this user in.
pub async fn inspect(url: &str) -> Result<Inspected, CatalogError> {
    let seen = match sqlite_path(url) {
        Some(path) => inspect_sqlite(&path).await,
        None if ["postgres://", "postgresql://"].iter().any(|known| url.starts_with(known)) => {
            inspect_postgres(url).await
        }
        None => {
            let why = "it is neither a sqlite:// nor a postgres:// address".to_owned();
            return Err(CatalogError::Url { url: masked(url), why });
        }
    };
    seen.map_err(|error| match error {
        sqlx::Error::Database(_) => CatalogError::from(DbErr::Query(driver(error))),
        other => CatalogError::from(DbErr::Conn(driver(other))),
    })
}

fn driver(error: sqlx::Error) -> sea_orm::RuntimeErr {
    sea_orm::RuntimeErr::SqlxError(error.into())
}

async fn inspect_sqlite(path: &Path) -> Result<Inspected, sqlx::Error> {
    let mut options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    if !Path::new(&journal).exists() {
        // Nobody has it open. A reader would make the journal and its index, and could not remove
        // them. Who opens it at this very moment may make this look fail, never the other way.
        options = options.immutable(true);
    }
    let mut database = options.connect().await?;
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut database).await?;
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'",
    )
    .fetch_one(&mut database)
    .await?;
    let mut applied: Vec<String> = Vec::new();
    if tables > 0 {
        applied = sqlx::query_scalar("SELECT version FROM seaql_migrations ORDER BY version")
            .fetch_all(&mut database)
            .await?;
    }
    database.close().await?;
    let kind = DatabaseKind::Sqlite;
    Ok(Inspected { kind, version, applied, refuses_writes: not_writable(path), seconds: None })
}

/// SQLite writes the file and makes others beside it.
fn not_writable(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    for place in [Some(path), folder].into_iter().flatten() {
        if let Err(error) = rustix::fs::access(place, rustix::fs::Access::WRITE_OK) {
            return Some(format!("{} is not writable: {error}", place.display()));
        }
    }
    None
}

async fn inspect_postgres(url: &str) -> Result<Inspected, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.application_name("eyefleet doctor");
    let mut database = options.connect().await?;
    let version: String = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut database)
        .await?;
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('seaql_migrations') IS NOT NULL")
        .fetch_one(&mut database)
        .await?;
    let mut applied: Vec<String> = Vec::new();
    if exists {
        applied = sqlx::query_scalar("SELECT version FROM seaql_migrations ORDER BY version")
            .fetch_all(&mut database)
            .await?;
    }
    let read_only: bool =
        sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'on'")
            .fetch_one(&mut database)
            .await?;
    // The schema's changes make tables; what is made already must take rows.
    let may_write: bool = sqlx::query_scalar(
        "SELECT CASE WHEN to_regclass('images') IS NULL
           THEN coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
           ELSE has_table_privilege(to_regclass('images'), 'INSERT') END",
    )
    .fetch_one(&mut database)
    .await?;
    let seconds: f64 = sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8")
        .fetch_one(&mut database)
        .await?;
    database.close().await?;
    let refuses_writes = if read_only {
        Some("it is a standby or set to read only".to_owned())
    } else if may_write {
        None
    } else {
        Some("this user may not write".to_owned())
    };
    let kind = DatabaseKind::Postgres;
    Ok(Inspected { kind, version, applied, refuses_writes, seconds: Some(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_look_sees_the_schema_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("catalog.sqlite");
        let url = format!("sqlite://{}", file.display());
        assert!(inspect(&url).await.is_err(), "there is no file");
        assert!(!file.exists(), "a look made the file");

        // An empty file is a database without a schema.
        std::fs::write(&file, "").unwrap();
        let seen = inspect(&url).await.unwrap();
        assert_eq!((seen.missing(), seen.applied.len()), (known().len(), 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "a look made a schema");

        let open = Catalog::open(&url, Clock::system()).await.unwrap();
        let seen = inspect(&url).await.unwrap();
        assert_eq!((seen.missing(), seen.unknown()), (0, Vec::new()));
        assert_eq!(seen.refuses_writes, None);
        drop(open);
    }

    #[tokio::test]
    async fn what_is_no_database_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("catalog.sqlite");
        std::fs::write(&file, "this is a letter and no database at all, ".repeat(50)).unwrap();
        let error = inspect(&format!("sqlite://{}", file.display())).await.unwrap_err();
        assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
    }

    #[test]
    fn changes_of_another_build_are_told_apart() {
        let mut seen = Inspected {
            kind: DatabaseKind::Sqlite,
            version: String::new(),
            applied: known(),
            refuses_writes: None,
            seconds: None,
        };
        seen.applied.push("m29990101_000001_later".to_owned());
        assert_eq!(seen.unknown(), ["m29990101_000001_later"]);
        seen.applied.clear();
        assert_eq!(seen.missing(), known().len());
    }
}
