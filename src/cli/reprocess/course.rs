//! A run of `eyefleet reprocess`: photos are handed out batch by batch and waited for.
//!
//! What must stay true: no more than a few batches wait at a time, so that a million photos do not fill
//! Redis, and one that is stopped leaves little behind. A batch stands in the catalogue before its jobs
//! are in the queue: dying in between is what reconciliation mends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::bail;
use fleetq::{DeadFilter, Enqueued, Lane, Mode, NewJob, Place};
use tokio::signal::unix::{SignalKind, signal};

use super::stream::DueStream;
use crate::catalog::{CatalogError, Reset, StageState, WaitingImage};
use crate::cli::{Client, Progress};
use crate::jobs::{AnalyzeImage, Origin, id_prefix, offer};
use crate::names::{ImageId, LibraryId};
use crate::reconcile::analyze_job;

/// Batches that wait at a time: enough that no worker runs dry while the next one is handed out.
const BATCHES_UNDER_WAY: usize = 4;
/// Time between two looks at what is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time after which photos that still wait are offered again: a job that was at its end when its photo
/// was handed out has refused ours as its double.
const OFFER_AGAIN: Duration = Duration::from_secs(2);
/// Time without any progress after which a person is told what may be the matter.
const QUIET_MAX: Duration = Duration::from_secs(3);

/// How a run ended.
pub(super) struct Ended {
    /// Photos that were done.
    pub done: u64,
    /// Photos among them that failed.
    pub failed: u64,
    /// Photos that were handed out and are not done: none but where it was stopped.
    pub under_way: u64,
    stopped: bool,
}

impl Ended {
    /// Whether it was not stopped before its end.
    pub fn is_whole(&self) -> bool {
        !self.stopped
    }
}

/// A run under way.
pub(super) struct Course<'a> {
    client: &'a Client,
    library: &'a LibraryId,
    batch: usize,
    origin: Origin,
    under_way: VecDeque<WaitingImage>,
    done: u64,
    failed: u64,
    progress: Progress,
    /// When photos were offered last, and when the last one was done.
    offered: Instant,
    moved: Instant,
    has_told: bool,
}

