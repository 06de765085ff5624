//! Redis may be emptied and jobs may be quarantined: the catalogue is made true either way.

use eyefleet::board::Board;
use eyefleet::catalog::{Catalog, Event, Stage, StageState, Upload};
use eyefleet::clock::Clock;
use eyefleet::names::{ImageId, LibraryId, RelativePath};
use eyefleet::reconcile::{Pass, Reconciler};
use eyefleet::relay::relay;
use fleetq::{ConnectOptions, LeaderLease, Queue, QueueSettings, Settle};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{Redis, database_url};

struct Stores {
    redis: Redis,
    catalog: Catalog,
    board: Board,
    queue: Queue,
    _folder: tempfile::TempDir,
}

/// Stores with `images` images that wait.
async fn stores(images: usize) -> Stores {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let url = database_url(&folder.path().join("catalog.sqlite"));
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let board = Board::open(&redis.url(), "story").unwrap();
    let connection = fleetq::connect(&redis.url(), ConnectOptions::default()).await.unwrap();
    let queue =
        Queue::open(&connection, "story", "analyze", QueueSettings::default()).await.unwrap();
    catalog.ensure_library(&LibraryId::main(), folder.path()).await.unwrap();
    let upload = |number: usize| Upload {
        // As long as an id may be: one of them must not stop the others.
        image: ImageId::new(format!("{number:04}{}", "x".repeat(508))).unwrap(),
        path: RelativePath::new(format!("{number:04}.jpg")).unwrap(),
        bytes: Some(1),
        content_hash: None,
        stamp: None,
        source: "story".to_owned(),
    };
    let uploads: Vec<Upload> = (0..images).map(upload).collect();
    catalog.record_uploads(&LibraryId::main(), &uploads).await.unwrap();
    Stores { redis, catalog, board, queue, _folder: folder }
}

impl Stores {
    /// A whole walk by a leader that has just begun.
    async fn pass(&self, now: Timestamp) -> Pass {
        let mut reconciler = Reconciler::default();
        loop {
            let step = reconciler.step(&self.catalog, &self.board, &self.queue, now).await;
            if let Some(pass) = step.unwrap() {
                return pass;
            }
        }
    }
}

#[tokio::test]
async fn an_emptied_redis_gets_every_waiting_image_back() {
    let stores = stores(1200).await;
    let now = Clock::system().now();
    let all = Pass { waiting: 1200, enqueued: 1200, quarantined: 0 };
    assert_eq!(stores.pass(now).await, all);
    // Once the epoch stands, a pass looks at overdue images only.
    assert_eq!(stores.pass(now).await, Pass::default());
    let claims = stores.queue.claim("worker", 10).await.unwrap();
    assert_eq!(claims.len(), 10);

    let redis = redis::Client::open(stores.redis.url()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    assert_eq!(stores.pass(now).await, all, "claimed jobs are still waiting in the catalogue");
    // Nobody gets a second job of the same image.
    let later = now + SignedDuration::from_mins(5);
    let again = stores.pass(later).await;
    assert_eq!((again.waiting, again.enqueued), (1200, 0));
}

#[tokio::test]
async fn a_quarantined_job_is_told_on_its_image() {
    let stores = stores(2).await;
    let now = Clock::system().now();
    stores.pass(now).await;
    let claims = stores.queue.claim("worker", 1).await.unwrap();
    let dead = Settle::Dead { cause: "it aborts the process".to_owned(), chain: Vec::new() };
    stores.queue.settle(&claims[0].lease, dead).await.unwrap();
    let later = now + SignedDuration::from_mins(5);
    let pass = stores.pass(later).await;
    assert_eq!((pass.enqueued, pass.quarantined), (0, 1));
    let library = LibraryId::main();
    let counts = stores.catalog.counts(&library).await.unwrap();
    assert_eq!((counts.waiting, counts.failed), (1, 1));
    assert_eq!(counts.of(Stage::Embed, StageState::Failed), 1);
    let reason = &counts.failures[0].reason;
    assert!(reason.contains("quarantined") && reason.contains("aborts the process"), "{reason}");
}

#[tokio::test]
async fn a_queue_that_was_drained_is_offered_everything_when_it_is_resumed() {
    let stores = stores(3).await;
    let now = Clock::system().now();
    stores.pass(now).await;
    // The jobs of photos that are recorded while the queue is closed are not in it.
    stores.queue.discard("analyze-image:").await.unwrap();
    stores.queue.drain().await.unwrap();
    let mut reconciler = Reconciler::default();
    let later = now + SignedDuration::from_mins(5);
    for time in [now, later] {
        let step = reconciler.step(&stores.catalog, &stores.board, &stores.queue, time).await;
        assert_eq!(step.unwrap(), None, "it walks for nothing");
    }
    assert_eq!(stores.queue.depth().await.unwrap().unfinished(), 0);
    stores.queue.resume().await.unwrap();
    // Nothing is overdue now: a usual walk would offer nothing.
    let step = reconciler.step(&stores.catalog, &stores.board, &stores.queue, now).await;
    assert_eq!(step.unwrap(), Some(Pass { waiting: 3, enqueued: 3, quarantined: 0 }));
    assert_eq!(stores.pass(now).await, Pass::default());
}

#[tokio::test]
async fn events_are_published_and_then_marked() {
    let stores = stores(0).await;
    let client = redis::Client::open(stores.redis.url()).unwrap();
    let mut listener = client.get_async_pubsub().await.unwrap();
    listener.subscribe("{story}:events").await.unwrap();
    let event = Event { kind: "generation-published".to_owned(), payload: json!({ "number": 7 }) };
    stores.catalog.tell(&LibraryId::main(), &event).await.unwrap();

    assert_eq!(relay(&stores.catalog, &stores.board).await.unwrap(), 1);
    let heard = listener.on_message().next().await.unwrap();
    let heard: serde_json::Value = serde_json::from_slice(heard.get_payload_bytes()).unwrap();
    assert_eq!(
        (&heard["kind"], &heard["data"]["number"]),
        (&json!("generation-published"), &json!(7))
    );
    assert_eq!(heard["library"], "main");
    // Marked: it is not told again.
    assert_eq!(relay(&stores.catalog, &stores.board).await.unwrap(), 0);
}

#[tokio::test]
async fn of_two_leaders_one_leads_and_the_other_follows_when_it_ends() {
    let stores = stores(0).await;
    let connection = fleetq::connect(&stores.redis.url(), ConnectOptions::default()).await.unwrap();
    let lease = |owner| {
        let term = std::time::Duration::from_secs(10);
        LeaderLease::new(&connection, "story", "intake", owner, term).unwrap()
    };
    let (first, second) = (lease("first"), lease("second"));
    let term = first.acquire().await.unwrap().unwrap();
    assert_eq!(second.acquire().await.unwrap(), None);
    assert!(first.release(term).await.unwrap());
    let next = second.acquire().await.unwrap().unwrap();
    assert!(next.token > term.token);
    assert!(!first.renew(term).await.unwrap(), "a leader of an ended term leads on");
}
