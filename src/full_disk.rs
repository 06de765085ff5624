//! What to do where the disk refused: the last part of the messages of snapshots and generations.
//!
//! The free space is looked up when the failure is met. A moment later the half-written folder is
//! removed, and the disk would look as if there had been room.

use std::io;
use std::path::Path;

use crate::filesystem;

/// What the person who reads of `cause` at `path` can do about it.
pub(crate) fn next_step(path: &Path, cause: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match cause.kind() {
        StorageFull | QuotaExceeded => match filesystem::of(path) {
            Ok(disk) => format!(
                "{} KiB of {} KiB are free on {}: free space there, then repeat",
                disk.free_bytes >> 10,
                disk.total_bytes >> 10,
                disk.mounted_at.display()
            ),
            Err(_) => "free space on its disk, then repeat".to_owned(),
        },
        PermissionDenied | ReadOnlyFilesystem => {
            "give the user of the workers the right to write there, then repeat".to_owned()
        }
        _ => "check the disk or the mount that holds it, then repeat".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_own_next_step() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, words) in [
            (io::ErrorKind::StorageFull, "KiB are free on /"),
            (io::ErrorKind::QuotaExceeded, "free space there"),
            (io::ErrorKind::PermissionDenied, "right to write"),
            (io::ErrorKind::TimedOut, "check the disk"),
        ] {
            let said = next_step(&folder.path().join("not/yet"), &kind.into());
            assert!(said.contains(words), "{kind}: {said}");
        }
    }
}
