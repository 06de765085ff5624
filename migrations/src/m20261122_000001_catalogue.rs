//! The first schema: libraries, images and their stages, what the models saw, people, the owner's
//! corrections, generations, exports and the outbox.
//!
//! Every row carries its library and every key begins with it: no query can cross libraries by
//! forgetting a join. Times are RFC 3339 in UTC with exactly six decimals, so that comparing the
//! text compares the time. Lists and objects are JSON text, the same bytes on both databases. A
//! vector stands last in its row: SQLite then reads the other columns without its pages.

use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::dialect::execute;

/// This change; its name is stored in every database that has it.
pub struct Change;

impl MigrationName for Change {
    fn name(&self) -> &'static str {
        "m20261122_000001_catalogue"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Change {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in TABLES.iter().chain(&INDEXES) {
            execute(manager, statement).await?;
        }
        Ok(())
    }
}

const TABLES: [&str; 11] = [
    "CREATE TABLE libraries (
        library {text} NOT NULL PRIMARY KEY,
        root {text} NOT NULL,
        created_at {text} NOT NULL,
        current_generation {integer},
        generation_change {integer} NOT NULL DEFAULT 0,
        train_fence {integer} NOT NULL DEFAULT 0
    )",
    "CREATE TABLE images (
        library {text} NOT NULL REFERENCES libraries (library),
        image {text} NOT NULL,
        path {text} NOT NULL,
        revision {integer} NOT NULL,
        bytes {integer},
        content_hash {text},
        source {text} NOT NULL,
        width {small},
        height {small},
        created_at {text} NOT NULL,
        updated_at {text} NOT NULL,
        removed_at {text},
        PRIMARY KEY (library, image)
    )",
    "CREATE TABLE stages (
        library {text} NOT NULL,
        image {text} NOT NULL,
        stage {text} NOT NULL
            CHECK (stage IN ('embed', 'tag', 'describe', 'faces', 'enrich')),
        state {text} NOT NULL CHECK (state IN ('waiting', 'done', 'skipped', 'failed')),
        reason {text},
        revision {integer} NOT NULL,
        fence {integer} NOT NULL,
        attempts {small} NOT NULL,
        updated_at {text} NOT NULL,
        PRIMARY KEY (library, image, stage),
        FOREIGN KEY (library, image) REFERENCES images (library, image)
    )",
    "CREATE TABLE analyses (
        library {text} NOT NULL,
        image {text} NOT NULL,
        revision {integer} NOT NULL,
        fence {integer} NOT NULL,
        space {text} NOT NULL,
        pack {text} NOT NULL,
        tags {text} NOT NULL,
        categories {text} NOT NULL,
        description {text},
        detailed_description {text},
        generation {integer},
        enriched_description {text},
        enriched_tags {text},
        enriched_categories {text},
        context {text},
        near_duplicates {text},
        stored_at {text} NOT NULL,
        embedding {bytes} NOT NULL,
        PRIMARY KEY (library, image),
        FOREIGN KEY (library, image) REFERENCES images (library, image)
    )",
    "CREATE TABLE faces (
        library {text} NOT NULL,
        image {text} NOT NULL,
        face {small} NOT NULL,
        bbox {text} NOT NULL,
        landmarks {text} NOT NULL,
        score {real} NOT NULL,
        space {text} NOT NULL,
        cluster {integer},
        person {text},
        embedding {bytes} NOT NULL,
        PRIMARY KEY (library, image, face),
        FOREIGN KEY (library, image) REFERENCES images (library, image)
    )",
    "CREATE TABLE persons (
        library {text} NOT NULL REFERENCES libraries (library),
        person {text} NOT NULL,
        name {text},
        hidden {flag} NOT NULL,
        image_count {integer} NOT NULL,
        created_at {text} NOT NULL,
        PRIMARY KEY (library, person)
    )",
    // No reference to faces: a constraint is the owner's word and outlives a new look at a photo.
    "CREATE TABLE person_constraints (
        library {text} NOT NULL REFERENCES libraries (library),
        constraint_id {integer} NOT NULL,
        kind {text} NOT NULL CHECK (kind IN ('must_link', 'cannot_link')),
        face_a_image {text} NOT NULL,
        face_a {small} NOT NULL,
        face_b_image {text} NOT NULL,
        face_b {small} NOT NULL,
        created_at {text} NOT NULL,
        undone_at {text},
        PRIMARY KEY (library, constraint_id)
    )",
    "CREATE TABLE corrections (
        library {text} NOT NULL,
        image {text} NOT NULL,
        field {text} NOT NULL,
        value {text} NOT NULL,
        created_at {text} NOT NULL,
        PRIMARY KEY (library, image, field),
        FOREIGN KEY (library, image) REFERENCES images (library, image)
    )",
    "CREATE TABLE generations (
        library {text} NOT NULL REFERENCES libraries (library),
        number {integer} NOT NULL,
        parent {integer},
        snapshot {text} NOT NULL,
        fence {integer} NOT NULL,
        state {text} NOT NULL CHECK (state IN ('building', 'published', 'failed')),
        reason {text},
        space {text},
        images {integer},
        report {text},
        created_at {text} NOT NULL,
        published_at {text},
        PRIMARY KEY (library, number)
    )",
    "CREATE TABLE exports (
        library {text} NOT NULL REFERENCES libraries (library),
        export {text} NOT NULL,
        images {integer} NOT NULL,
        skipped {text} NOT NULL,
        limit_rows {integer},
        state {text} NOT NULL CHECK (state IN ('running', 'done', 'failed')),
        reason {text},
        fence {integer} NOT NULL,
        started_at {text} NOT NULL,
        finished_at {text},
        PRIMARY KEY (library, export)
    )",
    // The one key without its library: the relay delivers in the order of writing, over all.
    "CREATE TABLE outbox (
        id {counted},
        library {text} NOT NULL,
        image {text},
        kind {text} NOT NULL,
        payload {text} NOT NULL,
        created_at {text} NOT NULL,
        delivered_at {text}
    )",
];

const INDEXES: [&str; 7] = [
    // A path belongs to one living image; a removed one gives it back.
    "CREATE UNIQUE INDEX images_by_path ON images (library, path) WHERE removed_at IS NULL",
    // The newest N images of an export.
    "CREATE INDEX images_by_age ON images (library, created_at, image)",
    // Waiting images in the order of their id; the counts per stage and state.
    "CREATE INDEX stages_by_state ON stages (library, state, image, stage)",
    // The tail that search reads after the index was built.
    "CREATE INDEX analyses_by_time ON analyses (library, stored_at, image)",
    "CREATE INDEX faces_by_person ON faces (library, person)",
    "CREATE INDEX outbox_undelivered ON outbox (id) WHERE delivered_at IS NULL",
    "CREATE INDEX outbox_delivered ON outbox (delivered_at) WHERE delivered_at IS NOT NULL",
];
