//! `[fleet]`: what holds for the whole fleet.

use serde::Deserialize;

use crate::config::problems::Problems;
use crate::quiet::QuietHours;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Fleet {
    /// Spans of the day, or empty.
    pub quiet_hours: String,
    pub share: f64,
}

impl Fleet {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("fleet.share", self.share, 0.01, 1.0);
        if let Err(why) = QuietHours::parse(&self.quiet_hours) {
            let allowed = format!(
                "give spans of the day such as \"08:00-18:00\" or \"12:00-13:00, 22:00-06:00\", or \
                 \"\" for none ({why})"
            );
            let given = format!("{:?}", self.quiet_hours);
            problems.bad("fleet.quiet_hours", format_args!("{given}"), format_args!("{allowed}"));
        }
    }
}
