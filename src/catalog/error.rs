//! What can go wrong in the catalogue, and what that means for the job that met it.
//!
//! SeaORM's errors are sorted here, once, by what the operator can do about them. No message may
//! carry a password: addresses pass through `connect::masked` before they come here.

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use crate::fate::Fate;
use crate::names::LibraryId;

/// A failure of the catalogue.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The address of the database cannot be used.
    #[error("database address {url:?} cannot be used: {why}")]
    Url {
        /// The address, its password masked.
        url: String,
        /// What is wrong with it, and the form that works.
        why: String,
    },
    /// The database did not answer.
    #[error(
        "the catalogue {database}cannot be reached: {cause}; check that it runs and that its address, user and password are right"
    )]
    Unreachable {
        /// Its masked address followed by a space, or nothing where only one is open.
        database: String,
        /// What the driver said.
        cause: String,
    },
    /// The database answers, and does not let this user in.
    #[error(
        "the catalogue {database}refuses us: {cause}; correct user, password or name of the database in DATABASE_URL (database.url), or give this user its rights"
    )]
    Denied {
        /// Its masked address followed by a space, or nothing where only one is open.
        database: String,
        /// What the server said.
        cause: String,
    },
    /// The file of a SQLite database, or its folder, may not be written.
    #[error(
        "the catalogue {database}cannot be written: {cause}; give its file and its folder to the user that runs eyefleet, on a disk that is not mounted read-only"
    )]
    NotWritable {
        /// Its address followed by a space, or nothing where only one is open.
        database: String,
        /// What the system said.
        cause: String,
    },
    /// A SQLite file on a file system that other machines share.
    #[error(
        "the catalogue {database}lies on a network file system ({kind}, mounted at {mounted_at}), where SQLite loses data: its locks and its shared memory do not reach other machines; name a folder on a disk of this machine (EYEFLEET_DATA, or DATABASE_URL for the file alone), or use PostgreSQL with DATABASE_URL=postgres://user:password@host/name"
    )]
    NetworkFilesystem {
        /// Its address followed by a space.
        database: String,
        /// The kind of the file system, as the kernel names it.
        kind: String,
        /// Where it is mounted.
        mounted_at: String,
    },
    /// No turn came within the time that we wait.
    #[error(
        "the catalogue gave no turn: {cause}; another process holds its lock, or it is away; this is tried again"
    )]
    Busy {
        /// What the driver said.
        cause: String,
    },
    /// The disk under the database is full.
    #[error("the catalogue cannot grow: {cause}; free space on the disk that holds it")]
    Full {
        /// What the driver said.
        cause: String,
    },
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "the catalogue {database}is damaged or no database: {cause}; restore it from a backup or name another file"
    )]
    Damaged {
        /// Its address followed by a space, or nothing where only one is open.
        database: String,
        /// What the driver said.
        cause: String,
    },
    /// A stored row does not read as what it should be.
    #[error(
        "row {key} of table {table} is damaged: {cause}; restore the catalogue from a backup or remove that row"
    )]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What does not read.
        cause: String,
    },
    /// The schema could not be brought up to date.
    #[error(
        "the schema of {database} cannot be brought up to date: {cause}; a database made by a newer eyefleet needs that eyefleet"
    )]
    Migration {
        /// The masked address.
        database: String,
        /// What failed.
        cause: String,
    },
    /// Nobody has recorded this library.
    #[error("library {0} is not known; add photos to it first, for example with `eyefleet add`")]
    UnknownLibrary(LibraryId),
    /// What was asked cannot be done to what is stored.
    #[error("{what} was refused: {why}")]
    Refused {
        /// What was asked, with its input.
        what: String,
        /// Why not, and what to do.
        why: String,
    },
    /// A query failed for a reason that nobody foresaw.
    #[error("the catalogue failed: {cause}")]
    Query {
        /// What the driver said.
        cause: String,
    },
}

impl CatalogError {
    /// What this failure means for a job.
    pub fn fate(&self) -> Fate {
        match self {
            // No photo can help it, and none may be called failed because of it.
            Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::NotWritable { .. }
            | Self::Busy { .. }
            | Self::Full { .. } => Fate::Away,
            Self::Damaged { .. } | Self::Migration { .. } | Self::Query { .. } => Fate::Transient,
            Self::Url { .. }
            | Self::NetworkFilesystem { .. }
            | Self::Corrupt { .. }
            | Self::Refused { .. } => Fate::Permanent,
            // Nobody asks for work in a library that was never there: it was purged since.
            Self::UnknownLibrary(_) => Fate::Superseded,
        }
    }

    /// Whether a database that is still starting may end this by itself: worth a wait at a start.
    pub(super) fn may_pass_by_itself(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    pub(super) fn refused(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), why: why.into() }
    }
}

