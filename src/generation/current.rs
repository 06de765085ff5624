//! The generation that a live process serves, exchanged without pausing anybody.
//!
//! A new one is loaded and verified aside; only then is the pointer exchanged. Whoever took the
//! old one keeps it whole until done. On any failure the old one stays. The pointer is exchanged
//! without a lock: a reader that the system takes off its core would keep a writer waiting for as
//! long as it is off, and all that ask behind the writer. Freeing a large generation takes time, so it
//! is kept until nobody uses it, and freed by whoever may wait, not by the request that came last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use super::error::GenerationError;
use super::opened::Generation;
use super::store::GenerationStore;
use crate::names::{GenerationNumber, SpaceId};

/// Holds one generation, or none yet.
#[derive(Debug, Default)]
pub struct Current {
    held: ArcSwapOption<Generation>,
    /// Loads come one after the other, so that memory holds at most two generations at once, and
    /// those that work in progress began with.
    loading: Mutex<()>,
    /// Served before, and perhaps still used.
    old: Mutex<Vec<Arc<Generation>>>,
}

impl Current {
    /// Holds nothing yet: base models only.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The generation of this moment. Take it once per piece of work and use nothing else: two
    /// calls may answer two generations.
    pub fn get(&self) -> Option<Arc<Generation>> {
        self.held.load_full()
    }

    /// The number it serves.
    pub fn number(&self) -> Option<GenerationNumber> {
        self.held.load().as_ref().map(|held| held.number)
    }

    /// Loads and verifies generation `number` aside, then serves it. Blocking: call it from a
    /// thread that may wait. Loading what is served already changes nothing.
    ///
    /// # Errors
    /// It is missing, damaged, of another embedding space, or blind; the old one is served on.
    pub fn load(
        &self,
        store: &GenerationStore,
        number: GenerationNumber,
        wanted: Option<&SpaceId>,
    ) -> Result<Arc<Generation>, GenerationError> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        // A number that was never published is used again, for another content.
        let is_it = |held: &Arc<Generation>| {
            held.number == number
                && store.manifest(number).is_ok_and(|there| there.fence == held.manifest.fence)
        };
        if let Some(held) = self.get().filter(is_it) {
            return Ok(held);
        }
        let loaded = Arc::new(store.open(number, wanted)?);
        self.serve(Some(Arc::clone(&loaded)));
        self.free_unused();
        Ok(loaded)
    }

    /// Serves nothing any more: base models only.
    pub fn clear(&self) {
        self.serve(None);
    }

    /// Serves `new` from now on; nobody waits for it. The old one stays in memory until
    /// [`Current::free_unused`].
    pub fn serve(&self, new: Option<Arc<Generation>>) {
        self.old().extend(self.held.swap(new));
    }

    /// Whether one that was served before is still in memory.
    pub fn has_old(&self) -> bool {
        !self.old().is_empty()
    }

    /// Frees what was served before and is used by nobody any more. Blocking: freeing a large one takes
    /// seconds.
    pub fn free_unused(&self) {
        // Only this list still knows it, so nobody can begin to use it again.
        let unused: Vec<_> = self.old().extract_if(.., |old| Arc::strong_count(old) == 1).collect();
        drop(unused);
    }

    fn old(&self) -> MutexGuard<'_, Vec<Arc<Generation>>> {
        self.old.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::generation::samples;

    #[test]
    fn a_thousand_changes_and_no_reader_sees_a_mix() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1, 2]);
        store.set_current_link(GenerationNumber(1)).unwrap();
        let current = Current::empty();
        current.load(&store, GenerationNumber(1), None).unwrap();
        let over = AtomicBool::new(false);
        let (mut seen_by_process, mut seen_by_link) = (0, 0);
        std::thread::scope(|scope| {
            let process = scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Ordering::Relaxed) {
                    samples::assert_whole(&current.get().unwrap());
                    seen += 1;
                }
                seen
            });
            let outsider = scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Ordering::Relaxed) {
                    let number = store.current_link().unwrap().unwrap();
                    samples::assert_whole(&store.open(number, None).unwrap());
                    seen += 1;
                }
                seen
            });
            for turn in 0..1000 {
                let number = GenerationNumber(turn % 2 + 1);
                current.load(&store, number, None).unwrap();
                store.set_current_link(number).unwrap();
            }
            over.store(true, Ordering::Relaxed);
            seen_by_process += process.join().unwrap();
            seen_by_link += outsider.join().unwrap();
        });
        assert!(seen_by_process > 0 && seen_by_link > 0);
    }

    #[test]
    fn what_is_used_is_kept_and_then_freed_by_who_may_wait() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1, 2, 3]);
        let current = Current::empty();
        let used = current.load(&store, GenerationNumber(1), None).unwrap();
        let weak = Arc::downgrade(&used);
        current.load(&store, GenerationNumber(2), None).unwrap();
        assert!(current.has_old());
        drop(used);
        assert!(weak.upgrade().is_some(), "whoever used it last need not free it");
        current.free_unused();
        assert!(weak.upgrade().is_none() && !current.has_old());
        current.load(&store, GenerationNumber(3), None).unwrap();
        assert!(!current.has_old(), "nobody used generation 2");
    }

    #[test]
    fn a_failed_load_keeps_the_old_one() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1, 2]);
        let current = Current::empty();
        assert_eq!(current.number(), None);
        current.load(&store, GenerationNumber(1), None).unwrap();
        std::fs::write(store.folder(GenerationNumber(2)).join("index.flat"), "x").unwrap();
        assert!(current.load(&store, GenerationNumber(2), None).is_err());
        assert!(current.load(&store, GenerationNumber(3), None).is_err());
        assert_eq!(current.number(), Some(GenerationNumber(1)));
        samples::assert_whole(&current.get().unwrap());
        current.clear();
        assert_eq!(current.number(), None);
    }
}
