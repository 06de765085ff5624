//! Settlements that Redis refuses: for a while, because it cannot save its files, or for good.
//! Failure: a worker that asks without a pause, a settlement that is not made up for, a handler
//! that could not settle and is never told that its lease is lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, Ended, FleetBackend, Handle, Queue, QueueSettings, Settle, Settled, WorkerOptions,
};
use redis::aio::MultiplexedConnection;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::harness::{Server, job, script_calls, short_lease, until};

/// A Redis that saves, and takes no writes while it cannot.
struct Disk {
    server: Server,
    line: MultiplexedConnection,
}

impl Disk {
    async fn start() -> Self {
        let server = Server::start_with(&["--save", "3600 1", "--appendonly", "no"]).await;
        let line = server.raw().await;
        Self { server, line }
    }

    /// A folder has the name of the file: nobody can write that, whatever rights there are.
    fn in_the_way(&self) -> PathBuf {
        self.server.socket().with_file_name("dump.rdb")
    }

    async fn fail(&mut self) {
        std::fs::create_dir(self.in_the_way()).unwrap();
        self.save("err").await;
    }

    async fn recover(&mut self) {
        std::fs::remove_dir(self.in_the_way()).unwrap();
        self.save("ok").await;
    }

    async fn save(&mut self, ends: &str) {
        redis::cmd("BGSAVE").exec_async(&mut self.line).await.unwrap();
        until("redis has tried to save", || async {
            let mut line = self.line.clone();
            let info: String =
                redis::cmd("INFO").arg("persistence").query_async(&mut line).await.unwrap();
            info.contains(&format!("rdb_last_bgsave_status:{ends}"))
        })
        .await;
    }
}

#[derive(Clone, Copy)]
enum Way {
    /// Settles, however long it takes.
    Wait,
    /// Gives up half-way, and goes on until it is told to stop.
    GiveUp,
    /// Tries again and again, until it is told to stop.
    Insist,
}

type Shared = (Way, Arc<Semaphore>, mpsc::UnboundedSender<Option<Ended>>);

async fn work(claim: Claim, shared: Data<Shared>) {
    let (way, gate, told) = &*shared;
    gate.acquire().await.unwrap().forget();
    match way {
        Way::Wait => assert_eq!(claim.settle(Settle::Done).await.unwrap(), Settled::Applied),
        Way::GiveUp => {
            let settling = claim.settle(Settle::Done);
            assert!(tokio::time::timeout(Duration::from_millis(100), settling).await.is_err());
            told.send(claim.ended()).unwrap();
            claim.cancellation().cancelled().await;
        }
        Way::Insist => {
            assert!(claim.settle(Settle::Done).await.is_err());
            told.send(claim.ended()).unwrap();
            while claim.ended().is_none() {
                let _ = claim.settle(Settle::Done).await;
            }
        }
    }
    told.send(claim.ended()).unwrap();
}

/// A worker that holds one job and settles it once the gate is open.
struct Worker {
    handle: Handle,
    gate: Arc<Semaphore>,
    told: mpsc::UnboundedReceiver<Option<Ended>>,
    running: JoinHandle<()>,
}

impl Worker {
    async fn with_a_job(queue: &Queue, way: Way) -> Self {
        queue.enqueue(job("a")).await.unwrap();
        let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 1)).unwrap();
        let handle = backend.handle();
        let gate = Arc::new(Semaphore::new(0));
        let (sender, told) = mpsc::unbounded_channel();
        let shared = (way, Arc::clone(&gate), sender);
        let worker = WorkerBuilder::new("w").backend(backend).data(shared).build(work);
        let running = tokio::spawn(async move { worker.run().await.unwrap() });
        until("the job is held", || async { handle.held() == 1 }).await;
        Self { handle, gate, told, running }
    }

    /// Why the handler is to stop, as far as it knows; fails loudly after 20 s.
    async fn told(&mut self) -> Option<Ended> {
        let told = tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await;
        told.expect("the handler says something").unwrap()
    }

    async fn stop(self) {
        self.handle.stop();
        self.running.await.unwrap();
    }
}

