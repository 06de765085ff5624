//! Learn a generation from a snapshot and make it current.

mod building;
mod progress;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use building::Building;
use progress::Plan;

use super::{Attempt, Budget, Done, Job, JobError, Origin};
use crate::board::{Board, Version};
use crate::catalog::{Catalog, GenerationState, Published, Stored};
use crate::clock::Clock;
use crate::fate::Fate;
use crate::generation::{self, GenerationStore, TrainingEntry};
use crate::learning::{LearnOptions, Learned};
use crate::library_lock::{self, LibraryLock};
use crate::names::{Fence, GenerationNumber, LibraryId, SpaceId};
use crate::snapshot::SnapshotId;
use crate::telemetry::metrics;
use crate::volume;

/// Generations looked through for one of the same snapshot.
const RECENT: u64 = 100;

/// Learn from one snapshot.
/// Safe to repeat: each try builds in a folder of its own, and only the newest token publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "tokio::select! expands to unsafe; ours is none"
)]
pub struct TrainGeneration {
    /// Whose images.
    pub library: LibraryId,
    /// What to learn from.
    pub snapshot: SnapshotId,
    /// Learn again where the only generations of this snapshot are not newer than this one. Without
    /// it, any generation of the snapshot will do. A number, and not a flag, so that repeating a
    /// forced training after its end changes nothing.
    #[serde(default)]
    pub newer_than: Option<GenerationNumber>,
    /// Make it current even where it is a step back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub publish_anyway: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl TrainGeneration {
    /// The job's id in the queue: a snapshot is learned from once at a time.
    pub fn id(&self) -> String {
        let forced = self.newer_than.map_or(String::new(), |number| format!(":after-{number}"));
        let anyway = if self.publish_anyway { ":anyway" } else { "" };
        format!("{}:{}:{}{forced}{anyway}", Self::NAME, self.library, self.snapshot)
    }

    /// The job in the form that the queue takes.
    ///
    /// # Errors
    /// When it does not become JSON.
    pub fn queued(&self, origin: &Origin) -> Result<fleetq::NewJob, JobError> {
        super::queued(self, self.id(), origin)
    }
}

/// What a training needs.
pub struct TrainDeps {
    /// Numbers and fences.
    pub catalog: Catalog,
    /// Where progress and the new version are told.
    pub board: Board,
    /// Dates the files.
    pub clock: Clock,
    /// The data folder.
    pub data: PathBuf,
    /// Vectors up to which search is exact.
    pub exact_search_max: usize,
    /// Bytes of memory that a training may take.
    pub memory_max: Option<u64>,
    /// The space of the pack in use.
    pub space: SpaceId,
    /// The share by which something essential may shrink, 0 to 1.
    pub shrink_max: f64,
    /// Generations kept beside the current one.
    pub generations_kept: usize,
}

impl Job for TrainGeneration {
    const NAME: &'static str = "train-generation";
    const BUDGET: Budget = Budget { attempts: 3, wall_clock: Duration::from_hours(12) };
    type Deps = TrainDeps;

    async fn run(&self, deps: &TrainDeps, attempt: &Attempt) -> Result<Done, JobError> {
        let lock = library_lock::hold(&deps.catalog, &deps.data, &self.library).await?;
        if self.is_learned(deps).await? {
            // A trainer that was killed right after publishing has not told everybody.
            if let Some(current) = deps.catalog.current_generation(&self.library).await? {
                let version = Version { change: current.change, number: current.number };
                self.tell(deps, version, &lock).await;
            }
            return Ok(Done::Skipped("this snapshot was learned from already"));
        }
        let started = Instant::now();
        let begun = deps
            .catalog
            .begin_training(&self.library, attempt.fence, self.snapshot.as_str())
            .await?;
        let Some(number) = begun else {
            return Err(JobError::superseded("a newer training of this library has begun"));
        };
        tracing::info!(library = %self.library, snapshot = %self.snapshot, generation = %number, "Training started");
        let result = self.learn_and_publish(deps, attempt.fence, number, &lock).await;
        self.end(deps, attempt.fence, number, &result, started.elapsed(), &lock).await;
        result.map(|_| Done::Finished)
    }

    async fn give_up(
        &self,
        deps: &TrainDeps,
        attempt: &Attempt,
        reason: &str,
    ) -> Result<(), JobError> {
        // A try that failed before it had a row is recorded too: the schedule asks for the next
        // training some time after a failure that it sees, and at once where it sees none.
        let (catalog, fence) = (&deps.catalog, attempt.fence);
        let recent = catalog.generations(&self.library, RECENT).await?;
        let number = match recent.iter().find(|it| it.fence == fence) {
            Some(row) => row.number,
            None => catalog
                .begin_training(&self.library, fence, self.snapshot.as_str())
                .await?
                .ok_or_else(|| {
                    JobError::superseded("a newer training of this library has begun")
                })?,
        };
        // One that is published stays so.
        let _ended_before = catalog.fail_generation(&self.library, fence, number, reason).await?;
        Ok(())
    }
}

