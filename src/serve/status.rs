//! The state of a library and of its fleet, the same for the API and the command line.

use std::collections::BTreeMap;

use fleetq::{Depth, Lane, Mode};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::board::{Board, TrainingProgress, WatchFacts, WorkerFacts};
use crate::catalog::{Catalog, FailureReason, Generation, GenerationState, StageCounts};
use crate::jobs::JobError;
use crate::names::LibraryId;
use crate::quiet::{self, Hold, QuietHours};

/// Trainings told of.
const TRAININGS: u64 = 10;
/// The state of a library and of the fleet, as the API and `eyefleet status --json` give it.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    /// The library in question.
    pub library: LibraryId,
    /// Images and their stages.
    pub counts: CountsAnswer,
    /// Jobs in each queue, by state.
    pub queues: BTreeMap<String, QueueAnswer>,
    /// Processes that reported in the last 15 s, with the generation each serves.
    pub workers: Vec<WorkerFacts>,
    /// Number of the current generation.
    pub generation: Option<i64>,
    /// The running training, if one runs.
    pub training: Option<TrainingProgress>,
    /// The last ten trainings, newest first, the running one included.
    pub trainings: Vec<TrainingAnswer>,
    /// What holds backfill and training, if anything does.
    pub held: Option<Hold>,
    /// The library's watched folder, if it has one.
    pub watch: Option<WatchFacts>,
}

/// One training.
#[derive(Debug, Serialize)]
pub struct TrainingAnswer {
    /// The generation that it builds or built.
    pub generation: i64,
    /// What it learns from.
    pub snapshot: String,
    /// building, published or failed.
    pub state: GenerationState,
    /// Why it failed.
    pub reason: Option<String>,
    /// Images that it learned from; none where it did not come to its end.
    pub images: Option<u64>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How long it took, in seconds; none while it runs.
    pub seconds: Option<f64>,
}

impl From<Generation> for TrainingAnswer {
    fn from(it: Generation) -> Self {
        Self {
            generation: it.number.0,
            seconds: it.ended_at.map(|end| end.duration_since(it.created_at).as_secs_f64()),
            snapshot: it.snapshot,
            state: it.state,
            reason: it.reason,
            images: it.images,
            started_at: it.created_at.to_string(),
        }
    }
}

/// How many images stand where.
#[derive(Debug, Serialize)]
pub struct CountsAnswer {
    /// Images that are not removed.
    pub images: u64,
    /// Images whose vector is done.
    pub analyzed: u64,
    /// Images with a waiting stage.
    pub waiting: u64,
    /// Images with a failed stage.
    pub failed: u64,
    /// Stage -> state -> images; with a stage `detail` where an Ollama describes photos.
    pub stages: BTreeMap<String, BTreeMap<String, u64>>,
    /// The most frequent reasons of failure and their images, most frequent first.
    pub failures: Vec<FailureAnswer>,
}

impl From<StageCounts> for CountsAnswer {
    fn from(counts: StageCounts) -> Self {
        let mut stages: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((stage, state), images) in counts.stages {
            stages.entry(stage.to_string()).or_default().insert(state.to_string(), images);
        }
        Self {
            images: counts.images,
            analyzed: counts.analyzed,
            waiting: counts.waiting,
            failed: counts.failed,
            stages,
            failures: counts.failures.into_iter().map(FailureAnswer::from).collect(),
        }
    }
}

/// Why images failed.
#[derive(Debug, Serialize)]
pub struct FailureAnswer {
    /// The reason, with `FILE` in the place of the image's path.
    pub reason: String,
    /// How many images have it.
    pub images: u64,
    /// The id of the first of them.
    pub example: String,
}

impl From<FailureReason> for FailureAnswer {
    fn from(failure: FailureReason) -> Self {
        Self { reason: failure.reason, images: failure.images, example: failure.example }
    }
}

/// Jobs of one queue by state, and how it stands.
#[derive(Debug, Clone, Serialize)]
pub struct QueueAnswer {
    /// Waiting for a worker.
    pub ready: u64,
    /// Waiting for their time.
    pub scheduled: u64,
    /// With a worker.
    pub claimed: u64,
    /// Quarantined.
    pub dead: u64,
    /// Whether it takes jobs and gives them out.
    pub mode: Mode,
    /// Lanes of which no job is handed out.
    pub held: Vec<Lane>,
    /// Most jobs that the whole fleet works on at once.
    pub cap: Option<u32>,
    /// Jobs done a second in the last minute.
    pub jobs_per_second: f64,
    /// How long what waits and runs will take at that pace; none where nothing was done, and in a
    /// queue that is paused or of which lanes are held.
    pub eta_seconds: Option<f64>,
}

impl From<&Depth> for QueueAnswer {
    fn from(depth: &Depth) -> Self {
        Self {
            ready: depth.ready(),
            scheduled: depth.scheduled,
            claimed: depth.claimed,
            dead: depth.dead,
            mode: depth.mode,
            held: depth.held.clone(),
            cap: depth.cap,
            jobs_per_second: depth.pace.per_second(),
            eta_seconds: (depth.mode != Mode::Paused && depth.held.is_empty())
                .then(|| depth.eta())
                .flatten()
                .map(|eta| eta.as_secs_f64()),
        }
    }
}

/// Gathers the status of `library`.
///
/// # Errors
/// When the catalogue or Redis is away.
pub async fn status_of(
    catalog: &Catalog,
    board: &Board,
    queues: &[(&'static str, fleetq::Queue)],
    quiet_hours: &QuietHours,
    library: &LibraryId,
) -> Result<StatusAnswer, JobError> {
    let mut depths = BTreeMap::new();
    for (name, queue) in queues {
        depths.insert((*name).to_owned(), QueueAnswer::from(&queue.depth().await?));
    }
    // A fleet that was started a moment ago has no library yet, which is nothing wrong.
    let known = catalog.library(library).await?;
    let watched = known.as_ref().is_some_and(|library| library.watched);
    let fresh = *library == LibraryId::main() && known.is_none();
    let (counts, current) = if fresh {
        (StageCounts::default(), None)
    } else {
        (catalog.counts(library).await?, catalog.current_generation(library).await?)
    };
    let mut counts = CountsAnswer::from(counts);
    if !fresh && queues.iter().any(|(name, _)| *name == "detail") {
        let details = catalog.detail_counts(library).await?;
        let states =
            [("waiting", details.waiting), ("done", details.done), ("failed", details.failed)];
        let states = states.map(|(state, images)| (state.to_owned(), images));
        counts.stages.insert("detail".to_owned(), states.into());
    }
    let trainings = catalog.generations(library, TRAININGS).await?;
    let now = catalog.now().to_zoned(TimeZone::system());
    Ok(StatusAnswer {
        library: library.clone(),
        counts,
        queues: depths,
        workers: board.workers().await?,
        generation: current.map(|current| current.number.0),
        training: board.training(library).await?,
        trainings: trainings.into_iter().map(TrainingAnswer::from).collect(),
        held: quiet::hold(quiet_hours, catalog.pause().await?, &now),
        watch: if watched { board.watch(library).await? } else { None },
    })
}
