//! Where things lie in the data folder, which is the volume that a fleet shares.
//!
//! | path | content |
//! |---|---|
//! | `catalog.sqlite` | the catalogue, where no DATABASE_URL names another |
//! | `originals/<library>/` | photos that were added and had no other place |
//! | `libraries/<library>/` | snapshots, generations and the readable files of a library; `.lock` |
//! | `libraries/.backup-*` | links to what a running backup reads; `.backup.lock` |
//! | `.restore/` | what a restore has unpacked and put aside, until it is done |
//! | `redis/`, `run/`, `log/` | the private Redis, sockets and addresses, logs of `eyefleet up` |

use std::path::{Path, PathBuf};

use crate::names::LibraryId;

/// Snapshots, generations and readable files of `library`.
pub fn library_dir(data: &Path, library: &LibraryId) -> PathBuf {
    data.join("libraries").join(library.as_str())
}

/// Photos of `library` that have no other place.
pub fn originals_dir(data: &Path, library: &LibraryId) -> PathBuf {
    data.join("originals").join(library.as_str())
}
