//! What becomes of jobs when their worker dies, and that a busy worker does not count as dead.
//!
//! - `kill`: worker processes are killed with -9 while each holds jobs; the clock runs from the
//!   kill until another worker has the last of them. The lease is 2 s.
//! - `saturated`: two workers, with the default lease and with one of 2 s, hold jobs while threads
//!   at normal priority spin on every core, twice as many as there are cores. No lease may be lost
//!   and no job taken away.
//!
//! Run with `cargo bench -p fleetq --bench recovery`; it takes 140 s, 120 of them saturated.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

mod figures;
mod server;

use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, Handle, Queue, QueueSettings, Settle, WorkerOptions,
    connect,
};
use tokio::sync::mpsc;

use figures::{Figures, quantile};
use server::{Persistence, jobs, open};

const LEASE: Duration = Duration::from_secs(2);
/// Killed at the same time, each on a queue of its own.
const VICTIMS: u64 = 8;
const WAVES: u64 = 4;
const HELD: usize = 4;
const SATURATED: Duration = Duration::from_mins(2);
const SOCKET: &str = "FLEETQ_BENCH_SOCKET";
const QUEUE: &str = "FLEETQ_BENCH_QUEUE";

#[tokio::main]
async fn main() -> ExitCode {
    if let (Ok(socket), Ok(name)) = (std::env::var(SOCKET), std::env::var(QUEUE)) {
        hold_for_ever(Path::new(&socket), &name).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_server, _) = open(folder.path(), Persistence::None).await;
    let socket = folder.path().join("redis.sock");

    let mut took = Vec::new();
    for wave in 0..WAVES {
        let victims: Vec<_> = (0..VICTIMS)
            .map(|victim| tokio::spawn(kill_one(socket.clone(), wave * VICTIMS + victim)))
            .collect();
        for victim in victims {
            took.push(victim.await.unwrap().as_secs_f64());
        }
    }
    let mut figures = Figures::default();
    figures.at_most("recovery/kill_p50", quantile(&took, 0.5), 4.0, "s");
    figures.at_most("recovery/kill_p99", quantile(&took, 0.99), 4.0, "s");

    let expelled = saturated(&socket).await;
    figures.at_most("recovery/leases_lost_while_saturated", expelled as f64, 0.0, "");
    figures.finish("recovery")
}

async fn queue(socket: &Path, name: &str, lease: Duration) -> Queue {
    let url = format!("redis+unix://{}", socket.display());
    let redis = connect(&url, ConnectOptions::default()).await.unwrap();
    let settings = QueueSettings { lease, ..QueueSettings::default() };
    Queue::open(&redis, "bench", name, settings).await.unwrap()
}

/// The process that is killed.
async fn hold_for_ever(socket: &Path, name: &str) -> ! {
    let queue = queue(socket, name, LEASE).await;
    let backend = FleetBackend::new(queue, WorkerOptions::new("victim", HELD)).unwrap();
    let run = async |claim: Claim| claim.cancellation().cancelled().await;
    WorkerBuilder::new("victim").backend(backend).build(run).run().await.unwrap();
    panic!("a victim ends by being killed");
}

/// From the kill until the rescuer holds all the victim held.
async fn kill_one(socket: std::path::PathBuf, number: u64) -> Duration {
    let name = format!("kill-{number}");
    let queue = queue(&socket, &name, LEASE).await;
    queue.enqueue_many(jobs(0, HELD as u64)).await.unwrap();
    let mut victim = Process(
        Command::new(std::env::current_exe().unwrap())
            .env(SOCKET, &socket)
            .env(QUEUE, &name)
            .spawn()
            .unwrap(),
    );
    while queue.depth().await.unwrap().claimed != HELD as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A worker with free slots is there already, and the kill falls anywhere between renewals.
    let (rescued, mut rescues) = mpsc::unbounded_channel();
    let run = move |claim: Claim| {
        let rescued = rescued.clone();
        async move {
            claim.settle(Settle::Done).await.unwrap();
            let _ = rescued.send(());
        }
    };
    let backend = FleetBackend::new(queue, WorkerOptions::new("rescuer", 8)).unwrap();
    let handle = backend.handle();
    let rescuer = tokio::spawn(WorkerBuilder::new("rescuer").backend(backend).build(run).run());
    tokio::time::sleep(Duration::from_millis(200 + number * 7_919 % 700)).await;
    victim.kill();
    let killed = Instant::now();
    for _ in 0..HELD {
        rescues.recv().await.unwrap();
    }
    let took = killed.elapsed();
    handle.stop();
    rescuer.await.unwrap().unwrap();
    took
}

/// Killed with the bench.
struct Process(Child);

impl Process {
    /// With SIGKILL.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Leases lost and jobs returned by anybody's reaper.
async fn saturated(socket: &Path) -> u64 {
    let default_lease = QueueSettings::default().lease;
    let mut held = Vec::new();
    for (name, lease) in [("lease-default", default_lease), ("lease-2-s", LEASE)] {
        let queue = queue(socket, name, lease).await;
        queue.enqueue_many(jobs(0, HELD as u64)).await.unwrap();
        let handle = hold(queue.clone(), name);
        while handle.held() < HELD {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        held.push((queue, handle));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().unwrap().get();
    let spinning: Vec<_> = (0..cores * 2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut turns = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    turns = std::hint::black_box(turns.wrapping_add(1));
                }
            })
        })
        .collect();
    tokio::time::sleep(SATURATED).await;
    let mut expelled = 0;
    for (queue, handle) in &held {
        let stats = handle.stats();
        let returned = queue.depth().await.unwrap().totals.returned;
        println!(
            "  {}: {} leases lost, {returned} jobs returned, {} of {} renewals late, longest gap {:?}",
            queue.label(),
            stats.leases_lost,
            stats.renewed_late,
            stats.renewed,
            stats.renewal_gap_max
        );
        expelled += stats.leases_lost + returned;
    }
    stop.store(true, Ordering::Relaxed);
    for thread in spinning {
        thread.join().unwrap();
    }
    expelled
}

/// A worker whose jobs last until they are told to stop.
fn hold(queue: Queue, name: &str) -> Handle {
    let backend = FleetBackend::new(queue, WorkerOptions::new(name, HELD)).unwrap();
    let handle = backend.handle();
    let run = async |claim: Claim| claim.cancellation().cancelled().await;
    tokio::spawn(WorkerBuilder::new(name).backend(backend).build(run).run());
    handle
}
