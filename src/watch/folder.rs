//! One watched folder: a full look at its start and now and then, and what the system tells between.
//!
//! What must stay true: nothing is removed because a folder cannot be seen. A root that is away or
//! empty holds everything as it is; a file counts as gone only where the system says that it is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fleetq::Lane;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, Library, blocking};
use super::events::{Events, Hints};
use super::walk::{Found, FoundFile, Place, Tree};
use crate::board::{Board, WatchFacts, WatchState};
use crate::clock::Clock;
use crate::fate::Fate;
use crate::jobs::JobError;
use crate::names::RelativePath;
use crate::telemetry::metrics;

/// Batches of finds under way between disk and catalogue.
const BATCHES_UNDER_WAY: usize = 4;
/// Time that events are gathered before they are looked at: they come in bursts.
const GATHER: Duration = Duration::from_millis(200);
/// Time between two words on the board while a look goes on.
const SAY_EVERY: Duration = Duration::from_millis(250);
/// Time before a look that failed is repeated.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Reasons shown of what was not taken.
const REASONS_MAX: usize = 20;
/// Files that are waited for until they are written; beyond, a full look finds them.
const FRESH_MAX: usize = 10_000;

/// How a folder is watched.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time between two full looks.
    pub rescan_every: Duration,
    /// Time that a file must have been left alone before it is taken.
    pub settle: Duration,
}

/// One watched folder.
pub struct Folder {
    library: Library,
    tree: Tree,
    board: Board,
    clock: Clock,
    pace: Pace,
    facts: WatchFacts,
    said: Option<Instant>,
    /// Files that were still being written, to be looked at again.
    fresh: BTreeMap<RelativePath, PathBuf>,
}

impl Folder {
    /// The folder `tree` of `library`.
    pub fn new(library: Library, tree: Tree, board: Board, clock: Clock, pace: Pace) -> Self {
        let facts = WatchFacts::new(&tree.root);
        Self { library, tree, board, clock, pace, facts, said: None, fresh: BTreeMap::new() }
    }

    /// Keeps the library equal to the folder until `stop` fires.
    pub async fn keep(mut self, stop: CancellationToken) {
        // Before the first look: what happens during it is told as well.
        let events = self.listen().await;
        let mut next_scan = Some(Instant::now());
        while !stop.is_cancelled() {
            let hints = match &events {
                Some(events) => events.take(),
                None => Hints::default(),
            };
            let scan_due = hints.missed || next_scan.is_some_and(|at| at <= Instant::now());
            let looked = if scan_due {
                tokio::select! {
                    looked = self.scan() => looked,
                    () = stop.cancelled() => return,
                }
            } else {
                self.follow(hints).await
            };
            let pause = match looked {
                Ok(()) if scan_due => self.pace.rescan_every,
                Ok(()) => next_scan.map_or(self.pace.rescan_every, |at| {
                    at.saturating_duration_since(Instant::now())
                }),
                // The library was purged: there is nothing to say of it any more.
                Err(error) if error.fate == Fate::Superseded => return,
                Err(error) => {
                    self.say_failure(&error).await;
                    AGAIN_AFTER
                }
            };
            next_scan = Some(Instant::now() + pause);
            let fresh_again = if self.fresh.is_empty() { pause } else { self.pace.settle };
            tokio::select! {
                () = tokio::time::sleep(pause.min(fresh_again)) => {}
                () = heard(events.as_ref()) => tokio::time::sleep(GATHER).await,
                () = stop.cancelled() => {}
            }
        }
    }

    async fn listen(&mut self) -> Option<Events> {
        let root = self.tree.root.clone();
        let listening = blocking("listening to a folder", move || Events::listen(&root)).await;
        let why = match listening {
            Ok(Ok(events)) => {
                self.facts.live = true;
                return Some(events);
            }
            Ok(Err(why)) => why,
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            root = %self.tree.root.display(), why,
            "the system does not tell of changes in this folder: it is looked at every {} s",
            self.pace.rescan_every.as_secs()
        );
        None
    }

