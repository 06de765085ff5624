//! The outbox: told at least once, in order.

use jiff::SignedDuration;

use super::*;

#[tokio::test]
async fn an_event_stays_until_somebody_says_it_was_told() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    for number in 0..3 {
        let event = Event { kind: "generation".into(), payload: json!({"number": number}) };
        catalog.tell(library, &event).await.unwrap();
    }
    let first = catalog.undelivered(2).await.unwrap();
    let numbers: Vec<_> = first.iter().map(|it| it.event.payload["number"].clone()).collect();
    assert_eq!(numbers, [0, 1]);
    assert_eq!((&first[0].library, &first[0].image), (library, &None));
    // Whoever told them died before saying so: they come again.
    assert_eq!(catalog.undelivered(2).await.unwrap(), first);
    let ids: Vec<i64> = first.iter().map(|it| it.id).collect();
    catalog.mark_delivered(&ids).await.unwrap();
    catalog.mark_delivered(&ids).await.unwrap();
    let rest = catalog.undelivered(9).await.unwrap();
    assert_eq!(rest.len(), 1);

    let now = story.clock.now();
    assert_eq!(catalog.prune_delivered(now, 9).await.unwrap(), 0);
    let later = now + SignedDuration::from_secs(1);
    assert_eq!(catalog.prune_delivered(later, 1).await.unwrap(), 1);
    assert_eq!(catalog.prune_delivered(later, 9).await.unwrap(), 1);
    assert_eq!(catalog.prune_delivered(later, 9).await.unwrap(), 0);
    assert_eq!(catalog.undelivered(9).await.unwrap(), rest);
}
