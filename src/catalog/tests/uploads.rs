//! What exists, what changed, and who waits.

use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn the_same_upload_twice_changes_nothing() {
    let story = story().await;
    assert_eq!(story.upload("7", "a").await.change, Change::New);
    let before = story.record("7").await;
    story.clock.advance(SignedDuration::from_secs(5));
    let again = story.upload("7", "a").await;
    assert_eq!((again.change, again.revision), (Change::Unchanged, Revision(1)));
    assert_eq!(story.record("7").await, before);
    let states: Vec<_> = before.stages.iter().map(|stage| (stage.stage, stage.state)).collect();
    assert_eq!(states, Stage::ALL.iter().map(|s| (*s, StageState::Waiting)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_changed_upload_starts_every_stage_again_and_keeps_the_old_analysis() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 50, &analysis("old")).await, Stored::Stored);
    let changed = story.upload("7", "b").await;
    assert_eq!((changed.change, changed.revision), (Change::Changed, Revision(2)));
    let record = story.record("7").await;
    let restarted = |stage: &StageRecord| {
        stage.state == StageState::Waiting
            && stage.revision == Revision(2)
            && (stage.reason.as_deref(), stage.attempts) == (None, 0)
    };
    assert!(record.stages.iter().all(restarted), "{:?}", record.stages);
    assert_eq!(record.analysis.unwrap().revision, Revision(1));
    assert_eq!(record.content_hash.as_deref(), Some("b"));
    assert_eq!(record.width, None);
    let counts = story.catalog.counts(&story.library).await.unwrap();
    assert_eq!((counts.analyzed, counts.waiting), (0, 1));
    let all = ExportScope::default();
    let page = story.catalog.export_page(&story.library, &all, None, 10).await.unwrap();
    assert_eq!(page, ExportPage::default());
}

#[tokio::test]
async fn without_a_hash_the_size_decides_and_a_hash_is_learned() {
    let story = story().await;
    let plain = Upload { content_hash: None, ..upload("7", "") };
    let record = async |upload: &Upload| {
        let uploads = std::slice::from_ref(upload);
        story.catalog.record_uploads(&story.library, uploads).await.unwrap().remove(0).change
    };
    assert_eq!(record(&plain).await, Change::New);
    assert_eq!(record(&upload("7", "a")).await, Change::Unchanged);
    assert_eq!(story.record("7").await.content_hash.as_deref(), Some("a"));
    assert_eq!(record(&plain).await, Change::Unchanged);
    assert_eq!(record(&Upload { bytes: Some(1), ..plain.clone() }).await, Change::Changed);
    assert_eq!(record(&Upload { bytes: None, ..plain }).await, Change::Unchanged);
}

#[tokio::test]
async fn a_path_belongs_to_one_living_image() {
    let story = story().await;
    story.upload("7", "a").await;
    let other = Upload { path: path("photos/7.jpg"), ..upload("8", "z") };
    let record = async |uploads: &[Upload]| {
        let recorded = story.catalog.record_uploads(&story.library, uploads).await.unwrap();
        recorded.into_iter().map(|it| it.change).collect::<Vec<_>>()
    };
    let taken = record(std::slice::from_ref(&other)).await;
    assert_eq!(taken, [Change::PathTaken(image("7"))]);
    assert_eq!(story.catalog.image(&story.library, &image("8")).await.unwrap(), None);

    story.catalog.remove_image(&story.library, &image("7")).await.unwrap();
    assert_eq!(record(std::slice::from_ref(&other)).await, [Change::New]);
    let found = story.catalog.image_by_path(&story.library, &other.path).await.unwrap();
    assert_eq!(found.unwrap().image, image("8"));
    // The removed one comes back elsewhere, as a new revision.
    let back = Upload { path: path("elsewhere.jpg"), ..upload("7", "a") };
    assert_eq!(record(&[back]).await, [Change::New]);
    assert_eq!(story.record("7").await.revision, Revision(2));
}

#[tokio::test]
async fn photos_may_follow_each_other_through_the_same_paths() {
    let story = story().await;
    let at = |id: &str, place: &str| Upload { path: path(place), ..upload(id, id) };
    let record = async |uploads: &[Upload]| {
        story.catalog.record_uploads(&story.library, uploads).await.unwrap()
    };
    record(&[at("a", "1"), at("b", "2"), at("c", "3")]).await;
    let moved = record(&[at("c", "4"), at("b", "3"), at("a", "2"), at("0", "1")]).await;
    let changes: Vec<_> = moved.into_iter().map(|it| it.change).collect();
    assert_eq!(changes, [Change::Changed, Change::Changed, Change::Changed, Change::New]);
    for (id, place) in [("0", "1"), ("a", "2"), ("b", "3"), ("c", "4")] {
        let found = story.catalog.image_by_path(&story.library, &path(place)).await.unwrap();
        assert_eq!(found.unwrap().image, image(id));
    }
}