impl From<DbErr> for CatalogError {
    fn from(error: DbErr) -> Self {
        let cause = error.to_string();
        let driver = match &error {
            DbErr::ConnectionAcquire(_) => {
                return Self::Busy { cause };
            }
            // The first connection: whoever refuses it until we give up is away, not busy.
            DbErr::Conn(RuntimeErr::SqlxError(driver))
                if matches!(driver.as_ref(), SqlxError::PoolTimedOut) =>
            {
                return Self::Unreachable { database: String::new(), cause };
            }
            DbErr::Conn(RuntimeErr::SqlxError(driver))
            | DbErr::Exec(RuntimeErr::SqlxError(driver))
            | DbErr::Query(RuntimeErr::SqlxError(driver)) => driver.as_ref(),
            DbErr::Conn(_) => return Self::Unreachable { database: String::new(), cause },
            _ => return Self::Query { cause },
        };
        sort_driver_error(driver, cause)
    }
}

fn sort_driver_error(driver: &SqlxError, cause: String) -> CatalogError {
    let code = match driver {
        SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::Protocol(_) | SqlxError::PoolClosed => {
            return CatalogError::Unreachable { database: String::new(), cause };
        }
        SqlxError::PoolTimedOut | SqlxError::WorkerCrashed => return CatalogError::Busy { cause },
        SqlxError::Database(database) => database.code().unwrap_or_default(),
        _ => return CatalogError::Query { cause },
    };
    sort_code(code.as_ref(), cause)
}

/// By the code of the database: SQLite's are short numbers, PostgreSQL's always have five characters.
fn sort_code(code: &str, cause: String) -> CatalogError {
    match code {
        // SQLite's BUSY and LOCKED with their extended codes; PostgreSQL's serialization failure,
        // deadlock, lock timeout, out of memory, and a query that took too long or was cancelled.
        "5" | "6" | "261" | "262" | "517" | "773" | "40001" | "40P01" | "55P03" | "53200"
        | "57014" => CatalogError::Busy { cause },
        // SQLITE_FULL, its shared memory that cannot grow; PostgreSQL's disk full.
        "13" | "4874" | "53100" => CatalogError::Full { cause },
        // PostgreSQL: shutting down, ended by an administrator, starting up, too many clients, read-only
        // (a primary that became a standby), its disk does not answer, the connection broke.
        "57P01" | "57P02" | "57P03" | "53300" | "25006" | "58030" => {
            CatalogError::Unreachable { database: String::new(), cause }
        }
        _ if is_lost_connection(code) || is_sqlite_io_error(code) => {
            CatalogError::Unreachable { database: String::new(), cause }
        }
        // PostgreSQL: wrong user or password, no such database, no right to do this.
        "28000" | "28P01" | "3D000" | "42501" => {
            CatalogError::Denied { database: String::new(), cause }
        }
        // SQLITE_CANTOPEN, and READONLY with its extended codes.
        "14" | "8" | "264" | "520" | "776" | "1032" | "1288" | "1544" => {
            CatalogError::NotWritable { database: String::new(), cause }
        }
        "11" | "26" => CatalogError::Damaged { database: String::new(), cause },
        _ => CatalogError::Query { cause },
    }
}

fn is_lost_connection(code: &str) -> bool {
    code.len() == 5 && code.starts_with("08")
}

/// `SQLITE_IOERR` with all its extended codes: the disk under the file does not answer.
fn is_sqlite_io_error(code: &str) -> bool {
    code.len() < 5 && code.parse::<u16>().is_ok_and(|code| code & 0xff == 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_without_the_photo_counts_no_attempt_of_it() {
        let away = [
            "25006", "53200", "58030", "08000", "08006", "57014", "57P01", "53300", "53100", "10",
            "266", "522", "778", "3850", "8714", "4874", "5", "517", "13",
        ];
        for code in away {
            assert_eq!(sort_code(code, "x".into()).fate(), Fate::Away, "{code}");
        }
        // One of them is 10 in its last byte, and none of SQLite's.
        for code in ["22026", "23505", "42P01", "1", "19", "2067", ""] {
            assert_eq!(sort_code(code, "x".into()).fate(), Fate::Transient, "{code}");
        }
    }

    #[test]
    fn every_failure_has_a_fate_and_names_its_next_step() {
        let library = LibraryId::main();
        let cases = [
            (CatalogError::Busy { cause: "x".into() }, Fate::Away, "tried again"),
            (CatalogError::Full { cause: "x".into() }, Fate::Away, "free space"),
            (
                CatalogError::Denied { database: "d ".into(), cause: "x".into() },
                Fate::Away,
                "DATABASE_URL",
            ),
            (
                CatalogError::NotWritable { database: "d ".into(), cause: "x".into() },
                Fate::Away,
                "give its file and its folder",
            ),
            (CatalogError::UnknownLibrary(library), Fate::Superseded, "eyefleet add"),
            (
                CatalogError::Corrupt {
                    table: "analyses",
                    key: "main/7".into(),
                    cause: "y".into(),
                },
                Fate::Permanent,
                "main/7 of table analyses",
            ),
        ];
        for (error, fate, words) in cases {
            assert_eq!(error.fate(), fate);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
