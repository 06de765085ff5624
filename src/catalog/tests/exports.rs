//! What an export reads, what search reads, and the history of exports.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn a_thousand_images_come_in_order_page_by_page() {
    let story = story().await;
    // Ids whose order differs between bytes and most locales.
    let ids: Vec<String> = (0..1010)
        .map(|n| format!("{}{}", ["a", "B", "_", "é"][n % 4], (n * 7919) % 1010))
        .collect();
    let uploads: Vec<_> = ids.iter().map(|id| upload(id, "a")).collect();
    story.catalog.record_uploads(&story.library, &uploads).await.unwrap();
    for (fence, id) in (1..).zip(&ids).skip(10) {
        assert_eq!(story.store(id, 1, fence, &analysis(id)).await, Stored::Stored);
    }
    story.catalog.remove_image(&story.library, &image(&ids[500])).await.unwrap();

    let mut read = Vec::new();
    let mut after = None;
    loop {
        let all = ExportScope::default();
        let page = story.catalog.export_page(&story.library, &all, after.as_deref(), 100).await;
        let page = page.unwrap();
        read.extend(page.rows);
        let Some(last) = page.last else { break };
        after = Some(last);
    }
    let mut expected: Vec<_> = ids[10..].iter().filter(|id| **id != ids[500]).collect();
    expected.sort_unstable();
    let order: Vec<_> = read.iter().map(|row| row.image.as_str()).collect();
    assert_eq!(order, expected);
    assert!(read.iter().all(|row| row.analysis.description.as_deref() == Some(row.image.as_str())));
}

