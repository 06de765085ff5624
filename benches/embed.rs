//! Decoded photos through the models of the starter pack, as analysis sends them: tensor,
//! embedding, tags, description. One thread in the model, as two analyze processes on two cores
//! have. Run with `cargo bench --bench embed`.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;

use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use eyefleet::vision::decode::decode;
use eyefleet::vision::{DecodeLimits, Pack, Photo, Runtime, Vision, VisionOptions};
use futures_util::future::try_join_all;

use sample::pictures::{Format, small};

fn bench(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let (runtime, pack) = (Runtime::open(None).unwrap(), Pack::open(&models).unwrap());
    let options = VisionOptions { threads: 1, batch_max: 8 };
    let vision = Vision::load(&runtime, &pack, options).unwrap();
    let limits = DecodeLimits::default();
    let photos: Vec<Photo> =
        (0..8).map(|index| decode(&small(index, Format::Jpeg), &limits).unwrap()).collect();

    let mut group = criterion.benchmark_group("embed");
    group.measurement_time(Duration::from_secs(3)).sample_size(30);
    for at_once in [1, 8] {
        group.throughput(Throughput::Elements(at_once as u64));
        let id = BenchmarkId::new("photos_at_once", at_once);
        group.bench_function(id, |bencher| {
            let photos = &photos[..at_once];
            bencher.iter(|| {
                tokio.block_on(try_join_all(photos.iter().map(|photo| vision.look(photo)))).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
