//! Which tables there are, with their columns and keys, and how a value travels.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eyefleet_migrations::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DbBackend, QueryResult, Statement, Value,
};
use sea_orm_migration::MigratorTrait;
use serde_json::Value as Json;

use crate::catalog::{CatalogError, Result};

/// A table of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns in the order in which rows carry them.
    pub(super) columns: Vec<Column>,
    /// Positions of the columns of its primary key.
    pub(super) key: Vec<usize>,
}

/// A column with what it holds in the database at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Small,
    Real,
    Flag,
    Bytes,
}

impl Table {
    /// The names of its columns.
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    pub(super) fn quoted_columns(&self) -> String {
        let names: Vec<String> =
            self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        names.join(", ")
    }
}

/// The names of all changes of the schema that this build knows, in their order.
pub fn schema_changes() -> Vec<String> {
    Migrator::migrations().iter().map(|change| change.name().to_owned()).collect()
}

/// The tables after the first `changes` changes of the schema, each after those it refers to, with
/// the kinds that their columns have in `database`.
pub(super) async fn tables(database: &impl ConnectionTrait, changes: usize) -> Result<Vec<Table>> {
    let mut tables = scratch_tables(changes).await?;
    if database.get_database_backend() == DbBackend::Postgres {
        for table in &mut tables {
            ask_kinds(database, table).await?;
        }
    }
    Ok(tables)
}

/// The same with SQLite's kinds.
pub(super) async fn scratch_tables(changes: usize) -> Result<Vec<Table>> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let scratch = Database::connect(options).await?;
    Migrator::up(&scratch, Some(changes as u32)).await?;
    let all = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
               AND name <> 'seaql_migrations' ORDER BY name";
    let (mut tables, mut parents) = (BTreeMap::new(), BTreeMap::new());
    for row in scratch.query_all_raw(Statement::from_string(DbBackend::Sqlite, all)).await? {
        let name: String = row.try_get_by_index(0)?;
        tables.insert(name.clone(), scratch_table(&scratch, &name).await?);
        let referred = "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)";
        let mut above = BTreeSet::new();
        for row in scratch.query_all_raw(asked(referred, &name)).await? {
            above.insert(row.try_get_by_index::<String>(0)?);
        }
        parents.insert(name, above);
    }
    scratch.close().await?;
    let mut ordered = Vec::new();
    while !tables.is_empty() {
        let free = parents.iter().find(|(_, above)| above.is_empty());
        let Some(name) = free.map(|(name, _)| name.clone()) else {
            return Err(CatalogError::refused("a dump", "tables refer to each other in a circle"));
        };
        parents.remove(&name);
        for above in parents.values_mut() {
            above.remove(&name);
        }
        ordered.extend(tables.remove(&name));
    }
    Ok(ordered)
}

async fn scratch_table(scratch: &impl ConnectionTrait, name: &str) -> Result<Table> {
    let asking = "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid";
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    for row in scratch.query_all_raw(asked(asking, name)).await? {
        let column: String = row.try_get_by_index(0)?;
        let kind: String = row.try_get_by_index(1)?;
        let place: i64 = row.try_get_by_index(2)?;
        if place > 0 {
            key.push((place, columns.len()));
        }
        let kind = match kind.as_str() {
            "TEXT" => Kind::Text,
            "INTEGER" => Kind::Integer,
            "REAL" => Kind::Real,
            "BLOB" => Kind::Bytes,
            _ => return Err(unknown_kind(name, &column, &kind)),
        };
        columns.push(Column { name: column, kind });
    }
    key.sort_unstable();
    let key: Vec<usize> = key.into_iter().map(|(_, index)| index).collect();
    if key.is_empty() {
        return Err(CatalogError::refused("a dump", format!("table {name} has no primary key")));
    }
    Ok(Table { name: name.to_owned(), columns, key })
}

async fn ask_kinds(database: &impl ConnectionTrait, table: &mut Table) -> Result<()> {
    let asking = "SELECT column_name::text, data_type::text FROM information_schema.columns \
                  WHERE table_schema = current_schema() AND table_name = $1";
    let question =
        Statement::from_sql_and_values(DbBackend::Postgres, asking, [table.name.as_str().into()]);
    let mut kinds = BTreeMap::new();
    for row in database.query_all_raw(question).await? {
        kinds.insert(row.try_get_by_index::<String>(0)?, row.try_get_by_index::<String>(1)?);
    }
    for column in &mut table.columns {
        let kind = kinds.get(&column.name).map_or("missing", String::as_str);
        column.kind = match kind {
            "text" => Kind::Text,
            "bigint" => Kind::Integer,
            "integer" => Kind::Small,
            "double precision" => Kind::Real,
            "boolean" => Kind::Flag,
            "bytea" => Kind::Bytes,
            _ => return Err(unknown_kind(&table.name, &column.name, kind)),
        };
    }
    Ok(())
}

fn asked(question: &str, table: &str) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, question, [table.into()])
}

fn unknown_kind(table: &str, column: &str, kind: &str) -> CatalogError {
    CatalogError::refused("a dump", format!("column {column} of table {table} is {kind}"))
}

impl Kind {
    /// The value at `index` of a row, as it travels.
    pub fn read(self, row: &QueryResult, index: usize) -> Result<Json> {
        fn given<T>(value: Option<T>, json: impl Fn(T) -> Json) -> Json {
            value.map_or(Json::Null, json)
        }
        Ok(match self {
            Self::Text => given(row.try_get_by_index::<Option<String>>(index)?, Json::from),
            Self::Integer => given(row.try_get_by_index::<Option<i64>>(index)?, Json::from),
            Self::Small => given(row.try_get_by_index::<Option<i32>>(index)?, Json::from),
            // As text: a number of JSON may come back as its neighbour, and has no infinity.
            Self::Real => {
                given(row.try_get_by_index::<Option<f64>>(index)?, |it| format!("{it:?}").into())
            }
            Self::Flag => given(row.try_get_by_index::<Option<bool>>(index)?, Json::from),
            Self::Bytes => given(row.try_get_by_index::<Option<Vec<u8>>>(index)?, |it| {
                STANDARD.encode(it).into()
            }),
        })
    }

    /// The travelled value for a column of this kind; `None` where it is none. SQLite's flags are
    /// numbers, PostgreSQL's are not: each reads both.
    pub fn write(self, json: &Json) -> Option<Value> {
        if json.is_null() {
            return Some(match self {
                Self::Text => Value::from(None::<String>),
                Self::Integer => Value::from(None::<i64>),
                Self::Small => Value::from(None::<i32>),
                Self::Real => Value::from(None::<f64>),
                Self::Flag => Value::from(None::<bool>),
                Self::Bytes => Value::from(None::<Vec<u8>>),
            });
        }
        let whole = || json.as_i64().or_else(|| json.as_bool().map(i64::from));
        Some(match self {
            Self::Text => json.as_str()?.into(),
            Self::Integer => whole()?.into(),
            Self::Small => i32::try_from(whole()?).ok()?.into(),
            Self::Real => json.as_str()?.parse::<f64>().ok()?.into(),
            Self::Flag => (whole()? != 0).into(),
            Self::Bytes => STANDARD.decode(json.as_str()?).ok()?.into(),
        })
    }
}