impl<'a> Course<'a> {
    pub fn new(
        client: &'a Client,
        library: &'a LibraryId,
        batch: usize,
        photos: u64,
        quiet: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            client,
            library,
            batch,
            origin: Origin::command(),
            under_way: VecDeque::new(),
            done: 0,
            failed: 0,
            progress: Progress::new("reprocess", "photos", photos, quiet),
            offered: now,
            moved: now,
            has_told: false,
        }
    }

    /// Hands out everything of `due` and waits until it is done, or until Ctrl-C.
    ///
    /// # Errors
    /// A store that is away, a queue that is being drained, a library that was purged. What was handed
    /// out until then goes on.
    pub async fn run(mut self, mut due: DueStream<'_>) -> anyhow::Result<Ended> {
        // Before anything is handed out: from now on Ctrl-C ends the wait, not the process.
        let mut pressed = signal(SignalKind::interrupt())?;
        let mut is_all = false;
        loop {
            while !is_all && self.under_way.len() + self.batch <= BATCHES_UNDER_WAY * self.batch {
                is_all = !self.hand_out(&mut due).await?;
            }
            self.look().await?;
            if is_all && self.under_way.is_empty() {
                self.progress.finish();
                return Ok(Ended {
                    done: self.done,
                    failed: self.failed,
                    under_way: 0,
                    stopped: false,
                });
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = pressed.recv() => {
                    let (done, failed) = (self.done, self.failed);
                    let under_way = self.under_way.len() as u64;
                    return Ok(Ended { done, failed, under_way, stopped: true });
                }
            }
        }
    }

    /// The next batch: first in the catalogue, then in the queue. Says whether there was one.
    async fn hand_out(&mut self, due: &mut DueStream<'_>) -> anyhow::Result<bool> {
        let mut resets = Vec::with_capacity(self.batch);
        while resets.len() < self.batch
            && let Some((image, due)) = due.next().await?
        {
            resets.push(Reset { image, stages: due.stages });
        }
        if resets.is_empty() {
            return Ok(false);
        }
        if self.client.analyze.depth().await?.mode == Mode::Draining {
            bail!(
                "queue analyze is being drained and takes no jobs; {} of the photos are done; `eyefleet \
                 queue resume analyze`, then run this again for the rest",
                self.done
            );
        }
        self.client.catalog.reset(self.library, &resets).await?;
        let batch: Vec<WaitingImage> = resets.into_iter().map(|reset| reset.image).collect();
        self.offer(&batch).await?;
        self.under_way.extend(batch);
        Ok(true)
    }

    async fn offer(&mut self, photos: &[WaitingImage]) -> anyhow::Result<()> {
        self.offered = Instant::now();
        let queue = &self.client.analyze;
        let job = |photo| analyze_job(self.library, photo, Lane::Backfill, &self.origin);
        let jobs: Vec<NewJob> = photos.iter().map(job).collect();
        // A queue that is drained from now on is offered them by reconciliation when it is resumed.
        let answers = offer(queue, jobs).await?.unwrap_or_default();
        let mut dead = Vec::new();
        for (photo, answer) in photos.iter().zip(answers) {
            if answer == Enqueued::Duplicate(Place::Dead) {
                // It was given up once and is tried anew now: its letter holds the id.
                let job = job(photo);
                queue.flush(&DeadFilter::Id(job.id.clone())).await?;
                dead.push(job);
            }
        }
        if !dead.is_empty() {
            offer(queue, dead).await?;
        }
        if self.client.catalog.library(self.library).await?.is_none() {
            // The purge may have looked at the queue already.
            queue.discard(&id_prefix::<AnalyzeImage>(self.library)).await?;
            return Err(CatalogError::UnknownLibrary(self.library.clone()).into());
        }
        Ok(())
    }

    /// Looks at which photos are done meanwhile.
    async fn look(&mut self) -> anyhow::Result<()> {
        let ids: Vec<ImageId> = self.under_way.iter().map(|photo| photo.image.clone()).collect();
        let waiting = self.client.catalog.in_state(self.library, &ids, StageState::Waiting).await?;
        let done: Vec<ImageId> = ids.into_iter().filter(|image| !waiting.contains(image)).collect();
        if done.is_empty() {
            return self.while_nothing_moves().await;
        }
        let failed = self.client.catalog.in_state(self.library, &done, StageState::Failed).await?;
        self.under_way.retain(|photo| waiting.contains(&photo.image));
        self.done += done.len() as u64;
        self.failed += failed.len() as u64;
        self.progress.set(self.done);
        self.moved = Instant::now();
        Ok(())
    }

    async fn while_nothing_moves(&mut self) -> anyhow::Result<()> {
        if self.offered.elapsed() >= OFFER_AGAIN && !self.under_way.is_empty() {
            let waiting: Vec<WaitingImage> = self.under_way.iter().cloned().collect();
            self.offer(&waiting).await?;
        }
        if self.has_told || self.moved.elapsed() < QUIET_MAX {
            return Ok(());
        }
        let depth = self.client.analyze.depth().await?;
        let hint = match depth.mode {
            Mode::Paused => {
                "queue analyze is paused: it goes on after `eyefleet queue resume analyze`"
            }
            Mode::Draining => {
                "queue analyze is being drained: it goes on after `eyefleet queue resume analyze`"
            }
            Mode::Running if depth.held.contains(&Lane::Backfill) => {
                "backfill is paused: it goes on after the pause (`eyefleet status` says when), or after \
                 `eyefleet resume`"
            }
            Mode::Running if depth.claimed == 0 => {
                "no worker takes the photos: `eyefleet run analyze` or `eyefleet up` starts one, the log \
                 of one that runs says what it waits for; still waiting"
            }
            Mode::Running => return Ok(()),
        };
        self.progress.note(hint);
        self.has_told = true;
        Ok(())
    }
}
