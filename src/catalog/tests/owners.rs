//! What the owner said and removed: in the order in which it was said, however often and late it is
//! told. And what is done again, of which neither takes anything away.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::*;
use crate::names::GenerationNumber;
use crate::owners_word::{OwnersWord, Said};

const SAID: &str = "2026-11-22T12:00:00Z";
const LATER: &str = "2026-11-22T12:00:01Z";

fn tags(names: &[&str]) -> Said {
    let tags = names.iter().map(|name| (*name).to_owned()).collect();
    Said { tags: Some(tags), description: None }
}

fn enriched(generation: i64) -> Enriched {
    Enriched {
        generation: GenerationNumber(generation),
        description: Some("a boat, commonly associated with sea".into()),
        tags: vec![Tag { name: "sea".into(), group: String::new(), score: 0.6 }],
        categories: vec![],
        context: vec![],
        near_duplicates: vec![],
    }
}

impl Story {
    async fn correct(&self, id: &str, said: &Said, at: &str) -> Corrected {
        let corrected = self.catalog.correct(&self.library, &image(id), said, time(at)).await;
        corrected.expect("the catalogue answers").expect("is recorded")
    }

    async fn word(&self, id: &str) -> OwnersWord {
        OwnersWord::of(&self.catalog.corrections(&self.library, &image(id)).await.expect("reads"))
    }

    async fn waiting(&self, id: &str, revision: i64) -> Vec<Stage> {
        let (library, id) = (&self.library, image(id));
        let waiting = self.catalog.waiting_stages(library, &id, Revision(revision)).await;
        waiting.expect("reads").into_iter().collect()
    }

    async fn enrich(&self, id: &str, fence: i64, generation: i64) -> Stored {
        let (library, id, enriched) = (&self.library, image(id), enriched(generation));
        let stored =
            self.catalog.store_enrichment(library, &id, Revision(1), Fence(fence), &enriched, None);
        stored.await.expect("the catalogue answers")
    }

    async fn remove(&self, id: &str, at: &str) -> OwnerRemoval {
        let removal = self.catalog.remove_for_owner(&self.library, &image(id), time(at)).await;
        removal.expect("the catalogue answers")
    }

    async fn changes_since(&self, since: Timestamp) -> u64 {
        self.catalog.unlearned(&self.library, Some(since)).await.expect("reads").changes
    }
}

#[tokio::test]
async fn what_was_said_last_counts_however_late_it_is_told() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("a boat")).await, Stored::Stored);
    assert!(story.correct("7", &tags(&["ferry"]), LATER).await.applied);
    assert!(!story.correct("7", &tags(&["ferry"]), LATER).await.applied, "it is told twice");
    assert!(!story.correct("7", &tags(&["ship"]), SAID).await.applied, "it was said before");
    // Of another field nothing was said yet.
    let described = Said { tags: None, description: Some("ours".into()) };
    assert!(story.correct("7", &described, SAID).await.applied);
    let word = story.word("7").await;
    assert_eq!(word.fields(), ["description", "tags"]);
    assert_eq!(word.tags(vec![])[0].name, "ferry");
    let (none, at) = (tags(&[]), time(SAID));
    assert_eq!(story.catalog.correct(&story.library, &image("8"), &none, at).await.unwrap(), None);
    let kinds: Vec<_> = story.catalog.undelivered(9).await.unwrap();
    let kinds: Vec<_> = kinds.iter().map(|event| event.event.kind.as_str()).collect();
    assert_eq!(kinds, ["image-analyzed", "image-corrected", "image-corrected"]);
}

