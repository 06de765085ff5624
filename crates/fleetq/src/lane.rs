//! Where a job can be: its lane, which it keeps, and its place in it.

use serde::{Deserialize, Serialize};

use crate::error::QueueError;

/// Which line a job waits in. Under load 8 of 13 claims go to [`Lane::Interactive`], 4 to
/// [`Lane::Upload`] and 1 to [`Lane::Backfill`]; the share of an empty lane goes to the first
/// that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Somebody is looking at the screen.
    Interactive,
    /// Somebody has just sent something.
    Upload,
    /// Nobody waits.
    Backfill,
}

impl Lane {
    /// All lanes, in their order.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Upload, Self::Backfill];

    /// The name, lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Upload => "upload",
            Self::Backfill => "backfill",
        }
    }

    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Interactive => "i",
            Self::Upload => "u",
            Self::Backfill => "b",
        }
    }

    pub(crate) fn from_letter(letter: &str) -> Self {
        match letter {
            "i" => Self::Interactive,
            "u" => Self::Upload,
            _ => Self::Backfill,
        }
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Lane {
    type Err = QueueError;

    /// # Errors
    /// [`QueueError::NoSuchLane`].
    fn from_str(name: &str) -> Result<Self, QueueError> {
        let lane = Self::ALL.into_iter().find(|lane| lane.as_str() == name);
        lane.ok_or_else(|| QueueError::NoSuchLane { given: name.chars().take(64).collect() })
    }
}

/// Where a job is. It is in exactly one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Waiting in its lane.
    Ready,
    /// Waiting for its time.
    Scheduled,
    /// Held by a worker under a lease.
    Claimed,
    /// In the dead letters.
    Dead,
}

impl Place {
    pub(crate) fn from_letter(letter: &str) -> Self {
        match letter {
            "r" => Self::Ready,
            "s" => Self::Scheduled,
            "c" => Self::Claimed,
            _ => Self::Dead,
        }
    }
}
