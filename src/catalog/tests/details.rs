//! Detailed descriptions come after everything else, once, and only for what was seen.

use super::*;

fn described(text: &str) -> Detail {
    Detail { model: "llava".to_owned(), outcome: Ok(text.to_owned()) }
}

impl Story {
    async fn describe(&self, id: &str, revision: i64, fence: i64, detail: &Detail) -> bool {
        let image = image(id);
        let stored = self.catalog.store_detail(
            &self.library,
            &image,
            Revision(revision),
            Fence(fence),
            detail,
        );
        stored.await.expect("the catalogue answers") == Stored::Stored
    }

    async fn without_detail(&self) -> Vec<String> {
        let found = self.catalog.without_detail(&self.library, None, 10).await.expect("reads");
        found.into_iter().map(|waiting| waiting.image.to_string()).collect()
    }

    async fn text(&self, id: &str) -> Option<String> {
        self.record(id).await.analysis.and_then(|analysis| analysis.detailed_description)
    }
}

#[tokio::test]
async fn an_analysis_waits_for_its_details_until_they_come_or_fail() {
    let story = story().await;
    for (fence, id) in (1..).zip(["a", "b", "c"]) {
        story.upload(id, id).await;
        assert_eq!(story.without_detail().await.len() as i64, fence - 1, "it was not seen yet");
        assert_eq!(story.store(id, 1, fence, &analysis(id)).await, Stored::Stored);
    }
    assert_eq!(story.without_detail().await, ["a", "b", "c"]);
    assert!(story.describe("a", 1, 10, &described("a long text")).await);
    let failed = Detail { model: "llava".to_owned(), outcome: Err("nonsense".to_owned()) };
    assert!(story.describe("b", 1, 11, &failed).await);
    assert_eq!(story.without_detail().await, ["c"]);
    assert_eq!(story.text("a").await.as_deref(), Some("a long text"));
    let b = image("b");
    let why = story.catalog.detail_failure(&story.library, &b, Revision(1));
    let why = why.await.expect("reads");
    assert_eq!(why.as_deref(), Some("nonsense"));
    let counts = story.catalog.detail_counts(&story.library).await.expect("counts");
    assert_eq!(counts, DetailCounts { waiting: 1, done: 1, failed: 1 });
    // The stages know nothing of it.
    let stages = story.catalog.counts(&story.library).await.expect("counts");
    assert_eq!((stages.analyzed, stages.waiting, stages.failed), (3, 0, 0));

    // Another content waits for its own.
    story.upload("b", "other").await;
    assert_eq!(story.store("b", 2, 20, &analysis("b")).await, Stored::Stored);
    assert_eq!(story.without_detail().await, ["b", "c"]);
}

#[tokio::test]
async fn details_are_fenced_and_outlive_another_look_at_the_same_content() {
    let story = story().await;
    story.upload("a", "a").await;
    assert!(!story.describe("a", 1, 5, &described("too early")).await, "nothing was seen");
    assert_eq!(story.store("a", 1, 6, &analysis("a")).await, Stored::Stored);
    assert!(story.describe("a", 1, 8, &described("new")).await);
    assert!(!story.describe("a", 1, 7, &described("old")).await);
    assert_eq!(story.text("a").await.as_deref(), Some("new"));
    let events = async || story.catalog.undelivered(100).await.expect("reads").len();
    let before = events().await;
    assert!(story.describe("a", 1, 8, &described("new")).await, "a repetition is no failure");
    assert_eq!(events().await, before, "it was told twice");

    assert_eq!(story.store("a", 1, 9, &analysis("a again")).await, Stored::Stored);
    assert_eq!(story.text("a").await.as_deref(), Some("new"), "it would be asked for again");
    story.upload("a", "other").await;
    assert_eq!(story.store("a", 2, 10, &analysis("another photo")).await, Stored::Stored);
    assert_eq!(story.text("a").await, None, "it is of the old content");
    assert!(!story.describe("a", 1, 11, &described("late")).await);
    story.catalog.remove_image(&story.library, &image("a")).await.expect("is removed");
    assert!(!story.describe("a", 2, 12, &described("later")).await);
}