impl TrainGeneration {
    async fn is_learned(&self, deps: &TrainDeps) -> Result<bool, JobError> {
        let recent = deps.catalog.generations(&self.library, RECENT).await?;
        Ok(recent.iter().any(|generation| {
            generation.state == GenerationState::Published
                && generation.snapshot == self.snapshot.as_str()
                && self.newer_than.is_none_or(|number| generation.number > number)
        }))
    }

    async fn learn_and_publish(
        &self,
        deps: &TrainDeps,
        fence: Fence,
        number: GenerationNumber,
        lock: &Arc<LibraryLock>,
    ) -> Result<Learned, JobError> {
        let parent = deps.catalog.current_generation(&self.library).await?;
        let parent = parent.map(|current| current.number);
        let learned = self.learn(deps, fence, number, parent, lock).await?;
        let report = serde_json::to_value(&learned.report)
            .map_err(|error| JobError::new(Fate::Permanent, format!("the report: {error}")))?;
        let images = learned.report.total_images;
        let published = deps
            .catalog
            .publish_generation(
                &self.library,
                fence,
                number,
                &learned.snapshot.space,
                images,
                &report,
            )
            .await?;
        let change = match published {
            Published::Published { change } => change,
            Published::Superseded(why) => return Err(JobError::superseded(why)),
        };
        tracing::info!(library = %self.library, generation = %number, images, "Training finished, patterns published");
        self.tell(deps, Version { change, number }, lock).await;
        Ok(learned)
    }

