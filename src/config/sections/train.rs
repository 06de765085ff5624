//! `[train]`: when a library learns and what is kept of it.

use serde::Deserialize;

use super::timetable;
use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Train {
    pub auto: bool,
    pub delay_seconds: u64,
    pub after_images: u64,
    pub after_share: f64,
    /// A cron expression, or empty.
    pub schedule: String,
    pub shrink_max_share: f64,
    pub generations_kept: u64,
    pub exact_search_max: u64,
    /// 0: half of the machine's.
    pub memory_mib: u64,
}

impl Train {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("train.delay_seconds", self.delay_seconds, 0, 86_400);
        problems.within("train.after_images", self.after_images, 1, 1_000_000_000);
        problems.within("train.after_share", self.after_share, 0.001, 1.0);
        timetable("train.schedule", &self.schedule, problems);
        problems.within("train.shrink_max_share", self.shrink_max_share, 0.0, 1.0);
        problems.within("train.generations_kept", self.generations_kept, 1, 1000);
    }
}
