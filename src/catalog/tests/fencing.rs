//! Who may write a result, and that everything of it is written or nothing.

use super::*;
use crate::names::GenerationNumber;

#[tokio::test]
async fn an_older_token_writes_nothing_and_a_newer_one_wins() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 200, &analysis("first")).await, Stored::Stored);
    let older = story.store("7", 1, 199, &analysis("older")).await;
    let Stored::Superseded(why) = older else { panic!("an older token wrote") };
    assert!(why.contains("image 7") && why.contains("200"), "{why}");
    assert_eq!(story.store("7", 1, 201, &analysis("newer")).await, Stored::Stored);

    let record = story.record("7").await;
    let stored = record.analysis.expect("is analyzed");
    assert_eq!(stored.description.as_deref(), Some("newer"));
    assert_eq!(stored.fence, Fence(201));
    assert!(record.stages.iter().all(|stage| stage.fence == Fence(201) && stage.attempts == 2));
    assert_eq!((record.width, record.height), (Some(640), Some(480)));
    assert_eq!(story.catalog.undelivered(10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn another_revision_writes_nothing() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.upload("7", "b").await.revision, Revision(2));
    for revision in [1, 3] {
        let answer = story.store("7", revision, 100, &analysis("x")).await;
        assert!(matches!(answer, Stored::Superseded(_)), "revision {revision} wrote");
    }
    assert_eq!(story.record("7").await.analysis, None);
    assert_eq!(story.catalog.undelivered(10).await.unwrap(), []);
}

#[tokio::test]
async fn the_same_token_twice_tells_once() {
    let story = story().await;
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 200, &analysis("first")).await, Stored::Stored);
    let once = story.record("7").await;
    assert_eq!(story.store("7", 1, 200, &analysis("first")).await, Stored::Stored);
    assert_eq!(story.record("7").await, once);
    assert_eq!(story.catalog.undelivered(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_unknown_or_removed_is_not_written() {
    let story = story().await;
    assert!(matches!(story.store("9", 1, 1, &analysis("x")).await, Stored::Superseded(_)));
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("x")).await, Stored::Stored);
    assert!(story.catalog.remove_image(&story.library, &image("7")).await.unwrap());
    assert!(!story.catalog.remove_image(&story.library, &image("7")).await.unwrap());
    assert!(matches!(story.store("7", 1, 2, &analysis("x")).await, Stored::Superseded(_)));
    let record = story.record("7").await;
    assert_eq!((record.analysis, record.stages), (None, vec![]));
    assert!(record.removed_at.is_some());
}

#[tokio::test]
async fn a_failure_is_fenced_and_told_like_a_result() {
    let story = story().await;
    story.upload("7", "a").await;
    let fail = async |fence| {
        let stages = [Stage::Embed, Stage::Tag];
        let (library, id) = (&story.library, image("7"));
        let fence = Fence(fence);
        story
            .catalog
            .fail_image(library, &id, Revision(1), fence, "photos/7.jpg: not an image", &stages)
            .await
    };
    assert_eq!(fail(100).await.unwrap(), Stored::Stored);
    assert_eq!(fail(100).await.unwrap(), Stored::Stored);
    assert!(matches!(fail(99).await.unwrap(), Stored::Superseded(_)));
    let events = story.catalog.undelivered(10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.kind, "image-failed");
    assert_eq!(events[0].event.payload["reason"], "photos/7.jpg: not an image");
    let counts = story.catalog.counts(&story.library).await.unwrap();
    assert_eq!((counts.images, counts.analyzed, counts.failed, counts.waiting), (1, 0, 1, 1));
    let reason =
        FailureReason { reason: "FILE: not an image".into(), images: 1, example: "7".into() };
    assert_eq!(counts.failures, [reason]);
    assert_eq!(counts.of(Stage::Embed, StageState::Failed), 1);
}

