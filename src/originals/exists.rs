//! Whether an original is there, without reading it.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{OriginalError, is_empty};
use crate::names::RelativePath;

/// Whether something lies at `path` beneath `root`, be it readable or not: what cannot be used is told
/// by the analysis. Blocking.
///
/// # Errors
/// [`OriginalError::Root`] where the root is away or empty, as a drive is that is not mounted: that
/// says nothing of the photo.
pub fn exists(root: &Path, path: &RelativePath) -> Result<bool, OriginalError> {
    let away = |cause: std::io::Error| OriginalError::Root { root: root.to_owned(), cause };
    let folder = File::open(root).map_err(away)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(&folder, path.as_str(), flags, Mode::empty(), resolve) {
        Err(Errno::NOENT) if is_empty(root) => Err(away(std::io::Error::other("it is empty"))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(false),
        Err(error @ (Errno::STALE | Errno::NOTCONN | Errno::HOSTDOWN | Errno::TIMEDOUT)) => {
            Err(away(error.into()))
        }
        Ok(_) | Err(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_there_or_not_and_an_absent_folder_says_nothing() {
        let root = tempfile::tempdir().unwrap();
        let path = |text: &str| RelativePath::new(text).unwrap();
        assert!(exists(root.path(), &path("a.jpg")).is_err(), "an empty folder is a drive away");
        std::fs::create_dir(root.path().join("sub")).unwrap();
        std::fs::write(root.path().join("sub/a.jpg"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("out.jpg")).unwrap();
        assert!(exists(root.path(), &path("sub/a.jpg")).unwrap());
        assert!(
            exists(root.path(), &path("out.jpg")).unwrap(),
            "it is there, and refused elsewhere"
        );
        assert!(!exists(root.path(), &path("sub/b.jpg")).unwrap());
        assert!(!exists(root.path(), &path("sub/a.jpg/c.jpg")).unwrap());
        assert!(exists(Path::new("/nonexistent/photos"), &path("a.jpg")).is_err());
    }
}
