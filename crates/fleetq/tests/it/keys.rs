//! The table of keys in the README, the one in the code and the keys in Redis are the same.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetq::{KEY_TABLE, Lane, QueueSettings, Settle};

use crate::harness::{Server, job, keys};

#[tokio::test]
async fn every_key_in_redis_is_in_the_table_and_the_other_way_round() {
    let server = Server::start().await;
    let queue = server.queue(QueueSettings::default()).await;
    let mut line = server.raw().await;
    for lane in Lane::ALL {
        for what in ["done", "dead", "held"] {
            queue.enqueue(job(format!("{what} {lane}")).in_lane(lane)).await.unwrap();
        }
        let claims = queue.claim("w", 3).await.unwrap();
        claims[0].settle(Settle::Done).await.unwrap();
        claims[1].settle(Settle::Dead { cause: "no".into(), chain: vec![] }).await.unwrap();
    }
    for lane in Lane::ALL {
        queue.enqueue(job(lane).in_lane(lane)).await.unwrap();
        let later = job(format!("later {lane}")).after(Duration::from_mins(1));
        queue.enqueue(later.in_lane(lane)).await.unwrap();
    }
    queue.reap(10).await.unwrap();

    let table: BTreeMap<String, String> = KEY_TABLE
        .iter()
        .map(|row| (format!("{{test:work}}:{}", row.suffix), row.kind.to_owned()))
        .collect();
    assert_eq!(keys(&mut line).await, table);
}

#[test]
fn the_readme_shows_the_table() {
    let readme = include_str!("../../README.md");
    for row in KEY_TABLE {
        let line =
            format!("| `{}` | {} | {} | {} |", row.suffix, row.kind, row.content, row.lifetime);
        assert!(readme.contains(&line), "the README lacks: {line}");
    }
}