#[tokio::test]
async fn what_was_said_before_the_owners_tags_is_declined_until_the_owner_says_it() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("a boat")).await, Stored::Stored);
    assert_eq!(story.enrich("7", 2, 1).await, Stored::Stored);
    assert_eq!(story.waiting("7", 1).await, []);
    story.correct("7", &tags(&["oma"]), SAID).await;
    assert_eq!(
        story.waiting("7", 1).await,
        [Stage::Enrich],
        "it is enriched from the owner's words"
    );
    assert_eq!(story.word("7").await.declined(&[]), ["boat", "sea"]);
    story.correct("7", &tags(&["Sea"]), LATER).await;
    assert_eq!(story.word("7").await.declined(&[]), ["boat", "oma"]);
    // Another look and another generation change nothing of it.
    assert_eq!(story.store("7", 1, 3, &analysis("a boat")).await, Stored::Stored);
    assert_eq!(story.enrich("7", 4, 2).await, Stored::Stored);
    assert_eq!(story.word("7").await.declined(&[]), ["boat", "oma"]);

    let undo = async |at| {
        let undone = story.catalog.undo_corrections(&story.library, &image("7"), time(at)).await;
        undone.unwrap().unwrap().applied
    };
    assert!(!undo(SAID).await, "something was said after it");
    assert!(undo(LATER).await);
    assert_eq!(story.word("7").await, OwnersWord::default());
    assert_eq!(story.waiting("7", 1).await, [Stage::Enrich]);
    assert!(!undo(LATER).await);
    // Told again, or late, what was taken back does not come back; what is said later counts.
    assert!(!story.correct("7", &tags(&["Sea"]), LATER).await.applied);
    assert_eq!(story.word("7").await, OwnersWord::default());
    assert!(story.correct("7", &tags(&["lake"]), "2027-01-01T00:00:00Z").await.applied);
    assert!(!undo(LATER).await, "something was said after it");
}

#[tokio::test]
async fn a_word_that_is_told_during_an_enrichment_is_not_lost() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("a boat")).await, Stored::Stored);
    assert_eq!(story.enrich("7", 2, 1).await, Stored::Stored);
    story.correct("7", &tags(&["oma"]), SAID).await;
    // A worker reads that and is at work; the owner says more; the worker stores what it made.
    let read = story.catalog.corrections(&story.library, &image("7")).await.unwrap();
    let corrected = story.correct("7", &tags(&["opa"]), LATER).await;
    assert_eq!(story.enrich("7", 3, 1).await, Stored::Stored);
    assert_eq!(story.waiting("7", 1).await, []);
    let again = async |said: &[Correction]| {
        let image = corrected.image.clone();
        story.catalog.enrich_again_if_corrected(&story.library, image, said).await.unwrap()
    };
    assert!(again(&read).await);
    assert_eq!(story.waiting("7", 1).await, [Stage::Enrich]);
    let now = story.catalog.corrections(&story.library, &image("7")).await.unwrap();
    assert!(!again(&now).await);
}

#[tokio::test]
async fn a_corrected_image_is_one_change_to_learn_and_an_enriched_one_is_none() {
    let story = story().await;
    for id in ["1", "2"] {
        story.upload(id, "a").await;
        assert_eq!(story.store(id, 1, 1, &analysis("a boat")).await, Stored::Stored);
    }
    let exported = story.clock.now();
    story.clock.advance(SignedDuration::from_secs(10));
    assert_eq!(story.enrich("1", 2, 1).await, Stored::Stored);
    assert_eq!(story.changes_since(exported).await, 0, "learned words never teach");
    let both = Said { description: Some(String::new()), ..tags(&["oma"]) };
    story.correct("2", &both, SAID).await;
    assert_eq!(story.changes_since(exported).await, 1);
}

#[tokio::test]
async fn a_removal_takes_away_nothing_that_was_added_after_it() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("a boat")).await, Stored::Stored);
    assert_eq!(story.remove("8", SAID).await, OwnerRemoval::Unknown);
    assert_eq!(story.remove("7", SAID).await, OwnerRemoval::Removed);
    let removed = story.record("7").await;
    assert!(removed.removed_by_owner && removed.analysis.is_none() && removed.stages.is_empty());
    assert_eq!(story.upload("7", "a").await.change, Change::New);
    assert_eq!(
        story.remove("7", SAID).await,
        OwnerRemoval::Repeated,
        "its worker died, it is told again"
    );
    assert_eq!(story.record("7").await.removed_at, None);
    assert_eq!(story.remove("7", LATER).await, OwnerRemoval::Removed);

    // What went with its file is not the owner's removal, until the owner says so.
    story.upload("9", "a").await;
    story.catalog.remove_image(&story.library, &image("9")).await.unwrap();
    assert!(!story.record("9").await.removed_by_owner);
    assert_eq!(story.remove("9", SAID).await, OwnerRemoval::WasRemoved);
    assert!(story.record("9").await.removed_by_owner);
}

