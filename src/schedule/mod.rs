//! When a library exports and learns by itself.
//!
//! Decided anew from what the catalogue says, so that nothing is lost with a queue: a job that is
//! already there is refused by its id, and one that was lost is asked for again.

use std::time::Duration;

use fleetq::{Enqueued, Place, Queue};
use jiff::{SignedDuration, Timestamp};

use crate::catalog::{Catalog, Export, ExportState, Generation, GenerationState, Unlearned};
use crate::jobs::{ExportSnapshot, JobError, Origin, Source, TrainGeneration, offer};
use crate::names::LibraryId;
use crate::snapshot::SnapshotId;

/// The least number of photos to learn from: fewer have no patterns.
const FIRST_MIN: u64 = 10;
/// A library learns again when one in so many of its photos is new or changed.
const SHARE: u64 = 20;
/// Fewer changes than that are learned after a day.
const AT_LAST_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Photos may never stop arriving: after this long they are learned while others wait.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// Time after a failure before it is tried again; doubles with every further one up to the longest.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(15);
/// Longest time after a failure.
const AFTER_FAILURE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// An export that says nothing for this long has lost its worker.
const EXPORT_MAX: SignedDuration = SignedDuration::from_hours(4);
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
    /// Time without new photos before a library learns.
    pub delay: Duration,
}

/// What is known of a library when it is decided.
#[derive(Debug, Clone, Default)]
struct Facts {
    /// How often the last exports or trainings failed, one after the other.
    failures: u32,
    waiting: u64,
    analyzed: u64,
    unlearned: Unlearned,
    /// The newest export, whatever became of it.
    newest_export: Option<Export>,
    /// The newest complete one.
    done_export: Option<Export>,
    /// The newest generation of that one.
    learned: Option<Generation>,
}

/// What a library is to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    Nothing,
    /// Write a snapshot.
    Export,
    /// Learn from the one that is there.
    Train(String),
}

/// Asks for what is due in every library.
///
/// # Errors
/// When a store is away; the next call asks again.
pub async fn step(deps: &ScheduleDeps, now: Timestamp) -> Result<(), JobError> {
    for library in deps.catalog.libraries().await? {
        // One library with a damaged row must not keep the others from learning.
        if let Err(error) = ask(deps, &library.id, now).await {
            tracing::warn!(library = %library.id, %error, "whether it is to learn is unknown");
        }
    }
    Ok(())
}

async fn ask(deps: &ScheduleDeps, library: &LibraryId, now: Timestamp) -> Result<(), JobError> {
    let facts = gather(deps, library).await?;
    match due(&facts, now, deps.delay) {
        Due::Nothing => Ok(()),
        Due::Export => ask_for_export(deps, library, &facts).await,
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

async fn gather(deps: &ScheduleDeps, library: &LibraryId) -> Result<Facts, JobError> {
    let catalog = &deps.catalog;
    let mut exports = catalog.exports(library, RECENT).await?;
    // One that somebody asked for by hand, with fewer rows, is not what the library learns from.
    exports.retain(|export| export.limit == deps.export_limit);
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
        waiting: catalog.waiting_count(library).await?,
        analyzed: catalog.analyzed_count(library).await?,
        unlearned: catalog.unlearned(library, since).await?,
        failures: failed_trainings.max(failed_exports) as u32,
        newest_export: exports.into_iter().next(),
        done_export,
        learned,
    })
}

fn due(facts: &Facts, now: Timestamp, delay: Duration) -> Due {
    let since = |then: Timestamp| now.duration_since(then);
    let doubled = AFTER_FAILURE.saturating_mul(1 << facts.failures.saturating_sub(1).min(10));
    let after_failure = doubled.min(AFTER_FAILURE_MAX);
    if let Some(export) = &facts.newest_export {
        let ended = export.finished_at.unwrap_or(export.started_at);
        let runs = export.state == ExportState::Running && since(export.started_at) < EXPORT_MAX;
        let failed_lately = export.state == ExportState::Failed && since(ended) < after_failure;
        if runs || failed_lately {
            return Due::Nothing;
        }
    }
    if let Some(export) = &facts.done_export
        && export.images >= FIRST_MIN
    {
        match &facts.learned {
            // A training that is under way is in the queue, and one more is refused there; one that
            // is not there was lost, with an emptied Redis or its worker.
            None => return Due::Train(export.export.clone()),
            Some(it) if it.state == GenerationState::Building => {
                return Due::Train(export.export.clone());
            }
            Some(it) if it.state == GenerationState::Failed => {
                // Of a new snapshot: this one may be what it failed on.
                let later = since(it.created_at) >= after_failure;
                return if later { Due::Export } else { Due::Nothing };
            }
            Some(_) => {}
        }
    }
    let Unlearned { changes, oldest: Some(oldest), newest: Some(newest) } = facts.unlearned else {
        return Due::Nothing;
    };
    let enough = match &facts.done_export {
        None => facts.analyzed >= FIRST_MIN,
        Some(_) => {
            changes >= FIRST_MIN.max(facts.analyzed / SHARE) || since(oldest) > AT_LAST_AFTER
        }
    };
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    let quiet = facts.waiting == 0 && since(newest) >= delay;
    if enough && facts.analyzed > 0 && (quiet || since(oldest) > PATIENCE.max(delay)) {
        Due::Export
    } else {
        Due::Nothing
    }
}

