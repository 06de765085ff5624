//! `[watch]`: how watched folders are looked at.

use serde::Deserialize;

use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Watch {
    pub rescan_seconds: u64,
    pub settle_seconds: f64,
}

impl Watch {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("watch.rescan_seconds", self.rescan_seconds, 5, 86_400);
        problems.within("watch.settle_seconds", self.settle_seconds, 0.1, 60.0);
    }
}
