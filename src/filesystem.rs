//! What lies beneath a path: the kind of its file system, its free space, whether it is a network's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The file system that holds a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Its kind as the kernel names it, such as `ext4` or `nfs4`.
    pub kind: String,
    /// Where it is mounted.
    pub mounted_at: PathBuf,
    /// Whether other machines may hold its files open: locks and shared memory cannot be trusted.
    pub network: bool,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// All its bytes.
    pub total_bytes: u64,
}

/// Kinds that other machines share. `fuse.` kinds are told apart by what follows the dot; `9p` and
/// `virtiofs` share a folder of the host with a virtual machine.
const NETWORK_KINDS: [&str; 17] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.davfs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "virtiofs",
];

/// What holds `path`, or the nearest folder above it that exists.
///
/// # Errors
/// Where the system does not say.
pub fn of(path: &Path) -> io::Result<Filesystem> {
    let mut existing = std::path::absolute(path)?;
    while !existing.exists() && existing.pop() {}
    let existing = std::fs::canonicalize(&existing)?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let (kind, mounted_at) = mount_of(&mounts, &existing)
        .ok_or_else(|| io::Error::other(format!("no mount holds {}", existing.display())))?;
    let facts = rustix::fs::statvfs(&existing)?;
    Ok(Filesystem {
        network: NETWORK_KINDS.contains(&kind.as_str()),
        kind,
        mounted_at,
        free_bytes: facts.f_bavail.saturating_mul(facts.f_frsize),
        total_bytes: facts.f_blocks.saturating_mul(facts.f_frsize),
    })
}

/// One mount of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Where it is.
    pub at: PathBuf,
    /// Its number, which another mount at the same place does not have.
    pub id: u64,
}

/// The mount that holds `path`, and those beneath it.
///
/// # Errors
/// Where the system does not say.
pub fn mounts_of(path: &Path) -> io::Result<Vec<Mount>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(mounts_in(&mounts, path))
}

fn mounts_in(mounts: &str, path: &Path) -> Vec<Mount> {
    let mut all: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let id = words.next().and_then(|id| id.parse().ok());
        if let (Some(id), Some(at)) = (id, words.nth(3)) {
            // Of two at one place the later one is seen.
            all.insert(PathBuf::from(unescaped(at)), id);
        }
    }
    let holder =
        all.keys().filter(|at| path.starts_with(at)).max_by_key(|at| at.components().count());
    let holder = holder.cloned();
    let concerns = |at: &PathBuf| Some(at) == holder.as_ref() || at.starts_with(path);
    all.into_iter().filter(|(at, _)| concerns(at)).map(|(at, id)| Mount { at, id }).collect()
}

/// Kind and place of the mount that holds `path`: the longest one, of equals the last mounted.
/// The format is that of proc(5): `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
fn mount_of(mounts: &str, path: &Path) -> Option<(String, PathBuf)> {
    let mut best: Option<(String, PathBuf)> = None;
    for line in mounts.lines() {
        let Some((place, source)) = line.split_once(" - ") else { continue };
        let (Some(place), Some(kind)) = (place.split(' ').nth(4), source.split(' ').next()) else {
            continue;
        };
        let place = PathBuf::from(unescaped(place));
        let depth = |place: &Path| place.components().count();
        let longer = best.as_ref().is_none_or(|(_, best)| depth(&place) >= depth(best));
        if path.starts_with(&place) && longer {
            best = Some((kind.to_owned(), place));
        }
    }
    best
}

/// Blanks and backslashes stand there as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /mnt/my\\040nas rw,relatime shared:5 - nfs4 nas:/photos rw
31 22 0:26 / /mnt/disk rw - fuse.mergerfs a:b rw
32 22 0:27 / /mnt/disk rw - xfs /dev/vdb rw
33 22 0:28 / /mnt/diskette rw - cifs //nas/x rw";

    #[test]
    fn the_deepest_and_newest_mount_holds_a_path() {
        for (path, kind) in [
            ("/home/x", "ext4"),
            ("/mnt/my nas/data", "nfs4"),
            ("/mnt/disk/data", "xfs"),
            ("/mnt/diskette", "cifs"),
        ] {
            assert_eq!(mount_of(MOUNTS, Path::new(path)).unwrap().0, kind, "{path}");
        }
    }

    #[test]
    fn a_folder_stands_on_its_own_mount_and_holds_those_beneath() {
        let at = |path: &str| -> Vec<(String, u64)> {
            let mounts = mounts_in(MOUNTS, Path::new(path));
            mounts.into_iter().map(|it| (it.at.display().to_string(), it.id)).collect()
        };
        assert_eq!(at("/mnt/my nas/photos"), [("/mnt/my nas".to_owned(), 30)]);
        assert_eq!(at("/mnt/disk"), [("/mnt/disk".to_owned(), 32)]);
        let beneath = ["/", "/mnt/disk", "/mnt/diskette", "/mnt/my nas"];
        assert_eq!(at("/mnt").iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), beneath);
    }

    #[test]
    fn a_folder_of_this_machine_is_seen_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let here = of(&folder.path().join("not/yet")).unwrap();
        assert!(!here.kind.is_empty() && here.total_bytes >= here.free_bytes, "{here:?}");
        assert!(folder.path().starts_with(&here.mounted_at), "{here:?}");
    }
}
