//! Purging: closed at once, repeatable after a death, nothing left, nothing late comes in.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;

use super::*;
use crate::names::GenerationNumber;

/// Every table; a new one must be looked at by a purge.
const TABLES: [&str; 12] = [
    "analyses",
    "corrections",
    "details",
    "exports",
    "faces",
    "generations",
    "images",
    "libraries",
    "outbox",
    "person_constraints",
    "persons",
    "stages",
];

fn name(text: &str) -> LibraryId {
    LibraryId::new(text).expect("a valid name")
}

/// A library with something in every table, all of which says `word`.
async fn plant(story: &Story, library: &LibraryId, word: &str, images: usize) {
    let catalog = &story.catalog;
    catalog.ensure_library(library, Path::new(&format!("/photos/{word}"))).await.unwrap();
    let ids: Vec<String> = (0..images).map(|number| format!("{word}-{number:05}")).collect();
    let uploads: Vec<Upload> = ids.iter().map(|id| upload(id, word)).collect();
    for uploads in uploads.chunks(500) {
        catalog.record_uploads(library, uploads).await.unwrap();
    }
    for id in &ids {
        let mut seen = NewAnalysis {
            embedding: vec![0.5; 384],
            faces: Some(vec![face(1.0), face(50.0)]),
            ..analysis(&format!("a {word} on {id}"))
        };
        seen.tags[0].name = word.to_owned();
        let id = image(id);
        let stored = catalog.store_analysis(library, &id, Revision(1), Fence(7), &seen);
        assert_eq!(stored.await.unwrap(), Stored::Stored);
    }
    let detail = Detail { model: word.to_owned(), outcome: Ok(format!("a long {word}")) };
    let first = image(&ids[0]);
    let stored = catalog.store_detail(library, &first, Revision(1), Fence(8), &detail);
    assert_eq!(stored.await.unwrap(), Stored::Stored);
    catalog.set_correction(library, &image(&ids[0]), "description", &json!(word)).await.unwrap();
    let face = |number| FaceRef { image: image(&ids[0]), face: number };
    let said = NewConstraint { kind: ConstraintKind::MustLink, a: face(0), b: face(1) };
    catalog.add_constraint(library, &said).await.unwrap();
    let person = PersonId(word.to_owned());
    let faces = [0, 1].map(|number| FaceAssignment {
        face: face(number),
        cluster: Some(1),
        person: Some(person.clone()),
    });
    let assignment = Assignment { faces: faces.to_vec(), retired: vec![] };
    catalog.apply_assignment(library, &assignment).await.unwrap();
    catalog.set_person(library, &person, Some(word), false).await.unwrap();
    assert_eq!(catalog.begin_export(library, Fence(8), word, None).await.unwrap(), Stored::Stored);
    let number = catalog.begin_training(library, Fence(9), word).await.unwrap().unwrap();
    let report = json!({ "word": word });
    let published =
        catalog.publish_generation(library, Fence(9), number, &space(), 1, &report).await.unwrap();
    assert_eq!(published, Published::Published { change: 1 });
    let event = Event { kind: "generation".into(), payload: json!({ "word": word }) };
    catalog.tell(library, &event).await.unwrap();
}

async fn purge(story: &Story, library: &LibraryId) -> PurgedRows {
    story.catalog.begin_purge(library).await.unwrap().expect("it is known");
    let rows = story.catalog.purge_rows(library, |_| {}).await.unwrap();
    assert!(story.catalog.end_purge(library, Floors::above(Fence(9), Fence(9))).await.unwrap());
    rows
}

/// Rows of each table that belong to `library`.
async fn rows(story: &Story, library: &LibraryId) -> BTreeMap<&'static str, i64> {
    let mut counts = BTreeMap::new();
    for table in TABLES {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE library = '{library}'");
        let backend = story.catalog.read.get_database_backend();
        let row = sea_orm::Statement::from_string(backend, sql);
        let row = story.catalog.read.query_one_raw(row).await.unwrap().unwrap();
        counts.insert(table, row.try_get_by_index(0).unwrap());
    }
    counts
}

#[tokio::test]
async fn every_row_goes_and_no_other_librarys() {
    let story = story().await;
    let (a, b) = (name("a"), name("a-b"));
    plant(&story, &a, "kept", 3).await;
    plant(&story, &b, "planted", 450).await;
    let before = rows(&story, &a).await;
    assert!(rows(&story, &b).await.values().all(|count| *count > 0), "a table is not tried");

    let purged = purge(&story, &b).await;
    assert!(rows(&story, &b).await.values().all(|count| *count == 0));
    assert_eq!(rows(&story, &a).await, before);
    assert_eq!((purged.images, purged.analyses, purged.faces), (450, 450, 900));
    assert_eq!((purged.corrections, purged.persons, purged.constraints), (1, 1, 1));
    assert_eq!((purged.generations, purged.exports, purged.events), (1, 1, 452));
    assert_eq!(story.catalog.begin_purge(&b).await.unwrap(), None);
    assert_eq!(story.catalog.half_purged().await.unwrap(), []);
}

