//! Watched folders: which libraries are watched, and by what a file on disk is known to be the one
//! that was recorded.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261122_000002_watched_folders"
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

const STATEMENTS: [&str; 5] = [
    "ALTER TABLE libraries ADD COLUMN watched {flag} NOT NULL DEFAULT FALSE",
    // What was mounted there at the last good look, JSON: what is missing of it is not deleted.
    "ALTER TABLE libraries ADD COLUMN mounts {text} NOT NULL DEFAULT '[]'",
    // Size and times of the file as it was recorded: the same stamp needs no second look.
    "ALTER TABLE images ADD COLUMN stamp {text}",
    // A file that moved is looked for among those of its size.
    "CREATE INDEX images_by_bytes ON images (library, bytes) WHERE removed_at IS NULL",
    // What was removed since a moment.
    "CREATE INDEX images_removed ON images (library, removed_at) WHERE removed_at IS NOT NULL",
];
