//! Addresses that cannot work, rows that do not read.

use super::*;

#[tokio::test]
async fn opening_again_finds_everything() {
    let story = story().await;
    story.upload("7", "a").await;
    story.catalog.ready().await.unwrap();
    let again = Catalog::open(&story.url, Clock::system()).await.unwrap();
    assert!(again.image(&story.library, &image("7")).await.unwrap().is_some());
    story.catalog.close().await.unwrap();
    assert!(story.catalog.ready().await.is_err());
}

#[tokio::test]
async fn a_password_never_shows() {
    for url in ["postgres://eye:s3cret@%2Fno%2Fsuch%2Fsocket/eye", "mysql://eye:s3cret@db/eye"] {
        let error = Catalog::open(url, Clock::system()).await.unwrap_err();
        let message = error.to_string();
        assert!(!message.contains("s3cret") && message.contains("eye:***@"), "{message}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let story = story().await;
    let file = story.folder.path().join("notes.sqlite");
    std::fs::write(
        &file,
        "these are my notes, not a database, and they are long enough".repeat(99),
    )
    .unwrap();
    let url = format!("sqlite://{}", file.display());
    let error = Catalog::open(&url, Clock::system()).await.unwrap_err();
    assert!(error.to_string().contains("notes.sqlite"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_the_reason() {
    let story = story().await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999_future', 0)";
    story.catalog.write.execute_unprepared(newer).await.unwrap();
    let error = Catalog::open(&story.url, Clock::system()).await.unwrap_err();
    assert!(matches!(error, CatalogError::Migration { .. }), "{error}");
    assert!(error.to_string().contains("m2999_future"), "{error}");
}

#[tokio::test]
async fn a_damaged_row_is_named() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("x")).await, Stored::Stored);
    let damage = "UPDATE analyses SET tags = '[{'";
    story.catalog.write.execute_unprepared(damage).await.unwrap();
    let error = story.catalog.image(&story.library, &image("7")).await.unwrap_err();
    assert!(error.to_string().contains("row main/7 of table analyses"), "{error}");
    assert_eq!(error.fate(), crate::fate::Fate::Permanent);
}

#[tokio::test]
async fn a_reader_cannot_write_on_sqlite() {
    let story = story().await;
    if story.is_sqlite() {
        let write = "UPDATE libraries SET root = '/'";
        assert!(story.catalog.read.execute_unprepared(write).await.is_err());
    }
}

#[tokio::test]
async fn a_write_that_is_dropped_leaves_nothing() {
    let story = story().await;
    story.upload("7", "a").await;
    for _ in 0..20 {
        let new = analysis("x");
        let write = story.store("7", 1, 1, &new);
        // Cancelled at some await within the transaction, or before it.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(300), write).await;
    }
    assert_eq!(story.store("7", 1, 2, &analysis("y")).await, Stored::Stored);
    let record = story.record("7").await;
    assert_eq!(record.analysis.unwrap().description.as_deref(), Some("y"));
}
