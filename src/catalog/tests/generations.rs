//! Two trainers, one current generation.

use super::*;
use crate::names::GenerationNumber;

async fn publish(story: &Story, fence: i64, number: GenerationNumber) -> Published {
    let report = json!({"total_images": 9});
    let (library, fence) = (&story.library, Fence(fence));
    story.catalog.publish_generation(library, fence, number, &space(), 9, &report).await.unwrap()
}

#[tokio::test]
async fn only_the_newest_trainer_publishes() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    assert_eq!(catalog.current_generation(library).await.unwrap(), None);
    let begin =
        async |fence, snapshot| catalog.begin_training(library, Fence(fence), snapshot).await;
    let one = begin(100, "s1").await.unwrap().unwrap();
    assert_eq!(one, GenerationNumber(1));
    assert_eq!(begin(100, "s1").await.unwrap(), Some(one), "asked again, it is the same");
    let two = begin(200, "s2").await.unwrap().unwrap();
    assert_eq!(two, GenerationNumber(2));
    assert_eq!(begin(150, "s2").await.unwrap(), None, "an older trainer is turned away");

    assert!(matches!(publish(&story, 100, one).await, Published::Superseded(_)));
    assert!(matches!(publish(&story, 200, one).await, Published::Superseded(_)));
    assert_eq!(catalog.current_generation(library).await.unwrap(), None);
    assert_eq!(publish(&story, 200, two).await, Published::Published { change: 1 });
    assert_eq!(publish(&story, 200, two).await, Published::Published { change: 1 });
    let current = Current { number: two, change: 1 };
    assert_eq!(catalog.current_generation(library).await.unwrap(), Some(current));
    let all = catalog.generations(library, 10).await.unwrap();
    let states: Vec<_> = all.iter().map(|it| (it.number, it.state)).collect();
    assert_eq!(states, [(two, GenerationState::Published), (one, GenerationState::Failed)]);
    assert_eq!(all[0].report, Some(json!({"total_images": 9})));
    assert!(all[1].reason.as_deref().unwrap().contains("200"));
}

#[tokio::test]
async fn a_rollback_is_a_change() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    for fence in [1, 2] {
        let number = catalog.begin_training(library, Fence(fence), "s").await.unwrap().unwrap();
        assert_eq!(publish(&story, fence, number).await, Published::Published { change: fence });
    }
    let back = catalog.set_current(library, GenerationNumber(1)).await.unwrap();
    assert_eq!(back, Current { number: GenerationNumber(1), change: 3 });
    // The trainer repeats what it said before: the owner's rollback stands.
    let again = publish(&story, 2, GenerationNumber(2)).await;
    assert_eq!(again, Published::Published { change: 3 });
    assert_eq!(catalog.current_generation(library).await.unwrap(), Some(back));

    let third = catalog.begin_training(library, Fence(3), "s").await.unwrap().unwrap();
    let refused = catalog.set_current(library, third).await.unwrap_err();
    assert!(refused.to_string().contains("never published"), "{refused}");
    let all = catalog.generations(library, 1).await.unwrap();
    assert_eq!((all[0].number, all[0].parent), (third, Some(GenerationNumber(1))));
    let failed = catalog.fail_generation(library, Fence(3), third, "too few images").await.unwrap();
    assert_eq!(failed, Stored::Stored);
    assert!(matches!(publish(&story, 3, third).await, Published::Superseded(_)));
    // The same trainer may try once more; the number that nobody has seen is used again.
    let again = catalog.begin_training(library, Fence(3), "s").await.unwrap();
    assert_eq!(again, Some(third));
}

#[tokio::test]
async fn of_two_trainers_at_once_one_publishes() {
    let story = story().await;
    let other = Catalog::open(&story.url, story.clock.clone()).await.unwrap();
    let begin = async |catalog: &Catalog, fence| {
        catalog.begin_training(&story.library, Fence(fence), "s").await.unwrap()
    };
    let (older, newer) = tokio::join!(begin(&story.catalog, 1), begin(&other, 2));
    let newer = newer.expect("the newest trainer is never turned away");
    if let Some(older) = older {
        assert!(matches!(publish(&story, 1, older).await, Published::Superseded(_)));
    }
    assert_eq!(publish(&story, 2, newer).await, Published::Published { change: 1 });
}

#[tokio::test]
async fn a_killed_trainer_leaves_no_gap() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    let first = catalog.begin_training(library, Fence(1), "s").await.unwrap().unwrap();
    // It is killed; its job comes back under a newer token.
    let second = catalog.begin_training(library, Fence(2), "s").await.unwrap().unwrap();
    assert_eq!((first, second), (GenerationNumber(1), GenerationNumber(1)));
    assert!(matches!(publish(&story, 1, first).await, Published::Superseded(_)));
    assert_eq!(publish(&story, 2, second).await, Published::Published { change: 1 });
    // What was published keeps its number, whatever comes after it.
    let third = catalog.begin_training(library, Fence(3), "s").await.unwrap().unwrap();
    assert_eq!(third, GenerationNumber(2));
}
