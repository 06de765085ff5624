//! `[analyze]`: how much is in work at once.

use serde::Deserialize;

use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Analyze {
    pub slots: u64,
    pub replicas: u64,
}

impl Analyze {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("analyze.slots", self.slots, 0, 1024);
        problems.within("analyze.replicas", self.replicas, 1, 256);
    }
}
