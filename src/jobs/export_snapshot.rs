//! Write what the catalogue knows of one library into a snapshot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::left_out::{self, too_much};
use super::{Attempt, Budget, Done, Job, JobError, Origin, Source, TrainGeneration};
use crate::catalog::{Catalog, CatalogError, ExportPage, ExportRow, Stage, StageState, Stored};
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
    skipped_max_share: f64,
    /// This thread may outlive the job that began it.
    _lock: Arc<LibraryLock>,
}

impl Writing {
    /// `None` where the feed broke off: half a snapshot is not published.
    fn write(
        self,
        mut pages: tokio::sync::mpsc::Receiver<ExportPage>,
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
            let Some(page) = pages.blocking_recv() else { return Ok(None) };
            for (reason, images) in page.skipped {
                if images > 0 {
                    writer.skip_many(reason, images);
                }
            }
            for row in page.rows {
                push(&mut writer, row, &self.space)?;
            }
            if page.last.is_none() {
                break;
            }
        }
        if let Some(why) = too_much(writer.so_far(), self.skipped_max_share) {
            return Err(SnapshotError::TooMuchLeftOut { id: self.id.to_string(), why });
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
        writer.skip(left_out::OTHER_PACK);
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
    match writer.push(image, Some(&analysis.embedding), &vectors) {
        Err(SnapshotError::BadRow { image, why }) => {
            tracing::warn!(image, why, "an image is left out of the export");
            writer.skip("its row cannot be written");
            Ok(())
        }
        other => other,
    }
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
        assert_eq!((all.limit, all.since), (None, None));
        let text =
            r#"{"library":"main","limit":null,"since":"2026-11-22T13:15:00Z","request":"r1"}"#;
        let since: ExportSnapshot = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&since).unwrap(), text);
    }

    fn export_of_all(library: &LibraryId) -> ExportSnapshot {
        ExportSnapshot { library: library.clone(), limit: None, since: None, request: "r".into() }
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
            skipped_max_share: 0.2,
        };
        let job = export_of_all(&library);
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

    /// Four analyzed images and one that waits.
    async fn library_of_four(data: &std::path::Path) -> Catalog {
        use crate::catalog::{NewAnalysis, Outcome, Upload};
        use crate::names::{ImageId, RelativePath, Revision};
        let url = format!("sqlite://{}", data.join("catalog.sqlite").display());
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        let library = LibraryId::main();
        catalog.ensure_library(&library, data).await.unwrap();
        for id in ["a", "b", "c", "d", "waits"] {
            let image = ImageId::new(id).unwrap();
            let upload = Upload {
                image: image.clone(),
                path: RelativePath::new(id).unwrap(),
                bytes: None,
                content_hash: None,
                stamp: None,
                source: "test".to_owned(),
            };
            catalog.record_uploads(&library, &[upload]).await.unwrap();
            if id == "waits" {
                continue;
            }
            let new = NewAnalysis {
                width: 1,
                height: 1,
                content_hash: None,
                space: SpaceId::new("00112233aabbccdd").unwrap(),
                embedding: vec![1.0, 0.0, 0.0, 0.0],
                pack: "p@1".to_owned(),
                tags: Vec::new(),
                categories: Vec::new(),
                description: None,
                detailed_description: None,
                enriched: None,
                faces: None,
                outcomes: vec![Outcome::done(Stage::Embed)],
                event: None,
            };
            let stored =
                catalog.store_analysis(&library, &image, Revision(1), Fence(1), &new).await;
            assert_eq!(stored.unwrap(), Stored::Stored);
        }
        catalog
    }

    #[tokio::test]
    async fn more_damage_than_the_share_fails_the_export_and_less_is_counted() {
        use sea_orm::ConnectionTrait;
        let data = tempfile::tempdir().unwrap();
        let catalog = library_of_four(data.path()).await;
        let url = format!("sqlite://{}", data.path().join("catalog.sqlite").display());
        let damage = sea_orm::Database::connect(url).await.unwrap();
        damage.execute_unprepared("DELETE FROM analyses WHERE image = 'c'").await.unwrap();
        damage.close().await.unwrap();
        let library = LibraryId::main();
        let deps = |skipped_max_share| ExportDeps {
            catalog: catalog.clone(),
            clock: Clock::system(),
            data: data.path().to_owned(),
            space: SpaceId::new("00112233aabbccdd").unwrap(),
            dim: 4,
            train: None,
            train_limit: None,
            skipped_max_share,
        };
        let attempt = |fence| Attempt {
            fence: Fence(fence),
            failed_before: 0,
            request: "r".into(),
            traceparent: None,
        };
        let job = export_of_all(&library);
        let error = job.run(&deps(0.2), &attempt(7)).await.unwrap_err();
        assert_eq!(error.fate, Fate::Permanent);
        for words in ["1 of 4 images (25 %)", "1 its analysis is missing", "eyefleet doctor"] {
            assert!(error.message.contains(words), "{error}");
        }
        let folder = volume::library_dir(data.path(), &library);
        assert_eq!(snapshot::list(&folder).unwrap(), [], "half a library was published");
        let failed = catalog.exports(&library, 9).await.unwrap().remove(0);
        assert_eq!(failed.state, crate::catalog::ExportState::Failed);
        assert_eq!(failed.reason, Some(error.message));

        assert_eq!(job.run(&deps(0.25), &attempt(8)).await.unwrap(), Done::Finished);
        let done = catalog.latest_export(&library).await.unwrap().unwrap();
        let counted = [("its analysis is missing", 1), ("not analyzed yet", 1)];
        let counted = counted.map(|(reason, count)| (reason.to_owned(), count));
        assert_eq!((done.images, done.skipped), (3, counted.into()));
    }
}
