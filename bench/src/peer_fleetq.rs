//! fleetq as its README shows it: a [`FleetBackend`] under apalis' worker, every claim settled by
//! itself.

use std::error::Error;
use std::time::Instant;

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, NewJob, Queue, QueueSettings, Settle, WorkerOptions,
    connect,
};
use tokio::sync::mpsc;

use crate::child::{done, pick_ups, ready};

/// Of 64, 128, 256, 512 and 1,000 the last is a little faster still.
const SLOTS: usize = 512;

pub async fn run(task: &str, socket: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let redis = connect(&format!("redis+unix://{socket}"), ConnectOptions::default()).await?;
    let queue = Queue::open(&redis, "bench", "empty", QueueSettings::default()).await?;
    match task {
        "enqueue-one" => {
            ready()?;
            for number in 0..count {
                queue.enqueue(job(number)).await?;
            }
            done(&[])
        }
        "enqueue-many" => {
            ready()?;
            queue.enqueue_many((0..count).map(job).collect()).await?;
            done(&[])
        }
        "work" => {
            ready()?;
            let (settled, mut all_settled) = mpsc::unbounded_channel();
            start_worker(queue, None, Some(settled))?;
            for _ in 0..count {
                all_settled.recv().await.ok_or("the worker has ended")?;
            }
            done(&[])
        }
        _ => {
            let (started, mut starts) = mpsc::unbounded_channel();
            start_worker(queue.clone(), Some(started), None)?;
            ready()?;
            let latencies = pick_ups(count, &mut starts, async |number| {
                queue.enqueue(job(number)).await?;
                Ok(())
            });
            done(&latencies.await?)
        }
    }
}

fn job(number: usize) -> NewJob {
    NewJob::new(number.to_string(), "empty", "{}")
}

fn start_worker(
    queue: Queue,
    started: Option<mpsc::UnboundedSender<Instant>>,
    settled: Option<mpsc::UnboundedSender<()>>,
) -> Result<(), Box<dyn Error>> {
    let backend = FleetBackend::new(queue, WorkerOptions::new("bench", SLOTS))?;
    let handler = move |claim: Claim| {
        let (started, settled) = (started.clone(), settled.clone());
        async move {
            if let Some(started) = started {
                let _ = started.send(Instant::now());
            }
            let how = claim.settle(Settle::Done).await;
            if let Some(settled) = settled {
                let _ = settled.send(());
            }
            how.map(|_| ())
        }
    };
    tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(handler).run());
    Ok(())
}