    /// The blocking part, with its progress shown while it runs.
    async fn learn(
        &self,
        deps: &TrainDeps,
        fence: Fence,
        number: GenerationNumber,
        parent: Option<GenerationNumber>,
        lock: &Arc<LibraryLock>,
    ) -> Result<Learned, JobError> {
        let earlier = deps.catalog.generations(&self.library, RECENT).await?;
        let plan = Plan::new(deps.clock.now(), &earlier);
        let (show, mut shown) = tokio::sync::watch::channel(plan.begun());
        let clock = deps.clock.clone();
        let building = Building {
            folder: volume::library_dir(&deps.data, &self.library),
            job: self.clone(),
            options: LearnOptions {
                clock: deps.clock.clone(),
                exact_below: deps.exact_search_max.saturating_add(1),
                memory_max: deps.memory_max,
                ..LearnOptions::default()
            },
            clock: deps.clock.clone(),
            fence,
            number,
            parent,
            space: deps.space.clone(),
            images: deps.catalog.analyzed_count(&self.library).await?,
            shrink_max: deps.shrink_max,
            _lock: Arc::clone(lock),
        };
        // This future is dropped when the lease is lost or the process stops: the thread sees that.
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        let mut learning = tokio::task::spawn_blocking(move || {
            building.build(&mut |step, done| {
                show.send_replace(plan.at(step, done, clock.now()));
                match still_wanted.upgrade() {
                    Some(_) => ControlFlow::Continue(()),
                    None => ControlFlow::Break(()),
                }
            })
        });
        let mut again = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                built = &mut learning => {
                    return built.unwrap_or_else(|panic| {
                        let why = format!("learning from {} broke: {panic}", self.snapshot);
                        Err(JobError::new(Fate::Poison, why))
                    });
                }
                _ = again.tick() => {
                    let progress = shown.borrow_and_update().clone();
                    progress::publish(Some(&progress));
                    if let Err(error) = deps.board.show_training(&self.library, &progress).await {
                        tracing::debug!(%error, "progress is not shown for now");
                    }
                }
            }
        }
    }

    /// Makes the copies of the catalogue's word true. What fails here the leader repeats.
    async fn tell(&self, deps: &TrainDeps, version: Version, lock: &Arc<LibraryLock>) {
        if let Err(error) = deps.board.announce(&self.library, version).await {
            tracing::warn!(%error, "the new version is announced by the leader later");
        }
        // Unknown is not "none": nothing is removed then.
        let needed = self.needed(deps).await.ok();
        let (data, library) = (deps.data.clone(), self.library.clone());
        let kept = deps.generations_kept + 1;
        let held = Arc::clone(lock);
        let linked = tokio::task::spawn_blocking(move || {
            let _held = held;
            let store = GenerationStore::new(volume::library_dir(&data, &library));
            store.set_current_link(version.number)?;
            if let Some(needed) = needed {
                store.collect(kept, &needed)?;
            }
            if library == LibraryId::main() {
                generation::link_root(&data)?;
            }
            Ok::<_, generation::GenerationError>(())
        });
        match linked.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the links on the volume are not up to date"),
            Err(panic) => tracing::error!(%panic, "setting the links on the volume broke"),
        }
    }

    /// The generations that a worker serves, that are pinned, or that somebody has gone back to.
    async fn needed(&self, deps: &TrainDeps) -> Result<Vec<GenerationNumber>, JobError> {
        let workers = deps.board.workers().await?;
        let served = workers.iter().filter_map(|it| it.serves.get(&self.library)).copied();
        let mut needed: Vec<GenerationNumber> = served.collect();
        needed.extend(deps.catalog.kept_generations(&self.library).await?);
        Ok(needed)
    }

    /// Records how the training ended, where people look for it.
    async fn end(
        &self,
        deps: &TrainDeps,
        fence: Fence,
        number: GenerationNumber,
        result: &Result<Learned, JobError>,
        took: Duration,
        lock: &Arc<LibraryLock>,
    ) {
        let status = match result {
            Ok(_) => "finished",
            Err(error) if error.fate == Fate::Superseded => "superseded",
            Err(_) => "failed",
        };
        ::metrics::counter!(metrics::TRAININGS_TOTAL, "outcome" => status).increment(1);
        metrics::observe(metrics::TRAINING_SECONDS, took);
        progress::publish(None);
        let ended = deps.clock.now().as_second() as f64;
        ::metrics::gauge!(metrics::TRAINING_ENDED, "outcome" => status).set(ended);
        if let Err(error) = result
            && error.fate != Fate::Superseded
        {
            let failed =
                deps.catalog.fail_generation(&self.library, fence, number, &error.message).await;
            if let Ok(Stored::Superseded(_)) | Err(_) = failed {
                tracing::debug!(generation = %number, "the failed generation is given up by the next training");
            }
        }
        if let Err(error) = deps.board.end_training(&self.library).await {
            tracing::debug!(%error, "the progress expires by itself");
        }
        let entry = TrainingEntry {
            at: deps.clock.now(),
            library: self.library.clone(),
            status: if result.is_ok() { "completed" } else { status }.to_owned(),
            generation: Some(number),
            snapshot: Some(self.snapshot.clone()),
            images: result.as_ref().map_or(0, |learned| learned.report.total_images),
            seconds: took.as_secs_f64(),
            message: match result {
                Ok(_) => "patterns are applied to new images at once".to_owned(),
                Err(error) => error.message.clone(),
            },
        };
        let data = deps.data.clone();
        let held = Arc::clone(lock);
        let logged = tokio::task::spawn_blocking(move || {
            let _held = held;
            let folder = volume::library_dir(&data, &entry.library);
            generation::record_training(&folder, &entry)?;
            // The first entry of all makes the files, also where nothing was published.
            if entry.library == LibraryId::main() { generation::link_root(&data) } else { Ok(()) }
        });
        let logged = logged.await;
        if let Ok(Err(error)) = logged {
            tracing::warn!(%error, "the training's log line could not be written, or the links to it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_as_agreed() {
        let text =
            r#"{"library":"main","snapshot":"20261122T131500Z-0000000000000099","newer_than":2}"#;
        let job: TrainGeneration = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(job.newer_than, Some(GenerationNumber(2)));
        let short = r#"{"library":"main","snapshot":"20261122T131500Z-0000000000000099"}"#;
        let unforced: TrainGeneration = serde_json::from_str(short).unwrap();
        assert_eq!(unforced.newer_than, None);
        assert_ne!(job.id(), unforced.id());
        assert!(!unforced.publish_anyway);
        let anyway = TrainGeneration { publish_anyway: true, ..unforced.clone() };
        assert_ne!(anyway.id(), unforced.id(), "one that waits must not swallow it");
    }

    #[tokio::test]
    async fn a_try_that_failed_before_it_began_is_recorded_once() {
        let data = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", data.path().join("catalog.sqlite").display());
        let library = LibraryId::main();
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        catalog.ensure_library(&library, data.path()).await.unwrap();
        let deps = TrainDeps {
            catalog: catalog.clone(),
            board: Board::open("redis+unix:///nowhere/redis.sock", "test").unwrap(),
            clock: Clock::system(),
            data: data.path().to_owned(),
            exact_search_max: 1,
            memory_max: None,
            space: SpaceId::new("00112233aabbccdd").unwrap(),
            shrink_max: 0.5,
            generations_kept: 1,
        };
        let snapshot = SnapshotId::new(Clock::system().now(), Fence(5));
        let job = TrainGeneration {
            library: library.clone(),
            snapshot,
            newer_than: None,
            publish_anyway: false,
        };
        let attempt = |fence| Attempt {
            fence: Fence(fence),
            failed_before: 2,
            request: "r".into(),
            traceparent: None,
        };
        for reason in ["read-only", "again"] {
            job.give_up(&deps, &attempt(7), reason).await.unwrap();
        }
        let rows = catalog.generations(&library, 9).await.unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((rows[0].state, rows[0].fence), (GenerationState::Failed, Fence(7)));
        let error = job.give_up(&deps, &attempt(6), "older").await.unwrap_err();
        assert_eq!(error.fate, Fate::Superseded, "{error}");
    }
}
