//! When a training ended, however it did: a generation that was given up has no moment of publication.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261123_000005_ends_of_trainings"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, "ALTER TABLE generations ADD COLUMN ended_at {text}").await?;
        execute(manager, "UPDATE generations SET ended_at = published_at").await
    }
}
