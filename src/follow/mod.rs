//! Keeps what this process serves equal to what is current, without pausing its work.
//!
//! A poll of the version key (a few bytes) says that something changed; the generation is loaded
//! aside and verified on a thread of its own, then swapped in. On any failure the old one stays,
//! the failure is counted and said loudly. Work in progress keeps the generation it began with.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::board::{Board, Version, WorkerFacts};
use crate::catalog::{Catalog, CatalogError};
use crate::generation::{Current, Generation, GenerationStore};
use crate::names::{GenerationNumber, LibraryId, SpaceId};
use crate::telemetry::metrics;
use crate::volume;

/// Time between two reports of what is served; the board forgets a worker after three times that.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Time before a generation that could not be loaded is tried again: its files may appear late on a
/// network share.
const TRY_AGAIN: Duration = Duration::from_secs(15);

/// The generations that this process serves, one for each library it has touched.
#[derive(Clone)]
pub struct Follower {
    inner: Arc<Inner>,
}

struct Inner {
    data: PathBuf,
    space: SpaceId,
    catalog: Catalog,
    board: Board,
    libraries: Mutex<HashMap<LibraryId, Followed>>,
    /// First questions about a library wait for each other: nobody is told "nothing was learned"
    /// while another one is loading it.
    first: tokio::sync::Mutex<()>,
}

/// One library's generation and how its last loading went.
#[derive(Clone)]
struct Followed {
    current: Arc<Current>,
    tried: Option<Version>,
    failed_at: Option<Instant>,
}

impl Follower {
    /// A follower that serves nothing yet; vectors of `space` are what it can compare.
    pub fn new(data: PathBuf, space: SpaceId, catalog: Catalog, board: Board) -> Self {
        let libraries = Mutex::new(HashMap::new());
        let first = tokio::sync::Mutex::new(());
        Self { inner: Arc::new(Inner { data, space, catalog, board, libraries, first }) }
    }

