//! A worker process at half load for ten minutes.
//! Failure: memory of the worker or of Redis that still grows after the first third, a thread or a
//! descriptor more than before, work that piles up.

use std::collections::BTreeMap;
use std::time::Duration;

use apalis_core::worker::builder::WorkerBuilder;
use fleetq::{
    Claim, ConnectOptions, FleetBackend, Queue, QueueError, QueueSettings, Settle, WorkerOptions,
    connect,
};

const SLOTS: usize = 16;

/// The worker process. Of sixteen jobs one fails twice and comes back at once, one fails twice and
/// comes back after a second, and the others are done.
pub async fn work(url: String, name: String) {
    let redis = connect(&url, ConnectOptions::default()).await.unwrap();
    let queue = Queue::open(&redis, "test", "work", QueueSettings::default()).await.unwrap();
    let backend = FleetBackend::new(queue, WorkerOptions::new(&name, SLOTS)).unwrap();
    WorkerBuilder::new(name).backend(backend).build(handle).run().await.unwrap();
}

async fn handle(claim: Claim) -> Result<(), QueueError> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    let cause = format!("attempt {} of a soak", claim.attempts);
    let how = match claim.kind.as_str() {
        "retry" if claim.attempts < 2 => Settle::RetryAfter { delay: Duration::ZERO, cause },
        "later" if claim.attempts < 2 => {
            Settle::RetryAfter { delay: Duration::from_secs(1), cause }
        }
        _ => Settle::Done,
    };
    claim.settle(how).await.map(|_| ())
}

/// What is watched, by name.
type Sample = BTreeMap<&'static str, u64>;

/// The middle value of each third.
fn thirds(samples: &[Sample], name: &str) -> [u64; 3] {
    let mut medians = [0; 3];
    for (median, third) in medians.iter_mut().zip(samples.chunks(samples.len().div_ceil(3))) {
        let mut values: Vec<u64> = third.iter().map(|sample| sample[name]).collect();
        values.sort_unstable();
        *median = values[values.len() / 2];
    }
    medians
}

/// Flat: the last third is at most a tenth and `slack` above the second. The first does not count:
/// allocators and tables grow to their size in it. The tenth is for what both hold for a moment
/// (jobs in hand, buffers of connections), the slack for the pages and tables they take at once.
fn assert_flat(samples: &[Sample], name: &str, slack: u64) {
    let [first, second, last] = thirds(samples, name);
    println!("{name}: medians of the thirds {first}, {second}, {last}");
    assert!(last <= second + second / 10 + slack, "{name} grows: {first}, {second}, {last}");
}

fn assert_constant(samples: &[Sample], name: &str) {
    let settled = &samples[samples.len() / 3..];
    let values: Vec<u64> = settled.iter().map(|sample| sample[name]).collect();
    println!("{name}: {}", values[0]);
    assert!(values.iter().all(|value| *value == values[0]), "{name} changes: {values:?}");
}

#[test]
fn growth_is_told_from_a_plateau() {
    let series = |value: fn(u64) -> u64| {
        (0..30).map(|n| Sample::from([("memory", value(n))])).collect::<Vec<_>>()
    };
    let grows = |samples: Vec<Sample>| {
        std::panic::catch_unwind(|| assert_flat(&samples, "memory", 100)).is_err()
    };
    assert!(!grows(series(|n| 1_000 + 2_000 * n.min(8))), "it has settled");
    assert!(!grows(series(|n| 20_000 + 1_500 * (n % 2))), "it goes up and down");
    assert!(grows(series(|n| 10_000 + 500 * n)), "it grows all the time");
    let climbs = series(|n| 9 + n / 25);
    assert!(std::panic::catch_unwind(|| assert_constant(&climbs, "memory")).is_err());
}

mod slow {
    use std::fs;

    use fleetq::NewJob;
    use redis::aio::MultiplexedConnection;
    use tokio::time::{Instant, interval};

    use super::*;
    use crate::child::Process;
    use crate::harness::{Server, job, until};

