//! Reading photos by library root and relative path, never outside the root, never decoding.
//!
//! The kernel itself resolves the path beneath the root (`openat2` with `RESOLVE_BENEATH`): a
//! symlink or a `..` that would leave it is refused, whatever happens between check and use.

mod exists;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use exists::exists;

use crate::fate::Fate;
use crate::names::RelativePath;

/// Why an original could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OriginalError {
    /// The root itself is away: a mount is missing, perhaps.
    #[error(
        "the folder of originals {root} cannot be opened: {cause}; is it mounted and readable?"
    )]
    Root {
        /// The library's root.
        root: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The path leads out of the root.
    #[error(
        "{path} leads out of the folder of originals {root}: refused; move the file into the folder"
    )]
    Outside {
        /// The path as recorded.
        path: RelativePath,
        /// The library's root.
        root: PathBuf,
    },
    /// Links that lead to each other.
    #[error(
        "{path} leads nowhere: its symbolic links go in a circle; put the file itself in the \
         place of the link and upload it again"
    )]
    Circle {
        /// The path as recorded.
        path: RelativePath,
    },
    /// Not a regular file.
    #[error(
        "{path} is not a regular file but a folder, a pipe or a device; put a photo in its place \
         and upload it again"
    )]
    NotAFile {
        /// The path as recorded.
        path: RelativePath,
    },
    /// No permission.
    #[error(
        "{path} may not be read by the user of the workers: permission denied; change the rights \
         of the file or of the folders above it and upload it again"
    )]
    Forbidden {
        /// The path as recorded.
        path: RelativePath,
    },
    /// Larger than the setting allows.
    #[error(
        "{path} has {bytes} bytes, more than the {bytes_max} allowed; upload a smaller one, or \
         raise vision.original_mib_max"
    )]
    TooLarge {
        /// The path as recorded.
        path: RelativePath,
        /// The file's size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Reading failed half-way.
    #[error("{path} cannot be read: {cause}; check the disk or the mount that holds it")]
    Read {
        /// The path as recorded.
        path: RelativePath,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl OriginalError {
    /// What this means for the job that met it.
    pub fn fate(&self) -> Fate {
        match self {
            // It says nothing about this photo.
            Self::Root { .. } => Fate::Away,
            Self::Read { .. } => Fate::Transient,
            Self::Outside { .. }
            | Self::Circle { .. }
            | Self::NotAFile { .. }
            | Self::Forbidden { .. }
            | Self::TooLarge { .. } => Fate::Permanent,
        }
    }
}

/// Reads the original at `path` beneath `root`; `None` when it is gone. Blocking.
///
/// # Errors
/// Each case of `OriginalError`; a missing file is none of them.
pub fn read(
    root: &Path,
    path: &RelativePath,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, OriginalError> {
    let root_error = |cause: std::io::Error| OriginalError::Root { root: root.to_owned(), cause };
    let folder = File::open(root).map_err(root_error)?;
    // NONBLOCK: opening a named pipe must not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(&folder, path.as_str(), flags, Mode::empty(), resolve) {
        Ok(descriptor) => File::from(descriptor),
        // Where a drive is not mounted there is an empty folder: that says nothing of the photo.
        Err(Errno::NOENT) if is_empty(root) => {
            return Err(root_error(std::io::Error::other("it is empty")));
        }
        // A name that is too long for the system names nothing.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
        // A network drive whose server does not answer.
        Err(error @ (Errno::STALE | Errno::NOTCONN | Errno::HOSTDOWN | Errno::TIMEDOUT)) => {
            return Err(root_error(error.into()));
        }
        Err(Errno::XDEV) => {
            return Err(OriginalError::Outside { path: path.clone(), root: root.to_owned() });
        }
        Err(Errno::LOOP) => return Err(OriginalError::Circle { path: path.clone() }),
        // A socket, or a device that nobody serves.
        Err(Errno::NXIO) => return Err(OriginalError::NotAFile { path: path.clone() }),
        Err(Errno::ACCESS) => {
            return Err(OriginalError::Forbidden { path: path.clone() });
        }
        Err(error) => return Err(OriginalError::Read { path: path.clone(), cause: error.into() }),
    };
    let read_error = |cause| OriginalError::Read { path: path.clone(), cause };
    let facts = file.metadata().map_err(read_error)?;
    if !facts.is_file() {
        return Err(OriginalError::NotAFile { path: path.clone() });
    }
    let too_large = |bytes| OriginalError::TooLarge { path: path.clone(), bytes, bytes_max };
    if facts.len() > bytes_max {
        return Err(too_large(facts.len()));
    }
    let mut bytes = Vec::with_capacity(facts.len() as usize);
    // One byte more than allowed: a file that grows while it is read is noticed.
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(Some(bytes))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::new(text).unwrap()
    }

    #[test]
    fn reads_beneath_its_root_only() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("sub/a.jpg"), "pixels").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out.jpg")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("abs.jpg")).unwrap();
        std::os::unix::fs::symlink("loop.jpg", root.join("loop.jpg")).unwrap();
        std::os::unix::fs::symlink("sub/a.jpg", root.join("in.jpg")).unwrap();

        assert_eq!(read(&root, &path("sub/a.jpg"), 100).unwrap().unwrap(), b"pixels");
        assert_eq!(read(&root, &path("in.jpg"), 100).unwrap().unwrap(), b"pixels");
        assert!(read(&root, &path("gone.jpg"), 100).unwrap().is_none());
        for bad in ["out.jpg", "abs.jpg"] {
            let error = read(&root, &path(bad), 100).unwrap_err();
            assert!(matches!(error, OriginalError::Outside { .. }), "{bad}: {error}");
            assert_eq!(error.fate(), Fate::Permanent);
        }
        let error = read(&root, &path("loop.jpg"), 100).unwrap_err();
        assert!(matches!(error, OriginalError::Circle { .. }), "{error}");
        assert_eq!(error.fate(), Fate::Permanent);
    }

    #[test]
    fn refuses_what_is_no_file_or_too_large() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("folder.jpg")).unwrap();
        std::fs::write(root.path().join("big.jpg"), [0; 101]).unwrap();
        let fifo = root.path().join("pipe.jpg");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let socket = root.path().join("socket.jpg");
        let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = |name| read(root.path(), &path(name), 100).unwrap_err();
        assert!(matches!(error("folder.jpg"), OriginalError::NotAFile { .. }));
        assert!(matches!(error("pipe.jpg"), OriginalError::NotAFile { .. }));
        assert!(matches!(error("socket.jpg"), OriginalError::NotAFile { .. }));
        assert!(matches!(error("big.jpg"), OriginalError::TooLarge { bytes: 101, .. }));
    }

    #[test]
    fn an_empty_root_is_a_drive_that_is_away() {
        let root = tempfile::tempdir().unwrap();
        let error = read(root.path(), &path("a.jpg"), 100).unwrap_err();
        assert_eq!(error.fate(), Fate::Away, "{error}");
        std::fs::write(root.path().join("b.jpg"), "x").unwrap();
        assert!(read(root.path(), &path("a.jpg"), 100).unwrap().is_none());
    }

    #[test]
    fn an_absent_root_may_come_back() {
        let error = read(Path::new("/nonexistent/photos"), &path("a.jpg"), 100).unwrap_err();
        assert_eq!(error.fate(), Fate::Away);
        assert!(error.to_string().contains("mounted"), "{error}");
    }
}