    /// Looks at everything: what is new, changed or moved first, what is gone last, so that a photo
    /// that moved is never removed in between.
    async fn scan(&mut self) -> Result<(), JobError> {
        self.check_root().await?;
        self.facts = WatchFacts { live: self.facts.live, ..WatchFacts::new(&self.tree.root) };
        self.facts.state = WatchState::Scanning;
        self.say(true).await;
        let total = Arc::new(AtomicU64::new(0));
        // It ends with this look, however that ends: then nobody else holds the number.
        let (counter, counted) = (self.tree.clone(), Arc::downgrade(&total));
        let counting = tokio::task::spawn_blocking(move || {
            if let Some(files) = counter.count(&|| counted.strong_count() == 0)
                && let Some(total) = counted.upgrade()
            {
                total.store(files, Ordering::Relaxed);
            }
        });
        let (send, mut batches) = mpsc::channel::<Vec<Found>>(BATCHES_UNDER_WAY);
        let tree = self.tree.clone();
        let walking = tokio::task::spawn_blocking(move || {
            tree.walk(&tree.root, &mut |batch| match send.blocking_send(batch) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            });
        });
        let mut changes = Changes::default();
        while let Some(batch) = batches.recv().await {
            self.facts.files += batch.len() as u64;
            changes += self.take(batch, Lane::Backfill).await?;
            self.facts.total = Some(total.load(Ordering::Relaxed)).filter(|files| *files > 0);
            self.note(changes);
            self.say(false).await;
        }
        drop(total);
        walking.await.map_err(|panic| broke(&panic))?;
        counting.await.map_err(|panic| broke(&panic))?;
        // The drive may have been taken away in the middle.
        self.check_root().await?;
        changes.removed = self.library.remove_gone(None).await?;
        self.note(changes);
        self.end(changes, "scan").await;
        Ok(())
    }

    /// Looks where something was heard, and at the files that were still being written.
    async fn follow(&mut self, hints: Hints) -> Result<(), JobError> {
        let mut paths = hints.paths;
        paths.extend(std::mem::take(&mut self.fresh).into_values());
        if paths.is_empty() && self.facts.settling == 0 {
            return Ok(());
        }
        let tree = self.tree.clone();
        let mut looked = blocking("looking at changed files", move || {
            let mut looked = Looked::default();
            for path in paths {
                match tree.at(&path) {
                    Place::File(found) => looked.found.push(found),
                    Place::Folder => tree.walk(&path, &mut |mut batch| {
                        looked.found.append(&mut batch);
                        ControlFlow::Continue(())
                    }),
                    Place::Gone => looked.gone.extend(relative(&tree, &path)),
                    Place::Other => {}
                }
            }
            looked
        })
        .await?;
        let mut changes = Changes::default();
        for batch in looked.found.chunks_mut(500) {
            changes += self.take(batch.to_vec(), Lane::Upload).await?;
        }
        if !looked.gone.is_empty() {
            self.check_root().await?;
        }
        for gone in looked.gone {
            changes.removed += self.library.remove_at(&gone).await?;
            changes.removed += self.library.remove_gone(Some(&gone)).await?;
        }
        let settled = self.facts.settling != self.fresh.len() as u64;
        if changes != Changes::default() || settled {
            self.note(changes);
            self.end(changes, "events").await;
        }
        Ok(())
    }

    async fn take(&mut self, batch: Vec<Found>, lane: Lane) -> Result<Changes, JobError> {
        let mut files = Vec::with_capacity(batch.len());
        for found in batch {
            match found {
                Found::File(file) if self.is_fresh(&file) => {
                    if self.fresh.len() < FRESH_MAX {
                        let path = self.tree.root.join(file.path.as_str());
                        self.fresh.insert(file.path, path);
                    }
                }
                Found::File(file) => files.push(file),
                Found::NotTaken { name, why } => {
                    tracing::warn!(library = %self.library.id, name, why, "not taken");
                    self.facts.not_taken += 1;
                    if self.facts.reasons.len() < REASONS_MAX {
                        self.facts.reasons.push(format!("{name}: {why}"));
                    }
                }
            }
        }
        self.library.take(files, lane).await
    }

    /// Whether the file may still be written. One from the future is not waited for.
    fn is_fresh(&self, file: &FoundFile) -> bool {
        let age = self.clock.now().duration_since(file.modified);
        let settle = jiff::SignedDuration::try_from(self.pace.settle).unwrap_or_default();
        !age.is_negative() && age < settle
    }

    /// A root that is away or empty says nothing of what was deleted: its drive may be missing.
    async fn check_root(&self) -> Result<(), JobError> {
        let root = self.tree.root.clone();
        let entries = blocking("opening a watched folder", move || {
            std::fs::read_dir(&root).map(|mut entries| entries.next().is_some())
        })
        .await?;
        let shown = self.tree.root.display();
        let why = match entries {
            Ok(true) => return Ok(()),
            Err(error) => format!(
                "the folder {shown} cannot be read: {error}; is its drive mounted? Nothing is \
                 removed from library {}",
                self.library.id
            ),
            Ok(false) => {
                let known = self.library.catalog.files_beneath(&self.library.id, None, None, 1);
                if known.await?.is_empty() {
                    return Ok(());
                }
                format!(
                    "the folder {shown} is empty and library {} has photos from it: is its drive \
                     mounted? Nothing is removed; `eyefleet library purge {0}` forgets them",
                    self.library.id
                )
            }
        };
        Err(JobError::new(Fate::Transient, why))
    }

    fn note(&mut self, changes: Changes) {
        self.facts.new = changes.new;
        self.facts.changed = changes.changed;
        self.facts.moved = changes.moved;
        self.facts.removed = changes.removed;
    }

    async fn end(&mut self, changes: Changes, look: &'static str) {
        self.facts.state = WatchState::Watching;
        self.facts.message = None;
        self.facts.settling = self.fresh.len() as u64;
        self.facts.looked_at = Some(self.clock.now());
        self.say(true).await;
        for (change, files) in [
            ("new", changes.new),
            ("changed", changes.changed),
            ("moved", changes.moved),
            ("removed", changes.removed),
        ] {
            ::metrics::counter!(metrics::WATCHED_FILES_TOTAL, "change" => change).increment(files);
        }
        tracing::info!(
            library = %self.library.id, look, files = self.facts.files, new = changes.new,
            changed = changes.changed, moved = changes.moved, removed = changes.removed,
            not_taken = self.facts.not_taken, "the library is equal to its folder"
        );
    }

    async fn say_failure(&mut self, error: &JobError) {
        tracing::warn!(library = %self.library.id, %error, "looking again in {} s", AGAIN_AFTER.as_secs());
        self.facts.state = WatchState::Held;
        self.facts.message = Some(error.to_string());
        self.say(true).await;
    }

    async fn say(&mut self, now: bool) {
        if !now && self.said.is_some_and(|at| at.elapsed() < SAY_EVERY) {
            return;
        }
        self.said = Some(Instant::now());
        if let Err(error) = self.board.show_watch(&self.library.id, &self.facts).await {
            tracing::debug!(%error, "how far the look is, is not shown for now");
        }
    }
}

#[derive(Default)]
struct Looked {
    found: Vec<Found>,
    gone: Vec<RelativePath>,
}

/// A path beneath the root as the catalogue names it; none where it never had a name there.
fn relative(tree: &Tree, path: &std::path::Path) -> Option<RelativePath> {
    RelativePath::new(path.strip_prefix(&tree.root).ok()?.to_str()?).ok()
}

async fn heard(events: Option<&Events>) {
    match events {
        Some(events) => events.heard().await,
        None => std::future::pending().await,
    }
}

fn broke(panic: &tokio::task::JoinError) -> JobError {
    JobError::new(Fate::Transient, format!("the walk through a watched folder broke: {panic}"))
}
