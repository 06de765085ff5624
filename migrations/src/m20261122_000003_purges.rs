//! Purges: a library that is being deleted is refused to everybody from the first moment, and what
//! worked for it must not write into one that gets its name later.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261122_000003_purges"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            execute(manager, statement).await?;
        }
        Ok(())
    }
}

const STATEMENTS: [&str; 4] = [
    "ALTER TABLE libraries ADD COLUMN purging {flag} NOT NULL DEFAULT FALSE",
    // Tokens up to this one were given out before a purge: images of this library are none of
    // their business.
    "ALTER TABLE libraries ADD COLUMN fence_floor {integer} NOT NULL DEFAULT 0",
    // What a new library begins with. One row, and no names: who was purged is forgotten.
    "CREATE TABLE purges (
        only_row {small} NOT NULL PRIMARY KEY CHECK (only_row = 1),
        fence {integer} NOT NULL,
        train_fence {integer} NOT NULL,
        generation_change {integer} NOT NULL
    )",
    // Always there, so that it can be locked.
    "INSERT INTO purges (only_row, fence, train_fence, generation_change) VALUES (1, 0, 0, 0)",
];
