//! The ten nearest of many vectors, by the index of a generation: comparing with all, and by the
//! graph that large libraries have. Run with `cargo bench --bench search`.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eyefleet::generation::{Index, IndexKind};
use eyefleet::learning::LearnOptions;
use eyefleet::names::ImageId;

use sample::library::{Size, learned, snapshot};
use sample::vectors::grouped;

/// How many questions are asked in turn.
const QUESTIONS: usize = 64;
/// Vectors in the graph. Building it is most of this bench's time.
const GRAPH: usize = 50_000;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search_top_10");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for (count, dim) in [(10_000, 128), (10_000, 512), (50_000, 128), (50_000, 512)] {
        let vectors = grouped(1, count, dim, 200, 0.6);
        let ids: Vec<ImageId> =
            (0..count).map(|n| ImageId::new(format!("img-{n:06}")).unwrap()).collect();
        let index = Index::exact(dim, vectors, &ids);
        let id = BenchmarkId::new("exact", format!("{count}x{dim}"));
        group.bench_function(id, |bencher| ask(bencher, &index));
    }

    let folder = tempfile::tempdir().unwrap();
    let size = Size { images: GRAPH, dim: 128, faces: 0, face_dim: 0, words: false };
    let snapshot = snapshot(folder.path(), size);
    let options = LearnOptions { exact_below: GRAPH, ..LearnOptions::default() };
    let started = Instant::now();
    match learned(folder.path(), &snapshot, &options) {
        Ok(generation) => {
            let seconds = started.elapsed().as_secs_f64();
            println!("a graph over {GRAPH}x128 was built in {seconds:.1} s");
            assert_eq!(generation.index.kind(), IndexKind::Graph);
            let id = BenchmarkId::new("hnsw", format!("{GRAPH}x128"));
            group.bench_function(id, |bencher| ask(bencher, &generation.index));
        }
        Err(error) => println!("search_top_10/hnsw/{GRAPH}x128 has no figure: {error}"),
    }
    group.finish();
}

fn ask(bencher: &mut criterion::Bencher<'_>, index: &Index) {
    let questions = grouped(7, QUESTIONS, index.dim(), QUESTIONS, 0.6);
    let mut next = questions.chunks(index.dim()).cycle();
    bencher.iter(|| index.search(next.next().unwrap(), 10, &|_| true).unwrap());
}

criterion_group!(benches, bench);
criterion_main!(benches);
