//! Who writes into a library's folders on the volume, and the purge that wants them for itself.
//!
//! What must stay true: whoever writes there holds the lock together with others and asks the
//! catalogue, after it has the lock, whether the library still stands; a purge closes the library
//! in the catalogue first and then takes the lock alone. So nothing is written after a purge that
//! was begun before it. The system lets go of the lock of a process that ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, CatalogError};
use crate::fate::Fate;
use crate::names::LibraryId;
use crate::volume;

const NAME: &str = ".lock";
/// Time between two tries of a purge.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Tries against purges that remove the file between two of our steps.
const TRIES_MAX: usize = 20;

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A purge has it.
    #[error("library {0} is being purged: wait for the end of that")]
    BeingPurged(LibraryId),
    /// Somebody writes there and does not end.
    #[error(
        "library {library} is written to for {} s already by another process: wait for its end, or stop it, and purge again",
        .waited.as_secs()
    )]
    InUse {
        /// The library.
        library: LibraryId,
        /// How long its end was waited for.
        waited: Duration,
    },
    /// The catalogue does not say whether the library stands, or it does not.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The file of the lock cannot be used.
    #[error("the lock {} cannot be used: {cause}; check that the volume is mounted and writable", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl LockError {
    /// What this means for the job that met it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::BeingPurged(_) => Fate::Superseded,
            Self::Catalog(error) => error.fate(),
            Self::InUse { .. } | Self::Unusable { .. } => Fate::Transient,
        }
    }
}

/// The lock of one library's folders, held until it is dropped.
#[derive(Debug)]
pub struct LibraryLock {
    _file: File,
}

impl LibraryLock {
    /// For a writer, beside others. The caller asks the catalogue next.
    ///
    /// # Errors
    /// A purge has it, or the volume refuses.
    pub fn shared(data: &Path, library: &LibraryId) -> Result<Self, LockError> {
        match held(data, library, File::try_lock_shared)? {
            Some(lock) => Ok(lock),
            None => Err(LockError::BeingPurged(library.clone())),
        }
    }

