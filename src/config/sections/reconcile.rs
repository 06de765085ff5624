//! `[reconcile]`: how often the stores are compared.

use serde::Deserialize;

use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Reconcile {
    pub every_seconds: u64,
}

impl Reconcile {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("reconcile.every_seconds", self.every_seconds, 1, 3600);
    }
}
