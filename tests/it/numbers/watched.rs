//! A library analyzed by a whole fleet while somebody watches how busy the analyze processes are.
//! The story tests and the bench of the fleet share it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Up, eyefleet, get, run, wait_for};

/// Both analyze processes of `eyefleet up`.
const ANALYZE: [&str; 2] = ["analyze-1", "analyze-2"];
/// Ticks of `/proc/PID/stat` in a second: the same on every Linux that we run on.
const TICKS: f64 = 100.0;

/// What was seen while jobs waited.
#[derive(Debug)]
pub struct Watched {
    /// From the first claim until fewer jobs were left than the processes hold at once.
    pub wall: Duration,
    /// Photos done in that time.
    pub photos: u64,
    /// Processor time of the analyze processes.
    pub processor: Duration,
    /// Time in which cores of the machine had nothing to do or waited for the disk.
    pub idle: Duration,
    pub cores: usize,
}

impl Watched {
    /// The share of all cores that the analyze processes used, 0 to 1.
    pub fn busy(&self) -> f64 {
        self.processor.as_secs_f64() / (self.wall.as_secs_f64() * self.cores as f64)
    }

    /// The share of what other programs left to them, 0 to 1.
    pub fn busy_of_left(&self) -> f64 {
        let left = self.processor + self.idle;
        self.processor.as_secs_f64() / left.as_secs_f64()
    }

    pub fn photos_per_second(&self) -> f64 {
        self.photos as f64 / self.wall.as_secs_f64()
    }
}

/// Adds the `count` photos in `folder` to the fleet `up` and watches them being analyzed. The
/// analyze processes are held until all photos wait, so that nothing else is measured.
pub fn analyze(up: &Up, folder: &Path, count: u64) -> Watched {
    let cores = std::thread::available_parallelism().unwrap().get();
    let before = finished(up);
    signal(up, Signal::STOP);
    let added = run(eyefleet(&up.data).arg("add").arg(folder));
    assert_eq!(added.status.code(), Some(0));
    let (started, processor, idle) = (Instant::now(), processor(up), idle());
    signal(up, Signal::CONT);
    // As many as are in work at once do not wait any more.
    let held = (ANALYZE.len() * 2 * cores) as u64;
    let photos = wait_for("the photos to be analyzed", || {
        let done = finished(up) - before;
        (done + held >= count).then_some(done)
    });
    let (wall, processor) = (started.elapsed(), self::processor(up).saturating_sub(processor));
    let idle = self::idle().saturating_sub(idle);
    wait_for("the last photos", || (finished(up) - before == count).then_some(()));
    Watched { wall, photos, processor, idle, cores }
}

/// The sum of a metric over the analyze processes; lines begin with `name`.
pub fn sum(up: &Up, name: &str) -> u64 {
    let of = |role: &str| -> u64 {
        let (status, page) = get(&format!("{}/metrics", up.url(role)));
        assert_eq!(status, 200);
        let lines = page.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    };
    ANALYZE.iter().map(|role| of(role)).sum()
}

fn finished(up: &Up) -> u64 {
    sum(up, r#"eyefleet_jobs_total{kind="analyze-image",outcome="finished"}"#)
}

fn signal(up: &Up, signal: Signal) {
    for role in ANALYZE {
        kill_process(Pid::from_raw(up.pid(role)).unwrap(), signal).unwrap();
    }
}

/// User and system time of the analyze processes.
fn processor(up: &Up) -> Duration {
    let of = |role: &str| -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", up.pid(role))).unwrap();
        // The name in parentheses may hold anything; the fields after it are numbers.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let [user, system] = [11, 12].map(|at| fields[at].parse::<f64>().unwrap());
        (user + system) / TICKS
    };
    Duration::from_secs_f64(ANALYZE.iter().map(|role| of(role)).sum())
}

/// Idle time of all cores since the machine was started, waiting for disks included.
fn idle() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<&str> = stat.lines().next().unwrap().split_whitespace().collect();
    let [idle, waiting] = [4, 5].map(|at| fields[at].parse::<f64>().unwrap());
    Duration::from_secs_f64((idle + waiting) / TICKS)
}
