//! Dead letters: looking through them, bringing them back, forgetting them.
//! What must stay true: a letter that died after a call began is left alone, so that one which
//! dies again at once is not brought back for ever; no script does more than a bounded piece.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::connection::Effort;
use crate::error::QueueError;
use crate::job::JobState;
use crate::lane::{Lane, Place};
use crate::queue::Queue;
use crate::scripts;

/// Letters looked at by one call of the script.
const PART: usize = 250;
const LIST_MAX: usize = 1000;
/// Different causes that are told apart; the rest are counted together.
const CAUSES_MAX: usize = 200;

/// A dead letter: its [`JobState::failure`] says why it died.
pub type DeadJob = JobState;

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadFilter {
    /// All of them.
    All,
    /// The one with this id.
    Id(String),
    /// Those whose cause contains this text, and those that died this way: `dead`, `quarantined` or
    /// `broken`.
    Cause(String),
}

impl DeadFilter {
    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("all", ""),
            Self::Id(id) => ("id", id),
            Self::Cause(text) => ("cause", text),
        }
    }
}

/// How many dead letters have one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadCause {
    /// How they died: `dead`, `quarantined` or `broken`.
    pub how: String,
    /// The error in one line; empty for what is counted together beyond 200 different ones.
    pub cause: String,
    /// Letters.
    pub jobs: u64,
}

type Part = (i64, u64, i64, Vec<(String, String)>);

impl Queue {
    /// The newest dead letters with their payloads, up to `limit` (1000 at most).
    ///
    /// # Errors
    /// What Redis says.
    pub async fn dead(&self, limit: usize) -> Result<Vec<DeadJob>, QueueError> {
        let mut call = self.script(&scripts::LOOK);
        call.arg("dead").arg(limit.min(LIST_MAX));
        let ids: Vec<Vec<u8>> =
            self.run("list the dead letters", Effort::UntilAnswered, &call).await?;
        let mut letters = self.states(&ids).await?;
        // Brought back since they were listed.
        letters.retain(|letter| letter.place == Place::Dead);
        Ok(letters)
    }

    /// The dead letters by cause, the most frequent first. It looks at every one, a part at a time.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn dead_causes(&self) -> Result<Vec<DeadCause>, QueueError> {
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        self.with_dead("causes", &DeadFilter::All, |told| {
            for (how, cause) in told {
                let known = found.contains_key(&(how.clone(), cause.clone()));
                let cause = if known || found.len() < CAUSES_MAX { cause } else { String::new() };
                *found.entry((how, cause)).or_default() += 1;
            }
        })
        .await?;
        let mut causes: Vec<DeadCause> =
            found.into_iter().map(|((how, cause), jobs)| DeadCause { how, cause, jobs }).collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.jobs));
        Ok(causes)
    }

    /// Brings a dead job back to the end of its lane with its counts at zero; `false` when no dead
    /// job has that id.
    ///
    /// # Errors
    /// What Redis says. After a lost reply the call is repeated; then `false` may mean done.
    pub async fn redrive(&self, id: &str) -> Result<bool, QueueError> {
        Ok(self.redrive_all(&DeadFilter::Id(id.to_owned())).await? == 1)
    }

    /// Brings dead jobs back to the ends of their lanes, oldest first, with their counts at zero;
    /// answers how many. One whose body or record is broken stays: it can only be flushed.
    ///
    /// # Errors
    /// What Redis says; what was brought back until then is back, and a repetition goes on.
    pub async fn redrive_all(&self, filter: &DeadFilter) -> Result<u64, QueueError> {
        self.with_dead("redrive", filter, |_| {}).await
    }

    /// Forgets dead jobs for ever; answers how many. Their ids are free again.
    ///
    /// # Errors
    /// As [`Queue::redrive_all`].
    pub async fn flush(&self, filter: &DeadFilter) -> Result<u64, QueueError> {
        self.with_dead("flush", filter, |_| {}).await
    }

    async fn with_dead(
        &self,
        verb: &str,
        filter: &DeadFilter,
        mut told: impl FnMut(Vec<(String, String)>),
    ) -> Result<u64, QueueError> {
        let (kind, text) = filter.words();
        let (mut moved, mut until) = (0, 0);
        for lane in Lane::ALL {
            let mut start = 0;
            while start >= 0 {
                let mut call = self.script(&scripts::DEAD);
                call.arg(verb)
                    .arg(kind)
                    .arg(text)
                    .arg(lane.letter())
                    .arg(start)
                    .arg(PART)
                    .arg(until);
                let part: Part =
                    self.run("go through the dead letters", Effort::UntilAnswered, &call).await?;
                (start, until) = (part.0, part.2);
                moved += part.1;
                told(part.3);
            }
        }
        Ok(moved)
    }
}
