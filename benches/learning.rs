//! A whole training without its queue and catalogue: a snapshot in, the files of a generation out.
//! Run with `cargo bench --bench learning`.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;

use std::ops::ControlFlow;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, criterion_group, criterion_main};
use eyefleet::learning::{LearnOptions, learn};

use sample::library::{Size, snapshot};

const PLAIN: Size = Size { images: 0, dim: 128, faces: 0, face_dim: 512, words: true };

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("learn");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
    let libraries = [
        ("1000_images", Size { images: 1000, ..PLAIN }),
        ("10000_images", Size { images: 10_000, ..PLAIN }),
        ("10000_images_10000_faces", Size { images: 10_000, faces: 10_000, ..PLAIN }),
    ];
    for (name, size) in libraries {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = snapshot(folder.path(), size);
        let options = LearnOptions::default();
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || tempfile::tempdir_in(folder.path()).unwrap(),
                |build| {
                    let go_on = &mut |_, _| ControlFlow::Continue(());
                    let learned = learn(&snapshot, build.path(), &options, go_on).unwrap();
                    (learned, build)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
