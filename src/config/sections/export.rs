//! `[export]`: how much a snapshot holds.

use serde::Deserialize;

use super::timetable;
use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Export {
    /// A number of rows or the word `all`.
    pub limit: String,
    /// A cron expression, or empty.
    pub schedule: String,
    pub skipped_max_share: f64,
}

impl Export {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.limit != "all" && self.rows().is_none_or(|rows| rows == 0) {
            problems.bad(
                "export.limit",
                format_args!("{:?}", self.limit),
                "give a number from 1, or \"all\"",
            );
        }
        timetable("export.schedule", &self.schedule, problems);
        problems.within("export.skipped_max_share", self.skipped_max_share, 0.0, 1.0);
    }

    /// `None` means all.
    pub fn rows(&self) -> Option<u64> {
        self.limit.parse().ok()
    }
}
