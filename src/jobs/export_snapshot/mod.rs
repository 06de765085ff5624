//! Write what the catalogue knows of one library into a snapshot.

mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::left_out;
use super::{Attempt, Budget, Done, Job, JobError, Origin, Source, TrainGeneration};
use crate::catalog::{Catalog, CatalogError, ExportPage, Stage, StageState, Stored};
use crate::clock::Clock;
use crate::fate::Fate;
use crate::library_lock::{self, LibraryLock};
use crate::names::{Fence, LibraryId, SpaceId};
use crate::snapshot::{SnapshotId, SnapshotManifest};
use crate::telemetry::metrics;
use crate::volume;
use writing::Writing;

/// Rows read from the catalogue at once.
const PAGE: u64 = 500;
/// Exports looked through for that of one try.
const RECENT: u64 = 20;

/// Write a snapshot of one library.
/// Safe to repeat: each run writes a folder of its own, named by its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSnapshot {
    /// Whose images.
    pub library: LibraryId,
    /// The newest so many images; all without it.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Only those that were analyzed or corrected since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Tells apart requests of the same library.
    pub request: String,
}

impl ExportSnapshot {
    /// The job's id in the queue.
    pub fn id(&self) -> String {
        format!("{}:{}:{}", Self::NAME, self.library, self.request)
    }

    /// The job in the form that the queue takes.
    ///
    /// # Errors
    /// When it does not become JSON.
    pub fn queued(&self, origin: &Origin) -> Result<fleetq::NewJob, JobError> {
        super::queued(self, self.id(), origin)
    }
}

/// What an export needs.
pub struct ExportDeps {
    /// What is exported.
    pub catalog: Catalog,
    /// Dates the snapshot.
    pub clock: Clock,
    /// The data folder.
    pub data: PathBuf,
    /// The space of the vectors that are exported: those of the pack in use.
    pub space: SpaceId,
    /// Length of a vector.
    pub dim: usize,
    /// Where the training is asked for that follows; `None` when that is switched off.
    pub train: Option<fleetq::Queue>,
    /// The rows of exports that are learned from by themselves. One of another size was asked for by
    /// hand, and a library must not unlearn the rest because of it.
    pub train_limit: Option<u64>,
    /// Share of the images that cannot be used above which an export fails, 0 to 1.
    pub skipped_max_share: f64,
}

impl Job for ExportSnapshot {
    const NAME: &'static str = "export-snapshot";
    const BUDGET: Budget = Budget { attempts: 3, wall_clock: Duration::from_hours(4) };
    type Deps = ExportDeps;

    async fn run(&self, deps: &ExportDeps, attempt: &Attempt) -> Result<Done, JobError> {
        let started = Instant::now();
        // Kept until the training is asked for: a purge waits for that and removes it as well.
        let lock = library_lock::hold(&deps.catalog, &deps.data, &self.library).await?;
        let id = SnapshotId::new(deps.clock.now(), attempt.fence);
        if let Stored::Superseded(why) =
            self.begin(&deps.catalog, attempt.fence, id.as_str()).await?
        {
            return Err(JobError::superseded(why));
        }
        let manifest = match self.write(deps, &id, attempt.fence, &lock).await {
            Ok(manifest) => manifest,
            Err(error) => {
                ::metrics::counter!(metrics::EXPORTS_TOTAL, "outcome" => "failed").increment(1);
                let _whoever_is_newer_has_said_so = deps
                    .catalog
                    .fail_export(&self.library, attempt.fence, id.as_str(), &error.message)
                    .await?;
                return Err(error);
            }
        };
        let finished = deps
            .catalog
            .finish_export(
                &self.library,
                attempt.fence,
                id.as_str(),
                manifest.images,
                &manifest.skipped,
            )
            .await?;
        if let Stored::Superseded(why) = finished {
            return Err(JobError::superseded(why));
        }
        ::metrics::counter!(metrics::EXPORTS_TOTAL, "outcome" => "finished").increment(1);
        metrics::observe(metrics::EXPORT_SECONDS, started.elapsed());
        tracing::info!(library = %self.library, snapshot = %id, images = manifest.images, "Export finished");
        if let Some(queue) = &deps.train
            && self.limit == deps.train_limit
            && self.since.is_none()
        {
            self.ask_for_training(queue, id, attempt).await;
        }
        Ok(Done::Finished)
    }

