//! Stories of the catalogue, each with a database of its own.
//!
//! SQLite in a temporary folder, or, where `EYEFLEET_TEST_POSTGRES` holds the address of a
//! PostgreSQL server (`postgres://user@host/postgres`), a new database there each (the server
//! must be one that may be thrown away: they stay). The same stories hold on both.

mod details;
mod drift;
mod dumping;
mod exports;
mod fencing;
mod files;
mod generations;
mod migrating;
mod model;
mod opening;
mod owners;
mod people;
mod purging;
mod telling;
mod uploads;
mod writers;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use super::*;
use crate::names::{Fence, ImageId, LibraryId, RelativePath, Revision, SpaceId};

/// A catalogue with library `main` and a clock that stands still, and what must outlive it.
struct Story {
    catalog: Catalog,
    clock: Clock,
    library: LibraryId,
    url: String,
    folder: tempfile::TempDir,
}

async fn story() -> Story {
    let clock = Clock::held_at("2026-11-22T13:15:00.5Z".parse().expect("a time"));
    let folder = tempfile::tempdir().expect("a folder");
    let url = database(folder.path()).await;
    let catalog = Catalog::open(&url, clock.clone()).await.expect("opens");
    let library = LibraryId::main();
    catalog.ensure_library(&library, Path::new("/photos")).await.expect("is recorded");
    Story { catalog, clock, library, url, folder }
}

/// The address of an empty database for one test.
pub(crate) async fn database(folder: &Path) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("EYEFLEET_TEST_POSTGRES") else {
        return format!("sqlite://{}", folder.join("catalog.sqlite").display());
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("eyefleet_test_{}_{count}", std::process::id());
    let admin = Database::connect(&server).await.expect("the test server answers");
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        // A locale that sorts unlike bytes, which must not show anywhere.
        format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"),
    ] {
        admin.execute_unprepared(&statement).await.expect("the test server obeys");
    }
    let (host, _) = server.rsplit_once('/').expect("the address ends in a database");
    format!("{host}/{name}")
}

impl Story {
    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    async fn upload(&self, id: &str, hash: &str) -> Recorded {
        let upload = upload(id, hash);
        let mut recorded =
            self.catalog.record_uploads(&self.library, &[upload]).await.expect("is recorded");
        recorded.remove(0)
    }

    async fn store(&self, id: &str, revision: i64, fence: i64, new: &NewAnalysis) -> Stored {
        self.catalog
            .store_analysis(&self.library, &image(id), Revision(revision), Fence(fence), new)
            .await
            .expect("the catalogue answers")
    }

    async fn record(&self, id: &str) -> ImageRecord {
        self.catalog.image(&self.library, &image(id)).await.expect("reads").expect("is there")
    }
}

fn image(id: &str) -> ImageId {
    ImageId::new(id).expect("a valid id")
}

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).expect("a valid path")
}

fn space() -> SpaceId {
    SpaceId::new("0123456789abcdef").expect("a valid space")
}

fn upload(id: &str, hash: &str) -> Upload {
    Upload {
        image: image(id),
        path: path(&format!("photos/{id}.jpg")),
        bytes: Some(1000),
        content_hash: Some(hash.to_owned()),
        stamp: None,
        source: "test".to_owned(),
    }
}

/// An analysis that says `description`, with every stage settled and an event.
fn analysis(description: &str) -> NewAnalysis {
    NewAnalysis {
        width: 640,
        height: 480,
        content_hash: None,
        space: space(),
        embedding: vec![0.6, 0.8],
        pack: "starter@1.0.0".to_owned(),
        tags: vec![Tag { name: "boat".into(), group: "subject".into(), score: 0.9 }],
        categories: vec!["sea".into()],
        description: Some(description.to_owned()),
        detailed_description: None,
        enriched: None,
        faces: None,
        outcomes: vec![
            Outcome::done(Stage::Embed),
            Outcome::done(Stage::Tag),
            Outcome::done(Stage::Describe),
            Outcome::skipped(Stage::Faces, "the pack has no face model"),
            Outcome::skipped(Stage::Enrich, "nothing was learned yet"),
        ],
        event: Some(Event {
            kind: "image-analyzed".to_owned(),
            payload: json!({"description": description}),
        }),
    }
}

fn face(left: f32) -> NewFace {
    NewFace {
        bbox: [left, 2.0, 30.0, 40.0],
        landmarks: vec![[1.0, 2.0], [3.0, 4.0]],
        score: 0.75,
        space: space(),
        embedding: vec![1.0, 0.0],
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}
