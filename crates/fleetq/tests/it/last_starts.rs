//! Jobs on their last start: what ends a process takes none of them along but itself.
//! Failure: two of them in one worker, also where the first is told to stop and does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{Claim, FleetBackend, WorkerOptions};
use redis::aio::MultiplexedConnection;

use crate::harness::{Server, job, short_lease, until};

/// As if two runs of it had ended with their processes.
async fn leave_one_start(line: &mut MultiplexedConnection, id: &str) {
    let record: String =
        redis::cmd("HGET").arg("{test:work}:state").arg(id).query_async(line).await.unwrap();
    let record = record.replacen("r u 0 ", "r u 2 ", 1);
    let mut set = redis::cmd("HSET");
    set.arg("{test:work}:state").arg(id).arg(record).exec_async(line).await.unwrap();
}

#[derive(Default)]
struct Seen {
    running: AtomicUsize,
    most: AtomicUsize,
}

/// A run, until it is dropped.
struct Run(Arc<Seen>);

impl Run {
    fn begin(seen: &Arc<Seen>) -> Self {
        let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(running, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn one_that_is_over_its_limit_is_still_alone_while_it_runs() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    queue.enqueue_many((0..3).map(job).collect()).await.unwrap();
    let mut line = server.raw().await;
    for id in ["0", "1", "2"] {
        leave_one_start(&mut line, id).await;
    }
    // The run is dropped half a lease after its limit, which is several looks for work later.
    let limit = Some(Duration::from_millis(50));
    let options = WorkerOptions { limit, ..WorkerOptions::new("w", 4) };
    let backend = FleetBackend::new(queue.clone(), options).unwrap();
    let handle = backend.handle();
    let seen = Arc::new(Seen::default());
    let work = async |_claim: Claim, seen: Data<Arc<Seen>>| {
        let _run = Run::begin(&seen);
        std::future::pending::<()>().await;
    };
    let worker = WorkerBuilder::new("w").backend(backend).data(Arc::clone(&seen)).build(work);
    let worker = tokio::spawn(worker.run());
    until("all are quarantined", || async { queue.depth().await.unwrap().dead == 3 }).await;
    assert_eq!((seen.most.load(Ordering::SeqCst), handle.stats().over_limit), (1, 3));
    handle.stop();
    worker.await.unwrap().unwrap();
}
