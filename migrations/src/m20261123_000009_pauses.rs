//! Until when backfill and training are paused.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261123_000009_pauses"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No row where nothing is paused.
        execute(
            manager,
            "CREATE TABLE pauses (
                only_row {small} NOT NULL PRIMARY KEY CHECK (only_row = 1),
                since {text} NOT NULL,
                until {text} NOT NULL
            )",
        )
        .await
    }
}
