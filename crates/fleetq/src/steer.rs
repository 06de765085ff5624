//! What a person asks of a queue as a whole: pause, drain, resume, and a cap over the whole fleet.
//! What must stay true: it is kept in Redis and asked at every claim, so it holds for every worker
//! at once and outlives all of them.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::connection::Effort;
use crate::error::QueueError;
use crate::lane::Lane;
use crate::queue::Queue;
use crate::scripts;

/// What the queue gives out and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It takes jobs and gives them out.
    #[default]
    Running,
    /// It takes jobs and gives none out.
    Paused,
    /// It gives jobs out and takes none.
    Draining,
}

impl Mode {
    /// The name, lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    pub(crate) fn read(text: Option<&String>) -> Self {
        match text.map(String::as_str) {
            Some("paused") => Self::Paused,
            Some("draining") => Self::Draining,
            _ => Self::Running,
        }
    }
}

impl Queue {
    /// Gives out no more jobs, until [`Queue::resume`]. Jobs that workers hold go on, new ones are
    /// taken and wait. An emptied Redis forgets that it was paused.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn pause(&self) -> Result<(), QueueError> {
        self.steer("pause", "").await
    }

    /// Takes no more jobs, until [`Queue::resume`]: adding one is [`QueueError::Draining`]. What is
    /// there is worked off, retries included; [`Depth::unfinished`](crate::Depth::unfinished) tells
    /// when it is.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn drain(&self) -> Result<(), QueueError> {
        self.steer("drain", "").await
    }

    /// Takes and gives out jobs again.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn resume(&self) -> Result<(), QueueError> {
        self.steer("resume", "").await
    }

    /// Has the whole fleet hold no more than `cap` jobs of this queue at once; none for no limit
    /// but the workers' slots. Jobs held above it go on.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn set_cap(&self, cap: Option<NonZeroU32>) -> Result<(), QueueError> {
        self.steer("cap", &cap.map_or(0, NonZeroU32::get).to_string()).await
    }

    /// Hands out no job of these lanes, until it is called with others; with none, all are handed
    /// out. Jobs that workers hold go on, new ones are taken and wait, and the turns of a held lane
    /// go to the others. An emptied Redis forgets it.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn hold_lanes(&self, lanes: &[Lane]) -> Result<(), QueueError> {
        let letters =
            Lane::ALL.iter().filter(|lane| lanes.contains(lane)).map(|lane| lane.letter());
        self.steer("hold", &letters.collect::<String>()).await
    }

    async fn steer(&self, verb: &str, value: &str) -> Result<(), QueueError> {
        let mut call = self.script(&scripts::STEER);
        call.arg(verb).arg(value);
        let _one: i64 = self.run("steer the queue", Effort::UntilAnswered, &call).await?;
        Ok(())
    }
}
