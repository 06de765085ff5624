//! Which photos are to be done again, in which stages, and why.
//!
//! What must stay true: pure, and the only place that decides it, so that what `--dry-run` says is what
//! is done. A photo that waits has its job already. No photo whose models need not run gets a stage
//! put back that would make them run.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::catalog::{DoneImage, SeenBy, Stage, StageState};
use crate::names::{GenerationNumber, SpaceId};

/// What is asked for.
#[derive(Debug, Clone)]
pub enum What {
    /// Photos that another generation than the current one has enriched, or none.
    Behind,
    /// Photos in which something is wrong or lacks.
    Broken {
        /// What was skipped for a reason that is gone, and what another pack has seen.
        missing: bool,
        /// What failed.
        failed: bool,
    },
    /// Everything that was last done before this moment.
    Forced(Timestamp),
}

/// What is asked for, and what is in use now.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which photos.
    pub what: What,
    /// Only these stages; all where it is empty.
    pub stages: BTreeSet<Stage>,
    /// The pack in use, `id@version`, with its space; none where nobody needs to know.
    pub pack: Option<(String, SpaceId)>,
    /// The current generation.
    pub generation: Option<GenerationNumber>,
}

/// What is to be done again of one photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// In these stages.
    pub stages: BTreeSet<Stage>,
    /// For this reason.
    pub why: Why,
}

/// Why a photo is done again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Another generation has enriched it; none, where nothing was learned then.
    EnrichedBy(Option<GenerationNumber>),
    /// These stages failed.
    Failed,
    /// Another pack than the one in use has seen it.
    SeenBy(String),
    /// Nothing has seen its present content, and nothing waits for that.
    NeverSeen,
    /// Because it is asked for.
    Forced,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EnrichedBy(Some(number)) => write!(f, "enriched by generation {number}"),
            Self::EnrichedBy(None) => f.write_str("analyzed before anything was learned"),
            Self::Failed => f.write_str("failed"),
            Self::SeenBy(pack) => write!(f, "seen by the pack {pack}"),
            Self::NeverSeen => f.write_str("never seen with its present content"),
            Self::Forced => f.write_str("by force"),
        }
    }
}

/// What is to be done again of this photo, if anything is.
pub fn due(photo: &DoneImage, rules: &Rules) -> Option<Due> {
    if photo.stages.iter().any(|stage| stage.state == StageState::Waiting) {
        return None;
    }
    match rules.what {
        What::Behind => behind(photo, rules),
        What::Broken { missing, failed } => {
            let failed = failed.then(|| failed_stages(photo, rules)).flatten();
            failed.or_else(|| missing.then(|| lacking(photo, rules)).flatten())
        }
        What::Forced(since) => {
            let older = photo.stages.iter().filter(|stage| stage.updated_at < since);
            let stages = chosen(rules, older.map(|stage| stage.stage));
            Due::of(stages, Why::Forced)
        }
    }
}

impl Due {
    fn of(stages: BTreeSet<Stage>, why: Why) -> Option<Self> {
        (!stages.is_empty()).then_some(Self { stages, why })
    }
}

fn chosen(rules: &Rules, stages: impl Iterator<Item = Stage>) -> BTreeSet<Stage> {
    stages.filter(|stage| rules.stages.is_empty() || rules.stages.contains(stage)).collect()
}

fn behind(photo: &DoneImage, rules: &Rules) -> Option<Due> {
    let (seen, current) = (photo.seen.as_ref()?, rules.generation?);
    // What failed is asked for by its own name.
    let is_settled = |state| matches!(state, StageState::Done | StageState::Skipped);
    let may_be =
        photo.stages.iter().any(|stage| stage.stage == Stage::Enrich && is_settled(stage.state));
    let is_behind = may_be && seen.generation != Some(current);
    is_behind.then(|| Due {
        stages: chosen(rules, [Stage::Enrich].into_iter()),
        why: Why::EnrichedBy(seen.generation),
    })
}

fn failed_stages(photo: &DoneImage, rules: &Rules) -> Option<Due> {
    let failed = photo.stages.iter().filter(|stage| stage.state == StageState::Failed);
    Due::of(chosen(rules, failed.map(|stage| stage.stage)), Why::Failed)
}

fn lacking(photo: &DoneImage, rules: &Rules) -> Option<Due> {
    let settled = |state| {
        let stages = photo.stages.iter().filter(move |stage| stage.state == state);
        stages.map(|stage| stage.stage)
    };
    if settled(StageState::Failed).next().is_some() {
        return None;
    }
    let all = || chosen(rules, photo.stages.iter().map(|stage| stage.stage));
    let Some(seen) = &photo.seen else { return Due::of(all(), Why::NeverSeen) };
    if let Some((pack, space)) = &rules.pack
        && !is_by(seen, pack, space)
    {
        return Due::of(all(), Why::SeenBy(seen.pack.clone()));
    }
    // With the same pack the models would say the same: what they skipped they skip again.
    let learned_since = rules.generation.is_some();
    let enrich = settled(StageState::Skipped).filter(|stage| *stage == Stage::Enrich);
    let stages = chosen(rules, enrich.filter(|_| learned_since));
    Due::of(stages, Why::EnrichedBy(seen.generation))
}

