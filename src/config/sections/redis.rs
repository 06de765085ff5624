//! `[redis]`: the queues' server.

use serde::Deserialize;

use super::named_well;
use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Redis {
    pub url: String,
    pub namespace: String,
}

impl Redis {
    pub(super) fn check(&self, problems: &mut Problems) {
        if !named_well(&self.namespace) {
            problems.bad(
                "redis.namespace",
                format_args!("{:?}", self.namespace),
                "use 1 to 64 letters, digits, dashes, dots and underscores",
            );
        }
    }
}