    /// For a purge, alone; waits up to `patience` for those who write. Blocks: not for an async
    /// thread.
    ///
    /// # Errors
    /// Somebody has it still, or the volume refuses.
    pub fn alone(data: &Path, library: &LibraryId, patience: Duration) -> Result<Self, LockError> {
        let began = Instant::now();
        loop {
            if let Some(lock) = held(data, library, File::try_lock)? {
                return Ok(lock);
            }
            if began.elapsed() >= patience {
                return Err(LockError::InUse { library: library.clone(), waited: patience });
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

/// Takes the lock for a writer and asks the catalogue: until the last clone is dropped, the library
/// stands and no purge of it goes on. Threads that write take a clone with them.
///
/// # Errors
/// `UnknownLibrary` where it does not stand; as [`LibraryLock::shared`]; a failure of the catalogue.
pub async fn hold(
    catalog: &Catalog,
    data: &Path,
    library: &LibraryId,
) -> Result<Arc<LibraryLock>, LockError> {
    // Asked first as well, so that a name that is not known leaves no folder.
    stands(catalog, library).await?;
    let (folder, name) = (data.to_owned(), library.clone());
    let locking = tokio::task::spawn_blocking(move || LibraryLock::shared(&folder, &name));
    let lock = locking.await.map_err(|panic| LockError::Unusable {
        path: volume::library_dir(data, library),
        cause: io::Error::other(panic),
    })??;
    if let Err(gone) = stands(catalog, library).await {
        remove_if_empty(data, library, lock);
        return Err(gone.into());
    }
    Ok(Arc::new(lock))
}

async fn stands(catalog: &Catalog, library: &LibraryId) -> Result<(), CatalogError> {
    let found = catalog.library(library).await?;
    found.map(drop).ok_or_else(|| CatalogError::UnknownLibrary(library.clone()))
}

/// The lock, where it is to be had.
fn held(
    data: &Path,
    library: &LibraryId,
    take: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<Option<LibraryLock>, LockError> {
    let folder = volume::library_dir(data, library);
    let path = folder.join(NAME);
    let unusable = |cause| LockError::Unusable { path: path.clone(), cause };
    let mut missing = None;
    for _ in 0..TRIES_MAX {
        let file = match open(&folder, &path) {
            // The purge before us removed the folder between the two steps.
            Err(error) if error.kind() == io::ErrorKind::NotFound && data.is_dir() => {
                missing = Some(error);
                continue;
            }
            other => other.map_err(unusable)?,
        };
        match take(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
        }
        // A purge removes the file that it holds: a lock on what is no longer there is none.
        let ours = file.metadata().map_err(unusable)?;
        let there = std::fs::metadata(&path);
        if there.is_ok_and(|it| (it.dev(), it.ino()) == (ours.dev(), ours.ino())) {
            return Ok(Some(LibraryLock { _file: file }));
        }
    }
    let replaced = || io::Error::other(format!("it was replaced {TRIES_MAX} times under us"));
    Err(unusable(missing.unwrap_or_else(replaced)))
}

fn open(folder: &Path, path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    // Over NFS a lock held alone needs a file open for writing, a shared one a file open for reading.
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

/// Takes back the empty folder that a lock has made for a library that turned out to be gone.
fn remove_if_empty(data: &Path, library: &LibraryId, lock: LibraryLock) {
    let folder = volume::library_dir(data, library);
    let only_the_lock = std::fs::read_dir(&folder).is_ok_and(|entries| entries.count() == 1);
    if only_the_lock {
        // Best effort: a purge of this name removes what is left.
        let _ = std::fs::remove_file(folder.join(NAME));
        let _ = std::fs::remove_dir(&folder);
    }
    drop(lock);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn writers_share_it_and_a_purge_has_it_alone() {
        let data = tempfile::tempdir().unwrap();
        let (a, b) = (LibraryId::new("a").unwrap(), LibraryId::new("b").unwrap());
        let shared = || LibraryLock::shared(data.path(), &a);
        let alone = || LibraryLock::alone(data.path(), &a, Duration::ZERO);
        let (first, second) = (shared().unwrap(), shared().unwrap());
        assert!(matches!(alone(), Err(LockError::InUse { .. })));
        drop((first, second));
        let purge = alone().unwrap();
        let error = shared().unwrap_err();
        assert_eq!(error.fate(), Fate::Superseded, "{error}");
        LibraryLock::shared(data.path(), &b).unwrap();
        // It removes the folder, and whoever comes next has a lock that counts.
        std::fs::remove_dir_all(volume::library_dir(data.path(), &a)).unwrap();
        let next = shared().unwrap();
        assert!(matches!(alone(), Err(LockError::InUse { .. })));
        drop(purge);
        assert!(matches!(alone(), Err(LockError::InUse { .. })));
        remove_if_empty(data.path(), &a, next);
        assert!(!volume::library_dir(data.path(), &a).exists());
    }

    #[test]
    fn a_lock_that_is_never_there_is_an_error_and_no_endless_search() {
        let data = tempfile::tempdir().unwrap();
        let main = LibraryId::main();
        let folder = volume::library_dir(data.path(), &main);
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(data.path().join("gone/lock"), folder.join(NAME)).unwrap();
        let error = LibraryLock::shared(data.path(), &main).unwrap_err();
        assert!(matches!(error, LockError::Unusable { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_library_that_is_purged_gets_no_folder_again() {
        let data = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", data.path().join("catalog.sqlite").display());
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        let a = LibraryId::new("a").unwrap();
        let refused = async || hold(&catalog, data.path(), &a).await.unwrap_err().fate();
        assert_eq!(refused().await, Fate::Superseded);
        catalog.ensure_library(&a, data.path()).await.unwrap();
        drop(hold(&catalog, data.path(), &a).await.unwrap());
        std::fs::remove_dir_all(volume::library_dir(data.path(), &a)).unwrap();
        catalog.begin_purge(&a).await.unwrap();
        assert_eq!(refused().await, Fate::Superseded);
        assert!(!volume::library_dir(data.path(), &a).exists());
    }
}
