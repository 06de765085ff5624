//! Whether a database holds a catalogue with anything in it. Looks only: no schema is made.

use std::str::FromStr;

use sea_orm::DbErr;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions, Connection};

use crate::catalog::inspect::{inspect, sqlite_path};
use crate::catalog::{CatalogError, Result};

/// An image, an export or a generation is what somebody would miss.
const ANYTHING: &str = "SELECT EXISTS (SELECT 1 FROM images) OR EXISTS (SELECT 1 FROM exports) \
                        OR EXISTS (SELECT 1 FROM generations)";

/// Whether the database at `url` holds images, exports or generations. One that is not there holds
/// none.
///
/// # Errors
/// It is away, damaged, no database, made by a newer build, or does not let this user in.
pub async fn holds_anything(url: &str) -> Result<bool> {
    if sqlite_path(url).is_some_and(|path| !path.exists()) {
        return Ok(false);
    }
    if inspect(url).await?.applied.is_empty() {
        return Ok(false);
    }
    let asked = match sqlite_path(url) {
        Some(path) => {
            let options = SqliteConnectOptions::new().filename(&path).read_only(true);
            sqlite(options).await
        }
        None => postgres(url).await,
    };
    asked.map_err(|error| {
        CatalogError::from(DbErr::Query(sea_orm::RuntimeErr::SqlxError(error.into())))
    })
}

async fn sqlite(options: SqliteConnectOptions) -> Result<bool, sqlx::Error> {
    let mut database = options.connect().await?;
    let found = sqlx::query_scalar(ANYTHING).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(found)
}

async fn postgres(url: &str) -> Result<bool, sqlx::Error> {
    let mut database = PgConnectOptions::from_str(url)?.connect().await?;
    let found = sqlx::query_scalar(ANYTHING).fetch_one(&mut database).await?;
    database.close().await?;
    Ok(found)
}
