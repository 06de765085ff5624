//! What a library is to do now, from what is known of it: pure, so that every case can be tested.
//!
//! What must stay true: the answer depends on the catalogue and the time alone. So it is the same in
//! whichever process leads, nothing is asked for twice, and moments of a timetable that passed while
//! nobody looked come to one run.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::timetable::Timetable;
use crate::catalog::{Export, ExportState, Generation, GenerationState, Unlearned};
use crate::config::Config;

/// The least number of photos to learn from: fewer have no patterns.
pub(super) const FIRST_MIN: u64 = 10;
/// Photos may never stop arriving: after this long they are learned while others wait.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// Time after a failure before it is tried again; doubles with every further one up to the longest.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(15);
/// Longest time after a failure.
pub(super) const AFTER_FAILURE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// An export that says nothing for this long has lost its worker.
const EXPORT_MAX: SignedDuration = SignedDuration::from_hours(4);
/// A training is followed by a rest this many times as long, before changes bring the next: a large
/// library in which photos keep arriving learns for a tenth of the time at most.
const REST: i32 = 9;

/// When a library exports and learns by itself.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether it learns by itself at all.
    pub learns: bool,
    /// New, changed or corrected photos that are learned.
    pub after_images: u64,
    /// The same as a share of the library, 0 to 1; what is reached first counts.
    pub after_share: f64,
    /// Time without new photos before it learns.
    pub delay: Duration,
    /// When a snapshot is written in any case.
    pub exports: Option<Timetable>,
    /// When what has changed is learned, however little it is.
    pub trainings: Option<Timetable>,
    /// Where the timetables are read.
    pub zone: TimeZone,
}

impl Rules {
    /// As the settings say, with timetables read in `zone`.
    pub fn new(config: &Config, zone: TimeZone) -> Self {
        Self {
            learns: config.auto_train,
            after_images: config.train_after_images,
            after_share: config.train_after_share,
            delay: config.train_delay,
            exports: config.export_schedule.clone(),
            trainings: config.train_schedule.clone(),
            zone,
        }
    }
}

/// What is known of a library when it is decided.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// When it was first recorded.
    pub created_at: Timestamp,
    /// How often the last exports or trainings failed, one after the other.
    pub failures: u32,
    pub waiting: u64,
    pub analyzed: u64,
    pub unlearned: Unlearned,
    /// The newest export, whatever became of it.
    pub newest_export: Option<Export>,
    /// The newest complete one.
    pub done_export: Option<Export>,
    /// The newest generation of that one.
    pub learned: Option<Generation>,
}

impl Facts {
    /// Whether a training of the newest complete export has begun and not ended.
    pub fn is_building(&self) -> bool {
        self.learned.as_ref().is_some_and(|it| it.state == GenerationState::Building)
    }

    /// Whether so many photos are new, changed or corrected that they are learned.
    pub fn has_enough(&self, rules: &Rules) -> bool {
        if self.done_export.is_none() {
            return self.analyzed >= FIRST_MIN;
        }
        let share = (self.analyzed as f64 * rules.after_share).ceil() as u64;
        let wanted = rules.after_images.min(share).max(FIRST_MIN.min(rules.after_images));
        self.unlearned.changes >= wanted
    }
}

/// What a library is to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Write a snapshot.
    Export,
    /// Learn from the one that is there.
    Train(String),
}

