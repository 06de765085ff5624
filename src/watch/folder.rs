//! One watched folder: a full look at its start and now and then, and what the system tells between.
//!
//! What must stay true: nothing is removed because a folder cannot be seen. A root that is away, empty
//! or on another mount than before holds everything as it is, and so does a missing mount beneath it.

use std::collections::{BTreeMap, BTreeSet};
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
use super::ground::Ground;
use super::removal::{Removal, Removed};
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
/// Files of one round of events; more are a reason for a full look.
const FOLLOWED_MAX: usize = 10_000;
/// Least time between two full looks that lost events ask for: a look makes events of its own.
const MISSED_AGAIN: Duration = Duration::from_secs(30);

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
    /// What the folder stood on at the last full look that came to its end.
    ground: Option<Ground>,
    /// Folders beneath whose mount is missing.
    unseen: Vec<RelativePath>,
    events: Option<Events>,
    /// Files that were still being written, with their sizes, and files that seemed to be gone
    /// meanwhile: to be looked at again.
    fresh: BTreeMap<RelativePath, Option<u64>>,
}

impl Folder {
    /// The folder `tree` of `library`.
    pub fn new(library: Library, tree: Tree, board: Board, clock: Clock, pace: Pace) -> Self {
        let facts = WatchFacts::new(&tree.root);
        Self {
            library,
            tree,
            board,
            clock,
            pace,
            facts,
            said: None,
            ground: None,
            unseen: Vec::new(),
            events: None,
            fresh: BTreeMap::new(),
        }
    }

