//! A thousand exchanges of the generation that is served, while threads ask for it and search in it
//! without a pause: how long an exchange takes, and how long anybody waited for the generation.
//! Run with `cargo bench --bench swaps`.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
#[path = "../crates/fleetq/benches/figures/mod.rs"]
mod figures;
#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use eyefleet::generation::{Current, GenerationStore};
use eyefleet::learning::{LearnOptions, learn};
use eyefleet::names::{Fence, GenerationNumber};

use figures::{Figures, quantile};
use sample::library::{Size, snapshot};

const SWAPS: usize = 1000;
const READERS: usize = 4;
const IMAGES: usize = 10_000;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let size = Size { images: IMAGES, dim: 128, faces: 0, face_dim: 512, words: true };
    let snapshot = snapshot(folder.path(), size);
    let store = GenerationStore::new(folder.path());
    for number in [1, 2] {
        let build = store.begin(Fence(number)).unwrap();
        let go_on = &mut |_, _| ControlFlow::Continue(());
        let learned = learn(&snapshot, build.path(), &LearnOptions::default(), go_on).unwrap();
        let now = snapshot.manifest().finished_at;
        store.publish(&build, learned.publication(GenerationNumber(number), None, now)).unwrap();
    }
    let current = Current::empty();
    current.load(&store, GenerationNumber(1), None).unwrap();
    let over = AtomicBool::new(false);
    let (mut exchanges, mut waits) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(&current, &over))).collect();
        for swap in 0..SWAPS {
            let number = GenerationNumber(2 - (swap % 2) as i64);
            // Loaded and verified aside, as a process does.
            let loaded = Arc::new(store.open(number, None).unwrap());
            let began = Instant::now();
            current.serve(Some(loaded));
            exchanges.push(began.elapsed().as_secs_f64() * 1e3);
            current.free_unused();
        }
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            waits.extend(reader.join().unwrap());
        }
    });
    println!("{} questions while {SWAPS} generations were exchanged", waits.len());
    let mut figures = Figures::default();
    figures.at_most("swaps/exchange_p999", quantile(&exchanges, 0.999), 1.0, "ms");
    figures.at_most("swaps/question_p999", quantile(&waits, 0.999), 1.0, "ms");
    figures.finish("swaps")
}

/// Asks and searches until it is over; answers how long each asking took, in ms.
fn read(current: &Current, over: &AtomicBool) -> Vec<f64> {
    let mut waits = Vec::new();
    let mut row = 0;
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let generation = current.get().unwrap();
        waits.push(began.elapsed().as_secs_f64() * 1e3);
        row = (row + 7_919) % IMAGES as u32;
        let query = generation.index.vector(row);
        let found = generation.index.search(query, 10, &|_| true).unwrap();
        assert_eq!(found.len(), 10);
    }
    waits
}
