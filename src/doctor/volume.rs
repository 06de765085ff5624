//! The data folder: there, writable, with room, on a file system that keeps its word.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::{Check, Subject, size};
use crate::clock::Clock;
use crate::filesystem::{self, Filesystem};

/// Free bytes below which a snapshot or a generation may not fit.
const FREE_LEAST: u64 = 1 << 30;
/// Free share that is a problem.
const FREE_PROBLEM: f64 = 0.02;
/// Free share that is worth a look.
const FREE_WARNING: f64 = 0.05;
/// No export and no training takes longer: an older build folder is nobody's.
const BUILD_AGE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Libraries and entries of a shelf that are looked at.
const ENTRIES_MAX: usize = 10_000;

pub(super) fn examine(data: &Path, clock: &Clock) -> Vec<Check> {
    let mut checks = vec![folder(data)];
    match filesystem::of(data) {
        Ok(disk) => {
            let network = if disk.network { ", shared over a network" } else { "" };
            let kind = format!("{} at {}{network}", disk.kind, disk.mounted_at.display());
            checks.push(Check::ok(Subject::Volume, "disk", kind));
            checks.push(space(&disk));
        }
        Err(error) => {
            let found = format!("the system does not say what holds it: {error}");
            checks.push(Check::skipped(Subject::Volume, "space", found));
        }
    }
    if data.is_dir() {
        checks.push(promises(data));
        checks.push(leftovers(data, clock.now()));
    }
    checks
}

fn folder(data: &Path) -> Check {
    let name = "folder";
    let shown = data.display();
    let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
    if data.is_dir() {
        return match writable(data) {
            Ok(()) => Check::ok(Subject::Volume, name, shown.to_string()),
            Err(error) => {
                let found = format!("{shown} is not writable: {error}");
                let mend = format!("sudo chown -R \"$USER\" '{shown}'");
                Check::problem(Subject::Volume, name, found, mend)
            }
        };
    }
    let mut above = data;
    while !above.exists() {
        match above.parent() {
            Some(parent) => above = parent,
            None => break,
        }
    }
    if !above.is_dir() {
        let found = format!("{shown} cannot be made: {} is no folder", above.display());
        let mend = "set EYEFLEET_DATA to a folder, or move that file away";
        return Check::problem(Subject::Volume, name, found, mend);
    }
    match writable(above) {
        Ok(()) => {
            let found = format!("{shown} is not there yet: the first start makes it");
            Check::ok(Subject::Volume, name, found)
        }
        Err(error) => {
            let found =
                format!("{shown} cannot be made: {} is not writable: {error}", above.display());
            let mend = format!("sudo install -d -o \"$USER\" '{shown}', or set EYEFLEET_DATA");
            Check::problem(Subject::Volume, name, found, mend)
        }
    }
}

fn space(disk: &Filesystem) -> Check {
    let name = "space";
    let share = disk.free_bytes as f64 / disk.total_bytes.max(1) as f64;
    let found = format!(
        "{} free of {} ({:.0} %)",
        size(disk.free_bytes),
        size(disk.total_bytes),
        share * 100.0
    );
    let mend = format!("free space: du -xh '{}' | sort -h | tail", disk.mounted_at.display());
    if disk.free_bytes < FREE_LEAST || share < FREE_PROBLEM {
        Check::problem(Subject::Volume, name, found, mend)
    } else if share < FREE_WARNING {
        Check::warning(Subject::Volume, name, found, mend)
    } else {
        Check::ok(Subject::Volume, name, found)
    }
}

/// Tries what publishing a generation relies on, in a folder that is removed again.
fn promises(data: &Path) -> Check {
    let name = "writing";
    let made = tempfile::Builder::new().prefix(".doctor-").tempdir_in(data);
    let made = made.map_err(|error| ("make a folder", error));
    match made.and_then(|folder| tried(folder.path())) {
        Ok(()) => Check::ok(Subject::Volume, name, "fsync, rename and links work"),
        Err((step, error)) => {
            let found = format!("cannot {step} in {}: {error}", data.display());
            let mend = "set EYEFLEET_DATA to a folder on a disk such as ext4 or xfs that this \
                 user may write";
            Check::problem(Subject::Volume, name, found, mend)
        }
    }
}

