//! What the log says of a library's training data, once for each case it comes into.
//!
//! The words are those that operators of the system before this one look for.

use std::collections::BTreeMap;

use crate::catalog::{GenerationState, Library};
use crate::names::{GenerationNumber, LibraryId};

use super::due::{FIRST_MIN, Facts, Rules};

/// What training data there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Nothing to learn from yet.
    None,
    /// A snapshot, or enough photos for one, that was not learned from.
    Found,
    /// What there is was learned, up to a few photos.
    Learned(GenerationNumber),
}

/// What was said last of each library by this process.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<LibraryId, Case>);

impl Told {
    /// Logs the case of the library, unless it is the one that was logged last.
    pub(super) fn tell(&mut self, library: &LibraryId, facts: &Facts, rules: &Rules) {
        let case = case(facts, rules);
        if self.0.insert(library.clone(), case) == Some(case) {
            return;
        }
        let (photos, changes) = (facts.analyzed, facts.unlearned.changes);
        match case {
            Case::None => {
                tracing::info!(%library, photos, "No training data found, using base models");
            }
            Case::Found => {
                let snapshot = facts.done_export.as_ref().map(|export| export.export.as_str());
                tracing::info!(%library, photos, changes, snapshot, "Training data found");
                if rules.learns {
                    let quiet_seconds = rules.delay.as_secs();
                    tracing::info!(%library, quiet_seconds, "Training scheduled in background");
                } else {
                    tracing::info!(
                        %library,
                        "Training is off (AUTO_TRAIN=false): `eyefleet train` learns by hand"
                    );
                }
            }
            Case::Learned(generation) => {
                tracing::info!(%library, %generation, "Using existing trained patterns");
            }
        }
    }

    /// Forgets libraries that are gone.
    pub(super) fn keep(&mut self, libraries: &[Library]) {
        self.0.retain(|id, _| libraries.iter().any(|library| library.id == *id));
    }
}

fn case(facts: &Facts, rules: &Rules) -> Case {
    match (&facts.done_export, &facts.learned) {
        _ if facts.has_enough(rules) => Case::Found,
        (Some(_), Some(it)) if it.state == GenerationState::Published => Case::Learned(it.number),
        (Some(export), _) if export.images >= FIRST_MIN => Case::Found,
        _ => Case::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ExportState;
    use crate::schedule::due::tests::{changes, export, exported, generation, rules};

    #[test]
    fn each_case_has_its_words() {
        let case = |facts: &Facts| super::case(facts, &rules());
        assert_eq!(case(&Facts::default()), Case::None);
        let ready = Facts { analyzed: FIRST_MIN, ..Facts::default() };
        assert_eq!(case(&ready), Case::Found, "photos that a snapshot can be made of");
        let few = export(ExportState::Done, FIRST_MIN - 1);
        assert_eq!(case(&exported(few, None)), Case::None, "too few to learn from");
        let snapshot = || export(ExportState::Done, 1000);
        assert_eq!(case(&exported(snapshot(), None)), Case::Found);
        let with = |state| exported(snapshot(), Some(generation(state)));
        assert_eq!(case(&with(GenerationState::Building)), Case::Found);
        assert_eq!(case(&with(GenerationState::Failed)), Case::Found);
        let learned = Case::Learned(GenerationNumber(1));
        assert_eq!(case(&with(GenerationState::Published)), learned);
        let beside = |new| Facts {
            unlearned: changes(new, "11:50:00", "11:58:00"),
            ..with(GenerationState::Published)
        };
        assert_eq!(case(&beside(99)), learned, "too few to learn again");
        assert_eq!(case(&beside(100)), Case::Found, "a tenth of the library is new");
    }
}
