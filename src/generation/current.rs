//! The generation that a live process serves, exchanged without pausing anybody.
//!
//! A new one is loaded and verified aside; only then is the pointer exchanged. Whoever took the
//! old one keeps it whole until done. On any failure the old one stays. Freeing a large one takes
//! time, so a janitor thread does it, not the request that happened to come last before.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::error::GenerationError;
use super::opened::Generation;
use super::store::GenerationStore;
use crate::names::{GenerationNumber, SpaceId};

/// Old generations that may wait for the janitor; beyond that they are freed where they fall.
const WAITING_MAX: usize = 4;

/// Holds one generation, or none yet.
#[derive(Debug)]
pub struct Current {
    held: RwLock<Option<Arc<Generation>>>,
    /// Loads come one after the other, so that memory holds at most two generations at once.
    loading: Mutex<()>,
    janitor: SyncSender<Arc<Generation>>,
}

impl Default for Current {
    fn default() -> Self {
        Self::empty()
    }
}

impl Current {
    /// Holds nothing yet: base models only.
    pub fn empty() -> Self {
        let (janitor, fallen) = sync_channel(WAITING_MAX);
        // Ends when the sender is dropped with `Current`. Without a thread generations are freed
        // where they fall, which is slower and not wrong.
        let _ = std::thread::Builder::new()
            .name("generation-janitor".to_owned())
            .spawn(move || fallen.into_iter().for_each(drop::<Arc<Generation>>));
        Self { held: RwLock::new(None), loading: Mutex::new(()), janitor }
    }

    /// The generation of this moment. Take it once per piece of work and use nothing else: two
    /// calls may answer two generations.
    pub fn get(&self) -> Option<Arc<Generation>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number it serves.
    pub fn number(&self) -> Option<GenerationNumber> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|held| held.number)
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
        if let Some(held) = self.get().filter(|held| held.number == number) {
            return Ok(held);
        }
        let loaded = Arc::new(store.open(number, wanted)?);
        self.serve(Some(Arc::clone(&loaded)));
        Ok(loaded)
    }

    /// Serves nothing any more: base models only.
    pub fn clear(&self) {
        self.serve(None);
    }

    /// Serves `new` from now on; whoever asks meanwhile waits for the exchange of one pointer.
    pub fn serve(&self, new: Option<Arc<Generation>>) {
        let old = {
            let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, new)
        };
        if let Some(old) = old {
            // A full queue or a missing janitor hands it back, and it is freed here.
            drop(self.janitor.try_send(old));
        }
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