#[tokio::test]
async fn a_settlement_that_is_refused_waits_and_is_made_up_for() {
    let mut disk = Disk::start().await;
    let queue = disk.server.queue(QueueSettings::default()).await;
    let mut worker = Worker::with_a_job(&queue, Way::Wait).await;
    disk.fail().await;
    let before = script_calls(&mut disk.line).await;
    worker.gate.add_permits(1);
    until("it was tried a few times", || async {
        script_calls(&mut disk.line.clone()).await >= before + 4
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = script_calls(&mut disk.line).await - before;
    println!("{calls} calls in a second of refusals");
    // Without a pause there would be thousands.
    assert!(calls < 200, "{calls} calls");
    assert!(worker.told.try_recv().is_err(), "nothing can be settled now");

    disk.recover().await;
    assert_eq!(worker.told().await, None);
    worker.stop().await;
    assert_eq!(queue.depth().await.unwrap().totals.done, 1);
}

#[tokio::test]
async fn a_settlement_that_is_given_up_still_tells_of_a_lost_lease() {
    let mut disk = Disk::start().await;
    let queue = disk.server.queue(short_lease()).await;
    let mut worker = Worker::with_a_job(&queue, Way::GiveUp).await;
    disk.fail().await;
    worker.gate.add_permits(1);
    assert_eq!(worker.told().await, None, "its lease is not lost yet");
    disk.recover().await;
    let discarded = queue.discard("a").await.unwrap();
    assert_eq!((discarded.jobs, discarded.claimed), (1, 1));
    assert_eq!(worker.told().await, Some(Ended::LeaseLost));
    until("that is counted", || async { worker.handle.stats().leases_lost == 1 }).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_settlement_that_fails_while_the_lease_is_lost_tells_of_it() {
    let server = Server::start().await;
    let mut line = server.raw().await;
    let queue = server.queue(short_lease()).await;
    let mut worker = Worker::with_a_job(&queue, Way::Insist).await;
    // Renewals go on; whoever settles meets a value of somebody else.
    redis::cmd("SET").arg("{test:work}:history").arg("x").exec_async(&mut line).await.unwrap();
    worker.gate.add_permits(1);
    assert_eq!(worker.told().await, None, "its lease is not lost yet");
    redis::cmd("HDEL").arg("{test:work}:state").arg("a").exec_async(&mut line).await.unwrap();
    assert_eq!(worker.told().await, Some(Ended::LeaseLost));
    worker.stop().await;
}

#[tokio::test]
async fn a_settlement_that_is_dropped_tells_of_what_was_taken_for_its_success() {
    let server = Server::start().await;
    let queue = server.queue(short_lease()).await;
    let (sender, mut claims) = mpsc::unbounded_channel::<Claim>();
    let hand_out = async |claim: Claim, out: Data<mpsc::UnboundedSender<Claim>>| {
        out.send(claim).unwrap();
    };
    let backend = FleetBackend::new(queue.clone(), WorkerOptions::new("w", 1)).unwrap();
    let handle = backend.handle();
    let worker = WorkerBuilder::new("w").backend(backend).data(sender).build(hand_out);
    let worker = tokio::spawn(worker.run());
    queue.enqueue(job("1")).await.unwrap();
    let claim = claims.recv().await.unwrap();

    // On its way when the lease turns out to be lost, and never looked at again.
    let mut settling = Box::pin(claim.settle(Settle::Done));
    let mut line = server.raw().await;
    redis::cmd("FLUSHALL").exec_async(&mut line).await.unwrap();
    assert!(futures_util::poll!(settling.as_mut()).is_pending());
    // Longer than a round of renewals.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(handle.held(), 1);
    drop(settling);
    until("it is told", || async { claim.ended() == Some(Ended::LeaseLost) }).await;
    assert!(claim.cancellation().is_cancelled());
    assert_eq!((handle.stats().leases_lost, handle.held()), (1, 0));
    drop(claim);
    handle.stop();
    worker.await.unwrap().unwrap();
}
