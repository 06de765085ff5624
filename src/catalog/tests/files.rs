//! Images as files: stamps, moves, removals, and what is not learned yet.

use jiff::SignedDuration;

use super::*;
use crate::catalog::{KnownFile, Moved, MovedFile};

fn stamped(id: &str, stamp: &str, hash: Option<&str>) -> Upload {
    Upload {
        stamp: Some(stamp.to_owned()),
        content_hash: hash.map(str::to_owned),
        ..upload(id, "")
    }
}

impl Story {
    async fn record_one(&self, upload: Upload) -> Recorded {
        let recorded = self.catalog.record_uploads(&self.library, &[upload]).await;
        recorded.expect("is recorded").remove(0)
    }

    async fn known(&self, id: &str) -> KnownFile {
        let at = path(&format!("photos/{id}.jpg"));
        let known = self.catalog.files_at(&self.library, std::slice::from_ref(&at)).await;
        known.expect("reads").remove(&at).expect("is there")
    }

    async fn move_one(&self, id: &str, to: &str) -> Moved {
        let moved = MovedFile {
            image: image(id),
            from: path(&format!("photos/{id}.jpg")),
            to: path(to),
            stamp: "moved".to_owned(),
        };
        self.catalog.move_files(&self.library, &[moved], &[]).await.expect("answers").remove(0)
    }
}

#[tokio::test]
async fn another_stamp_is_another_content_unless_the_hash_says_it_is_not() {
    let story = story().await;
    assert_eq!(story.record_one(stamped("1", "a", None)).await.change, Change::New);
    assert_eq!(story.record_one(stamped("1", "a", None)).await.change, Change::Unchanged);
    assert_eq!(story.record_one(stamped("1", "b", None)).await.change, Change::Changed);
    // The analysis tells what it has read.
    let seen = NewAnalysis { content_hash: Some("same".to_owned()), ..analysis("a boat") };
    assert_eq!(story.store("1", 2, 1, &seen).await, Stored::Stored);
    let touched = story.record_one(stamped("1", "c", Some("same"))).await;
    assert_eq!((touched.change, touched.revision), (Change::Unchanged, Revision(2)));
    assert_eq!(story.known("1").await.stamp.as_deref(), Some("c"));
    let changed = story.record_one(stamped("1", "d", Some("other"))).await;
    assert_eq!((changed.change, changed.revision), (Change::Changed, Revision(3)));
}

#[tokio::test]
async fn a_photo_that_moved_keeps_what_was_seen() {
    let story = story().await;
    for id in ["1", "2", "3"] {
        story.record_one(stamped(id, "a", None)).await;
    }
    let again = story.move_one("3", "new/3.jpg").await;
    assert_eq!(again, Moved::Again(Revision(2)), "its analysis with the old path is under way");
    for id in ["1", "2"] {
        assert_eq!(story.store(id, 1, 1, &analysis("a boat")).await, Stored::Stored);
    }
    assert!(matches!(story.store("3", 1, 1, &analysis("x")).await, Stored::Superseded(_)));
    assert_eq!(story.move_one("1", "photos/2.jpg").await, Moved::Refused, "another photo is there");
    assert_eq!(story.move_one("1", "new/1.jpg").await, Moved::Kept);
    assert_eq!(story.move_one("1", "new/other.jpg").await, Moved::Refused, "it has left");
    let record = story.record("1").await;
    assert_eq!((record.path, record.revision), (path("new/1.jpg"), Revision(1)));
    assert_eq!(record.analysis.expect("stays").description.as_deref(), Some("a boat"));
}

#[tokio::test]
async fn photos_may_take_each_others_places() {
    let story = story().await;
    for id in ["1", "2", "3", "4"] {
        story.record_one(stamped(id, "a", None)).await;
        assert_eq!(story.store(id, 1, 1, &analysis(id)).await, Stored::Stored);
    }
    let moved = |id: &str, to: &str| MovedFile {
        image: image(id),
        from: path(&format!("photos/{id}.jpg")),
        to: path(&format!("photos/{to}.jpg")),
        stamp: "moved".to_owned(),
    };
    // 1 and 2 change places, 3 goes where 4 was, which is nowhere any more.
    let replaced = [story.known("4").await];
    let asked = [moved("1", "2"), moved("2", "1"), moved("3", "4")];
    let done = story.catalog.move_files(&story.library, &asked, &replaced).await.unwrap();
    assert_eq!(done, [Moved::Kept, Moved::Kept, Moved::Kept]);
    for (id, at) in [("1", "2"), ("2", "1"), ("3", "4")] {
        let record = story.record(id).await;
        assert_eq!(record.path, path(&format!("photos/{at}.jpg")));
        assert_eq!(record.analysis.unwrap().description.as_deref(), Some(id));
    }
    assert!(story.record("4").await.removed_at.is_some());
    // Whoever is blocked stays, and so does who wanted its place.
    story.record_one(stamped("5", "a", None)).await;
    let asked = [
        MovedFile { from: path("photos/2.jpg"), ..moved("1", "5") },
        MovedFile { from: path("photos/1.jpg"), ..moved("2", "2") },
    ];
    let done = story.catalog.move_files(&story.library, &asked, &[]).await.unwrap();
    assert_eq!(done, [Moved::Refused, Moved::Refused]);
    assert_eq!(story.record("1").await.path, path("photos/2.jpg"));
}