fn is_by(seen: &SeenBy, pack: &str, space: &SpaceId) -> bool {
    seen.pack == pack && seen.space == *space
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{StageRecord, WaitingImage};
    use crate::names::{Fence, ImageId, RelativePath, Revision};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn space() -> SpaceId {
        SpaceId::new("0123456789abcdef").unwrap()
    }

    /// A photo that everything was done to at second 10, by the pack in use and generation 1, but for
    /// what `states` says.
    fn photo(states: &[(Stage, StageState)]) -> DoneImage {
        let stage = |stage: Stage| StageRecord {
            stage,
            state: states.iter().find(|(of, _)| *of == stage).map_or(StageState::Done, |it| it.1),
            reason: None,
            revision: Revision(1),
            fence: Fence(1),
            attempts: 1,
            updated_at: at(10),
        };
        DoneImage {
            image: WaitingImage {
                image: ImageId::new("1").unwrap(),
                path: RelativePath::new("1.jpg").unwrap(),
                revision: Revision(1),
            },
            stages: Stage::ALL.iter().copied().map(stage).collect(),
            seen: Some(SeenBy {
                pack: "starter@1.0.0".to_owned(),
                space: space(),
                generation: Some(GenerationNumber(1)),
            }),
        }
    }

    fn rules(what: What) -> Rules {
        Rules {
            what,
            stages: BTreeSet::new(),
            pack: Some(("starter@1.0.0".to_owned(), space())),
            generation: Some(GenerationNumber(2)),
        }
    }

    const MISSING: What = What::Broken { missing: true, failed: false };
    const FAILED: What = What::Broken { missing: false, failed: true };

    fn stages(due: Option<Due>) -> Vec<Stage> {
        due.map(|due| due.stages.into_iter().collect()).unwrap_or_default()
    }

    #[test]
    fn only_enrichment_is_behind() {
        let rules = rules(What::Behind);
        let due_now = due(&photo(&[]), &rules).unwrap();
        assert_eq!(due_now.why.to_string(), "enriched by generation 1");
        assert_eq!(stages(Some(due_now)), [Stage::Enrich]);
        // Also what a later one enriched, after somebody went back.
        let back = Rules { generation: Some(GenerationNumber(1)), ..rules.clone() };
        assert_eq!(due(&photo(&[]), &back), None);
        let skipped = photo(&[(Stage::Enrich, StageState::Skipped)]);
        assert_eq!(stages(due(&skipped, &rules)), [Stage::Enrich]);
        let failed = photo(&[(Stage::Enrich, StageState::Failed)]);
        assert_eq!(due(&failed, &rules), None, "it is asked for as failed");
        assert_eq!(due(&photo(&[]), &Rules { generation: None, ..rules.clone() }), None);
        let unseen = DoneImage { seen: None, ..photo(&[]) };
        assert_eq!(due(&unseen, &rules), None, "models would have to run");
    }

    #[test]
    fn what_waits_is_left_alone() {
        let waits = photo(&[(Stage::Tag, StageState::Waiting), (Stage::Faces, StageState::Failed)]);
        for what in [What::Behind, MISSING, FAILED, What::Forced(at(99))] {
            assert_eq!(due(&waits, &rules(what)), None);
        }
    }

    #[test]
    fn only_what_failed_fails_again() {
        let failed =
            photo(&[(Stage::Faces, StageState::Failed), (Stage::Tag, StageState::Skipped)]);
        assert_eq!(stages(due(&failed, &rules(FAILED))), [Stage::Faces]);
        assert_eq!(due(&photo(&[]), &rules(FAILED)), None);
        let other = Rules { stages: [Stage::Embed].into(), ..rules(FAILED) };
        assert_eq!(due(&failed, &other), None);
        assert_eq!(due(&failed, &rules(MISSING)), None, "it failed, it does not lack");
    }

    #[test]
    fn what_lacks_is_what_could_be_there_now() {
        let skipped = photo(&[(Stage::Enrich, StageState::Skipped)]);
        assert_eq!(stages(due(&skipped, &rules(MISSING))), [Stage::Enrich]);
        let nothing_learned = Rules { generation: None, ..rules(MISSING) };
        assert_eq!(due(&skipped, &nothing_learned), None);
        let faceless = photo(&[(Stage::Faces, StageState::Skipped)]);
        assert_eq!(due(&faceless, &rules(MISSING)), None, "the same pack has none now either");
        let newer = Some(("starter@2.0.0".to_owned(), space()));
        let newer = Rules { pack: newer, ..rules(MISSING) };
        let again = due(&faceless, &newer).unwrap();
        assert_eq!(again.why.to_string(), "seen by the pack starter@1.0.0");
        assert_eq!(again.stages.len(), Stage::ALL.len());
        let faces = Rules { stages: [Stage::Faces].into(), ..newer };
        assert_eq!(stages(due(&faceless, &faces)), [Stage::Faces]);
        let unseen = DoneImage { seen: None, ..photo(&[]) };
        assert_eq!(due(&unseen, &rules(MISSING)).unwrap().why, Why::NeverSeen);
    }

    #[test]
    fn force_takes_each_photo_once() {
        assert_eq!(stages(due(&photo(&[]), &rules(What::Forced(at(11))))), Stage::ALL);
        assert_eq!(due(&photo(&[]), &rules(What::Forced(at(10)))), None, "it was done since");
        let enrich = Rules { stages: [Stage::Enrich].into(), ..rules(What::Forced(at(11))) };
        assert_eq!(stages(due(&photo(&[]), &enrich)), [Stage::Enrich]);
    }
}
