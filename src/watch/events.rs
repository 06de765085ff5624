//! What the system tells of a folder while it happens.
//!
//! An event is only a hint where to look. Too many of them, or a system that tells nothing (a network
//! drive, no watches left), end in the same full look that a start begins with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Paths remembered until they are looked at; more are a reason for a full look.
const PATHS_MAX: usize = 10_000;

/// A folder that the system watches for us, until this is dropped.
pub struct Events {
    heard: Arc<Heard>,
    /// Ends the watching when it is dropped.
    _watcher: RecommendedWatcher,
}

#[derive(Default)]
struct Heard {
    paths: Mutex<BTreeSet<PathBuf>>,
    /// Something was not told, or there was too much of it.
    missed: AtomicBool,
    arrived: Notify,
}

/// What was heard since the last time.
#[derive(Debug, Default)]
pub struct Hints {
    /// Where something happened.
    pub paths: BTreeSet<PathBuf>,
    /// Whether only a full look tells what happened.
    pub missed: bool,
}

impl Events {
    /// Begins to listen to everything beneath `root`. Blocking: a watch for each folder.
    ///
    /// # Errors
    /// Why the system does not watch it, with what to do about it.
    pub fn listen(root: &Path) -> Result<Self, String> {
        let heard = Arc::new(Heard::default());
        let hearing = Arc::clone(&heard);
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(move |event| hearing.hear(event), config);
        let mut watcher = watcher.map_err(|error| explain(&error))?;
        watcher.watch(root, RecursiveMode::Recursive).map_err(|error| explain(&error))?;
        Ok(Self { heard, _watcher: watcher })
    }

    /// Waits until something was heard.
    pub async fn heard(&self) {
        self.heard.arrived.notified().await;
    }

    /// What was heard since the last call.
    pub fn take(&self) -> Hints {
        let mut paths = self.heard.paths.lock().unwrap_or_else(PoisonError::into_inner);
        Hints {
            paths: std::mem::take(&mut paths),
            missed: self.heard.missed.swap(false, Ordering::AcqRel),
        }
    }
}

impl Heard {
    fn hear(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.missed.store(true, Ordering::Release),
            Ok(event) if says_something(event.kind) => {
                let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
                paths.extend(event.paths);
                if paths.len() > PATHS_MAX {
                    paths.clear();
                    self.missed.store(true, Ordering::Release);
                }
            }
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the system lost events of a watched folder: looking at all of it");
                self.missed.store(true, Ordering::Release);
            }
        }
        self.arrived.notify_one();
    }
}

/// Reading changes nothing.
fn says_something(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn explain(error: &notify::Error) -> String {
    match error.kind {
        ErrorKind::MaxFilesWatch => "the system has no watches left: raise them with \
             `sysctl fs.inotify.max_user_watches=1048576`"
            .to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_happens_is_heard_and_reading_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("old.jpg"), "x").unwrap();
        let events = Events::listen(&root).unwrap();
        std::fs::read(root.join("old.jpg")).unwrap();
        std::fs::write(root.join("sub/a.jpg"), "x").unwrap();
        let mut paths = BTreeSet::new();
        while !paths.contains(&root.join("sub/a.jpg")) {
            events.heard().await;
            paths.append(&mut events.take().paths);
        }
        assert!(!paths.contains(&root.join("old.jpg")), "{paths:?}");
    }

    #[test]
    fn too_much_at_once_asks_for_a_full_look() {
        let heard = Heard::default();
        for number in 0..=PATHS_MAX {
            let path = PathBuf::from(format!("/{number}"));
            let kind = EventKind::Create(notify::event::CreateKind::File);
            heard.hear(Ok(notify::Event::new(kind).add_path(path)));
        }
        assert!(heard.missed.load(Ordering::Acquire));
        assert!(heard.paths.lock().unwrap().is_empty());
    }
}