    /// Keeps the library equal to the folder until `stop` fires.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut next_scan = Some(Instant::now());
        let mut scanned: Option<Instant> = None;
        while !stop.is_cancelled() {
            let hints = self.events.as_ref().map(Events::take).unwrap_or_default();
            if hints.missed {
                let at = scanned.map_or_else(Instant::now, |at| at + MISSED_AGAIN);
                next_scan = next_scan.map(|next| next.min(at));
            }
            let scan_due = next_scan.is_some_and(|at| at <= Instant::now());
            let looking =
                async { if scan_due { self.scan().await } else { self.follow(hints).await } };
            let looked = tokio::select! {
                looked = looking => looked,
                () = stop.cancelled() => return,
            };
            match looked {
                Ok(Looks::Enough) if scan_due => {
                    scanned = Some(Instant::now());
                    next_scan = Some(Instant::now() + self.pace.rescan_every);
                }
                Ok(Looks::Enough) => {}
                Ok(Looks::All) => next_scan = Some(Instant::now()),
                // The library was purged: there is nothing to say of it any more.
                Err(error) if error.fate == Fate::Superseded => return,
                Err(error) => {
                    self.say_failure(&error).await;
                    // What the folder stands on may be another when it is back.
                    (self.ground, self.events) = (None, None);
                    next_scan = Some(Instant::now() + AGAIN_AFTER);
                }
            }
            let until_scan = next_scan
                .map_or(self.pace.rescan_every, |at| at.saturating_duration_since(Instant::now()));
            let pause = if self.fresh.is_empty() { until_scan } else { self.pace.settle };
            tokio::select! {
                () = tokio::time::sleep(pause.min(until_scan)) => {}
                () = heard(self.events.as_ref()) => tokio::time::sleep(GATHER).await,
                () = stop.cancelled() => {}
            }
        }
    }

    /// Listens anew where the folder stands on another ground than when it was listened to: a drive
    /// that comes back tells those who listened before nothing.
    async fn listen(&mut self, ground: &Ground) {
        if self.events.is_some() && self.ground.as_ref() == Some(ground) {
            return;
        }
        self.facts.live = false;
        let root = self.tree.root.clone();
        let listening = blocking("listening to a folder", move || Events::listen(&root)).await;
        let why = match listening {
            Ok(Ok(events)) => {
                self.facts.live = true;
                self.events = Some(events);
                return;
            }
            Ok(Err(why)) => why,
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            root = %self.tree.root.display(), why,
            "the system does not tell of changes in this folder: it is looked at every {} s",
            self.pace.rescan_every.as_secs()
        );
        self.events = None;
    }

    /// Looks at everything: what is new, changed or moved first, what is gone last, so that a photo
    /// that moved is never removed in between.
    async fn scan(&mut self) -> Result<Looks, JobError> {
        let ground = self.stand().await?;
        // Before the look: what happens during it is told as well.
        self.listen(&ground).await;
        // Known from the look before, or counted by names alone, which is far ahead of the look.
        let before = self.facts.total.unwrap_or(0).max(self.facts.files);
        self.facts = WatchFacts { live: self.facts.live, ..WatchFacts::new(&self.tree.root) };
        for folder in &self.unseen {
            self.facts.reasons.push(format!(
                "{folder}: nothing is mounted there any more, and its photos are kept; mount it again, \
                 or delete that folder to forget them"
            ));
        }
        self.say(true).await;
        let total = Arc::new(AtomicU64::new(before));
        if before == 0 {
            // It ends with this look, however that ends: then nobody else holds the number.
            let (counter, counted) = (self.tree.clone(), Arc::downgrade(&total));
            let _ends_by_itself = tokio::task::spawn_blocking(move || {
                if let Some(files) = counter.count(&|| counted.strong_count() == 0)
                    && let Some(total) = counted.upgrade()
                {
                    total.store(files, Ordering::Relaxed);
                }
            });
        }
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
        walking.await.map_err(|panic| broke(&panic))?;
        self.facts.total = Some(self.facts.files);
        let removed = self.library.remove_gone(None, &self.removal(ground.clone())).await?;
        changes += self.finish_removal(removed);
        let mounts = ground.mounts();
        let unseen = self.unseen.iter().map(|folder| self.tree.root.join(folder.as_str()));
        let mounts: Vec<PathBuf> = mounts.into_iter().chain(unseen).collect();
        self.library.remember_mounts(&mounts).await?;
        self.ground = Some(ground);
        self.note(changes);
        self.end(changes, "scan").await;
        Ok(Looks::Enough)
    }

    /// What the folder stands on, where it can be seen at all.
    async fn stand(&mut self) -> Result<Ground, JobError> {
        let away = |why: String| JobError::new(Fate::Away, why);
        let root = self.tree.root.clone();
        let ground = blocking("opening a watched folder", move || Ground::of(&root)).await?;
        let keeps = format!(
            "Nothing is removed from library {0}; `eyefleet library purge {0}` forgets it",
            self.library.id
        );
        let ground = match ground {
            Ok(ground) => ground,
            Err(why) => return Err(away(format!("{why} {keeps}"))),
        };
        let before = self.library.known_mounts().await?;
        let asked = ground.clone();
        let missing = blocking("looking at its mounts", move || asked.missing(&before)).await?;
        if let Some(at) = missing.iter().find(|at| self.tree.root.starts_with(at)) {
            return Err(away(format!(
                "the folder {} lay on {}, where nothing is mounted now: is its drive mounted? {keeps}. \
                 If it was moved on purpose: `eyefleet library add {} --photos {0}`",
                self.tree.root.display(),
                at.display(),
                self.library.id
            )));
        }
        self.unseen = missing.iter().filter_map(|at| relative(&self.tree, at)).collect();
        Ok(ground)
    }

    fn removal(&self, ground: Ground) -> Removal {
        let arriving = self.fresh.values().flatten().copied().collect();
        Removal { ground, unseen: self.unseen.clone(), arriving }
    }

    fn finish_removal(&mut self, removed: Removed) -> Changes {
        let room = FRESH_MAX.saturating_sub(self.fresh.len());
        self.fresh.extend(removed.later.into_iter().take(room).map(|path| (path, None)));
        removed.changes
    }

    /// Looks where something was heard, and at the files that were still being written.
    async fn follow(&mut self, hints: Hints) -> Result<Looks, JobError> {
        let Some(ground) = self.ground.clone() else { return Ok(Looks::All) };
        let mut paths = hints.paths;
        let again = std::mem::take(&mut self.fresh).into_keys();
        paths.extend(again.map(|path| self.tree.root.join(path.as_str())));
        if paths.is_empty() && self.facts.settling == 0 {
            return Ok(Looks::Enough);
        }
        let tree = self.tree.clone();
        let looked = blocking("looking at changed files", move || look_at(&tree, &paths)).await?;
        let Some(mut looked) = looked else { return Ok(Looks::All) };
        let mut changes = Changes::default();
        for batch in looked.found.chunks_mut(500) {
            changes += self.take(batch.to_vec(), Lane::Upload).await?;
        }
        let removal = self.removal(ground);
        for gone in looked.gone {
            let removed = self.library.remove_at(&gone, &removal).await?;
            changes += self.finish_removal(removed);
            let removed = self.library.remove_gone(Some(&gone), &removal).await?;
            changes += self.finish_removal(removed);
        }
        let settled = self.facts.settling != self.fresh.len() as u64;
        if changes != Changes::default() || settled {
            self.note(changes);
            self.end(changes, "events").await;
        }
        Ok(Looks::Enough)
    }

    async fn take(&mut self, batch: Vec<Found>, lane: Lane) -> Result<Changes, JobError> {
        let mut files = Vec::with_capacity(batch.len());
        for found in batch {
            match found {
                Found::File(file) if self.is_fresh(&file) => {
                    if self.fresh.len() < FRESH_MAX {
                        self.fresh.insert(file.path, Some(file.bytes));
                    }
                }
                Found::File(file) => files.push(file),
                Found::NotTaken { name, why } => {
                    // Seen again at every look: the board and `status` tell it to people.
                    tracing::debug!(library = %self.library.id, name, why, "not taken");
                    let reason = format!("{name}: {why}");
                    if !self.facts.reasons.contains(&reason) {
                        self.facts.not_taken += 1;
                        if self.facts.reasons.len() < REASONS_MAX {
                            self.facts.reasons.push(reason);
                        }
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

/// Whether a look was enough, or only a full one tells what happened.
enum Looks {
    Enough,
    All,
}

#[derive(Default)]
struct Looked {
    found: Vec<Found>,
    gone: Vec<RelativePath>,
}

/// What there is at `paths`; none where it is too much for one round. Blocking.
fn look_at(tree: &Tree, paths: &BTreeSet<PathBuf>) -> Option<Looked> {
    let mut looked = Looked::default();
    for path in paths {
        match tree.at(path) {
            Place::File(found) => looked.found.push(found),
            Place::Folder => tree.walk(path, &mut |mut batch| {
                looked.found.append(&mut batch);
                if looked.found.len() > FOLLOWED_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }),
            Place::Gone => looked.gone.extend(relative(tree, path)),
            Place::Other => {}
        }
        if looked.found.len() > FOLLOWED_MAX {
            return None;
        }
    }
    Some(looked)
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