/// `begun` is when the process that decides began: a fleet that starts is left alone at first.
pub(super) fn due(facts: &Facts, rules: &Rules, now: Timestamp, begun: Timestamp) -> Due {
    let since = |then: Timestamp| now.duration_since(then);
    let delay = SignedDuration::try_from(rules.delay).unwrap_or(SignedDuration::MAX);
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
    let exported = facts.done_export.as_ref().map_or(facts.created_at, |export| export.started_at);
    let passed = |table: &Option<Timetable>| {
        table.as_ref().is_some_and(|table| table.passed(exported, now, &rules.zone))
    };
    if facts.analyzed > 0 && passed(&rules.exports) {
        return Due::Export;
    }
    if !rules.learns || since(begun) < delay {
        return Due::Nothing;
    }
    let mut rests = false;
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
            Some(it) => {
                rests = it.published_at.is_some_and(|published| {
                    let took = published.duration_since(it.created_at);
                    since(published) < took.saturating_mul(REST)
                });
            }
        }
    }
    let Unlearned { oldest: Some(oldest), newest: Some(newest), .. } = facts.unlearned else {
        return Due::Nothing;
    };
    let in_time = facts.done_export.is_some() && passed(&rules.trainings);
    let enough = in_time || facts.has_enough(rules);
    let quiet = facts.waiting == 0 && since(newest) >= delay;
    if enough && !rests && facts.analyzed > 0 && (quiet || since(oldest) > PATIENCE.max(delay)) {
        Due::Export
    } else {
        Due::Nothing
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::names::{Fence, GenerationNumber};

    pub fn rules() -> Rules {
        Rules {
            learns: true,
            after_images: 100,
            after_share: 0.1,
            delay: Duration::from_mins(1),
            exports: None,
            trainings: None,
            zone: TimeZone::UTC,
        }
    }

    #[test]
    fn each_timetable_is_read_from_its_own_setting() {
        let rules = |name: &str| {
            let given = [(name, "0 3 * * *"), ("HOME", "/h")];
            let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Rules::new(&Config::from_sources(None, given).unwrap(), TimeZone::UTC)
        };
        let old =
            exported(export(ExportState::Done, 1000), Some(generation(GenerationState::Published)));
        let facts = Facts { unlearned: changes(1, "11:50:00", "11:58:00"), ..old };
        let tomorrow = at("12:00:00") + SignedDuration::from_hours(24);
        let due = |rules: &Rules| due(&facts, rules, tomorrow, Timestamp::UNIX_EPOCH);
        let exports = rules("EYEFLEET_EXPORT__SCHEDULE");
        assert_eq!(due(&exports), Due::Export);
        assert_eq!(due(&Rules { learns: false, ..exports }), Due::Export);
        let trainings = rules("EYEFLEET_TRAIN__SCHEDULE");
        assert_eq!(due(&trainings), Due::Export);
        assert_eq!(due(&Rules { learns: false, ..trainings }), Due::Nothing);
        assert_eq!(due(&rules("OF_OTHERS")), Due::Nothing);
    }

    /// By a process that began long ago.
    fn due_now(facts: &Facts, now: Timestamp) -> Due {
        due(facts, &rules(), now, Timestamp::UNIX_EPOCH)
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    pub fn changes(changes: u64, oldest: &str, newest: &str) -> Unlearned {
        Unlearned { changes, oldest: Some(at(oldest)), newest: Some(at(newest)) }
    }

    pub fn export(state: ExportState, images: u64) -> Export {
        Export {
            export: "20261122T110000Z-0000000000000001".to_owned(),
            images,
            skipped: BTreeMap::new(),
            limit: None,
            since: None,
            state,
            reason: None,
            fence: Fence(1),
            started_at: at("11:00:00"),
            finished_at: (state != ExportState::Running).then(|| at("11:00:10")),
        }
    }

    pub fn generation(state: GenerationState) -> Generation {
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
            ended_at: None,
            pinned: false,
        }
    }

    pub fn exported(export: Export, learned: Option<Generation>) -> Facts {
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
        assert_eq!(due_now(&ready, now), Due::Export);
        assert_eq!(due_now(&ready, at("11:58:30")), Due::Nothing, "too soon");
        let waiting = Facts { waiting: 1, ..ready.clone() };
        assert_eq!(due_now(&waiting, now), Due::Nothing, "photos wait");
        assert_eq!(due_now(&waiting, at("13:00:00")), Due::Export, "they never stop arriving");
        let few = Facts { analyzed: 9, ..ready };
        assert_eq!(due_now(&few, now), Due::Nothing, "too few");
        assert_eq!(due_now(&Facts::default(), now), Due::Nothing);
    }

    #[test]
    fn a_snapshot_is_learned_from_even_when_its_job_was_lost() {
        let (now, done) = (at("11:10:00"), export(ExportState::Done, 1000));
        let train = Due::Train(done.export.clone());
        let with = |learned| exported(done.clone(), learned);
        assert_eq!(due_now(&with(None), now), train);
        let failed = with(Some(generation(GenerationState::Failed)));
        assert_eq!(due_now(&failed, now), Due::Nothing, "it failed a moment ago");
        assert_eq!(due_now(&failed, at("11:20:00")), Due::Export, "of a new snapshot");
        let often = Facts { failures: 3, ..failed };
        assert_eq!(due_now(&often, at("11:20:00")), Due::Nothing, "it failed three times");
        assert_eq!(due_now(&often, at("12:10:00")), Due::Export);
        let building = with(Some(generation(GenerationState::Building)));
        assert_eq!(due_now(&building, now), train, "its job may be lost");
        let learned = with(Some(generation(GenerationState::Published)));
        assert_eq!(due_now(&learned, now), Due::Nothing);
    }

    /// A library of so many photos that has learned, and what has changed since.
    fn library(analyzed: u64, unlearned: Unlearned) -> Facts {
        let exported = exported(
            export(ExportState::Done, analyzed),
            Some(generation(GenerationState::Published)),
        );
        Facts { analyzed, unlearned, ..exported }
    }

    #[test]
    fn a_library_learns_again_when_enough_has_changed() {
        let now = at("12:00:00");
        for (analyzed, few, enough) in
            [(20, 9, 10), (300, 29, 30), (1000, 99, 100), (1_000_000, 99, 100)]
        {
            let after = |number| {
                let changes = changes(number, "11:50:00", "11:50:00");
                due_now(&library(analyzed, changes), now)
            };
            assert_eq!((after(few), after(enough)), (Due::Nothing, Due::Export), "of {analyzed}");
        }
        let eager = Rules { after_images: 1, ..rules() };
        let one = library(1000, changes(1, "11:50:00", "11:50:00"));
        assert_eq!(due(&one, &eager, now, Timestamp::UNIX_EPOCH), Due::Export);
    }

    #[test]
    fn a_long_training_is_followed_by_a_rest() {
        let many = library(1000, changes(500, "11:50:00", "11:50:00"));
        let took_an_hour = Generation {
            created_at: at("11:00:20"),
            published_at: Some(at("12:00:20")),
            ..generation(GenerationState::Published)
        };
        let rested = Facts { learned: Some(took_an_hour), ..many };
        assert_eq!(due_now(&rested, at("12:30:00")), Due::Nothing);
        assert_eq!(due_now(&rested, at("21:00:20")), Due::Export, "nine hours later");
    }

    #[test]
    fn a_timetable_brings_what_is_little_and_passed_moments_once() {
        let sundays = Timetable::parse("0 11 * * 0").unwrap();
        let weekly = Rules { trainings: Some(sundays.clone()), ..rules() };
        let decide =
            |facts: &Facts, rules: &Rules, now| due(facts, rules, now, Timestamp::UNIX_EPOCH);
        // The export of 11:00:00 on this very Sunday is that of the moment.
        let one = library(1000, changes(1, "11:50:00", "11:50:00"));
        let (before, after) =
            ("2026-11-29T10:59:59Z".parse().unwrap(), "2026-11-29T11:00:00Z".parse().unwrap());
        assert_eq!(decide(&one, &weekly, before), Due::Nothing);
        assert_eq!(decide(&one, &weekly, after), Due::Export);
        let unchanged = library(1000, Unlearned::default());
        assert_eq!(decide(&unchanged, &weekly, after), Due::Nothing, "there is nothing to learn");
        let off = Rules { learns: false, ..weekly.clone() };
        assert_eq!(decide(&one, &off, after), Due::Nothing);

        // Snapshots are written though nothing has changed and nothing learns. Four Sundays that
        // passed while nobody looked are one run.
        let copies = Rules { learns: false, exports: Some(sundays), ..rules() };
        let month_later: Timestamp = "2026-12-22T12:00:00Z".parse().unwrap();
        assert_eq!(decide(&unchanged, &copies, month_later), Due::Export);
        let caught_up = Export { started_at: month_later, ..export(ExportState::Done, 1000) };
        let caught_up = Facts { analyzed: 1000, ..exported(caught_up, None) };
        assert_eq!(decide(&caught_up, &copies, month_later), Due::Nothing);
    }

    #[test]
    fn what_is_off_or_has_just_begun_learns_nothing() {
        let ready = Facts {
            analyzed: 10,
            unlearned: changes(10, "11:50:00", "11:50:00"),
            ..Facts::default()
        };
        let found = exported(export(ExportState::Done, 1000), None);
        let now = at("12:00:00");
        for facts in [&ready, &found] {
            let off = Rules { learns: false, ..rules() };
            assert_eq!(due(facts, &off, now, Timestamp::UNIX_EPOCH), Due::Nothing);
            assert_eq!(
                due(facts, &rules(), now, at("11:59:30")),
                Due::Nothing,
                "it has just begun"
            );
            assert_ne!(due(facts, &rules(), now, at("11:59:00")), Due::Nothing);
        }
    }

    #[test]
    fn an_export_under_way_or_failed_a_moment_ago_is_left_alone() {
        let with = |state| Facts {
            unlearned: changes(1000, "10:00:00", "10:00:00"),
            ..exported(export(state, 0), None)
        };
        assert_eq!(due_now(&with(ExportState::Running), at("12:00:00")), Due::Nothing);
        assert_eq!(due_now(&with(ExportState::Running), at("16:00:00")), Due::Export);
        assert_eq!(due_now(&with(ExportState::Failed), at("11:10:00")), Due::Nothing);
        assert_eq!(due_now(&with(ExportState::Failed), at("12:00:00")), Due::Export);
    }
}
