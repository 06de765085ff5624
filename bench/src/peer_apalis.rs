//! apalis-redis 1.0 with the settings that were fastest here.
//!
//! Locks and acknowledgements are on, as they are by default: without them a job whose worker
//! dies is lost or runs again for ever, which is the row called unsafe. A fetch script that finds
//! 8,000 due jobs fails ("too many results to unpack") and ends the worker, because every push goes
//! through the set of scheduled jobs; so a backlog is moved to the list it is fetched from
//! beforehand, in small steps and outside of the measured time.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apalis_core::backend::TaskSink;
use apalis_core::backend::ext::BackendExt;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use tokio::sync::mpsc;

use crate::child::{done, pick_ups, ready};

type Storage = RedisStorage<usize>;

/// Jobs in one fetch, and a quarter of the channel of acknowledgements; best of 10, 50, 100, 250 and
/// 1,000.
const BATCH: usize = 250;
/// How often an idle worker looks; best of 1, 2 and 10 ms. At 1 ms it now and then loses its timer and
/// sleeps until its next heartbeat, 30 s.
const POLL: Duration = Duration::from_millis(2);
/// Jobs in one push.
const BULK: usize = 1_000;

pub async fn run(task: &str, socket: &str, count: usize, safe: bool) -> Result<(), Box<dyn Error>> {
    let redis = apalis_redis::connect(format!("redis+unix://{socket}")).await?;
    let config = Config::default()
        .queue("bench")
        .batch_size(BATCH)
        .emit_events(false)
        .lock_tasks(safe)
        .persist_results(safe);
    let mut storage: Storage = RedisStorage::new(redis.clone()).with_config(config.clone());
    match task {
        "enqueue-one" => {
            ready()?;
            for number in 0..count {
                storage.push(number).await?;
            }
            done(&[])
        }
        "enqueue-many" => {
            ready()?;
            for from in (0..count).step_by(BULK) {
                storage.push_bulk((from..count.min(from + BULK)).collect()).await?;
            }
            done(&[])
        }
        "work" => {
            make_ready(redis.clone(), &config).await?;
            ready()?;
            work(storage, redis, &config, count, safe).await?;
            done(&[])
        }
        _ => {
            let (started, mut starts) = mpsc::unbounded_channel();
            let ran = Arc::new(AtomicUsize::new(0));
            start_worker(storage.clone(), ran, Some(started));
            ready()?;
            let latencies = pick_ups(count, &mut starts, async |number| {
                storage.push(number).await?;
                Ok(())
            });
            done(&latencies.await?)
        }
    }
}

/// Returns when every job has run and, where there are acknowledgements, is acknowledged.
async fn work(
    storage: Storage,
    mut redis: ConnectionManager,
    config: &Config,
    count: usize,
    safe: bool,
) -> Result<(), Box<dyn Error>> {
    let ran = Arc::new(AtomicUsize::new(0));
    start_worker(storage, Arc::clone(&ran), None);
    let look = Duration::from_millis(2);
    while ran.load(Ordering::Relaxed) < count {
        tokio::time::sleep(look).await;
    }
    let mut cardinality = redis::cmd("SCARD");
    cardinality.arg(config.done_jobs_set());
    while safe && cardinality.query_async::<usize>(&mut redis).await? < count {
        tokio::time::sleep(look).await;
    }
    Ok(())
}

fn start_worker(
    storage: Storage,
    ran: Arc<AtomicUsize>,
    started: Option<mpsc::UnboundedSender<Instant>>,
) {
    let handler = move |_: usize| {
        let (ran, started) = (Arc::clone(&ran), started.clone());
        async move {
            if let Some(started) = started {
                let _ = started.send(Instant::now());
            }
            ran.fetch_add(1, Ordering::Relaxed);
        }
    };
    let backend = storage.poll_with_interval(POLL);
    tokio::spawn(WorkerBuilder::new("bench").backend(backend).build(handler).run());
}

/// What the fetch script does with due jobs, a thousand at a time.
async fn make_ready(mut redis: ConnectionManager, config: &Config) -> Result<(), Box<dyn Error>> {
    loop {
        let (scheduled, active) = (config.scheduled_jobs_set(), config.active_jobs_list());
        let mut due = redis::cmd("ZRANGE");
        let due: Vec<String> = due.arg(&scheduled).arg(0).arg(999).query_async(&mut redis).await?;
        if due.is_empty() {
            return Ok(());
        }
        redis::pipe()
            .cmd("RPUSH")
            .arg(&active)
            .arg(&due)
            .cmd("ZREM")
            .arg(&scheduled)
            .arg(&due)
            .exec_async(&mut redis)
            .await?;
    }
}
