//! Removing the jobs of one owner from a queue, whatever became of them.
//!
//! What must stay true: no call of the script does more than a bounded piece of work, so workers
//! go on beside it; a claimed job that is removed is lost to its worker, whose renewals and
//! settlements change nothing from then on.

use crate::connection::Effort;
use crate::error::QueueError;
use crate::job::check_name;
use crate::lane::Lane;
use crate::queue::Queue;
use crate::scripts;

/// Entries looked at by one call of the script.
const PART: usize = 250;
/// Rounds until jobs that move while they are looked for must have been met.
const ROUNDS_MAX: usize = 16;
/// The longest prefix: that of a job's id.
const PREFIX_BYTES_MAX: usize = 512;

/// What [`Queue::discard`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discarded {
    /// Jobs, in whatever place they were.
    pub jobs: u64,
    /// Jobs among them that a worker held.
    pub claimed: u64,
    /// Entries of the history.
    pub history: u64,
    /// No token above this one was given out for a job of theirs.
    pub newest_token: i64,
}

/// What one call of the script answers.
type Part = (redis::Value, u64, u64, u64, i64);

impl Queue {
    /// Removes every job whose id begins with `prefix`: ready, scheduled, claimed, dead, and what
    /// the history says of them. Nobody may add such jobs meanwhile; one that is added stays, or
    /// is removed with the others. Repeating it is safe.
    ///
    /// # Errors
    /// [`QueueError::BadName`] for an empty prefix, [`QueueError::StillMoving`] where jobs are left
    /// after all rounds, and what Redis says.
    pub async fn discard(&self, prefix: &str) -> Result<Discarded, QueueError> {
        check_name("prefix of job ids", prefix, PREFIX_BYTES_MAX)?;
        let (mut discarded, mut left) = (Discarded::default(), 0);
        // A job may leave its lane, or come back to it, between two calls.
        for _ in 0..ROUNDS_MAX {
            for lane in Lane::ALL {
                self.discard_ready(prefix, lane, &mut discarded).await?;
            }
            left = self.discard_others(prefix, &mut discarded).await?;
            if left == 0 {
                break;
            }
        }
        // Last: a job that is settled while we look leaves its entry here.
        let mut start = Some(0);
        while let Some(from) = start {
            let (next, removed, ..) =
                self.discard_part("history", prefix, &from.to_string()).await?;
            discarded.history += removed;
            start = next_start(&next);
        }
        if left > 0 {
            return Err(QueueError::StillMoving { prefix: prefix.to_owned(), left });
        }
        Ok(discarded)
    }

    async fn discard_ready(
        &self,
        prefix: &str,
        lane: Lane,
        discarded: &mut Discarded,
    ) -> Result<(), QueueError> {
        let mut start = Some(0);
        while let Some(from) = start {
            let place = format!("{} {from}", lane.letter());
            let (next, removed, ..) = self.discard_part("ready", prefix, &place).await?;
            discarded.jobs += removed;
            start = next_start(&next);
        }
        Ok(())
    }

    /// Answers how many were met that lie in a lane by now.
    async fn discard_others(
        &self,
        prefix: &str,
        discarded: &mut Discarded,
    ) -> Result<u64, QueueError> {
        let (mut cursor, mut in_lane) = ("0".to_owned(), 0);
        loop {
            let (next, removed, claimed, ready, newest) =
                self.discard_part("state", prefix, &cursor).await?;
            discarded.jobs += removed;
            discarded.claimed += claimed;
            discarded.newest_token = discarded.newest_token.max(newest);
            in_lane += ready;
            cursor = redis::from_redis_value(next).unwrap_or_else(|_| "0".to_owned());
            if cursor == "0" {
                return Ok(in_lane);
            }
        }
    }

    async fn discard_part(
        &self,
        what: &str,
        prefix: &str,
        place: &str,
    ) -> Result<Part, QueueError> {
        let mut call = self.script(&scripts::DISCARD);
        call.arg(what).arg(prefix).arg(place).arg(PART);
        self.run("discard jobs", Effort::UntilAnswered, &call).await
    }
}

/// Where the next part of a list begins; none at its end.
fn next_start(next: &redis::Value) -> Option<i64> {
    match next {
        redis::Value::Int(start) if *start >= 0 => Some(*start),
        _ => None,
    }
}
