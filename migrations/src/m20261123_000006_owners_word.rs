//! When the owner said something of an image or removed it, and since when a whole library is analyzed
//! again by force.
//!
//! `images.owner_removed_at` outlives an upload that brings the image back: a removal that is told
//! twice must not take it away again.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261123_000006_owners_word"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [
            "ALTER TABLE corrections ADD COLUMN said_at {text}",
            "ALTER TABLE images ADD COLUMN owner_removed_at {text}",
            // What a watched folder asks for at each new file; most libraries have none.
            "CREATE INDEX images_removed_by_owner ON images (library, path) \
             WHERE owner_removed_at IS NOT NULL",
            "ALTER TABLE libraries ADD COLUMN forced_since {text}",
        ] {
            execute(manager, statement).await?;
        }
        Ok(())
    }
}