#[tokio::test]
async fn what_the_owner_removed_is_known_by_its_place_and_by_its_size() {
    let story = story().await;
    for id in ["1", "2", "3"] {
        story.upload(id, id).await;
    }
    assert_eq!(story.remove("1", SAID).await, OwnerRemoval::Removed);
    story.catalog.remove_image(&story.library, &image("2")).await.unwrap();
    let found = async |paths: &[&str], sizes: &[u64]| {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        let removed = story.catalog.removed_by_owner(&story.library, &paths, sizes, 10).await;
        removed.unwrap().into_iter().map(|file| file.image.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["photos/1.jpg", "photos/2.jpg", "photos/3.jpg"], &[]).await, ["1"]);
    assert_eq!(found(&["x.jpg"], &[1000, 7]).await, ["1"]);
    assert_eq!(found(&["x.jpg"], &[7]).await, Vec::<String>::new());
    let to = path("moved/1.jpg");
    story.catalog.follow_removed(&story.library, &image("1"), &to, "s").await.unwrap();
    story.catalog.follow_removed(&story.library, &image("3"), &to, "s").await.unwrap();
    assert_eq!(found(&["moved/1.jpg"], &[]).await, ["1"]);
    assert_eq!(story.record("3").await.path, path("photos/3.jpg"), "it stands");
    // Its id stays its own: another photo at its place becomes another image.
    let held = story.catalog.held_ids(&story.library, &[image("1"), image("2")]).await.unwrap();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn a_reset_leaves_alone_what_changed_since_it_was_decided() {
    let story = story().await;
    for id in ["1", "2", "3"] {
        story.upload(id, "a").await;
        assert_eq!(story.store(id, 1, 5, &analysis("a boat")).await, Stored::Stored);
    }
    let page = async |after: Option<&ImageId>, limit| {
        story.catalog.done_page(&story.library, None, after, limit).await.unwrap()
    };
    let all = page(None, 10).await;
    assert_eq!(page(Some(&image("2")), 10).await, all[2..]);
    assert_eq!(page(None, 1).await, all[..1]);
    let late = Some(story.clock.now() + SignedDuration::from_secs(1));
    let since = story.catalog.done_page(&story.library, late, None, 10).await.unwrap();
    assert_eq!(since, [], "they were recorded before");
    assert_eq!(all[0].seen.as_ref().unwrap().pack, "starter@1.0.0");

    story.upload("2", "b").await;
    story.catalog.remove_image(&story.library, &image("3")).await.unwrap();
    let stages: BTreeSet<Stage> = [Stage::Enrich].into();
    let resets: Vec<Reset> =
        all.iter().map(|it| Reset { image: it.image.clone(), stages: stages.clone() }).collect();
    story.catalog.reset(&story.library, &resets).await.unwrap();
    assert_eq!(story.waiting("1", 1).await, [Stage::Enrich]);
    assert_eq!(story.waiting("2", 2).await, Stage::ALL, "it waits for its new content as before");
    let record = story.record("1").await;
    assert_eq!(record.stages[4].fence, Fence(5), "an older writer could come back");
    assert!(record.analysis.is_some());
    let waiting = story.catalog.waiting(&story.library, None, 9, None).await.unwrap();
    let before = story.catalog.seen_among(&story.library, &waiting).await.unwrap();
    assert_eq!(before, [image("1")].into(), "the other one is as an upload");
    assert_eq!(page(None, 10).await[1].seen, None, "its new content was not seen");
}

#[tokio::test]
async fn a_forced_run_is_remembered_until_its_end() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    assert_eq!(catalog.forced_since(library).await.unwrap(), None);
    catalog.set_forced_since(library, Some(time(SAID))).await.unwrap();
    assert_eq!(catalog.forced_since(library).await.unwrap(), Some(time(SAID)));
    catalog.set_forced_since(library, None).await.unwrap();
    assert_eq!(catalog.forced_since(library).await.unwrap(), None);
    story.upload("1", "a").await;
    let (revision, fence) = (Revision(1), Fence(1));
    let failed =
        catalog.fail_image(library, &image("1"), revision, fence, "x", &[Stage::Tag]).await;
    assert_eq!(failed.unwrap(), Stored::Stored);
    let failed =
        catalog.in_state(library, &[image("1"), image("2")], StageState::Failed).await.unwrap();
    assert_eq!(failed, [image("1")].into());
}
