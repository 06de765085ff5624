//! What a training takes from the others on the machine: photos a second and the time of a search, before
//! it and while one training follows the other. The library has a graph as its index, which is the
//! longest that a training computes. Each is done once, in one piece, so this is no statistic: run it
//! again where it matters.
//! Run with `cargo bench --bench beside`; it takes about five minutes.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
#[path = "../crates/fleetq/benches/figures/mod.rs"]
mod figures;
#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;
#[allow(dead_code, reason = "shared with the stories; a bench uses a part of it")]
#[path = "../tests/it/support.rs"]
mod support;
#[allow(dead_code, reason = "shared with the stories; a bench uses a part of it")]
#[path = "../tests/it/numbers/watched.rs"]
mod watched;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use figures::{Figures, quantile};
use sample::analyzed::fill;
use support::{Up, eyefleet, get, photos, run, stderr, wait_for};

/// Above `train.exact_search_max`.
const LEARNED: usize = 60_000;
/// New photos, analyzed before the trainings and beside them.
const PHOTOS: usize = 3000;
const SEARCHES: usize = 400;
const WORDS: [&str; 5] = ["a+boat+at+sea", "flowers", "a+red+house", "a+cat", "trees+in+the+snow"];

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let (data, drawn) = (folder.path().join("data"), folder.path().join("drawn"));
    std::fs::create_dir(&data).unwrap();
    fill(&data, LEARNED);
    photos(&drawn, 2 * PHOTOS as u64);
    let [before, beside] = ["before", "beside"].map(|name| folder.path().join(name));
    part(&drawn, [&before, &beside]);
    let up = Up::start_with(&data, &[("AUTO_TRAIN", "false")]);
    assert!(run(eyefleet(&up.data).args(["export", "--wait"])).status.success());
    train(&up);
    wait_for("what was learned to be served", || {
        let (_, status) = get(&format!("{}/v1/status", up.url("serve-1")));
        let status: serde_json::Value = serde_json::from_str(&status).ok()?;
        let workers = status["workers"].as_array()?.clone();
        let serves = |role: &str| {
            workers.iter().filter(|it| it["role"] == role && it["serves"]["main"] == 1).count()
        };
        (serves("serve") == 1 && serves("analyze") == 2).then_some(())
    });

    // Photos first: those that no generation holds yet make a search longer, then as beside a training.
    let analyzed = watched::analyze(&up, &before, PHOTOS as u64).photos_per_second();
    let alone = (search(&up), analyzed);
    let (over, trained) = (AtomicBool::new(false), AtomicU32::new(0));
    let with = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                train(&up);
                trained.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_for("a training", || {
            let (_, status) = get(&format!("{}/v1/status", up.url("serve-1")));
            let status: serde_json::Value = serde_json::from_str(&status).ok()?;
            status["training"].is_object().then_some(())
        });
        let search = search(&up);
        let analyze = watched::analyze(&up, &beside, PHOTOS as u64).photos_per_second();
        over.store(true, Ordering::Relaxed);
        (search, analyze)
    });
    println!("{} trainings of {LEARNED} photos meanwhile", trained.load(Ordering::Relaxed));
    up.stop();
    let mut figures = Figures::default();
    figures.note_only("beside/photos_alone", &format!("{:.0} photos/s", alone.1));
    figures.note_only("beside/search_p95_alone", &format!("{:.2} ms", alone.0));
    figures.note_only("beside/photos", &format!("{:.0} photos/s", with.1));
    figures.note_only("beside/search_p95", &format!("{:.2} ms", with.0));
    figures.at_least("beside/photos_kept", with.1 / alone.1, 0.65, "");
    figures.at_most("beside/search_p95_times", with.0 / alone.0, 2.0, "");
    figures.finish("beside")
}

fn train(up: &Up) {
    let done = run(eyefleet(&up.data).args(["train", "--force", "--wait"]));
    assert!(done.status.success(), "{}", stderr(&done));
}

/// The 95th of a hundred searches one after the other, in ms.
fn search(up: &Up) -> f64 {
    let address = format!("{}/v1/search?q=", up.url("serve-1"));
    let times: Vec<f64> = (0..SEARCHES)
        .map(|number| {
            let began = Instant::now();
            let (code, body) = get(&format!("{address}{}", WORDS[number % WORDS.len()]));
            assert_eq!(code, 200, "{body}");
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    quantile(&times, 0.95)
}

/// Puts the files of `all` into `parts`, one after the other.
fn part(all: &Path, parts: [&Path; 2]) {
    for part in parts {
        std::fs::create_dir(part).unwrap();
    }
    for (number, file) in std::fs::read_dir(all).unwrap().enumerate() {
        let file = file.unwrap();
        std::fs::rename(file.path(), parts[number % 2].join(file.file_name())).unwrap();
    }
}