#[tokio::test]
async fn a_limit_means_the_newest() {
    let story = story().await;
    for id in ["z", "m", "a", "y", "b"] {
        story.upload(id, "a").await;
        assert_eq!(story.store(id, 1, 1, &analysis(id)).await, Stored::Stored);
        if id != "y" {
            story.clock.advance(SignedDuration::from_secs(1));
        }
    }
    story.upload("waiting", "a").await;
    for (limit, expected) in [
        (0, vec![]),
        (1, vec!["y"]),
        (2, vec!["b", "y"]),
        (3, vec!["a", "b", "y"]),
        (5, vec!["a", "b", "m", "y", "z"]),
        (6, vec!["a", "b", "m", "y", "z"]),
    ] {
        let scope = story.catalog.export_scope(&story.library, Some(limit), None).await.unwrap();
        assert_eq!(scope == ExportScope::default(), limit == 6);
        let page = story.catalog.export_page(&story.library, &scope, None, 10).await;
        let read: Vec<_> =
            page.unwrap().rows.into_iter().map(|row| row.image.to_string()).collect();
        assert_eq!(read, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn since_means_what_was_analyzed_or_corrected_since() {
    let story = story().await;
    let mut times = Vec::new();
    for id in ["a", "b", "c", "d"] {
        story.upload(id, "h").await;
        assert_eq!(story.store(id, 1, 1, &analysis(id)).await, Stored::Stored);
        times.push(story.clock.now());
        story.clock.advance(SignedDuration::from_secs(10));
    }
    let read = async |limit, since| {
        let scope = story.catalog.export_scope(&story.library, limit, Some(since)).await.unwrap();
        let page = story.catalog.export_page(&story.library, &scope, None, 10).await.unwrap();
        page.rows.into_iter().map(|row| row.image.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(read(None, times[2]).await, ["c", "d"]);
    assert_eq!(read(None, story.clock.now()).await, Vec::<String>::new());
    let (library, value) = (&story.library, json!("x"));
    story.catalog.set_correction(library, &image("a"), "description", &value).await.unwrap();
    assert_eq!(read(None, times[2]).await, ["a", "c", "d"]);
    assert_eq!(read(Some(2), times[2]).await, ["c", "d"], "the newest of those that changed");
}

#[tokio::test]
async fn a_damaged_row_costs_itself_and_is_counted() {
    let story = story().await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        story.upload(id, "h").await;
        let seen = NewAnalysis { faces: Some(vec![face(1.0)]), ..analysis(id) };
        assert_eq!(story.store(id, 1, 1, &seen).await, Stored::Stored);
    }
    for statement in [
        "UPDATE analyses SET tags = '[half' WHERE image = 'b'",
        "UPDATE images SET path = '../x' WHERE image = 'c'",
        "UPDATE faces SET bbox = 'x' WHERE image = 'd'",
        "DELETE FROM analyses WHERE image = 'e'",
    ] {
        story.catalog.write.execute_unprepared(statement).await.unwrap();
    }
    let all = ExportScope::default();
    let page = story.catalog.export_page(&story.library, &all, None, 10).await.unwrap();
    let read: Vec<_> = page.rows.iter().map(|row| row.image.as_str()).collect();
    assert_eq!((read, page.last.as_deref()), (vec!["a", "f"], Some("f")));
    let counted =
        [("a row of it is damaged", 2), ("its analysis is missing", 1), ("its row is damaged", 1)];
    assert_eq!(page.skipped, counted.into());
    // A page of nothing but damage is not the end.
    let page = story.catalog.export_page(&story.library, &all, Some("a"), 2).await.unwrap();
    assert_eq!((page.rows.len(), page.last.as_deref()), (0, Some("c")));
}

#[tokio::test]
async fn rows_carry_faces_and_the_owners_corrections() {
    let story = story().await;
    story.upload("7", "a").await;
    let seen = NewAnalysis { faces: Some(vec![face(1.0), face(2.0)]), ..analysis("a boat") };
    assert_eq!(story.store("7", 1, 1, &seen).await, Stored::Stored);
    let correct = async |id: &str, field: &str, value: serde_json::Value| {
        story.catalog.set_correction(&story.library, &image(id), field, &value).await
    };
    correct("7", "tags", json!(["ship"])).await.unwrap();
    correct("7", "description", json!("a ferry")).await.unwrap();
    correct("7", "description", json!("an old ferry")).await.unwrap();
    let refused = correct("8", "tags", json!([])).await.unwrap_err();
    assert!(refused.to_string().contains("image 8"), "{refused}");

    let all = ExportScope::default();
    let page = story.catalog.export_page(&story.library, &all, None, 10).await.unwrap().rows;
    assert_eq!(page[0].faces.iter().map(|face| face.face).collect::<Vec<_>>(), [0, 1]);
    let said: Vec<_> =
        page[0].corrections.iter().map(|it| (it.field.as_str(), it.value.clone())).collect();
    assert_eq!(said, [("description", json!("an old ferry")), ("tags", json!(["ship"]))]);
    assert_eq!(story.record("7").await.corrections, page[0].corrections);
    let words = story.catalog.words_page(&story.library, None, 10).await.unwrap();
    assert_eq!(words[0].corrections, page[0].corrections);
    // They outlive a new upload and a removal.
    story.upload("7", "b").await;
    story.catalog.remove_image(&story.library, &image("7")).await.unwrap();
    story.upload("7", "b").await;
    assert_eq!(story.record("7").await.corrections, page[0].corrections);
}

#[tokio::test]
async fn the_tail_comes_in_pages_by_time() {
    let story = story().await;
    for id in ["c", "a", "b", "d"] {
        story.upload(id, "a").await;
        assert_eq!(story.store(id, 1, 1, &analysis(id)).await, Stored::Stored);
        if id == "b" {
            story.clock.advance(SignedDuration::from_micros(1));
        }
    }
    let foreign = SpaceId::new("ffffffffffffffff").unwrap();
    let start = time("2026-11-22T13:15:00.5Z");
    let page = async |space: &SpaceId, since, after: Option<&TailCursor>| {
        story.catalog.analyses_since(&story.library, space, since, after, 2).await.unwrap()
    };
    let ids = |rows: &[TailRow]| rows.iter().map(|row| row.image.to_string()).collect::<Vec<_>>();
    let first = page(&space(), start, None).await;
    assert_eq!(ids(&first), ["a", "b"]);
    assert_eq!(first[0].embedding, [0.6, 0.8]);
    assert_eq!(first[0].stored_at, start);
    let second = page(&space(), start, Some(&first[1].cursor())).await;
    assert_eq!(ids(&second), ["c", "d"]);
    assert!(page(&space(), start, Some(&second[1].cursor())).await.is_empty());
    assert_eq!(ids(&page(&space(), story.clock.now(), None).await), ["d"]);
    assert!(page(&foreign, start, None).await.is_empty());
    let count = async |space: Option<&SpaceId>| {
        story.catalog.analyses_count(&story.library, space).await.unwrap()
    };
    assert_eq!((count(None).await, count(Some(&space())).await), (4, 4));
    assert_eq!(count(Some(&foreign)).await, 0);

    // A correction is news.
    story.clock.advance(SignedDuration::from_secs(1));
    let (library, value) = (&story.library, json!("x"));
    story.catalog.set_correction(library, &image("a"), "description", &value).await.unwrap();
    assert_eq!(ids(&page(&space(), story.clock.now(), None).await), ["a"]);
}

#[tokio::test]
async fn texts_come_in_the_order_asked_and_words_by_id() {
    let story = story().await;
    for id in ["c", "a", "b"] {
        story.upload(id, "a").await;
        assert_eq!(story.store(id, 1, 1, &analysis(id)).await, Stored::Stored);
    }
    let ids = |texts: Vec<ImageText>| {
        texts.into_iter().map(|text| text.image.to_string()).collect::<Vec<_>>()
    };
    let asked = [image("b"), image("none"), image("c")];
    assert_eq!(ids(story.catalog.texts(&story.library, &asked).await.unwrap()), ["b", "c"]);
    let page = async |after: Option<&ImageId>| {
        ids(story.catalog.words_page(&story.library, after, 2).await.unwrap())
    };
    assert_eq!(page(None).await, ["a", "b"]);
    assert_eq!(page(Some(&image("b"))).await, ["c"]);
}

#[tokio::test]
async fn the_history_of_exports_is_fenced() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    let skipped = BTreeMap::from([("waiting".to_owned(), 3)]);
    assert_eq!(
        catalog.begin_export(library, Fence(10), "x10", Some(1000)).await.unwrap(),
        Stored::Stored
    );
    assert_eq!(
        catalog.begin_export(library, Fence(10), "x10", Some(1000)).await.unwrap(),
        Stored::Stored
    );
    assert_eq!(catalog.latest_export(library).await.unwrap(), None);
    story.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        catalog.begin_export(library, Fence(20), "x20", None).await.unwrap(),
        Stored::Stored
    );
    let late = catalog.finish_export(library, Fence(10), "x10", 5, &skipped).await.unwrap();
    assert!(matches!(late, Stored::Superseded(_)));
    let older = catalog.begin_export(library, Fence(15), "x15", None).await.unwrap();
    assert!(matches!(older, Stored::Superseded(_)));
    for _ in 0..2 {
        let done = catalog.finish_export(library, Fence(20), "x20", 7, &skipped).await.unwrap();
        assert_eq!(done, Stored::Stored);
    }
    let history = catalog.exports(library, 10).await.unwrap();
    let states: Vec<_> = history.iter().map(|it| (it.export.as_str(), it.state)).collect();
    assert_eq!(states, [("x20", ExportState::Done), ("x10", ExportState::Failed)]);
    let latest = catalog.latest_export(library).await.unwrap().unwrap();
    assert_eq!((latest.images, latest.limit, latest.skipped), (7, None, skipped));
    assert_eq!(history[1].limit, Some(1000));

    assert_eq!(
        catalog.begin_export(library, Fence(30), "x30", None).await.unwrap(),
        Stored::Stored
    );
    let failed = catalog.fail_export(library, Fence(30), "x30", "disk full").await.unwrap();
    assert_eq!(failed, Stored::Stored);
    assert_eq!(catalog.latest_export(library).await.unwrap().unwrap().export, "x20");
}
