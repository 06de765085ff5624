//! Both cores stay busy while pictures wait.

use super::watched;
use crate::support::{Up, photos};

/// Failure: a fleet that waits for itself: for settlements, for batches, for one core. What other
/// programs take is left out, and the bound is wide; `cargo bench --bench fleet` tells the number.
#[test]
fn the_analyze_processes_use_the_cores_while_photos_wait() {
    const PHOTOS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"), PHOTOS);
    let up = Up::start(&folder.path().join("data"));
    let seen = watched::analyze(&up, &folder.path().join("photos"), PHOTOS);
    println!("{:.2} of what was left to them, {seen:?}", seen.busy_of_left());
    assert!(seen.busy_of_left() > 0.5, "{seen:?}");
    assert_eq!(watched::sum(&up, "eyefleet_decode_seconds_count"), PHOTOS);
    up.stop();
}
