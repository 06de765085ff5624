//! Generations that the owner keeps, however old they are.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261122_000004_pinned_generations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, "ALTER TABLE generations ADD COLUMN pinned {flag} NOT NULL DEFAULT FALSE")
            .await
    }
}
