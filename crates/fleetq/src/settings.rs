//! What the processes of one queue agree on, and the times that follow from it.

use std::time::Duration;

use crate::error::QueueError;

/// What holders of leases get to renew after Redis was away, unless a lease is shorter.
const GRACE_MAX: Duration = Duration::from_secs(3);
/// How often a process reaps, unless a quarter of the lease is shorter.
const REAP_EVERY_MAX: Duration = Duration::from_secs(1);

/// What the processes of one queue agree on.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// How long a claim lasts without renewal; at least 1 s. Default 15 s.
    pub lease: Duration,
    /// A job that started this often without ever being settled is quarantined. Default 3.
    pub starts_max: u32,
    /// The largest payload, in bytes. Default 1 MiB.
    pub payload_bytes_max: usize,
    /// How many settlements the history keeps. Default 200.
    pub history_max: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            starts_max: 3,
            payload_bytes_max: 1024 * 1024,
            history_max: 200,
        }
    }
}

impl QueueSettings {
    pub(crate) fn check(&self) -> Result<(), QueueError> {
        let refuse = |setting, why: &str| Err(QueueError::BadSetting { setting, why: why.into() });
        if self.lease < Duration::from_secs(1) {
            return refuse("lease", "a lease lasts 1 s at least, so that renewals can be on time");
        }
        if self.starts_max == 0 {
            return refuse("starts_max", "every job needs one start");
        }
        if self.history_max > 100_000 {
            return refuse("history_max", "at most 100000 settlements are kept");
        }
        Ok(())
    }

    /// A reaper looks at least this often.
    pub(crate) fn reap_every(&self) -> Duration {
        (self.lease / 4).min(REAP_EVERY_MAX)
    }

    /// When nobody has reaped for this long, Redis was away. A lease renewed every third of its
    /// time outlives a silence that is shorter than this, and a longer one brings it a grace.
    pub(crate) fn silence(&self) -> Duration {
        self.reap_every() * 2
    }

    /// What holders of leases get to renew after such a silence.
    pub(crate) fn grace(&self) -> Duration {
        self.lease.min(GRACE_MAX)
    }
}
