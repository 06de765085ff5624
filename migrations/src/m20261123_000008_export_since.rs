//! Exports of what changed since a moment: a library does not learn from such a part by itself.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261123_000008_export_since"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, "ALTER TABLE exports ADD COLUMN since {text}").await
    }
}
