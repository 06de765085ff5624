//! `[run]`: what every role does beside its work.

use serde::Deserialize;

use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Run {
    pub health_listen: String,
    pub reload_seconds: f64,
    pub grace_seconds: u64,
}

impl Run {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("run.reload_seconds", self.reload_seconds, 0.05, 5.0);
        problems.within("run.grace_seconds", self.grace_seconds, 1, 3600);
    }
}
