//! Reading a dump: one moment of the catalogue, page by page.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, Value};

use super::DumpRow;
use super::shape::{Table, schema_changes, tables};
use crate::catalog::columns::Row;
use crate::catalog::{Catalog, GenerationState, Result};
use crate::names::{GenerationNumber, LibraryId};

/// The catalogue at one moment. Writers go on meanwhile; on SQLite their log grows until this is
/// dropped.
pub struct Dump {
    moment: DatabaseTransaction,
    tables: Vec<Table>,
}

/// What a dump says of one library's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpedLibrary {
    /// Which one.
    pub library: LibraryId,
    /// What workers serve.
    pub current: Option<GenerationNumber>,
    /// What was published and not necessarily kept.
    pub published: Vec<GenerationNumber>,
    /// Snapshots that are complete and not necessarily kept.
    pub snapshots: Vec<String>,
}

impl Catalog {
    /// Begins a dump of this moment.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn begin_dump(&self) -> Result<Dump> {
        let moment = self.begin_reading().await?;
        // SQLite's moment is that of the first question.
        let backend = moment.get_database_backend();
        let first = "SELECT version FROM seaql_migrations ORDER BY version";
        moment.query_all_raw(Statement::from_string(backend, first)).await?;
        let tables = tables(&moment, schema_changes().len()).await?;
        Ok(Dump { moment, tables })
    }
}

impl Dump {
    /// All tables, each after those that it refers to.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Rows of a table.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn count(&self, table: &Table) -> Result<u64> {
        let question = format!("SELECT count(*) FROM \"{}\"", table.name);
        let row = self.moment.query_one_raw(self.statement(&question, Vec::new())).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(count as u64)
    }

    /// The next `limit` rows by key, after the row `after`. An empty page is the end.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn page(
        &self,
        table: &Table,
        after: Option<&DumpRow>,
        limit: u64,
    ) -> Result<Vec<DumpRow>> {
        let key: Vec<String> =
            table.key.iter().map(|&index| format!("\"{}\"", table.columns[index].name)).collect();
        let key = key.join(", ");
        let (columns, name) = (table.quoted_columns(), &table.name);
        let mut values = Vec::new();
        let mut condition = String::new();
        if let Some(after) = after {
            let marks: Vec<String> = (1..=table.key.len()).map(|mark| format!("${mark}")).collect();
            condition = format!("WHERE ({key}) > ({}) ", marks.join(", "));
            for &index in &table.key {
                values.extend(table.columns[index].kind.write(&after[index]));
            }
        }
        let question =
            format!("SELECT {columns} FROM \"{name}\" {condition}ORDER BY {key} LIMIT {limit}");
        let mut page = Vec::new();
        for row in self.moment.query_all_raw(self.statement(&question, values)).await? {
            let values = table.columns.iter().enumerate();
            let values = values.map(|(index, column)| column.kind.read(&row, index));
            page.push(values.collect::<Result<DumpRow>>()?);
        }
        Ok(page)
    }

    /// The last number that each counting table gave out: a number is never given twice, also where
    /// its row is gone.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn counters(&self) -> Result<BTreeMap<String, i64>> {
        let mut counters = BTreeMap::new();
        if self.moment.get_database_backend() == DbBackend::Sqlite {
            let question = self.statement("SELECT name, seq FROM sqlite_sequence", Vec::new());
            for row in self.moment.query_all_raw(question).await? {
                counters.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            }
            return Ok(counters);
        }
        let question = "SELECT table_name::text, \
             pg_sequence_last_value(pg_get_serial_sequence(quote_ident(table_name), column_name)::regclass) \
             FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES'";
        for row in self.moment.query_all_raw(self.statement(question, Vec::new())).await? {
            let name: String = row.try_get_by_index(0)?;
            let ours = self.tables.iter().any(|table| table.name == name);
            if let Some(last) = row.try_get_by_index::<Option<i64>>(1)?.filter(|_| ours) {
                counters.insert(name, last);
            }
        }
        Ok(counters)
    }

    /// The libraries that stand, with what there may be of them on the volume.
    ///
    /// # Errors
    /// A failure of the database, or a damaged row.
    pub async fn libraries(&self) -> Result<Vec<DumpedLibrary>> {
        let standing = "SELECT library, current_generation FROM libraries WHERE NOT purging \
                        ORDER BY library";
        let mut libraries = Vec::new();
        for row in self.moment.query_all_raw(self.statement(standing, Vec::new())).await? {
            let name: String = row.try_get_by_index(0)?;
            let table = Row { table: "libraries", library: &name, key: "" };
            let current: Option<i64> = row.try_get_by_index(1)?;
            libraries.push(DumpedLibrary {
                library: table.name(name.clone())?,
                current: current.map(GenerationNumber),
                published: self.published(&name).await?,
                snapshots: self.snapshots(&name).await?,
            });
        }
        Ok(libraries)
    }

    async fn published(&self, library: &str) -> Result<Vec<GenerationNumber>> {
        let question =
            "SELECT number FROM generations WHERE library = $1 AND state = $2 ORDER BY number";
        let values = vec![library.into(), GenerationState::Published.as_str().into()];
        let rows = self.moment.query_all_raw(self.statement(question, values)).await?;
        let numbers = rows.iter().map(|row| Ok(GenerationNumber(row.try_get_by_index(0)?)));
        numbers.collect()
    }

    async fn snapshots(&self, library: &str) -> Result<Vec<String>> {
        let question =
            "SELECT export FROM exports WHERE library = $1 AND state = 'done' ORDER BY export";
        let rows =
            self.moment.query_all_raw(self.statement(question, vec![library.into()])).await?;
        rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
    }

    fn statement(&self, sql: &str, values: Vec<Value>) -> Statement {
        Statement::from_sql_and_values(self.moment.get_database_backend(), sql, values)
    }
}
