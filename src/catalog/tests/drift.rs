//! Damage that nobody should do: it is found, mended, and nothing beside it is touched.

use super::*;
use crate::catalog::drift::Damage;

impl Story {
    async fn sql(&self, statement: &str) {
        let database = Database::connect(&self.url).await.expect("connects");
        database.execute_unprepared(statement).await.expect("is carried out");
        database.close().await.expect("closes");
    }

    async fn damage(&self) -> Damage {
        self.catalog.damage(&self.library, None, 500).await.expect("looks")
    }

    async fn mend(&self) -> Damage {
        let found = self.damage().await;
        let mut mended = self.catalog.mend(&self.library, &found).await.expect("mends");
        mended.looked_at = found.looked_at;
        assert_eq!(mended, found, "not all was mended that was found");
        mended
    }

    /// Images a to e, analyzed, each with a face.
    async fn seen(&self) {
        for (number, id) in (1..).zip(["a", "b", "c", "d", "e"]) {
            self.upload(id, id).await;
            let analysis = NewAnalysis { faces: Some(vec![face(1.0)]), ..analysis(id) };
            assert_eq!(self.store(id, 1, number, &analysis).await, Stored::Stored);
        }
        assert!(self.damage().await.is_none());
    }
}

fn ids(images: &[ImageId]) -> Vec<&str> {
    images.iter().map(ImageId::as_str).collect()
}

#[tokio::test]
async fn an_image_that_neither_waits_nor_was_seen_waits_again() {
    let story = story().await;
    story.seen().await;
    story.sql("DELETE FROM analyses WHERE image = 'a'").await;
    story.sql("DELETE FROM stages WHERE image = 'b'").await;
    story.sql("UPDATE stages SET revision = 7 WHERE image = 'c'").await;
    // What waits, failed or was removed is in order.
    story.upload("d", "other").await;
    let d = image("d");
    let failed = story.catalog.fail_image(
        &story.library,
        &d,
        Revision(2),
        Fence(9),
        "not a picture",
        Stage::ALL,
    );
    assert_eq!(failed.await.expect("is recorded"), Stored::Stored);
    story.catalog.remove_image(&story.library, &image("e")).await.expect("is removed");

    assert_eq!(ids(&story.mend().await.lost), ["a", "b", "c"]);
    assert!(story.damage().await.is_none());
    let waiting = story.catalog.waiting(&story.library, None, 10, None).await.expect("reads");
    let waiting: Vec<_> = waiting.iter().map(|image| image.image.as_str()).collect();
    assert_eq!(waiting, ["a", "b", "c"]);
    let stages = story.record("b").await.stages;
    assert_eq!(stages.len(), Stage::ALL.len());
    // Their faces keep what is known of them until the next look.
    assert_eq!(story.record("a").await.faces.len(), 1);
}

#[tokio::test]
async fn faces_and_rows_that_hang_on_nothing_go() {
    let story = story().await;
    story.seen().await;
    story.sql("UPDATE images SET removed_at = updated_at WHERE image = 'a'").await;
    story.sql("DELETE FROM analyses WHERE image = 'b'").await;
    story.sql("UPDATE stages SET state = 'failed' WHERE image = 'b'").await;
    story.sql("UPDATE faces SET person = 'nobody' WHERE image = 'c'").await;

    let found = story.mend().await;
    assert_eq!(ids(&found.orphan_faces), ["a", "b"]);
    assert_eq!(ids(&found.strangers), ["c"]);
    assert_eq!(ids(&found.remains), ["a"]);
    assert!(found.lost.is_empty());
    assert!(story.damage().await.is_none());
    let gone = story.record("a").await;
    assert!(gone.stages.is_empty() && gone.analysis.is_none() && gone.faces.is_empty());
    assert!(story.record("b").await.faces.is_empty());
    let named = story.record("c").await;
    assert_eq!((named.faces.len(), &named.faces[0].person), (1, &None));
    assert!(named.analysis.is_some() && story.record("d").await.faces.len() == 1);
}

#[tokio::test]
async fn what_is_in_order_meanwhile_is_not_mended() {
    let story = story().await;
    story.seen().await;
    story.sql("DELETE FROM analyses WHERE image = 'a'").await;
    let found = story.damage().await;
    assert_eq!(story.store("a", 1, 20, &analysis("seen again")).await, Stored::Stored);
    let mended = story.catalog.mend(&story.library, &found).await.expect("mends");
    assert!(mended.is_none(), "{mended:?}");
    let waiting = story.catalog.waiting_count(&story.library).await.expect("counts");
    assert_eq!(waiting, 0, "a photo that was seen is looked at once more");
}

#[tokio::test]
async fn a_walk_over_the_damage_comes_to_its_end() {
    let story = story().await;
    story.seen().await;
    story.sql("DELETE FROM analyses WHERE image IN ('b', 'e')").await;
    let (mut lost, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = story.catalog.damage(&story.library, after.as_ref(), 2).await.expect("looks");
        lost.extend(page.lost);
        after = page.last;
        if after.is_none() {
            break;
        }
        pages += 1;
    }
    assert_eq!((ids(&lost), pages), (vec!["b", "e"], 3));
}
