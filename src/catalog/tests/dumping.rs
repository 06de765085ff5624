//! A dump holds every value of every table, and either database takes it.

use std::collections::BTreeMap;

use sea_orm::ConnectionTrait;

use super::*;
use crate::catalog::dump::{Dump, DumpRow, Loading, schema_changes};
use crate::names::GenerationNumber;

type Rows = BTreeMap<String, Vec<DumpRow>>;

/// All rows, read in pages of two. Flags are numbers, as SQLite has them.
async fn rows(dump: &Dump) -> Rows {
    let mut all = Rows::new();
    for table in dump.tables() {
        let mut of_table: Vec<DumpRow> = Vec::new();
        loop {
            let page = dump.page(table, of_table.last(), 2).await.unwrap();
            if page.is_empty() {
                break;
            }
            of_table.extend(page);
        }
        assert_eq!(dump.count(table).await.unwrap(), of_table.len() as u64, "{}", table.name);
        all.insert(table.name.clone(), of_table);
    }
    all
}

fn plain(mut rows: Rows) -> Rows {
    for value in rows.values_mut().flatten().flatten() {
        if let Some(flag) = value.as_bool() {
            *value = json!(i64::from(flag));
        }
    }
    rows
}

/// Something in every table, with what is hard to carry: NULL, bytes, text of any kind, a number
/// that has no short decimal form.
async fn full() -> Story {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    for (fence, id) in (1..).zip(["a", "Ü \"' \u{1f600}", "z"]) {
        story.upload(id, "h").await;
        let said = analysis("a\\b\n\"next\"");
        let seen = NewAnalysis { faces: Some(vec![face(1.0), face(0.1)]), ..said };
        assert_eq!(story.store(id, 1, fence, &seen).await, Stored::Stored);
    }
    story.upload("waits", "h").await;
    catalog.remove_image(library, &image("z")).await.unwrap();
    let words = json!(["a ship"]);
    catalog.set_correction(library, &image("a"), "tags", &words).await.unwrap();
    let number = catalog.begin_training(library, Fence(5), "s").await.unwrap().unwrap();
    let report = json!({"x": 1.5});
    let published =
        catalog.publish_generation(library, Fence(5), number, &space(), 3, &report).await.unwrap();
    assert_eq!(published, Published::Published { change: 1 });
    assert_eq!(catalog.begin_export(library, Fence(9), "e", None).await.unwrap(), Stored::Stored);
    for statement in [
        "UPDATE faces SET score = 0.30000000000000004",
        "INSERT INTO persons (library, person, name, hidden, image_count, created_at) \
         VALUES ('main', 'p1', NULL, TRUE, 2, '2026-11-22T13:15:00.000000Z')",
        "INSERT INTO person_constraints (library, constraint_id, kind, face_a_image, face_a, \
         face_b_image, face_b, created_at) \
         VALUES ('main', 1, 'must_link', 'a', 0, 'z', 1, '2026-11-22T13:15:00.000000Z')",
        "INSERT INTO details (library, image, revision, fence, state, written_by, updated_at) \
         VALUES ('main', 'a', 1, 1, 'failed', 'llava', '2026-11-22T13:15:00.000000Z')",
        "INSERT INTO pauses (only_row, since, until) \
         VALUES (1, '2026-11-22T13:15:00.000000Z', '2026-11-22T14:15:00.000000Z')",
        // The counter goes on above what is gone.
        "DELETE FROM outbox WHERE id = (SELECT max(id) FROM outbox)",
    ] {
        catalog.write.execute_unprepared(statement).await.unwrap();
    }
    story
}

async fn load(loading: Loading, rows: &Rows, counters: &BTreeMap<String, i64>) {
    let names: Vec<String> = loading.tables().iter().map(|table| table.name.clone()).collect();
    for name in names {
        loading.insert(&name, &rows[&name]).await.unwrap();
    }
    loading.finish(counters, ("/photos", "/moved")).await.unwrap();
}

