//! Watched folders: a library kept equal to a folder on disk.
//!
//! The leader keeps one task for each watched library. A full look streams the folder past the
//! catalogue and reads nothing whose stamp is known; between two full looks the system tells where
//! something happened. What was moved keeps its id, what is gone is removed, and what cannot be
//! taken is told with its reason.

mod changes;
mod events;
mod folder;
mod ground;
mod held_back;
mod removal;
mod walk;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::changes::{Changes, Library};
pub use self::folder::{Folder, Pace};
pub use self::walk::{Found, FoundFile, Place, Tree, is_photo};

use crate::board::Board;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::jobs::JobError;
use crate::names::LibraryId;

/// What the tasks of watched folders need.
#[derive(Clone)]
pub struct WatchDeps {
    /// Which libraries are watched, and where photos are recorded.
    pub catalog: Catalog,
    /// Where it is told how far a look is.
    pub board: Board,
    /// Where photos wait for their analysis.
    pub queue: fleetq::Queue,
    /// Tells how old a file is.
    pub clock: Clock,
    /// The data folder, which is never looked at.
    pub data: PathBuf,
    /// Largest original that is read, in bytes.
    pub original_bytes_max: u64,
    /// How folders are watched.
    pub pace: Pace,
}

/// The tasks of all watched folders. Dropping it stops them.
#[derive(Default)]
pub struct Watching {
    tasks: BTreeMap<LibraryId, Task>,
}

struct Task {
    root: PathBuf,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Watching {
    /// Starts what is to be watched and not yet is, stops what is not any more.
    ///
    /// # Errors
    /// When a store is away; what runs then runs on.
    pub async fn step(&mut self, deps: &WatchDeps) -> Result<(), JobError> {
        let said = deps.board.watches().await?;
        let libraries = deps.catalog.libraries().await?;
        let wanted: BTreeMap<LibraryId, PathBuf> = libraries
            .into_iter()
            .filter(|library| library.watched)
            .map(|library| (library.id, library.root))
            .collect();
        self.tasks
            .retain(|id, task| wanted.get(id) == Some(&task.root) && !task.running.is_finished());
        // A task that was just stopped may have spoken last.
        for library in said.iter().filter(|library| !wanted.contains_key(library)) {
            deps.board.end_watch(library).await?;
        }
        for (id, root) in wanted {
            if !self.tasks.contains_key(&id) {
                tracing::info!(library = %id, root = %root.display(), "watching");
                self.tasks.insert(id.clone(), start(deps, id, root));
            }
        }
        Ok(())
    }

    /// Stops all of them: another process leads now, or this one stops.
    pub fn stop(&mut self) {
        self.tasks.clear();
    }
}

fn start(deps: &WatchDeps, id: LibraryId, root: PathBuf) -> Task {
    let stop = CancellationToken::new();
    let library = Library {
        id,
        root: root.clone(),
        catalog: deps.catalog.clone(),
        queue: deps.queue.clone(),
        original_bytes_max: deps.original_bytes_max,
    };
    let tree = Tree { root: root.clone(), own: deps.data.clone() };
    let folder = Folder::new(library, tree, deps.board.clone(), deps.clock.clone(), deps.pace);
    let running = tokio::spawn(folder.keep(stop.clone()));
    Task { root, stop, running }
}
