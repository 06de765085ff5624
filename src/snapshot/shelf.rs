//! The folder `snapshots/` of a library: which snapshots there are, and what may go.
//!
//! Only finished snapshots are listed. What a killed export left behind is removed once a newer
//! token asks: its writer can no longer publish it.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::SnapshotError;
use super::rows::{MANIFEST, SnapshotId};
use super::{durable, writer};
use crate::names::Fence;

/// Where the snapshot `id` of a library lies.
pub fn path_of(library_dir: &Path, id: &SnapshotId) -> PathBuf {
    library_dir.join("snapshots").join(id.as_str())
}

/// The finished snapshots of a library, oldest first.
///
/// # Errors
/// The folder cannot be read; a missing one is an empty list.
pub fn list(library_dir: &Path) -> Result<Vec<SnapshotId>, SnapshotError> {
    let shelf = library_dir.join("snapshots");
    let mut ids: Vec<SnapshotId> = names(&shelf)?
        .iter()
        .filter_map(|name| SnapshotId::parse(name))
        .filter(|id| shelf.join(id.as_str()).join(MANIFEST).is_file())
        .collect();
    ids.sort();
    Ok(ids)
}

/// Removes all but the newest `keep_last` snapshots and those in `also_keep`, and what exports
/// with a token older than `fence` left behind. Answers what was removed.
///
/// # Errors
/// The disk refuses; what was removed until then stays removed.
pub fn collect(
    library_dir: &Path,
    keep_last: usize,
    also_keep: &[SnapshotId],
    fence: Fence,
) -> Result<Vec<String>, SnapshotError> {
    let shelf = library_dir.join("snapshots");
    let mut removed = Vec::new();
    let finished = list(library_dir)?;
    let beyond = finished.len().saturating_sub(keep_last);
    for id in &finished[..beyond] {
        if !also_keep.contains(id) {
            removed.push(id.as_str().to_owned());
        }
    }
    for name in names(&shelf)? {
        let leftover = name.strip_prefix(writer::BUILD_PREFIX).and_then(SnapshotId::parse);
        if leftover.is_some_and(|id| fence_of(&id) < fence) {
            removed.push(name);
        }
    }
    for name in &removed {
        let path = shelf.join(name);
        durable::remove_folder(&path).map_err(SnapshotError::io("remove", &path))?;
    }
    Ok(removed)
}

fn fence_of(id: &SnapshotId) -> Fence {
    let digits = id.as_str().rsplit('-').next().unwrap_or_default();
    Fence(digits.parse().unwrap_or(i64::MAX))
}

fn names(shelf: &Path) -> Result<Vec<String>, SnapshotError> {
    let entries = match fs::read_dir(shelf) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(SnapshotError::io("list", shelf))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(SnapshotError::io("list", shelf))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::samples;

    #[test]
    fn old_snapshots_and_dead_exports_go_and_a_running_export_stays() {
        let library = tempfile::tempdir().unwrap();
        let made: Vec<SnapshotId> = (1..=4)
            .map(|n| samples::written(library.path(), n, samples::few()).manifest().id.clone())
            .collect();
        let shelf = library.path().join("snapshots");
        let dead = shelf.join(".build-20200101T000000Z-0000000000000001");
        let running = shelf.join(".build-20990101T000000Z-0000000000000900");
        fs::create_dir(&dead).unwrap();
        fs::create_dir(&running).unwrap();
        assert_eq!(list(library.path()).unwrap(), made);
        collect(library.path(), 2, &made[..1], Fence(900)).unwrap();
        assert_eq!(list(library.path()).unwrap(), [&made[0], &made[2], &made[3]].map(Clone::clone));
        assert!(!dead.exists() && running.exists());
    }
}
