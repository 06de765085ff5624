//! A fleet as `eyefleet up` starts it, two analyze processes, the private Redis and the embedded
//! catalogue on disk, and how many photos a second it analyzes; and how much of the machine the
//! analyze processes use while photos wait. Each library is analyzed once, in one piece, so this
//! is no statistic: run it again where it matters.
//! Run with `cargo bench --bench fleet`.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

#[allow(dead_code, reason = "each bench is a crate of its own and uses a part of it")]
mod sample;
#[allow(dead_code, reason = "shared with the stories; a bench uses a part of it")]
#[path = "../tests/it/support.rs"]
mod support;
#[allow(dead_code, reason = "shared with the stories; a bench uses a part of it")]
#[path = "../tests/it/numbers/watched.rs"]
mod watched;

use std::path::Path;

use sample::pictures::{Format, large};
use support::{Up, photos};

const DRAWN: u64 = 2000;
const LARGE: u64 = 60;
/// Different pictures among the large ones: making one takes longer than analyzing it.
const LARGE_DIFFERENT: u64 = 6;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (drawn, camera) = (folder.path().join("drawn"), folder.path().join("camera"));
    photos(&drawn, DRAWN);
    twelve_megapixels(&camera);
    let up = Up::start(&folder.path().join("data"));
    let mut results = serde_json::Map::new();
    for (name, folder, count) in [("drawn", &drawn, DRAWN), ("jpeg_12_mp", &camera, LARGE)] {
        let seen = watched::analyze(&up, folder, count);
        let (rate, busy) = (seen.photos_per_second(), seen.busy());
        println!(
            "fleet/{name}: {rate:.1} photos/s ({} in {:.1} s); while photos waited the analyze \
             processes used {:.0} % of {} cores, {:.0} % of what other programs left",
            seen.photos,
            seen.wall.as_secs_f64(),
            busy * 100.0,
            seen.cores,
            seen.busy_of_left() * 100.0
        );
        let result = serde_json::json!({ "photos_per_second": rate, "busy": busy, "left": seen.busy_of_left() });
        results.insert(name.to_owned(), result);
    }
    up.stop();
    // Beside criterion's own results, for `scripts/bench-table`.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-fleet.json");
    std::fs::write(path, serde_json::Value::from(results).to_string()).unwrap();
}

fn twelve_megapixels(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let different: Vec<Vec<u8>> =
        (0..LARGE_DIFFERENT).map(|index| large(index, 4000, 3000, Format::Jpeg)).collect();
    for number in 0..LARGE {
        let mut bytes = different[(number % LARGE_DIFFERENT) as usize].clone();
        // What follows the end of a JPEG is read by nobody, and makes the content another one.
        bytes.extend(number.to_le_bytes());
        std::fs::write(folder.join(format!("{number:03}.jpg")), bytes).unwrap();
    }
}