#[tokio::test]
async fn one_batch_may_name_an_image_twice_and_be_long() {
    let story = story().await;
    let mut uploads: Vec<_> = (0..1300).map(|n| upload(&format!("{n:04}"), "a")).collect();
    uploads.push(upload("0000", "a"));
    uploads.push(upload("0001", "b"));
    let recorded = story.catalog.record_uploads(&story.library, &uploads).await.unwrap();
    assert_eq!(recorded.len(), 1302);
    assert_eq!(recorded[1300].change, Change::Unchanged);
    assert_eq!((&recorded[1301].change, recorded[1301].revision), (&Change::Changed, Revision(2)));
    let counts = story.catalog.counts(&story.library).await.unwrap();
    assert_eq!((counts.images, counts.waiting), (1300, 1300));
    assert_eq!(counts.of(Stage::Enrich, StageState::Waiting), 1300);
    assert_eq!(story.record("0001").await.stages[0].revision, Revision(2));
}

#[tokio::test]
async fn waiting_images_come_in_pages_by_id() {
    let story = story().await;
    for id in ["c", "a", "b", "B", "é", "d"] {
        story.upload(id, "a").await;
    }
    assert_eq!(story.store("b", 1, 1, &analysis("x")).await, Stored::Stored);
    story.catalog.remove_image(&story.library, &image("d")).await.unwrap();
    let page = async |after: Option<&ImageId>, older_than| {
        let library = &story.library;
        let page = story.catalog.waiting(library, after, 2, older_than).await.unwrap();
        page.into_iter().map(|it| it.image.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, None).await, ["B", "a"]);
    assert_eq!(page(Some(&image("a")), None).await, ["c", "é"]);
    assert_eq!(page(Some(&image("é")), None).await, [""; 0]);
    let now = story.clock.now();
    assert_eq!(page(None, Some(now)).await, [""; 0]);
    let later = now + SignedDuration::from_micros(1);
    assert_eq!(page(None, Some(later)).await, ["B", "a"]);
}

#[tokio::test]
async fn a_reset_puts_stages_back_to_waiting() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 9, &analysis("x")).await, Stored::Stored);
    let images = [image("7"), image("unknown")];
    let reset = story.catalog.reset_stages(&story.library, &images, &[Stage::Enrich]).await;
    assert_eq!(reset.unwrap(), 1);
    let stages = story.record("7").await.stages;
    assert_eq!(stages[4].state, StageState::Waiting);
    assert_eq!((stages[4].reason.as_deref(), stages[4].fence), (None, Fence(9)));
    assert_eq!(stages[0].state, StageState::Done);
    let waiting = story.catalog.waiting(&story.library, None, 9, None).await.unwrap();
    assert_eq!(waiting.len(), 1);
    // The worker that settled it before does so again when its job is repeated.
    assert_eq!(story.store("7", 1, 9, &analysis("x")).await, Stored::Stored);
    assert!(story.catalog.waiting(&story.library, None, 9, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn libraries_do_not_see_each_other() {
    let story = story().await;
    let other = LibraryId::new("other").unwrap();
    let unknown = story.catalog.record_uploads(&other, &[upload("7", "a")]).await.unwrap_err();
    assert!(matches!(unknown, CatalogError::UnknownLibrary(_)), "{unknown}");
    story.catalog.ensure_library(&other, Path::new("/elsewhere")).await.unwrap();
    story.upload("7", "a").await;
    story.catalog.record_uploads(&other, &[upload("7", "b")]).await.unwrap();
    assert_eq!(story.store("7", 1, 1, &analysis("mine")).await, Stored::Stored);
    let theirs = story.catalog.image(&other, &image("7")).await.unwrap().unwrap();
    assert_eq!((theirs.content_hash.as_deref(), theirs.analysis), (Some("b"), None));
    assert_eq!(story.catalog.words_page(&other, None, 9).await.unwrap(), []);
    assert_eq!(story.catalog.counts(&other).await.unwrap().analyzed, 0);
    let roots: Vec<_> =
        story.catalog.libraries().await.unwrap().into_iter().map(|it| it.root).collect();
    assert_eq!(roots, [Path::new("/photos"), Path::new("/elsewhere")]);
}

#[tokio::test]
async fn a_library_moves_with_its_root() {
    let story = story().await;
    let refused = story.catalog.ensure_library(&story.library, Path::new("here")).await;
    assert!(refused.unwrap_err().to_string().contains("not absolute"));
    let moved = story.catalog.ensure_library(&story.library, Path::new("/moved")).await.unwrap();
    assert_eq!(moved.root, Path::new("/moved"));
    let known = story.catalog.library(&story.library).await.unwrap().unwrap();
    assert_eq!(known, moved);
}