#[tokio::test]
async fn the_list_of_tables_is_whole() {
    let story = story().await;
    let sql = if story.is_sqlite() {
        "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    };
    let statement = sea_orm::Statement::from_string(story.catalog.read.get_database_backend(), sql);
    let rows = story.catalog.read.query_all_raw(statement).await.unwrap();
    let mut names: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    names.sort();
    let mut known: Vec<&str> = TABLES.to_vec();
    // These name no library.
    known.extend(["pauses", "purges", "seaql_migrations"]);
    known.sort_unstable();
    assert_eq!(names, known);
}

#[tokio::test]
async fn a_library_that_is_purged_is_closed_to_everybody_at_once() {
    let story = story().await;
    let (catalog, b) = (&story.catalog, name("b"));
    plant(&story, &b, "planted", 1).await;
    assert_eq!(catalog.begin_purge(&b).await.unwrap(), Some(1));
    // Again, as after a death.
    assert_eq!(catalog.begin_purge(&b).await.unwrap(), Some(1));
    assert_eq!(catalog.half_purged().await.unwrap(), std::slice::from_ref(&b));

    let unknown = |error: CatalogError| matches!(error, CatalogError::UnknownLibrary(_));
    assert_eq!(catalog.library(&b).await.unwrap(), None);
    assert!(catalog.libraries().await.unwrap().iter().all(|library| library.id != b));
    assert!(!catalog.set_watched(&b, true).await.unwrap());
    assert!(unknown(catalog.record_uploads(&b, &[upload("1", "x")]).await.unwrap_err()));
    assert!(unknown(catalog.begin_export(&b, Fence(90), "x", None).await.unwrap_err()));
    assert!(unknown(catalog.begin_training(&b, Fence(90), "x").await.unwrap_err()));
    assert!(unknown(catalog.current_generation(&b).await.unwrap_err()));
    let event = Event { kind: "x".into(), payload: json!({}) };
    assert!(unknown(catalog.tell(&b, &event).await.unwrap_err()));
    let error = catalog.ensure_library(&b, Path::new("/photos/new")).await.unwrap_err();
    assert!(error.to_string().contains("library purge"), "{error}");
}

#[tokio::test]
async fn what_worked_for_a_purged_library_does_not_write_into_the_next_of_its_name() {
    let story = story().await;
    let (catalog, b) = (&story.catalog, name("b"));
    plant(&story, &b, "planted", 1).await;
    purge(&story, &b).await;
    let late = analysis("planted");
    let id = image("planted-00000");
    let store = async |fence| {
        catalog.store_analysis(&b, &id, Revision(1), Fence(fence), &late).await.unwrap()
    };
    assert!(matches!(store(9).await, Stored::Superseded(_)));

    catalog.ensure_library(&b, Path::new("/photos/b")).await.unwrap();
    catalog.record_uploads(&b, &[upload("planted-00000", "new")]).await.unwrap();
    assert!(matches!(store(9).await, Stored::Superseded(_)), "a late result came in");
    assert_eq!(catalog.begin_training(&b, Fence(9), "planted").await.unwrap(), None);
    assert_eq!(rows(&story, &b).await["outbox"], 0);

    // It begins like any other, but for the counter by which workers notice a change.
    assert_eq!(store(10).await, Stored::Stored);
    let number = catalog.begin_training(&b, Fence(10), "new").await.unwrap().unwrap();
    assert_eq!(number, GenerationNumber(1));
    let report = json!({});
    let published =
        catalog.publish_generation(&b, Fence(10), number, &space(), 1, &report).await.unwrap();
    assert_eq!(published, Published::Published { change: 2 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_while_a_library_is_purged() {
    let story = story().await;
    let (a, b) = (name("a"), name("b"));
    plant(&story, &b, "planted", 2000).await;
    story.catalog.ensure_library(&a, Path::new("/photos/a")).await.unwrap();
    let other = Catalog::open(&story.url, story.clock.clone()).await.unwrap();
    let purging = purge(&story, &b);
    let writing = async {
        let mut written = 0;
        while other.half_purged().await.unwrap().is_empty() && written == 0 {
            tokio::task::yield_now().await;
        }
        while !other.half_purged().await.unwrap().is_empty() {
            let upload = upload(&format!("{written}"), "x");
            other.record_uploads(&a, &[upload]).await.unwrap();
            written += 1;
        }
        written
    };
    let (purged, written) = tokio::join!(purging, writing);
    assert_eq!(purged.images, 2000);
    assert!(written > 1, "nobody else had a turn");
}

#[tokio::test]
async fn no_byte_of_it_stays_in_the_file() {
    let story = story().await;
    if !story.is_sqlite() {
        return;
    }
    let (a, b) = (name("a"), name("b"));
    plant(&story, &a, "kept", 400).await;
    plant(&story, &b, "planted-secret", 1500).await;
    // Replaced rows as well: what they held before is no part of any row any more.
    for number in (0..1500).step_by(3) {
        let id = format!("planted-secret-{number:05}");
        let again = analysis(&"planted-secret again ".repeat(number % 7 * 40));
        let stored =
            story.catalog.store_analysis(&b, &image(&id), Revision(1), Fence(20), &again).await;
        assert_eq!(stored.unwrap(), Stored::Stored);
    }
    purge(&story, &b).await;
    assert_eq!(story.catalog.forget_deleted().await.unwrap(), Forgotten::Whole);
    for file in ["catalog.sqlite", "catalog.sqlite-wal"] {
        let bytes = std::fs::read(story.folder.path().join(file)).unwrap();
        let has = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(!has("planted-secret"), "{file} still holds a planted word");
        assert!(file.ends_with("-wal") || has("kept"), "the file was not read");
    }
}
