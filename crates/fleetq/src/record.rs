//! The state record of a job: what the scripts know of it.

use crate::lane::{Lane, Place};

/// A state record as the scripts write it: `place lane starts attempts token enqueued ready worker`,
/// times in ms. Total, like the envelope: what cannot be read shows as its default.
pub(crate) struct Record<'a> {
    pub(crate) place: Place,
    pub(crate) lane: Lane,
    pub(crate) starts: u32,
    pub(crate) attempts: u32,
    pub(crate) token: i64,
    pub(crate) enqueued: i64,
    pub(crate) ready: i64,
    pub(crate) worker: &'a str,
}

impl<'a> Record<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        let mut fields = text.splitn(8, ' ');
        let mut next = || fields.next().unwrap_or_default();
        Self {
            place: Place::from_letter(next()),
            lane: Lane::from_letter(next()),
            starts: next().parse().unwrap_or(0),
            attempts: next().parse().unwrap_or(0),
            token: next().parse().unwrap_or(0),
            enqueued: next().parse().unwrap_or(0),
            ready: next().parse().unwrap_or(0),
            worker: next(),
        }
    }
}