fn tried(folder: &Path) -> Result<(), (&'static str, std::io::Error)> {
    let at = |step| move |error| (step, error);
    let (first, second, link) = (folder.join("first"), folder.join("second"), folder.join("link"));
    let mut file = std::fs::File::create(&first).map_err(at("make a file"))?;
    file.write_all(b"eyefleet doctor").map_err(at("write a file"))?;
    file.sync_all().map_err(at("fsync a file"))?;
    std::fs::rename(&first, &second).map_err(at("rename a file"))?;
    std::os::unix::fs::symlink("second", &link).map_err(at("make a symbolic link"))?;
    std::fs::read(&link).map_err(at("read through a symbolic link"))?;
    crate::snapshot::durable::sync_folder(folder).map_err(at("fsync a folder"))
}

fn leftovers(data: &Path, now: Timestamp) -> Check {
    let name = "leftovers";
    let old: Vec<String> = builds(data)
        .into_iter()
        .filter(|(_, changed)| now.duration_since(*changed) > BUILD_AGE_MAX)
        .map(|(path, _)| format!("'{}'", path.display()))
        .collect();
    if old.is_empty() {
        return Check::ok(Subject::Volume, name, "none");
    }
    let found = format!("{} of an export or a training that was killed over a day ago", old.len());
    Check::warning(Subject::Volume, name, found, format!("rm -r {}", old.join(" ")))
}

/// Folders of exports and trainings at work or killed, with the time of their last change.
fn builds(data: &Path) -> Vec<(PathBuf, Timestamp)> {
    let shelves = walkdir::WalkDir::new(data.join("libraries")).min_depth(3).max_depth(3);
    let mut found = Vec::new();
    for entry in shelves.into_iter().filter_map(Result::ok).take(ENTRIES_MAX) {
        let is_build = entry.file_name().to_string_lossy().starts_with(".build-");
        let changed = entry.metadata().ok().and_then(|facts| facts.modified().ok());
        let changed = changed.and_then(|time| Timestamp::try_from(time).ok());
        if let (true, Some(changed)) = (is_build && entry.file_type().is_dir(), changed) {
            found.push((entry.into_path(), changed));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn space_is_judged_by_bytes_and_by_share() {
        const GIB: u64 = 1 << 30;
        for (free, total, state) in [
            (GIB - 1, 2 * GIB, State::Problem),
            (GIB, 2 * GIB, State::Ok),
            (10 * GIB, 1000 * GIB, State::Problem),
            (30 * GIB, 1000 * GIB, State::Warning),
            (50 * GIB, 1000 * GIB, State::Ok),
        ] {
            let disk = Filesystem {
                kind: "ext4".to_owned(),
                mounted_at: "/".into(),
                network: false,
                free_bytes: free,
                total_bytes: total,
            };
            assert_eq!(space(&disk).state, state, "{free} of {total}");
        }
    }

    #[test]
    fn trying_the_folder_leaves_nothing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let check = promises(folder.path());
        assert_eq!(check.state, State::Ok, "{check:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(promises(&folder.path().join("gone")).state, State::Problem);
    }

    #[test]
    fn a_folder_under_a_file_cannot_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(super::folder(&file.join("data")).state, State::Problem);
        assert_eq!(super::folder(&file).state, State::Problem);
        let absent = folder.path().join("not/yet");
        assert_eq!(super::folder(&absent).state, State::Ok);
        assert!(!absent.exists());
    }

    #[test]
    fn only_an_old_build_is_a_leftover() {
        let data = tempfile::tempdir().unwrap();
        let build = data.path().join("libraries/main/generations/.build-7");
        std::fs::create_dir_all(&build).unwrap();
        let made = builds(data.path())[0].1;
        assert_eq!(leftovers(data.path(), made + SignedDuration::from_hours(23)).state, State::Ok);
        let late = leftovers(data.path(), made + SignedDuration::from_hours(25));
        assert_eq!(late.state, State::Warning);
        assert!(late.mend.unwrap().contains(&build.display().to_string()));
    }
}
