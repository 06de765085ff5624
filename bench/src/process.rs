//! One measured process: started, told to go, heard, and its processor time read beside that of
//! its Redis.
//!
//! The child prints a line when it is connected, waits for a line, works, prints a line of JSON
//! (the latencies in µs, or an empty list), and ends when its input does.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::Server;

const IDLE: Duration = Duration::from_secs(20);
/// What follows the start of a worker is not idleness yet.
const SETTLE_IN: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    Fleetq,
    ApalisRedis,
    /// Neither locks nor acknowledgements: a job whose worker dies may be lost or run for ever.
    ApalisRedisUnsafe,
    BullMq,
}

impl System {
    pub const ALL: [Self; 4] =
        [Self::Fleetq, Self::ApalisRedis, Self::BullMq, Self::ApalisRedisUnsafe];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fleetq => "fleetq",
            Self::ApalisRedis => "apalis-redis",
            Self::ApalisRedisUnsafe => "apalis-redis-unsafe",
            Self::BullMq => "bullmq",
        }
    }

    /// The unsafe setting is one of the worker alone.
    pub fn has_own_enqueue(self) -> bool {
        self != Self::ApalisRedisUnsafe
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Task {
    EnqueueOne,
    EnqueueMany,
    Work,
    PickUp,
    Idle,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::EnqueueOne => "enqueue-one",
            Self::EnqueueMany => "enqueue-many",
            Self::Work => "work",
            Self::PickUp => "pick-up",
            Self::Idle => "idle",
        }
    }
}

/// What one task took.
pub struct Measured {
    wall: Duration,
    worker: Duration,
    redis: Duration,
    latencies: Vec<f64>,
}

impl Measured {
    pub fn rate(&self, jobs: usize) -> f64 {
        jobs as f64 / self.wall.as_secs_f64()
    }

    pub fn worker_micros(&self, jobs: usize) -> f64 {
        self.worker.as_secs_f64() * 1e6 / jobs as f64
    }

    pub fn redis_micros(&self, jobs: usize) -> f64 {
        self.redis.as_secs_f64() * 1e6 / jobs as f64
    }

    /// In ms, at this quantile.
    pub fn latency(&self, quantile: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * quantile).ceil() as usize;
        sorted[at.clamp(1, sorted.len()) - 1] / 1e3
    }
}

/// A child that waits to be told to go.
pub struct Running {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    what: String,
}

impl Running {
    fn start(
        system: System,
        task: Task,
        server: &Server,
        count: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = if system == System::BullMq {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bullmq");
            let script = match task {
                Task::EnqueueOne | Task::EnqueueMany => "enqueue.js",
                Task::Work | Task::PickUp | Task::Idle => "worker.js",
            };
            let mut command = Command::new("node");
            command.arg(folder.join(script));
            command
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["child", system.name()]);
            command
        };
        command.arg(task.name()).arg(server.socket()).arg(count.to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("a child without output")?);
        let what = format!("{} {}", system.name(), task.name());
        let mut running = Self { process, input, output, what };
        running.line()?;
        Ok(running)
    }

    fn go(&mut self) -> Result<Vec<f64>, Box<dyn Error>> {
        self.input.as_mut().ok_or("the child was told to end")?.write_all(b"go\n")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("{} ended early; its message is above", self.what).into());
        }
        Ok(line)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

pub fn measure(
    system: System,
    task: Task,
    server: &Server,
    count: usize,
) -> Result<Measured, Box<dyn Error>> {
    let mut running = Running::start(system, task, server, count)?;
    let (worker, redis) = (cpu(running.process.id())?, cpu(server.id())?);
    let started = Instant::now();
    let latencies = running.go()?;
    let wall = started.elapsed();
    let worker = cpu(running.process.id())?.saturating_sub(worker);
    let redis = cpu(server.id())?.saturating_sub(redis);
    Ok(Measured { wall, worker, redis, latencies })
}

pub fn start_idle(system: System, server: &Server) -> Result<Running, Box<dyn Error>> {
    let mut running = Running::start(system, Task::Idle, server, 0)?;
    running.go()?;
    Ok(running)
}

/// For each worker its own use of one core and that of its Redis, in percent.
pub fn watch_idle(idle: &[(System, Running, Server)]) -> Result<Vec<(f64, f64)>, Box<dyn Error>> {
    let read = || -> Result<Vec<(Duration, Duration)>, Box<dyn Error>> {
        idle.iter()
            .map(|(_, run, server)| Ok((cpu(run.process.id())?, cpu(server.id())?)))
            .collect()
    };
    std::thread::sleep(SETTLE_IN);
    let before = read()?;
    std::thread::sleep(IDLE);
    let after = read()?;
    let percent = |from: Duration, to: Duration| {
        to.saturating_sub(from).as_secs_f64() * 100.0 / IDLE.as_secs_f64()
    };
    Ok(before
        .iter()
        .zip(after)
        .map(|(from, to)| (percent(from.0, to.0), percent(from.1, to.1)))
        .collect())
}

/// Processor time of all threads of a process so far, user and system. The kernel counts in ticks
/// of 10 ms.
fn cpu(id: u32) -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program stands in brackets and may hold anything.
    let after_name = text.rsplit_once(") ").ok_or("an unreadable /proc/<pid>/stat")?.1;
    let ticks: Vec<u64> =
        after_name.split(' ').skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    Ok(Duration::from_millis(10) * u32::try_from(ticks.iter().sum::<u64>())?)
}
