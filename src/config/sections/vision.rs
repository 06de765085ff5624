//! `[vision]`: the models, and what of a photo is refused.

use serde::Deserialize;

use super::named_well;
use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Vision {
    pub pack: String,
    pub threads: u64,
    pub batch_max: u64,
    pub original_mib_max: u64,
    pub megapixels_max: u64,
    pub decode_seconds_max: u64,
}

impl Vision {
    pub(super) fn check(&self, problems: &mut Problems) {
        if !named_well(&self.pack) {
            problems.bad(
                "vision.pack",
                format_args!("{:?}", self.pack),
                "it must be a pack's name",
            );
        }
        problems.within("vision.threads", self.threads, 0, 256);
        problems.within("vision.batch_max", self.batch_max, 1, 256);
        problems.within("vision.original_mib_max", self.original_mib_max, 1, 4096);
        problems.within("vision.megapixels_max", self.megapixels_max, 1, 2000);
        problems.within("vision.decode_seconds_max", self.decode_seconds_max, 1, 600);
    }
}
