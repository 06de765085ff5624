//! Write what the catalogue knows of one library into a snapshot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Attempt, Budget, Done, Job, JobError, Origin, Source, TrainGeneration};
use crate::catalog::{Catalog, ExportRow, Stored};
use crate::clock::Clock;
use crate::fate::Fate;
use crate::library_lock::{self, LibraryLock};
use crate::names::{Fence, LibraryId, SpaceId};
use crate::snapshot::durable;
use crate::snapshot::{
    self, Snapshot, SnapshotError, SnapshotFace, SnapshotId, SnapshotImage, SnapshotManifest,
    SnapshotTag, SnapshotWriter,
};
use crate::telemetry::metrics;
use crate::volume;

/// Rows read from the catalogue at once.
const PAGE: u64 = 500;
/// Exports looked through for that of one try.
const RECENT: u64 = 20;
/// Snapshots kept: the newest, and a few to compare with.
const SNAPSHOTS_KEPT: usize = 5;

/// Write a snapshot of one library.
/// Safe to repeat: each run writes a folder of its own, named by its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSnapshot {
    /// Whose images.
    pub library: LibraryId,
    /// The newest so many images; all without it.
    #[serde(default)]
    pub limit: Option<u64>,
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
            deps.catalog.begin_export(&self.library, attempt.fence, id.as_str(), self.limit).await?
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
            let begun = catalog.begin_export(&self.library, fence, &id, self.limit).await?;
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
            Ok(job) => queue.enqueue(job).await.map_err(JobError::from),
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
        let (pages, incoming) = tokio::sync::mpsc::channel::<Vec<ExportRow>>(1);
        let writer = Writing {
            folder,
            data: deps.data.clone(),
            id: id.clone(),
            library: self.library.clone(),
            space: deps.space.clone(),
            dim: deps.dim,
            clock: deps.clock.clone(),
            fence,
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
        pages: tokio::sync::mpsc::Sender<Vec<ExportRow>>,
    ) -> Result<(), JobError> {
        let bound = match self.limit {
            Some(limit) => deps.catalog.export_bound(&self.library, limit).await?,
            None => None,
        };
        let mut after = None;
        loop {
            let page = deps
                .catalog
                .export_page(&self.library, bound.as_ref(), after.as_ref(), PAGE)
                .await?;
            let Some(last) = page.last() else {
                // An empty page is the sign that the feed is complete.
                let _the_writer_failed = pages.send(Vec::new()).await;
                return Ok(());
            };
            after = Some(last.image.clone());
            if pages.send(page).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The blocking half of an export.
struct Writing {
    folder: PathBuf,
    data: PathBuf,
    id: SnapshotId,
    library: LibraryId,
    space: SpaceId,
    dim: usize,
    clock: Clock,
    fence: Fence,
    /// This thread may outlive the job that began it.
    _lock: Arc<LibraryLock>,
}

impl Writing {
    /// `None` where the feed broke off: half a snapshot is not published.
    fn write(
        self,
        mut pages: tokio::sync::mpsc::Receiver<Vec<ExportRow>>,
    ) -> Result<Option<SnapshotManifest>, SnapshotError> {
        // First, so that what a killed export left behind does not fill the disk for ever.
        snapshot::collect(&self.folder, SNAPSHOTS_KEPT, &[], self.fence)?;
        let mut writer = SnapshotWriter::create(
            &self.folder,
            self.id.clone(),
            self.library.clone(),
            self.space.clone(),
            self.dim,
            self.clock.now(),
        )?;
        loop {
            match pages.blocking_recv() {
                Some(page) if page.is_empty() => break,
                Some(page) => {
                    for row in page {
                        push(&mut writer, row, &self.space)?;
                    }
                }
                None => return Ok(None),
            }
        }
        let manifest = writer.finish(self.clock.now())?;
        let folder = snapshot::path_of(&self.folder, &self.id);
        let readable = Snapshot::open(&folder)
            .and_then(|snapshot| snapshot::write_readable(&snapshot, &self.folder));
        if let Err(error) = readable {
            // Nobody was told of it. Each further try would leave another one on a full disk.
            let _ = durable::remove_folder(&folder);
            return Err(error);
        }
        snapshot::collect(&self.folder, SNAPSHOTS_KEPT, &[], self.fence)?;
        if self.library == LibraryId::main()
            && let Err(error) = crate::generation::link_root(&self.data)
        {
            // The links are a convenience for people; the snapshot is whole without them.
            tracing::warn!(%error, "the links at the root of the data folder are not up to date");
        }
        Ok(Some(manifest))
    }
}

/// One image of the catalogue into the snapshot, with the owner's word above the models'.
fn push(writer: &mut SnapshotWriter, row: ExportRow, space: &SpaceId) -> Result<(), SnapshotError> {
    let analysis = row.analysis;
    if analysis.space != *space {
        // Vectors of different spaces are never compared; a later analysis brings this one back.
        writer.skip("analyzed by another pack");
        return Ok(());
    }
    let (faces, vectors): (Vec<_>, Vec<_>) = row
        .faces
        .into_iter()
        .map(|face| {
            let described =
                SnapshotFace { face: i64::from(face.face), bounds: face.seen.bbox, row: 0 };
            (described, face.seen.embedding)
        })
        .unzip();
    let mut image = SnapshotImage {
        filename: row.path.filename().to_owned(),
        image: row.image,
        path: row.path,
        revision: row.revision,
        description: analysis.description,
        detailed_description: analysis.detailed_description,
        tags: analysis
            .tags
            .into_iter()
            .map(|tag| SnapshotTag { name: tag.name, score: tag.score })
            .collect(),
        categories: analysis.categories,
        created_at: row.created_at,
        face_count: faces.len() as u32,
        corrected: !row.corrections.is_empty(),
        vector: None,
        faces,
    };
    for correction in row.corrections {
        correct(&mut image, &correction.field, correction.value);
    }
    writer.push(image, Some(&analysis.embedding), &vectors)
}

/// The owner's word replaces the models'. Fields that a snapshot does not hold change nothing.
fn correct(image: &mut SnapshotImage, field: &str, value: serde_json::Value) {
    match field {
        "description" => image.description = value.as_str().map(str::to_owned),
        "tags" => {
            let said: Vec<String> = serde_json::from_value(value).unwrap_or_default();
            image.tags = said.into_iter().map(|name| SnapshotTag { name, score: 1.0 }).collect();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_as_agreed() {
        let text = r#"{"library":"main","limit":1000,"request":"r1"}"#;
        let job: ExportSnapshot = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        let all: ExportSnapshot =
            serde_json::from_str(r#"{"library":"main","request":"r1"}"#).unwrap();
        assert_eq!(all.limit, None);
    }

    #[tokio::test]
    async fn a_try_that_failed_before_it_began_is_recorded_once() {
        let data = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", data.path().join("catalog.sqlite").display());
        let library = LibraryId::main();
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        catalog.ensure_library(&library, data.path()).await.unwrap();
        let deps = ExportDeps {
            catalog: catalog.clone(),
            clock: Clock::system(),
            data: data.path().to_owned(),
            space: SpaceId::new("00112233aabbccdd").unwrap(),
            dim: 4,
            train: None,
            train_limit: None,
        };
        let job = ExportSnapshot { library: library.clone(), limit: None, request: "r".into() };
        let attempt = |fence| Attempt {
            fence: Fence(fence),
            failed_before: 2,
            request: "r".into(),
            traceparent: None,
        };
        for reason in ["read-only", "again"] {
            job.give_up(&deps, &attempt(7), reason).await.unwrap();
        }
        let exports = catalog.exports(&library, 9).await.unwrap();
        assert_eq!(exports.len(), 1, "{exports:?}");
        assert_eq!(exports[0].state, crate::catalog::ExportState::Failed);
        assert_eq!(exports[0].fence, Fence(7));
        let error = job.give_up(&deps, &attempt(6), "older").await.unwrap_err();
        assert_eq!(error.fate, Fate::Superseded, "{error}");
    }
}
