//! Worker processes on one queue while everything around them breaks at random: they are killed and
//! stopped for longer than their lease, Redis is killed and comes back from its file, connections are
//! cut, also in the middle of a reply, and every third worker has a millisecond of latency.
//!
//! Failure: what `checker` lists; a job in two places or in none at any moment; a worker that ends by
//! itself or does not carry on after a stop; totals that do not add up; a key left behind.
//! No failure: a job that runs twice. How many did is said at the end.
//!
//! A storm is bounded by work and faults, not by time, so that it ends in the same way on a slow
//! machine. `FLEETQ_STORM_SEED` repeats its schedule, though not the interleaving of processes.

mod chance;
mod checker;
mod enqueuer;
mod fleet;
mod proxy;
mod store;
mod totals;
pub mod weather;
pub mod worker;

use std::time::Duration;

use fleetq::{ConnectOptions, Queue, QueueSettings, connect};

use chance::Chance;
use proxy::Proxy;
use weather::{Size, storm};

use crate::harness::{Server, job};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_loses_no_job_and_repeats_no_effect() {
    let size = Size {
        workers: 4,
        jobs: 10_000,
        kills: 80,
        stops: 5,
        outages: 5,
        cuts: 24,
        looks: 24,
        lease: Duration::from_secs(1),
    };
    storm(&size, 1).await;
}

/// Each connection breaks within a request or a reply after a few of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_reply_is_a_lost_reply_and_asked_for_again() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.socket(), Chance::new(1));
    let redis = connect(&proxy.url(), ConnectOptions::default()).await.unwrap();
    let queue = Queue::open(&redis, "test", "work", QueueSettings::default()).await.unwrap();
    for number in 0..400 {
        queue.enqueue(job(number)).await.unwrap();
    }
    assert!(proxy.cuts() >= 3, "{} connections were cut", proxy.cuts());
    assert_eq!(queue.depth().await.unwrap().ready(), 400);
}

mod slow {
    use std::hash::{BuildHasher, Hasher, RandomState};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_thousand_kills_lose_no_job_and_repeat_no_effect() {
        let size = Size {
            workers: 6,
            jobs: 200_000,
            kills: 2_000,
            stops: 60,
            outages: 40,
            cuts: 400,
            looks: 300,
            lease: Duration::from_secs(2),
        };
        storm(&size, RandomState::new().build_hasher().finish()).await;
    }
}
