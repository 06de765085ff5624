//! `[queue]`: when a job is taken from a worker.

use serde::Deserialize;

use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Queue {
    pub lease_seconds: u64,
    pub starts_max: u64,
}

impl Queue {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("queue.lease_seconds", self.lease_seconds, 1, 3600);
        problems.within("queue.starts_max", self.starts_max, 1, 100);
    }
}
