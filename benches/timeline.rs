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

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use eyefleet::catalog::Catalog;
use eyefleet::clock::Clock;
use eyefleet::names::LibraryId;
use eyefleet::vision::Pack;
use sea_orm::{ConnectionTrait, Database};

use figures::Figures;
use sample::vectors::{Dice, grouped};
use support::{Running, Up, eyefleet, run, stdout};

/// Photos, and the seconds until they are learned from that the product allows.
const STARTS: [(usize, f64); 3] = [(500, 10.0), (2_000, 30.0), (10_000, 120.0)];
const LARGE: [usize; 2] = [100_000, 1_000_000];
/// Rows inserted by one statement.
const ROWS: usize = 500;
const SUBJECTS: usize = 60;
const WITH: usize = 12;

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

/// A catalogue of analyzed photos, as if a fleet had looked at them long ago.
#[tokio::main]
async fn fill(data: &Path, photos: usize) {
    let pack = Pack::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter")).unwrap();
    let url = format!("sqlite://{}", data.join("catalog.sqlite").display());
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    catalog.ensure_library(&LibraryId::main(), data).await.unwrap();
    drop(catalog);
    let rows = Database::connect(&url).await.unwrap();
    let dim = pack.manifest().postprocess.embedding.dim;
    let (space, pack) = (pack.space().to_string(), pack.name().to_string());
    let vectors = grouped(1, photos, dim, 300, 0.6);
    let mut dice = Dice::new(2);
    let time = "2026-01-01T00:00:00.000000Z";
    for first in (0..photos).step_by(ROWS) {
        let (mut images, mut stages, mut analyses) = (String::new(), String::new(), String::new());
        for number in first..photos.min(first + ROWS) {
            let comma = if number == first { "" } else { "," };
            let id = format!("{:03}/{number:07}.jpg", number / 10_000);
            let _ = write!(
                images,
                "{comma}('main','{id}','{id}',1,1000,'bench',640,480,'{time}','{time}')"
            );
            for (place, stage) in ["embed", "tag", "describe", "enrich"].into_iter().enumerate() {
                let comma = if place == 0 { comma } else { "," };
                let _ = write!(stages, "{comma}('main','{id}','{stage}','done',1,1,1,'{time}')");
            }
            let (tags, description) = said(&mut dice);
            let vector = &vectors[number * dim..][..dim];
            let hex: String = vector.iter().flat_map(|x| x.to_le_bytes()).fold(
                String::with_capacity(dim * 8),
                |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                },
            );
            let _ = write!(
                analyses,
                "{comma}('main','{id}',1,1,'{space}','{pack}','{tags}','[\"kind{}\"]','{description}','{time}',x'{hex}')",
                number % 9
            );
        }
        for (table, columns, values) in [
            (
                "images",
                "library,image,path,revision,bytes,source,width,height,created_at,updated_at",
                images,
            ),
            ("stages", "library,image,stage,state,revision,fence,attempts,updated_at", stages),
            (
                "analyses",
                "library,image,revision,fence,space,pack,tags,categories,description,stored_at,embedding",
                analyses,
            ),
        ] {
            let statement = format!("INSERT INTO {table} ({columns}) VALUES {values}");
            rows.execute_unprepared(&statement).await.unwrap();
        }
    }
    rows.close().await.unwrap();
}

/// Tags as the catalogue keeps them, and a sentence: a subject and some of what goes with it.
fn said(dice: &mut Dice) -> (String, String) {
    let subject = dice.below(SUBJECTS);
    let with: Vec<String> = (0..WITH)
        .filter(|_| dice.below(10) < 4)
        .map(|thing| format!("thing{}x{thing}", letters(subject)))
        .collect();
    let subject = format!("subject{}", letters(subject));
    let tags = std::iter::once(&subject).chain(&with);
    let tags: Vec<String> =
        tags.map(|tag| format!(r#"{{"name":"{tag}","group":"","score":0.9}}"#)).collect();
    let noise = letters(dice.below(2_000));
    let sentence = format!("a bright {subject} with {} and {noise}", with.join(" and "));
    (format!("[{}]", tags.join(",")), sentence)
}

fn letters(mut number: usize) -> String {
    let mut word = String::from("q");
    for _ in 0..3 {
        word.push((b'a' + (number % 20) as u8) as char);
        number /= 20;
    }
    word
}
