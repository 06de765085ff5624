//! One photo from bytes to upright pixels, by the decoder that analysis uses, on one thread.
//! Run with `cargo bench --bench decode`.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use eyefleet::vision::{DecodeLimits, Decoder};
use tokio::runtime::Runtime;

use sample::pictures::{Format, large, small};

fn bench(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let decoder = Decoder::new(1, DecodeLimits::default());
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    let pictures = [
        ("jpeg_drawn", small(1, Format::Jpeg)),
        ("png_drawn", small(1, Format::Png)),
        ("jpeg_3_mp", large(1, 2048, 1536, Format::Jpeg)),
        ("png_3_mp", large(1, 2048, 1536, Format::Png)),
        ("jpeg_12_mp", large(1, 4000, 3000, Format::Jpeg)),
    ];
    for (name, bytes) in pictures {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || bytes.clone(),
                |bytes| runtime.block_on(decoder.decode(bytes)).unwrap(),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
