//! When a library exports and learns by itself.
//!
//! Decided anew from what the catalogue says, so that nothing is lost with a queue: a job that is
//! already there is refused by its id, and one that was lost is asked for again. `due` decides,
//! `told` says what it found.

mod due;
mod timetable;
mod told;

use fleetq::{Enqueued, Lane, Place, Queue};
use jiff::Timestamp;

pub use due::Rules;
use due::{AFTER_FAILURE_MAX, Due, Facts, due};
pub use timetable::Timetable;
pub use told::Told;

use crate::catalog::{Catalog, ExportState, Generation, GenerationState, Library};
use crate::jobs::{ExportSnapshot, JobError, Origin, Source, TrainGeneration, offer};
use crate::names::LibraryId;
use crate::snapshot::SnapshotId;

/// Exports and generations looked at.
const RECENT: u64 = 20;

/// What the schedule needs.
#[derive(Clone)]
pub struct ScheduleDeps {
    /// What there is to learn.
    pub catalog: Catalog,
    /// Where exports are asked for.
    pub export: Queue,
    /// Where trainings are asked for.
    pub train: Queue,
    /// Rows of an export; `None` for all.
    pub export_limit: Option<u64>,
    /// When what is due.
    pub rules: Rules,
    /// When this process began.
    pub begun: Timestamp,
}

/// Asks for what is due in every library.
///
/// # Errors
/// When a store is away; the next call asks again.
pub async fn step(deps: &ScheduleDeps, told: &mut Told, now: Timestamp) -> Result<(), JobError> {
    let libraries = deps.catalog.libraries().await?;
    told.keep(&libraries);
    for library in libraries {
        // One library with a damaged row must not keep the others from learning.
        if let Err(error) = ask(deps, told, &library, now).await {
            tracing::warn!(library = %library.id, %error, "whether it is to learn is unknown");
        }
    }
    Ok(())
}

async fn ask(
    deps: &ScheduleDeps,
    told: &mut Told,
    library: &Library,
    now: Timestamp,
) -> Result<(), JobError> {
    let facts = gather(deps, library).await?;
    let (library, rules) = (&library.id, &deps.rules);
    told.tell(library, &facts, rules);
    match due(&facts, rules, now, deps.begun) {
        Due::Nothing => Ok(()),
        Due::Export => ask_for_export(deps, library, &facts).await,
        // One that was asked for by hand has another id than ours, which would take its place.
        Due::Train(_) if facts.is_building() && deps.train.depth().await?.unfinished() > 0 => {
            Ok(())
        }
        Due::Train(export) => {
            let is_dead = ask_for_training(deps, library, &export).await?;
            // It kills its worker: perhaps it is this snapshot, and another one does not.
            let old = facts
                .done_export
                .as_ref()
                .is_some_and(|export| now.duration_since(export.started_at) > AFTER_FAILURE_MAX);
            if is_dead && old { ask_for_export(deps, library, &facts).await } else { Ok(()) }
        }
    }
}

async fn gather(deps: &ScheduleDeps, library: &Library) -> Result<Facts, JobError> {
    let (catalog, created_at) = (&deps.catalog, library.created_at);
    let library = &library.id;
    let mut exports = catalog.exports(library, RECENT).await?;
    // One that somebody asked for by hand, with fewer rows, is not what the library learns from.
    exports.retain(|export| export.limit == deps.export_limit && export.since.is_none());
    let generations = catalog.generations(library, RECENT).await?;
    let failed_trainings =
        generations.iter().take_while(|it| it.state == GenerationState::Failed).count();
    let failed_exports = exports.iter().take_while(|it| it.state == ExportState::Failed).count();
    let done_export = exports.iter().find(|export| export.state == ExportState::Done).cloned();
    let learned = match &done_export {
        Some(export) => {
            let of_export = |it: &Generation| it.snapshot == export.export;
            let published = |it: &&Generation| it.state == GenerationState::Published;
            let of_it: Vec<Generation> = generations.into_iter().filter(of_export).collect();
            of_it.iter().find(published).or(of_it.first()).cloned()
        }
        None => None,
    };
    let since = done_export.as_ref().map(|export| export.started_at);
    Ok(Facts {
        created_at,
        waiting: catalog.waiting_count(library).await?,
        analyzed: catalog.analyzed_count(library).await?,
        unlearned: catalog.unlearned(library, since).await?,
        failures: failed_trainings.max(failed_exports) as u32,
        newest_export: exports.into_iter().next(),
        done_export,
        learned,
    })
}

async fn ask_for_export(
    deps: &ScheduleDeps,
    library: &LibraryId,
    facts: &Facts,
) -> Result<(), JobError> {
    // One request for each state of the library: leaders that overlap ask for the same.
    let before = facts.newest_export.as_ref().map_or("first", |export| export.export.as_str());
    let request = format!("after-{before}");
    let limit = deps.export_limit;
    let job = ExportSnapshot { library: library.clone(), limit, since: None, request };
    let asked = job.queued(&Origin::new(Source::Schedule))?.in_lane(Lane::Backfill);
    // While the queue is drained it takes nothing: what is due is decided anew each time.
    if offer(&deps.export, vec![asked]).await? == Some(vec![Enqueued::Added]) {
        tracing::info!(%library, photos = facts.analyzed, changes = facts.unlearned.changes, "An export is asked for");
    }
    Ok(())
}

/// Answers whether that training is quarantined.
async fn ask_for_training(
    deps: &ScheduleDeps,
    library: &LibraryId,
    export: &str,
) -> Result<bool, JobError> {
    let Some(snapshot) = SnapshotId::parse(export) else { return Ok(false) };
    let job = TrainGeneration {
        library: library.clone(),
        snapshot,
        newer_than: None,
        publish_anyway: false,
    };
    let asked = job.queued(&Origin::new(Source::Schedule))?.in_lane(Lane::Backfill);
    let answer = offer(&deps.train, vec![asked]).await?;
    if answer == Some(vec![Enqueued::Added]) {
        tracing::info!(%library, snapshot = export, "A training is asked for");
    }
    Ok(answer == Some(vec![Enqueued::Duplicate(Place::Dead)]))
}