async fn ask_for_export(
    deps: &ScheduleDeps,
    library: &LibraryId,
    facts: &Facts,
) -> Result<(), JobError> {
    // One request for each state of the library: leaders that overlap ask for the same.
    let before = facts.newest_export.as_ref().map_or("first", |export| export.export.as_str());
    let request = format!("after-{before}");
    let job = ExportSnapshot { library: library.clone(), limit: deps.export_limit, request };
    let asked = job.queued(&Origin::new(Source::Schedule))?;
    // While the queue is drained it takes nothing: what is due is decided anew each time.
    if offer(&deps.export, vec![asked]).await? == Some(vec![Enqueued::Added]) {
        tracing::info!(%library, photos = facts.analyzed, changes = facts.unlearned.changes, "Training data found: a snapshot is written");
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
    let job = TrainGeneration { library: library.clone(), snapshot, newer_than: None };
    let asked = job.queued(&Origin::new(Source::Schedule))?;
    let answer = offer(&deps.train, vec![asked]).await?;
    if answer == Some(vec![Enqueued::Added]) {
        tracing::info!(%library, snapshot = export, "Training scheduled in background");
    }
    Ok(answer == Some(vec![Enqueued::Duplicate(Place::Dead)]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::names::{Fence, GenerationNumber};

    const DELAY: Duration = Duration::from_mins(1);

    fn at(text: &str) -> Timestamp {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    fn changes(changes: u64, oldest: &str, newest: &str) -> Unlearned {
        Unlearned { changes, oldest: Some(at(oldest)), newest: Some(at(newest)) }
    }

    fn export(state: ExportState, images: u64) -> Export {
        Export {
            export: "20261122T110000Z-0000000000000001".to_owned(),
            images,
            skipped: BTreeMap::new(),
            limit: None,
            state,
            reason: None,
            fence: Fence(1),
            started_at: at("11:00:00"),
            finished_at: (state != ExportState::Running).then(|| at("11:00:10")),
        }
    }

    fn generation(state: GenerationState) -> Generation {
        Generation {
            number: GenerationNumber(1),
            parent: None,
            snapshot: "20261122T110000Z-0000000000000001".to_owned(),
            fence: Fence(1),
            state,
            reason: None,
            space: None,
            images: None,
            report: None,
            created_at: at("11:00:20"),
            published_at: None,
            pinned: false,
        }
    }

    fn exported(export: Export, learned: Option<Generation>) -> Facts {
        let done = (export.state == ExportState::Done).then(|| export.clone());
        Facts {
            analyzed: 1000,
            newest_export: Some(export),
            done_export: done,
            learned,
            ..Facts::default()
        }
    }

    #[test]
    fn a_new_library_learns_when_its_photos_are_analyzed_and_it_is_quiet() {
        let ready = Facts {
            analyzed: 10,
            unlearned: changes(10, "11:50:00", "11:58:00"),
            ..Facts::default()
        };
        let now = at("12:00:00");
        assert_eq!(due(&ready, now, DELAY), Due::Export);
        assert_eq!(due(&ready, at("11:58:30"), DELAY), Due::Nothing, "too soon");
        let waiting = Facts { waiting: 1, ..ready.clone() };
        assert_eq!(due(&waiting, now, DELAY), Due::Nothing, "photos wait");
        assert_eq!(due(&waiting, at("13:00:00"), DELAY), Due::Export, "they never stop arriving");
        let few = Facts { analyzed: 9, ..ready };
        assert_eq!(due(&few, now, DELAY), Due::Nothing, "too few");
        assert_eq!(due(&Facts::default(), now, DELAY), Due::Nothing);
    }

    #[test]
    fn a_snapshot_is_learned_from_even_when_its_job_was_lost() {
        let (now, done) = (at("11:10:00"), export(ExportState::Done, 1000));
        let train = Due::Train(done.export.clone());
        let with = |learned| exported(done.clone(), learned);
        assert_eq!(due(&with(None), now, DELAY), train);
        let failed = with(Some(generation(GenerationState::Failed)));
        assert_eq!(due(&failed, now, DELAY), Due::Nothing, "it failed a moment ago");
        assert_eq!(due(&failed, at("11:20:00"), DELAY), Due::Export, "of a new snapshot");
        let often = Facts { failures: 3, ..failed };
        assert_eq!(due(&often, at("11:20:00"), DELAY), Due::Nothing, "it failed three times");
        assert_eq!(due(&often, at("12:10:00"), DELAY), Due::Export);
        let building = with(Some(generation(GenerationState::Building)));
        assert_eq!(due(&building, now, DELAY), train, "its job may be lost");
        let learned = with(Some(generation(GenerationState::Published)));
        assert_eq!(due(&learned, now, DELAY), Due::Nothing);
    }

    #[test]
    fn a_library_learns_again_when_enough_has_changed() {
        let learned = Some(generation(GenerationState::Published));
        let with = |unlearned| Facts {
            unlearned,
            ..exported(export(ExportState::Done, 1000), learned.clone())
        };
        let now = at("12:00:00");
        assert_eq!(due(&with(changes(49, "11:50:00", "11:50:00")), now, DELAY), Due::Nothing);
        assert_eq!(due(&with(changes(50, "11:50:00", "11:50:00")), now, DELAY), Due::Export);
        let a_day_later = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(due(&with(changes(1, "11:50:00", "11:50:00")), a_day_later, DELAY), Due::Export);
    }

    #[test]
    fn an_export_under_way_or_failed_a_moment_ago_is_left_alone() {
        let with = |state| Facts {
            unlearned: changes(1000, "10:00:00", "10:00:00"),
            ..exported(export(state, 0), None)
        };
        assert_eq!(due(&with(ExportState::Running), at("12:00:00"), DELAY), Due::Nothing);
        assert_eq!(due(&with(ExportState::Running), at("16:00:00"), DELAY), Due::Export);
        assert_eq!(due(&with(ExportState::Failed), at("11:10:00"), DELAY), Due::Nothing);
        assert_eq!(due(&with(ExportState::Failed), at("12:00:00"), DELAY), Due::Export);
    }
}
