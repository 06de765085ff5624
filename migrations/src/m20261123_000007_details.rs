//! Detailed descriptions, which come later than everything else and from another program: which of
//! them failed, and an index of those that are still to come.
//!
//! They have no row in `stages`: an analysis that has none waits for one, so nothing has to be
//! written when a photo is recorded, and a fleet without that program knows nothing of it.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261123_000007_details"
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

const STATEMENTS: [&str; 2] = [
    "CREATE TABLE details (
        library {text} NOT NULL,
        image {text} NOT NULL,
        revision {integer} NOT NULL,
        fence {integer} NOT NULL,
        state {text} NOT NULL CHECK (state IN ('done', 'failed')),
        reason {text},
        written_by {text} NOT NULL,
        updated_at {text} NOT NULL,
        PRIMARY KEY (library, image),
        FOREIGN KEY (library, image) REFERENCES images (library, image)
    )",
    "CREATE INDEX analyses_without_detail ON analyses (library, image)
        WHERE detailed_description IS NULL",
];