    async fn give_up(
        &self,
        deps: &ExportDeps,
        attempt: &Attempt,
        reason: &str,
    ) -> Result<(), JobError> {
        // A try that failed before it had a row is recorded too: the schedule asks for the next
        // export some time after a failure that it sees, and at once where it sees none.
        let (catalog, fence) = (&deps.catalog, attempt.fence);
        let recent = catalog.exports(&self.library, RECENT).await?;
        let export = if let Some(row) = recent.into_iter().find(|it| it.fence == fence) {
            row.export
        } else {
            let id = SnapshotId::new(deps.clock.now(), fence).as_str().to_owned();
            let begun = self.begin(catalog, fence, &id).await?;
            if let Stored::Superseded(why) = begun {
                return Err(JobError::superseded(why));
            }
            id
        };
        // One that has ended keeps its end.
        let _ended_before = catalog.fail_export(&self.library, fence, &export, reason).await?;
        Ok(())
    }
}

impl ExportSnapshot {
    async fn begin(
        &self,
        catalog: &Catalog,
        fence: Fence,
        export: &str,
    ) -> Result<Stored, CatalogError> {
        let (library, limit, since) = (&self.library, self.limit, self.since);
        catalog.begin_export_since(library, fence, export, limit, since).await
    }

    /// The export stands whatever comes of this: the leader's schedule asks for the training of a
    /// snapshot that nobody has learned from.
    async fn ask_for_training(
        &self,
        queue: &fleetq::Queue,
        snapshot: SnapshotId,
        attempt: &Attempt,
    ) {
        let job = TrainGeneration {
            library: self.library.clone(),
            snapshot,
            newer_than: None,
            publish_anyway: false,
        };
        let origin = Origin::new(Source::Export).traced(attempt.traceparent.as_deref());
        let asked = match job.queued(&origin) {
            Ok(job) => {
                queue.enqueue(job.in_lane(fleetq::Lane::Backfill)).await.map_err(JobError::from)
            }
            Err(error) => Err(error),
        };
        match asked {
            Ok(_) => {
                tracing::info!(library = %self.library, "Training scheduled in background");
            }
            Err(error) => {
                tracing::warn!(library = %self.library, %error, "the training is asked for later by the schedule");
            }
        }
    }

    async fn write(
        &self,
        deps: &ExportDeps,
        id: &SnapshotId,
        fence: Fence,
        lock: &Arc<LibraryLock>,
    ) -> Result<SnapshotManifest, JobError> {
        let folder = volume::library_dir(&deps.data, &self.library);
        // The writer blocks on the disk; pages cross a channel of one, so memory stays bounded.
        let (pages, incoming) = tokio::sync::mpsc::channel::<ExportPage>(1);
        let writer = Writing {
            folder,
            data: deps.data.clone(),
            id: id.clone(),
            library: self.library.clone(),
            space: deps.space.clone(),
            dim: deps.dim,
            clock: deps.clock.clone(),
            fence,
            skipped_max_share: deps.skipped_max_share,
            _lock: Arc::clone(lock),
        };
        let writing = tokio::task::spawn_blocking(move || writer.write(incoming));
        let fed = self.feed(deps, pages).await;
        let written = writing.await.map_err(|panic| {
            JobError::new(Fate::Poison, format!("writing snapshot {id} broke: {panic}"))
        })?;
        // Where the feed broke off, the catalogue's error is the cause. A writer that failed
        // closes the channel, which is no error of the feed.
        fed?;
        written?.ok_or_else(|| {
            JobError::new(Fate::Transient, format!("the feed of snapshot {id} broke off"))
        })
    }

    async fn feed(
        &self,
        deps: &ExportDeps,
        pages: tokio::sync::mpsc::Sender<ExportPage>,
    ) -> Result<(), JobError> {
        let (catalog, library) = (&deps.catalog, &self.library);
        let scope = catalog.export_scope(library, self.limit, self.since).await?;
        let mut after: Option<String> = None;
        loop {
            let page = catalog.export_page(library, &scope, after.as_deref(), PAGE).await?;
            after.clone_from(&page.last);
            let is_last = page.last.is_none();
            let page = if is_last { self.never_analyzed(catalog).await? } else { page };
            if pages.send(page).await.is_err() || is_last {
                return Ok(());
            }
        }
    }

    /// The last page, the one without an end: how many images an export of everything has not taken
    /// because they are not analyzed.
    async fn never_analyzed(&self, catalog: &Catalog) -> Result<ExportPage, JobError> {
        let mut page = ExportPage::default();
        if self.limit.is_none() && self.since.is_none() {
            let counts = catalog.counts(&self.library).await?;
            let of = |state| counts.of(Stage::Embed, state);
            page.skipped = [
                (left_out::WAITING, of(StageState::Waiting)),
                (left_out::FAILED, of(StageState::Failed)),
            ]
            .into();
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests;