    /// The generation of `library` to use now; `None` where none was published. The first question
    /// about a library asks the catalogue and loads what is current; later ones take what is there,
    /// without waiting. A generation that cannot be loaded is answered by what was served before.
    ///
    /// # Errors
    /// When the catalogue does not say what is current: unknown is not "none".
    pub async fn generation(
        &self,
        library: &LibraryId,
    ) -> Result<Option<Arc<Generation>>, CatalogError> {
        if let Some(followed) = self.followed(library) {
            return Ok(followed.current.get());
        }
        let _one_at_a_time = self.inner.first.lock().await;
        if let Some(followed) = self.followed(library) {
            return Ok(followed.current.get());
        }
        match self.inner.catalog.current_generation(library).await {
            Ok(Some(current)) => {
                let version = Version { change: current.change, number: current.number };
                self.load(library, version).await;
            }
            Ok(None) => {
                self.followed_or_new(library);
            }
            // Nobody has added a photo to it yet.
            Err(CatalogError::UnknownLibrary(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(self.followed(library).and_then(|followed| followed.current.get()))
    }

    /// As [`Follower::generation`], but what the catalogue says is current at this moment: one that was
    /// published since the last poll is loaded first. For work that is done for its sake.
    ///
    /// # Errors
    /// When the catalogue does not say what is current.
    pub async fn newest(
        &self,
        library: &LibraryId,
    ) -> Result<Option<Arc<Generation>>, CatalogError> {
        let current = match self.inner.catalog.current_generation(library).await {
            Ok(Some(current)) => current,
            Ok(None) | Err(CatalogError::UnknownLibrary(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let version = Version { change: current.change, number: current.number };
        // One that cannot be loaded now is left to the next poll: what was served before is answered.
        let is_tried = |followed: &Followed| {
            let lately = followed.failed_at.is_none_or(|at| at.elapsed() < TRY_AGAIN);
            followed.tried == Some(version) && lately
        };
        if self.followed(library).is_none_or(|followed| !is_tried(&followed)) {
            let _one_at_a_time = self.inner.first.lock().await;
            if self.followed(library).is_none_or(|followed| !is_tried(&followed)) {
                self.load(library, version).await;
            }
        }
        Ok(self.followed(library).and_then(|followed| followed.current.get()))
    }

    /// What is served now, by library.
    pub fn serves(&self) -> BTreeMap<LibraryId, GenerationNumber> {
        let libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = libraries
            .iter()
            .filter_map(|(library, followed)| Some((library.clone(), followed.current.number()?)));
        numbers.collect()
    }

    /// Libraries whose current generation could not be loaded.
    pub fn behind(&self) -> usize {
        let libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.values().filter(|followed| followed.failed_at.is_some()).count()
    }

    /// Polls and reports until `stop`.
    pub async fn follow(self, every: Duration, mut facts: WorkerFacts, stop: CancellationToken) {
        let mut reported: Option<Instant> = None;
        loop {
            let changed = self.look().await;
            if changed || reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                reported = Some(Instant::now());
                facts.serves = self.serves();
                if let Err(error) = self.inner.board.report(&facts).await {
                    tracing::debug!(%error, "could not report to the board");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(every.min(REPORT_EVERY)) => {}
                () = stop.cancelled() => break,
            }
        }
        if let Err(error) = self.inner.board.leave(&facts.worker).await {
            tracing::debug!(%error, "could not leave the board; the entry expires");
        }
    }

    /// Looks once at the version key and loads what changed. Returns whether anything did.
    pub async fn look(&self) -> bool {
        let mut announced = match self.inner.board.versions().await {
            Ok(versions) => versions,
            Err(error) => {
                tracing::debug!(%error, "the version key cannot be read");
                return false;
            }
        };
        let mut changed = false;
        // A library that is not announced (Redis was emptied, it was purged) is asked of the
        // catalogue.
        for library in self.touched() {
            if announced.contains_key(&library) {
                continue;
            }
            match self.inner.catalog.current_generation(&library).await {
                Ok(Some(current)) => {
                    let version = Version { change: current.change, number: current.number };
                    announced.insert(library, version);
                }
                // Purged, and added again since with nothing learned yet.
                Ok(None) if self.serves().contains_key(&library) => {
                    changed |= self.drop_library(&library);
                }
                Ok(None) => {}
                Err(CatalogError::UnknownLibrary(_)) => changed |= self.drop_library(&library),
                Err(error) => {
                    tracing::debug!(%library, %error, "the current generation cannot be asked for");
                }
            }
        }
        for (library, version) in announced {
            let is_new = match self.followed(&library) {
                Some(followed) => {
                    let try_again = followed.failed_at.is_some_and(|at| at.elapsed() >= TRY_AGAIN);
                    followed.tried != Some(version) || try_again
                }
                // Untouched libraries are loaded when somebody asks, except the main one, which
                // somebody will.
                None => library == LibraryId::main(),
            };
            if is_new {
                changed |= self.load(&library, version).await;
            }
        }
        self.free_unused().await;
        ::metrics::gauge!(metrics::LIBRARIES_BEHIND).set(self.behind() as f64);
        changed
    }

    /// Frees generations that were served before, once the work that began with them has ended.
    async fn free_unused(&self) {
        let with_old: Vec<Arc<Current>> = {
            let libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
            let currents = libraries.values().map(|followed| &followed.current);
            currents.filter(|current| current.has_old()).cloned().collect()
        };
        if !with_old.is_empty() {
            let freeing = move || with_old.iter().for_each(|current| current.free_unused());
            if let Err(panic) = tokio::task::spawn_blocking(freeing).await {
                tracing::error!(%panic, "freeing an old generation broke");
            }
        }
    }

    /// Loads `version` aside and swaps it in; the old one stays on failure.
    async fn load(&self, library: &LibraryId, version: Version) -> bool {
        let store = GenerationStore::new(volume::library_dir(&self.inner.data, library));
        let space = self.inner.space.clone();
        // The same number under another change may be another library's of the same name.
        let same = |followed: &Followed| {
            followed.tried.is_none_or(|tried| {
                tried.change == version.change || tried.number != version.number
            })
        };
        let current = self.followed(library).filter(same).map_or_else(
            // Not to be seen by others before it holds something.
            || Arc::new(Current::empty()),
            |followed| followed.current,
        );
        let loading = Arc::clone(&current);
        let loaded = tokio::task::spawn_blocking(move || {
            let loaded = loading.load(&store, version.number, Some(&space)).map(drop);
            if loaded.is_err() && loading.number().is_none() {
                serve_an_older_one(&loading, &store, &space, version.number);
            }
            loaded
        });
        let loaded = match loaded.await {
            Ok(loaded) => loaded.map_err(|error| error.to_string()),
            Err(panic) => Err(panic.to_string()),
        };
        let failed_at = loaded.is_err().then(Instant::now);
        self.set(library, Followed { current, tried: Some(version), failed_at });
        match loaded {
            Ok(()) => {
                count("applied");
                if *library == LibraryId::main() {
                    ::metrics::gauge!(metrics::GENERATION_SERVED).set(version.number.0 as f64);
                }
                tracing::info!(%library, generation = %version.number, "Applied learned patterns");
                true
            }
            Err(error) => {
                count("failed");
                tracing::error!(%library, generation = %version.number, %error, "cannot load the generation, the old one stays in use");
                false
            }
        }
    }

    fn touched(&self) -> Vec<LibraryId> {
        let libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.keys().cloned().collect()
    }

    fn followed(&self, library: &LibraryId) -> Option<Followed> {
        let libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.get(library).cloned()
    }

    fn set(&self, library: &LibraryId, followed: Followed) {
        let mut libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.insert(library.clone(), followed);
    }

    /// Lets go of what a library serves that has nothing published, or is gone. Returns whether it
    /// served anything.
    fn drop_library(&self, library: &LibraryId) -> bool {
        let mut libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = libraries.remove(library);
        drop(libraries);
        let served = dropped.is_some_and(|followed| followed.current.number().is_some());
        if served && *library == LibraryId::main() {
            ::metrics::gauge!(metrics::GENERATION_SERVED).set(0.0);
        }
        served
    }

    /// A library that serves nothing because nothing was published.
    fn followed_or_new(&self, library: &LibraryId) {
        let mut libraries = self.inner.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        libraries.entry(library.clone()).or_insert_with(|| Followed {
            current: Arc::new(Current::empty()),
            tried: None,
            failed_at: None,
        });
    }
}

/// For a process that has just begun and cannot load what is current: the newest of those that lie
/// there and are whole is better than none, until the current one can be loaded.
fn serve_an_older_one(
    current: &Current,
    store: &GenerationStore,
    space: &SpaceId,
    than: GenerationNumber,
) {
    let Ok(numbers) = store.list() else { return };
    // Newer ones were gone back from, or never published.
    for number in numbers.into_iter().rev().filter(|number| *number < than) {
        if current.load(store, number, Some(space)).is_ok() {
            tracing::warn!(generation = %number, "an older generation is served for now");
            return;
        }
    }
}

fn count(outcome: &'static str) {
    ::metrics::counter!(metrics::GENERATION_RELOADS_TOTAL, "outcome" => outcome).increment(1);
}
