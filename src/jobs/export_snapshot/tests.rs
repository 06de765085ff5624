//! Exports that fail, and what is counted.

use super::*;
use crate::snapshot;

#[test]
fn the_payload_is_as_agreed() {
    let text = r#"{"library":"main","limit":1000,"request":"r1"}"#;
    let job: ExportSnapshot = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&job).unwrap(), text);
    let all: ExportSnapshot = serde_json::from_str(r#"{"library":"main","request":"r1"}"#).unwrap();
    assert_eq!((all.limit, all.since), (None, None));
    let text = r#"{"library":"main","limit":null,"since":"2026-11-22T13:15:00Z","request":"r1"}"#;
    let since: ExportSnapshot = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&since).unwrap(), text);
}

fn export_of_all(library: &LibraryId) -> ExportSnapshot {
    ExportSnapshot { library: library.clone(), limit: None, since: None, request: "r".into() }
}

#[tokio::test]
async fn a_try_that_failed_before_it_began_is_recorded_once() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", data.path().join("catalog.sqlite").display());
    let library = LibraryId::main();
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    catalog.ensure_library(&library, data.path()).await.unwrap();
    let deps = ExportDeps {
        catalog: catalog.clone(),
        clock: Clock::system(),
        data: data.path().to_owned(),
        space: SpaceId::new("00112233aabbccdd").unwrap(),
        dim: 4,
        train: None,
        train_limit: None,
        skipped_max_share: 0.2,
    };
    let job = export_of_all(&library);
    let attempt = |fence| Attempt {
        fence: Fence(fence),
        failed_before: 2,
        request: "r".into(),
        traceparent: None,
    };
    for reason in ["read-only", "again"] {
        job.give_up(&deps, &attempt(7), reason).await.unwrap();
    }
    let exports = catalog.exports(&library, 9).await.unwrap();
    assert_eq!(exports.len(), 1, "{exports:?}");
    assert_eq!(exports[0].state, crate::catalog::ExportState::Failed);
    assert_eq!(exports[0].fence, Fence(7));
    let error = job.give_up(&deps, &attempt(6), "older").await.unwrap_err();
    assert_eq!(error.fate, Fate::Superseded, "{error}");
}

/// Four analyzed images and one that waits.
async fn library_of_four(data: &std::path::Path) -> Catalog {
    use crate::catalog::{NewAnalysis, Outcome, Upload};
    use crate::names::{ImageId, RelativePath, Revision};
    let url = format!("sqlite://{}", data.join("catalog.sqlite").display());
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let library = LibraryId::main();
    catalog.ensure_library(&library, data).await.unwrap();
    for id in ["a", "b", "c", "d", "waits"] {
        let image = ImageId::new(id).unwrap();
        let upload = Upload {
            image: image.clone(),
            path: RelativePath::new(id).unwrap(),
            bytes: None,
            content_hash: None,
            stamp: None,
            source: "test".to_owned(),
        };
        catalog.record_uploads(&library, &[upload]).await.unwrap();
        if id == "waits" {
            continue;
        }
        let new = NewAnalysis {
            width: 1,
            height: 1,
            content_hash: None,
            space: SpaceId::new("00112233aabbccdd").unwrap(),
            embedding: vec![1.0, 0.0, 0.0, 0.0],
            pack: "p@1".to_owned(),
            tags: Vec::new(),
            categories: Vec::new(),
            description: None,
            detailed_description: None,
            enriched: None,
            faces: None,
            outcomes: vec![Outcome::done(Stage::Embed)],
            event: None,
        };
        let stored = catalog.store_analysis(&library, &image, Revision(1), Fence(1), &new).await;
        assert_eq!(stored.unwrap(), Stored::Stored);
    }
    catalog
}

#[tokio::test]
async fn more_damage_than_the_share_fails_the_export_and_less_is_counted() {
    use sea_orm::ConnectionTrait;
    let data = tempfile::tempdir().unwrap();
    let catalog = library_of_four(data.path()).await;
    let url = format!("sqlite://{}", data.path().join("catalog.sqlite").display());
    let damage = sea_orm::Database::connect(url).await.unwrap();
    damage.execute_unprepared("DELETE FROM analyses WHERE image = 'c'").await.unwrap();
    damage.close().await.unwrap();
    let library = LibraryId::main();
    let deps = |skipped_max_share| ExportDeps {
        catalog: catalog.clone(),
        clock: Clock::system(),
        data: data.path().to_owned(),
        space: SpaceId::new("00112233aabbccdd").unwrap(),
        dim: 4,
        train: None,
        train_limit: None,
        skipped_max_share,
    };
    let attempt = |fence| Attempt {
        fence: Fence(fence),
        failed_before: 0,
        request: "r".into(),
        traceparent: None,
    };
    let job = export_of_all(&library);
    let error = job.run(&deps(0.2), &attempt(7)).await.unwrap_err();
    assert_eq!(error.fate, Fate::Permanent);
    for words in ["1 of 4 images (25 %)", "1 its analysis is missing", "eyefleet doctor"] {
        assert!(error.message.contains(words), "{error}");
    }
    let folder = volume::library_dir(data.path(), &library);
    assert_eq!(snapshot::list(&folder).unwrap(), [], "half a library was published");
    let failed = catalog.exports(&library, 9).await.unwrap().remove(0);
    assert_eq!(failed.state, crate::catalog::ExportState::Failed);
    assert_eq!(failed.reason, Some(error.message));

    assert_eq!(job.run(&deps(0.25), &attempt(8)).await.unwrap(), Done::Finished);
    let done = catalog.latest_export(&library).await.unwrap().unwrap();
    let counted = [("its analysis is missing", 1), ("not analyzed yet", 1)];
    let counted = counted.map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!((done.images, done.skipped), (3, counted.into()));
}
