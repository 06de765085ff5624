//! One leader at a time, with a token that rises from term to term.

use std::time::Duration;

use fleetq::LeaderLease;

use crate::harness::{Server, until};

#[tokio::test]
async fn one_leads_at_a_time_and_tokens_rise() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let lease = |owner: &str| {
        LeaderLease::new(&connection, "test", "schedule", owner, Duration::from_secs(1)).unwrap()
    };
    let (anna, bert) = (lease("anna"), lease("bert"));
    let first = anna.acquire().await.unwrap().unwrap();
    assert_eq!(bert.acquire().await.unwrap(), None);
    assert_eq!(anna.acquire().await.unwrap(), Some(first), "the same term again");
    assert!(anna.renew(first).await.unwrap());

    // Anna sleeps; her term ends by itself and her token is refused from then on.
    let second = std::cell::Cell::new(None);
    until("bert leads", || async {
        second.set(bert.acquire().await.unwrap());
        second.get().is_some()
    })
    .await;
    let second = second.get().unwrap();
    assert!(second.token > first.token);
    assert!(!anna.renew(first).await.unwrap());
    assert!(!anna.release(first).await.unwrap());
    assert!(bert.release(second).await.unwrap());
    let third = anna.acquire().await.unwrap().expect("a released lease is free at once");
    assert!(third.token > second.token);
    assert!(LeaderLease::new(&connection, "test", "a:b", "x", Duration::from_secs(1)).is_err());
}