    /// `FLEETQ_SOAK_SECONDS` shortens it, for a try.
    const DURATION: Duration = Duration::from_mins(10);
    const LOOK: Duration = Duration::from_secs(5);
    const TICK: Duration = Duration::from_millis(100);
    const TO_MEASURE: usize = 6_000;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn memory_stays_flat_at_half_load() {
        let duration = std::env::var("FLEETQ_SOAK_SECONDS")
            .map_or(DURATION, |text| Duration::from_secs(text.parse().unwrap()));
        let server = Server::start().await;
        let queue = server.queue(QueueSettings::default()).await;
        let mut line = server.raw().await;
        let worker = Process::start_as("soak", &server.url(), "soaked", &[]);
        let rate = measure(&queue).await;
        let jobs_a_tick = (rate / 2.0 * TICK.as_secs_f64()).ceil() as u64;
        println!("{rate:.0} jobs/s drained, {jobs_a_tick} added every {TICK:?} for {duration:?}");

        let (began, mut looked) = (Instant::now(), Instant::now());
        let mut ticks = interval(TICK);
        let (mut samples, mut next, mut held_back) = (Vec::new(), 0, 0);
        while began.elapsed() < duration {
            ticks.tick().await;
            // Half of what it could do when it was measured. Should the machine have become slower
            // than that, the load follows: this is about memory and not about a backlog.
            if queue.depth().await.unwrap().ready() > 20 * jobs_a_tick {
                held_back += 1;
            } else {
                let jobs = (next..next + jobs_a_tick).map(mixed).collect();
                queue.enqueue_many(jobs).await.unwrap();
                next += jobs_a_tick;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                samples.push(sample(worker.id(), &mut line).await);
            }
        }
        until("all is done", || async { queue.depth().await.unwrap().unfinished() == 0 }).await;

        let totals = queue.depth().await.unwrap().totals;
        println!("{} looks, {held_back} ticks held back, {totals:?}", samples.len());
        assert!(samples.len() >= 6, "a soak is judged by six looks at least: give it 40 s");
        for (name, slack) in [("worker kB", 2048), ("redis bytes", 512 * 1024)] {
            assert_flat(&samples, name, slack);
        }
        assert_constant(&samples, "threads");
        assert_constant(&samples, "descriptors");
        assert_eq!((totals.done, totals.enqueued), (next + TO_MEASURE as u64, totals.done));
        assert_eq!((totals.returned, totals.stale), (0, 0), "{totals:?}");
    }

    /// Jobs a second, when there is nothing but work. Whether it works already is seen by a job.
    async fn measure(queue: &Queue) -> f64 {
        queue.enqueue(job("first")).await.unwrap();
        let done = async |count: u64| queue.depth().await.unwrap().totals.done >= count;
        until("the worker works", || done(1)).await;
        let began = Instant::now();
        queue.enqueue_many((1..TO_MEASURE).map(|n| job(format!("m{n}"))).collect()).await.unwrap();
        until("the measure is full", || done(TO_MEASURE as u64)).await;
        TO_MEASURE as f64 / began.elapsed().as_secs_f64()
    }

    fn mixed(number: u64) -> NewJob {
        let mut new = job(number).with_meta("source", "soak");
        match number % 16 {
            0 => new.kind = "retry".into(),
            1 => new.kind = "later".into(),
            2 | 3 => new.delay = Some(Duration::from_millis(number % 2000)),
            _ => {}
        }
        new
    }

    async fn sample(process: u32, line: &mut MultiplexedConnection) -> Sample {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let memory: String = redis::cmd("INFO").arg("memory").query_async(line).await.unwrap();
        let number = |text: &str, name: &str| -> u64 {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().trim_end_matches(" kB").parse().unwrap()
        };
        Sample::from([
            ("worker kB", number(&status, "VmRSS:")),
            ("threads", number(&status, "Threads:")),
            ("descriptors", fs::read_dir(format!("/proc/{process}/fd")).unwrap().count() as u64),
            ("redis bytes", number(&memory, "used_memory:")),
        ])
    }
}
