//! Removing jobs from a queue that nobody needs any more, all of one owner or single ones, whatever
//! became of them.
//!
//! What must stay true: no call of the script does more than a bounded piece of work, so workers
//! go on beside it; a claimed job that is removed is lost to its worker, whose renewals and
//! settlements change nothing from then on.

use crate::connection::Effort;
use crate::error::QueueError;
use crate::job::check_name;
use crate::lane::Lane;
use crate::queue::{BATCH_MAX, Queue};
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

/// Which jobs: those whose id begins so, or, where any are named, those.
#[derive(Clone, Copy)]
struct Which<'a> {
    prefix: &'a str,
    ids: &'a [String],
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
        let which = Which { prefix, ids: &[] };
        let mut discarded = Discarded::default();
        let left = self.discard_jobs(which, &mut discarded).await?;
        // Last: a job that is settled while we look leaves its entry here.
        let mut start = Some(0);
        while let Some(from) = start {
            let (next, removed, ..) =
                self.discard_part("history", which, &from.to_string()).await?;
            discarded.history += removed;
            start = next_start(&next);
        }
        if left > 0 {
            return Err(QueueError::StillMoving { prefix: prefix.to_owned(), left });
        }
        Ok(discarded)
    }

    /// Removes the jobs with these ids (250 at most, further ones are left alone): ready, scheduled,
    /// claimed or dead. The history keeps what it says of them. It walks over the whole queue, so
    /// name many in one call. Repeating it is safe.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn discard_ids(&self, ids: &[String]) -> Result<Discarded, QueueError> {
        let mut discarded = Discarded::default();
        let ids = &ids[..ids.len().min(BATCH_MAX)];
        // Without a name the script would take every job for ours.
        if !ids.is_empty() {
            self.discard_jobs(Which { prefix: "", ids }, &mut discarded).await?;
        }
        Ok(discarded)
    }

    /// Answers how many are left because they moved while they were looked for.
    async fn discard_jobs(
        &self,
        which: Which<'_>,
        discarded: &mut Discarded,
    ) -> Result<u64, QueueError> {
        let mut left = 0;
        // A job may leave its lane, or come back to it, between two calls.
        for _ in 0..ROUNDS_MAX {
            for lane in Lane::ALL {
                self.discard_ready(which, lane, discarded).await?;
            }
            left = self.discard_others(which, discarded).await?;
            if left == 0 {
                break;
            }
        }
        Ok(left)
    }

    async fn discard_ready(
        &self,
        which: Which<'_>,
        lane: Lane,
        discarded: &mut Discarded,
    ) -> Result<(), QueueError> {
        let mut start = Some(0);
        while let Some(from) = start {
            let place = format!("{} {from}", lane.letter());
            let (next, removed, ..) = self.discard_part("ready", which, &place).await?;
            discarded.jobs += removed;
            start = next_start(&next);
        }
        Ok(())
    }

    /// Answers how many were met that lie in a lane by now.
    async fn discard_others(
        &self,
        which: Which<'_>,
        discarded: &mut Discarded,
    ) -> Result<u64, QueueError> {
        let (mut cursor, mut in_lane) = ("0".to_owned(), 0);
        loop {
            let (next, removed, claimed, ready, newest) =
                self.discard_part("state", which, &cursor).await?;
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
        which: Which<'_>,
        place: &str,
    ) -> Result<Part, QueueError> {
        let mut call = self.script(&scripts::DISCARD);
        call.arg(what).arg(which.prefix).arg(place).arg(PART).arg(which.ids);
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
