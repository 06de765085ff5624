//! Loading a dump: all of it in one transaction, or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use eyefleet_migrations::Migrator;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    Statement, TransactionTrait, Value,
};
use sea_orm_migration::MigratorTrait;

use super::DumpRow;
use super::shape::{Table, schema_changes, scratch_tables, tables};
use crate::catalog::connect::{MIGRATION_LOCK, write_options};
use crate::catalog::{CatalogError, Result};

/// Values in one statement: SQLite allows 32,766, PostgreSQL 65,535.
const VALUES_MAX: usize = 30_000;
/// Rows in one statement.
const ROWS_MAX: usize = 250;

/// A database that is being filled. Dropped unfinished, it is as it was before.
pub struct Loading {
    database: DatabaseConnection,
    change: DatabaseTransaction,
    tables: Vec<Table>,
}

impl Loading {
    /// Begins a new SQLite database at `path`, where there must be none, with the schema of the
    /// first `changes` changes.
    ///
    /// # Errors
    /// The file cannot be made, or a failure of the database.
    pub async fn into_sqlite(path: &Path, changes: usize) -> Result<Self> {
        let file = path.to_owned();
        let mut options = ConnectOptions::new("sqlite:restored");
        options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .filename(&file)
                .create_if_missing(true)
                .foreign_keys(true)
                // No second file is left beside it when it is moved.
                .journal_mode(SqliteJournalMode::Delete)
                .synchronous(SqliteSynchronous::Full)
        });
        let database = Database::connect(options).await?;
        let change = database.begin_with_options(write_options()).await?;
        Migrator::up(&change, Some(changes as u32)).await?;
        Self::begin(database, change, changes).await
    }

    /// Empties the catalogue in the PostgreSQL database at `url`, inside the transaction that loads
    /// it, and brings its schema to the first `changes` changes. Tables of others are not touched.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn into_postgres(url: &str, changes: usize) -> Result<Self> {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false).set_application_name("eyefleet restore");
        let database = Database::connect(options).await?;
        let change = database.begin().await?;
        change
            .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            .await?;
        let applied = applied(&change).await?;
        let known = schema_changes();
        let older_or_equal = known[..changes].starts_with(&applied);
        if !older_or_equal {
            // Changes are made forwards only: the tables begin anew.
            drop_tables(&change, &scratch_tables(known.len()).await?).await?;
            change.execute_unprepared("DROP TABLE IF EXISTS seaql_migrations").await?;
        }
        let missing = changes - if older_or_equal { applied.len() } else { 0 };
        Migrator::up(&change, Some(missing as u32)).await?;
        Self::begin(database, change, changes).await
    }

    async fn begin(
        database: DatabaseConnection,
        change: DatabaseTransaction,
        changes: usize,
    ) -> Result<Self> {
        let tables = tables(&change, changes).await?;
        // Some changes leave rows behind.
        for table in tables.iter().rev() {
            change.execute_unprepared(&format!("DELETE FROM \"{}\"", table.name)).await?;
        }
        Ok(Self { database, change, tables })
    }

    /// The tables that it takes, each after those that it refers to.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Adds rows to a table.
    ///
    /// # Errors
    /// `Refused` for rows that do not fit, or a failure of the database.
    pub async fn insert(&self, table: &str, rows: &[DumpRow]) -> Result<()> {
        let table = self.tables.iter().find(|it| it.name == table).ok_or_else(|| {
            CatalogError::refused("a dump", format!("there is no table {table} in its schema"))
        })?;
        let width = table.columns.len();
        for rows in rows.chunks(ROWS_MAX.min(VALUES_MAX / width).max(1)) {
            let mut values = Vec::with_capacity(rows.len() * width);
            let mut tuples = Vec::with_capacity(rows.len());
            for row in rows {
                if row.len() != width {
                    return Err(misfit(table, "it has another number of values than columns"));
                }
                let marks = (1..=width).map(|mark| format!("${}", values.len() + mark));
                tuples.push(format!("({})", marks.collect::<Vec<_>>().join(", ")));
                for (column, value) in table.columns.iter().zip(row) {
                    let value = column.kind.write(value);
                    values.push(value.ok_or_else(|| misfit(table, &column.name))?);
                }
            }
            let sql = format!(
                "INSERT INTO \"{}\" ({}) VALUES {}",
                table.name,
                table.quoted_columns(),
                tuples.join(", ")
            );
            self.change.execute_raw(self.statement(&sql, values)).await?;
        }
        Ok(())
    }

    /// Sets what counts, applies the later changes of the schema and commits. Roots of libraries
    /// beneath the folder `moved.0` lie beneath `moved.1` from now on.
    ///
    /// # Errors
    /// A failure of the database: it is as it was before.
    pub async fn finish(self, counters: &BTreeMap<String, i64>, moved: (&str, &str)) -> Result<()> {
        for (table, last) in counters {
            let table = self.tables.iter().find(|it| it.name == *table).ok_or_else(|| {
                CatalogError::refused("a dump", format!("nothing counts in table {table}"))
            })?;
            self.set_counter(table, *last).await?;
        }
        Migrator::up(&self.change, None).await?;
        let (before, after) = moved;
        if before != after {
            let start = format!("{before}/");
            let length = start.chars().count() as i32;
            let values = vec![
                format!("{after}/").into(),
                (length + 1).into(),
                length.into(),
                start.as_str().into(),
            ];
            let sql = "UPDATE libraries SET root = $1 || substr(root, $2) \
                       WHERE substr(root, 1, $3) = $4";
            self.change.execute_raw(self.statement(sql, values)).await?;
        }
        self.change.commit().await?;
        self.database.close().await?;
        Ok(())
    }

    async fn set_counter(&self, table: &Table, last: i64) -> Result<()> {
        let name = &table.name;
        if self.change.get_database_backend() == DbBackend::Sqlite {
            let values = || vec![name.as_str().into(), last.into()];
            let gone = "DELETE FROM sqlite_sequence WHERE name = $1 AND seq < $2";
            self.change.execute_raw(self.statement(gone, values())).await?;
            let set = "INSERT INTO sqlite_sequence (name, seq) SELECT $1, $2 \
                       WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = $1)";
            self.change.execute_raw(self.statement(set, values())).await?;
            return Ok(());
        }
        let column = &table.columns[table.key[0]].name;
        let sql = "SELECT setval(pg_get_serial_sequence(quote_ident($1), $2), $3)";
        let values = vec![name.as_str().into(), column.as_str().into(), last.into()];
        self.change.query_one_raw(self.statement(sql, values)).await?;
        Ok(())
    }

    fn statement(&self, sql: &str, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.change.get_database_backend(), sql, values)
    }
}

fn misfit(table: &Table, what: &str) -> CatalogError {
    CatalogError::refused("a dump", format!("a row of table {} does not fit: {what}", table.name))
}

async fn applied(change: &DatabaseTransaction) -> Result<Vec<String>> {
    let postgres = |sql: &str| Statement::from_string(DbBackend::Postgres, sql);
    let there = change
        .query_one_raw(postgres("SELECT to_regclass('seaql_migrations') IS NOT NULL"))
        .await?;
    if !there.map_or(Ok(false), |row| row.try_get_by_index(0))? {
        return Ok(Vec::new());
    }
    let rows = change
        .query_all_raw(postgres("SELECT version FROM seaql_migrations ORDER BY version"))
        .await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

async fn drop_tables(change: &DatabaseTransaction, tables: &[Table]) -> Result<()> {
    for table in tables.iter().rev() {
        change.execute_unprepared(&format!("DROP TABLE IF EXISTS \"{}\"", table.name)).await?;
    }
    Ok(())
}
