//! The worker of the short tests: it leaves a mark in the Redis of its queue.

use std::sync::Arc;
use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, Queue, QueueError, QueueSettings, Settle, WorkerOptions,
    connect,
};
use redis::aio::MultiplexedConnection;

pub async fn work(url: String, name: String) {
    let redis = connect(&url, ConnectOptions::default()).await.unwrap();
    let settings =
        QueueSettings { lease: Duration::from_secs(1), starts_max: 20, ..QueueSettings::default() };
    let queue = Queue::open(&redis, "test", "work", settings).await.unwrap();
    let client = redis::Client::open(url).unwrap();
    let effects = client.get_multiplexed_async_connection().await.unwrap();
    let backend = FleetBackend::new(queue, WorkerOptions::new(&name, 4)).unwrap();
    let worker = WorkerBuilder::new(name).backend(backend).data(Arc::new(effects)).build(handle);
    worker.run().await.unwrap();
}

/// `count` leaves its effect, keyed by the job; `wait` tells that it runs and waits to be told to
/// stop.
async fn handle(claim: Claim, effects: Data<Arc<MultiplexedConnection>>) -> Result<(), QueueError> {
    let mut line = MultiplexedConnection::clone(&effects);
    let mut note = async |key: &str, value: &str| {
        let mut set = redis::cmd("HSET");
        set.arg(key).arg(&claim.id).arg(value);
        set.exec_async(&mut line).await.unwrap();
    };
    if claim.kind == "wait" {
        note("running", "1").await;
        claim.cancellation().cancelled().await;
        note("stopped", &format!("{:?}", claim.ended().unwrap())).await;
        return Ok(());
    }
    note("effects", &claim.token.to_string()).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    claim.settle(Settle::Done).await.map(|_| ())
}