#[tokio::test]
async fn a_copy_becomes_one_with_the_photo_that_is_gone() {
    let story = story().await;
    for id in ["1", "2", "3"] {
        story.record_one(stamped(id, "a", None)).await;
        assert_eq!(story.store(id, 1, 1, &analysis(id)).await, Stored::Stored);
        story.clock.advance(SignedDuration::from_secs(1));
    }
    let (library, value) = (&story.library, serde_json::json!("mine"));
    story.catalog.set_correction(library, &image("3"), "description", &value).await.unwrap();
    let younger = story.catalog.younger_of_sizes(library, &[1000], 10).await.unwrap();
    let younger: Vec<_> = younger.iter().map(|file| file.image.as_str()).collect();
    assert_eq!(younger, ["2", "1"], "the owner has spoken of the third");
    let (gone, copy) = (story.known("1").await, story.known("2").await);
    assert!(story.catalog.adopt_copy(library, &gone, &copy).await.unwrap());
    let record = story.record("1").await;
    assert_eq!(record.path, path("photos/2.jpg"));
    assert_eq!(record.analysis.unwrap().description.as_deref(), Some("1"));
    assert!(story.record("2").await.removed_at.is_some());
    assert!(!story.catalog.adopt_copy(library, &gone, &copy).await.unwrap(), "it was done");
}

#[tokio::test]
async fn the_id_of_a_deleted_photo_with_words_on_it_stays_its_own() {
    let story = story().await;
    for id in ["1", "2", "3"] {
        story.record_one(stamped(id, "a", Some(id))).await;
    }
    let (library, value) = (&story.library, serde_json::json!("mine"));
    story.catalog.set_correction(library, &image("2"), "description", &value).await.unwrap();
    for id in ["2", "3"] {
        story.catalog.remove_image(library, &image(id)).await.unwrap();
    }
    let asked = ["1", "2", "3", "4"].map(image);
    let held = story.catalog.held_ids(library, &asked).await.unwrap();
    let mut held: Vec<_> = held.into_iter().collect();
    held.sort();
    assert_eq!(held, [("1".to_owned(), None), ("2".to_owned(), Some("2".to_owned()))]);
}

#[tokio::test]
async fn what_is_gone_is_removed_and_what_moved_meanwhile_is_not() {
    let story = story().await;
    for id in ["1", "2"] {
        story.record_one(stamped(id, "a", None)).await;
        assert_eq!(story.store(id, 1, 1, &analysis("a boat")).await, Stored::Stored);
    }
    let gone = [story.known("1").await, story.known("2").await];
    assert_eq!(story.move_one("2", "new/2.jpg").await, Moved::Kept);
    assert_eq!(story.catalog.remove_files(&story.library, &gone).await.unwrap(), 1);
    let removed = story.record("1").await;
    assert!(
        removed.removed_at.is_some() && removed.analysis.is_none() && removed.stages.is_empty()
    );
    assert!(story.record("2").await.analysis.is_some());
    assert_eq!(story.record_one(stamped("1", "a", None)).await.change, Change::New);
}

#[tokio::test]
async fn a_folder_holds_what_lies_beneath_it() {
    let story = story().await;
    for at in ["a/1.jpg", "a/b/2.jpg", "a b/3.jpg", "a0/4.jpg", "a.jpg", "ab.jpg"] {
        story.record_one(Upload { path: path(at), ..stamped(at, "a", None) }).await;
    }
    let beneath = async |folder: Option<&str>| {
        let (mut found, mut after) = (Vec::new(), None);
        let folder = folder.map(path);
        loop {
            let page = story
                .catalog
                .files_beneath(&story.library, folder.as_ref(), after.as_ref(), 1)
                .await
                .expect("reads");
            let Some(file) = page.into_iter().next() else { return found };
            found.push(file.path.to_string());
            after = Some(file.path);
        }
    };
    assert_eq!(beneath(Some("a")).await, ["a/1.jpg", "a/b/2.jpg"]);
    assert_eq!(beneath(Some("a/b")).await, ["a/b/2.jpg"]);
    assert_eq!(beneath(None).await.len(), 6);
}

#[tokio::test]
async fn what_changed_since_a_moment_is_counted() {
    let story = story().await;
    let start = story.clock.now();
    let nothing = story.catalog.unlearned(&story.library, None).await.unwrap();
    assert_eq!((nothing.changes, nothing.newest), (0, None));
    for id in ["1", "2", "3"] {
        story.record_one(stamped(id, "a", None)).await;
        story.clock.advance(SignedDuration::from_secs(10));
        assert_eq!(story.store(id, 1, 1, &analysis("a boat")).await, Stored::Stored);
    }
    let ten = |times: i64| start + SignedDuration::from_secs(10 * times);
    let unlearned = story.catalog.unlearned(&story.library, Some(ten(1))).await.unwrap();
    assert_eq!(
        (unlearned.changes, unlearned.oldest, unlearned.newest),
        (2, Some(ten(2)), Some(ten(3)))
    );
    story.clock.advance(SignedDuration::from_secs(10));
    story.catalog.remove_image(&story.library, &image("1")).await.unwrap();
    let unlearned = story.catalog.unlearned(&story.library, Some(ten(3))).await.unwrap();
    assert_eq!((unlearned.changes, unlearned.newest), (1, Some(ten(4))));
}
