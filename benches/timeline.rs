//! From a fleet that starts on an analyzed library to workers that serve what was learned of it, as
//! an owner waits for it, without the delay that lets photos settle; and export and training of
//! libraries of a hundred thousand and a million photos, with the most memory that each role took.
//! Each is done once, in one piece, so this is no statistic: run it again where it matters.
//! Run with `cargo bench --bench timeline`; it takes about ten minutes and 4 GB of temporary files.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
#[path = "../crates/fleetq/benches/figures/mod.rs"]
mod figures;
#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;
#[allow(dead_code, reason = "shared with the stories; a bench uses a part of it")]
#[path = "../tests/it/support.rs"]
mod support;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use figures::Figures;
use sample::analyzed::fill;
use support::{Running, Up, eyefleet, run, stdout};

/// Photos, and the seconds until they are learned from that the product allows.
const STARTS: [(usize, f64); 3] = [(500, 10.0), (2_000, 30.0), (10_000, 120.0)];
const LARGE: [usize; 2] = [100_000, 1_000_000];

fn main() -> ExitCode {
    let mut figures = Figures::default();
    for (photos, most) in STARTS {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), photos);
        let began = Instant::now();
        let up = fleet(folder.path(), true);
        until_served(&up);
        let took = began.elapsed().as_secs_f64();
        figures.at_most(&format!("timeline/start_to_applied_{photos}"), took, most, "s");
        up.stop();
    }
    let mut before: Option<(usize, f64)> = None;
    for photos in LARGE {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), photos);
        let up = fleet(folder.path(), false);
        let mut total = 0.0;
        for role in ["export", "train"] {
            let began = Instant::now();
            let done = run(eyefleet(folder.path()).args([role, "--wait", "--json"]));
            assert!(done.status.success(), "{}", stdout(&done));
            let took = began.elapsed().as_secs_f64();
            let most = peak_mib(up.pid(&format!("{role}-1")));
            println!("timeline/{role}_{photos}: {took:.1} s, at most {most} MiB");
            figures.note_only(
                &format!("timeline/{role}_{photos}"),
                &format!("{took:.1} s, {most} MiB"),
            );
            total += took;
        }
        if let Some((fewer, took)) = before {
            let n_log_n = |n: usize| n as f64 * (n as f64).ln();
            let growth = total / took / (n_log_n(photos) / n_log_n(fewer));
            figures.at_most("timeline/growth_to_n_log_n", growth, 1.0, "");
        }
        before = Some((photos, total));
        up.stop();
    }
    figures.finish("timeline")
}

fn fleet(data: &Path, learns: bool) -> Up {
    let mut command = eyefleet(data);
    command
        .arg("up")
        .env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0")
        .env("AUTO_TRAIN", learns.to_string())
        .env("EYEFLEET_TRAIN__DELAY_SECONDS", "0")
        // A graph over a million vectors is the bench of search; here it is about what is learned.
        .env("EYEFLEET_TRAIN__EXACT_SEARCH_MAX", "2000000");
    let up = Up { process: Running::start(&mut command), data: data.to_owned() };
    up.wait_until_ready();
    up
}

fn until_served(up: &Up) {
    support::wait_for("a worker to serve what was learned", || {
        let status = eyefleet(&up.data).args(["status", "--json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).ok()?;
        let workers = status["workers"].as_array()?.clone();
        workers.iter().any(|it| it["role"] == "analyze" && it["serves"]["main"] == 1).then_some(())
    });
}

/// The most memory that a process has held, in MiB.
fn peak_mib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