#[tokio::test]
async fn enrichment_is_stored_with_the_result_or_after_it() {
    let story = story().await;
    story.upload("7", "a").await;
    let enriched = Enriched {
        generation: GenerationNumber(3),
        description: Some("a boat, commonly associated with sea".into()),
        tags: vec![Tag { name: "harbour".into(), group: String::new(), score: 0.5 }],
        categories: vec!["travel".into()],
        context: vec!["evening".into()],
        near_duplicates: vec![image("8")],
    };
    let enrich = async |fence| {
        let (library, id) = (&story.library, image("7"));
        let revision = Revision(1);
        story.catalog.store_enrichment(library, &id, revision, Fence(fence), &enriched, None).await
    };
    assert!(matches!(enrich(1).await.unwrap(), Stored::Superseded(_)), "nothing to enrich yet");
    assert_eq!(story.store("7", 1, 10, &analysis("a boat")).await, Stored::Stored);
    assert!(matches!(enrich(9).await.unwrap(), Stored::Superseded(_)));
    assert_eq!(enrich(11).await.unwrap(), Stored::Stored);
    let record = story.record("7").await;
    let stored = record.analysis.unwrap();
    assert_eq!(stored.description.as_deref(), Some("a boat"));
    assert_eq!(stored.enriched, Some(enriched));
    assert_eq!(record.stages[4].state, StageState::Done);
    assert_eq!(record.stages[0].fence, Fence(10));
}

#[tokio::test]
async fn a_second_look_keeps_the_person_of_a_face_that_is_still_there() {
    let story = story().await;
    story.upload("7", "a").await;
    let seen = NewAnalysis { faces: Some(vec![face(1.0), face(90.0)]), ..analysis("x") };
    assert_eq!(story.store("7", 1, 1, &seen).await, Stored::Stored);
    let ada = PersonId("ada".into());
    let faces = [0, 1].map(|number| FaceAssignment {
        face: FaceRef { image: image("7"), face: number },
        cluster: Some(5),
        person: Some(ada.clone()),
    });
    let assignment = Assignment { faces: faces.to_vec(), retired: vec![] };
    story.catalog.apply_assignment(&story.library, &assignment).await.unwrap();

    let moved = NewAnalysis { faces: Some(vec![face(1.0), face(91.0)]), ..analysis("x") };
    assert_eq!(story.store("7", 1, 2, &moved).await, Stored::Stored);
    let faces = story.record("7").await.faces;
    assert_eq!((faces[0].cluster, faces[0].person.as_ref()), (Some(5), Some(&ada)));
    assert_eq!((faces[1].cluster, faces[1].person.as_ref()), (None, None));
    assert_eq!(faces[1].seen, face(91.0));

    // A pack without a face model leaves them, until the photo itself changes.
    assert_eq!(story.store("7", 1, 3, &analysis("x")).await, Stored::Stored);
    assert_eq!(story.record("7").await.faces, faces);
    story.upload("7", "b").await;
    assert_eq!(story.store("7", 2, 4, &analysis("x")).await, Stored::Stored);
    assert_eq!(story.record("7").await.faces, []);
}

#[tokio::test]
async fn hostile_text_is_stored_and_comes_back() {
    let story = story().await;
    story.upload("7", "a").await;
    let mut seen = analysis("nul \0 and ' \" \u{1f600}");
    seen.tags[0].name = "a\0b'".into();
    assert_eq!(story.store("7", 1, 1, &seen).await, Stored::Stored);
    let stored = story.record("7").await.analysis.unwrap();
    assert_eq!(stored.description.as_deref(), Some("nul \u{fffd} and ' \" \u{1f600}"));
    assert_eq!(stored.tags, seen.tags);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_one_moment() {
    let story = story().await;
    let ids: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
    for id in &ids {
        story.upload(id, "a").await;
    }
    let seen = analysis("seen");
    let storing = async {
        for id in &ids {
            assert_eq!(story.store(id, 1, 1, &seen).await, Stored::Stored);
        }
    };
    let counting = async {
        loop {
            let counts = story.catalog.counts(&story.library).await.unwrap();
            // An image that is stored between two questions would be in neither answer.
            assert_eq!(counts.analyzed + counts.waiting, 40, "{counts:?}");
            if counts.waiting == 0 {
                break;
            }
        }
    };
    tokio::join!(storing, counting);
}
