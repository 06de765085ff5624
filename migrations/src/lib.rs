//! The catalogue's schema, one file per change, in the order in which they were made.
//!
//! What must stay true: a change that has been released is never edited, a later one corrects it;
//! every change runs on SQLite and on PostgreSQL; all of them run inside one transaction (the
//! catalogue opens it), so that a half-made schema is never seen.

mod dialect;
mod m20261122_000001_catalogue;
mod m20261122_000002_watched_folders;
mod m20261122_000003_purges;
mod m20261122_000004_pinned_generations;
mod m20261123_000005_ends_of_trainings;
mod m20261123_000006_owners_word;
mod m20261123_000007_details;
mod m20261123_000008_export_since;
mod m20261123_000009_pauses;

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};

/// Brings a database up to the schema this build expects.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_catalogue::Change),
            Box::new(m20261122_000002_watched_folders::Change),
            Box::new(m20261122_000003_purges::Change),
            Box::new(m20261122_000004_pinned_generations::Change),
            Box::new(m20261123_000005_ends_of_trainings::Change),
            Box::new(m20261123_000006_owners_word::Change),
            Box::new(m20261123_000007_details::Change),
            Box::new(m20261123_000008_export_since::Change),
            Box::new(m20261123_000009_pauses::Change),
        ]
    }
}