#[tokio::test]
async fn a_dump_comes_back_value_for_value_in_either_database() {
    let story = full().await;
    let dump = story.catalog.begin_dump().await.unwrap();
    // One moment: what comes later is not in it.
    story.upload("later", "h").await;
    let (read, counters) = (rows(&dump).await, dump.counters().await.unwrap());
    let libraries = dump.libraries().await.unwrap();
    assert_eq!(libraries[0].current, Some(GenerationNumber(1)));
    assert_eq!((libraries[0].published.len(), libraries[0].snapshots.len()), (1, 0));
    drop(dump);
    assert!(read.values().all(|rows| !rows.is_empty()), "a table is empty: {read:?}");
    assert_eq!(read["images"].len(), 4);
    assert!(read["faces"].iter().flatten().any(|value| value == "0.30000000000000004"));
    assert!(counters["outbox"] > read["outbox"].len() as i64);

    let file = story.folder.path().join("copy.sqlite");
    let changes = schema_changes().len();
    load(Loading::into_sqlite(&file, changes).await.unwrap(), &read, &counters).await;
    let url = format!("sqlite://{}", file.display());
    let copy = Catalog::open(&url, story.clock.clone()).await.unwrap();
    let dump = copy.begin_dump().await.unwrap();
    assert_eq!(plain(rows(&dump).await), plain(read.clone()));
    assert_eq!(dump.counters().await.unwrap(), counters);
    let again = rows(&dump).await;
    drop(dump);

    // And back, over what is there.
    if !story.is_sqlite() {
        load(Loading::into_postgres(&story.url, changes).await.unwrap(), &again, &counters).await;
        let dump = story.catalog.begin_dump().await.unwrap();
        assert_eq!(rows(&dump).await, read);
        assert_eq!(dump.counters().await.unwrap(), counters);
    }
}

#[tokio::test]
async fn roots_beneath_a_folder_move_with_it_and_others_do_not() {
    let story = story().await;
    for (name, root) in [("a", "/data/originals/a"), ("b", "/database"), ("c", "/ä/data/x")] {
        let library = LibraryId::new(name).unwrap();
        story.catalog.ensure_library(&library, Path::new(root)).await.unwrap();
    }
    let dump = story.catalog.begin_dump().await.unwrap();
    let read = rows(&dump).await;
    drop(dump);
    let file = story.folder.path().join("copy.sqlite");
    let loading = Loading::into_sqlite(&file, schema_changes().len()).await.unwrap();
    for table in ["libraries", "purges"] {
        loading.insert(table, &read[table]).await.unwrap();
    }
    loading.finish(&BTreeMap::new(), ("/data", "/nëw/place")).await.unwrap();
    let copy = Catalog::open(&format!("sqlite://{}", file.display()), story.clock.clone()).await;
    let libraries = copy.unwrap().libraries().await.unwrap();
    let roots: Vec<_> = libraries.iter().map(|it| it.root.display().to_string()).collect();
    assert_eq!(roots, ["/nëw/place/originals/a", "/database", "/ä/data/x", "/photos"]);
}

#[tokio::test]
async fn rows_of_an_older_schema_get_the_later_changes() {
    let story = story().await;
    let old: Vec<DumpRow> = vec![
        serde_json::from_value(json!(["main", "/p", "2026-01-01T00:00:00.000000Z", 3, 4, 5]))
            .unwrap(),
    ];
    let file = story.folder.path().join("old.sqlite");
    let loading = if story.is_sqlite() {
        Loading::into_sqlite(&file, 1).await.unwrap()
    } else {
        // Its schema is newer than the rows: the tables are made anew.
        Loading::into_postgres(&story.url, 1).await.unwrap()
    };
    loading.insert("libraries", &old).await.unwrap();
    loading.finish(&BTreeMap::new(), ("/x", "/x")).await.unwrap();
    let url = if story.is_sqlite() { format!("sqlite://{}", file.display()) } else { story.url };
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let library = catalog.library(&LibraryId::main()).await.unwrap().unwrap();
    assert_eq!(library.current.map(|it| (it.number.0, it.change)), Some((3, 4)));
    // The row that a later change makes is there.
    catalog.ensure_library(&LibraryId::new("b").unwrap(), Path::new("/b")).await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_changed() {
    let story = full().await;
    let file = story.folder.path().join("copy.sqlite");
    let changes = schema_changes().len();
    let begin = async || {
        if story.is_sqlite() {
            let _from_the_turn_before = std::fs::remove_file(&file);
            return Loading::into_sqlite(&file, changes).await.unwrap();
        }
        Loading::into_postgres(&story.url, changes).await.unwrap()
    };
    let row = |text: &str| vec![serde_json::from_str::<DumpRow>(text).unwrap()];
    for (table, bad) in [
        ("nonsense", "[]"),
        ("purges", "[1, 0]"),
        ("purges", "[1, 0, 0, \"x\"]"),
        ("corrections", "[\"main\", \"nobody\", \"tags\", \"[]\", \"now\"]"),
    ] {
        let loading = begin().await;
        assert!(loading.insert(table, &row(bad)).await.is_err(), "{table} took {bad}");
    }
    assert_eq!(story.catalog.counts(&story.library).await.unwrap().images, 3);
}
