//! Looking at a queue without moving anything, and bringing dead letters back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::connection::{Effort, Request};
use crate::error::QueueError;
use crate::job::{Envelope, Failure, JobState, Lane, Place};
use crate::queue::{Queue, at_millis};
use crate::scripts;

const LIST_MAX: usize = 1000;

/// One lane at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LaneDepth {
    /// Which lane.
    pub lane: Lane,
    /// Jobs waiting in it.
    pub ready: u64,
    /// How long the job at its head has been waiting.
    pub oldest_wait: Option<Duration>,
}

/// What happened since the queue was created or Redis emptied, in jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Added.
    pub enqueued: u64,
    /// Refused because the id was alive.
    pub duplicates: u64,
    /// Handed to a worker.
    pub claims: u64,
    /// Settled as done.
    pub done: u64,
    /// Settled to be retried.
    pub retried: u64,
    /// Settled as dead.
    pub died: u64,
    /// Given back.
    pub given_back: u64,
    /// Returned after their lease ran out.
    pub returned: u64,
    /// Quarantined: started too often, or broken.
    pub quarantined: u64,
    /// Promoted when they became due.
    pub promoted: u64,
    /// Settlements refused because the lease was lost.
    pub stale: u64,
    /// Brought back from the dead letters.
    pub redriven: u64,
    /// Removed unfinished because their owner is gone.
    pub discarded: u64,
}

/// How many jobs are where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// The lanes, in their order.
    pub lanes: [LaneDepth; 3],
    /// Waiting for their time.
    pub scheduled: u64,
    /// Held by workers.
    pub claimed: u64,
    /// In the dead letters.
    pub dead: u64,
    /// Counters.
    pub totals: Totals,
}

impl Depth {
    /// Jobs ready in all lanes.
    pub fn ready(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.ready).sum()
    }

    /// Jobs that are not dead.
    pub fn unfinished(&self) -> u64 {
        self.ready() + self.scheduled + self.claimed
    }

    /// The longest wait at the head of any lane.
    pub fn oldest_wait(&self) -> Option<Duration> {
        self.lanes.iter().filter_map(|lane| lane.oldest_wait).max()
    }
}

/// A dead letter: its [`JobState::failure`] says why it died.
pub type DeadJob = JobState;

/// One entry of the recent history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The job.
    pub id: String,
    /// `done`, `retry`, `dead` or `give`.
    pub how: String,
    /// When, in ms since 1970 of Redis's time.
    pub at: i64,
    /// The worker that settled it.
    pub worker: String,
    /// Failures settled until then.
    pub attempts: u32,
}

type DepthReply = (i64, Vec<u64>, Vec<i64>, u64, u64, u64, BTreeMap<String, String>);
type LookRow = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, i64);

impl Queue {
    /// Counts the jobs in each place, at one moment and at a cost that does not grow with them.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let call = self.script(&scripts::DEPTH);
        let (now, lengths, heads, scheduled, claimed, dead, meta): DepthReply =
            self.run("read the depth", Effort::UntilAnswered, &call).await?;
        let lane = |n: usize| {
            let since = heads.get(n).copied().unwrap_or(0);
            let oldest_wait =
                (since > 0).then(|| Duration::from_millis(u64::try_from(now - since).unwrap_or(0)));
            LaneDepth {
                lane: Lane::ALL[n],
                ready: lengths.get(n).copied().unwrap_or(0),
                oldest_wait,
            }
        };
        let total = |name: &str| meta.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let totals = Totals {
            enqueued: total("enqueued"),
            duplicates: total("duplicates"),
            claims: total("claims"),
            done: total("done"),
            retried: total("retried"),
            died: total("died"),
            given_back: total("given_back"),
            returned: total("returned"),
            quarantined: total("quarantined"),
            promoted: total("promoted"),
            stale: total("stale"),
            redriven: total("redriven"),
            discarded: total("discarded"),
        };
        Ok(Depth { lanes: [lane(0), lane(1), lane(2)], scheduled, claimed, dead, totals })
    }

    /// Where a job is now; `None` when it is finished or was never added.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn state(&self, id: &str) -> Result<Option<JobState>, QueueError> {
        let mut call = self.script(&scripts::LOOK);
        call.arg("ids").arg(id);
        Ok(self.look(&call).await?.pop())
    }

    /// The newest dead letters, up to `limit` (1000 at most).
    ///
    /// # Errors
    /// What Redis says.
    pub async fn dead(&self, limit: usize) -> Result<Vec<DeadJob>, QueueError> {
        let mut call = self.script(&scripts::LOOK);
        call.arg("dead").arg(limit.min(LIST_MAX));
        self.look(&call).await
    }

    /// Brings a dead job back to the end of its lane with its counts at zero; `false` when no dead
    /// job has that id.
    ///
    /// # Errors
    /// What Redis says. After a lost reply the call is repeated; then `false` may mean done.
    pub async fn redrive(&self, id: &str) -> Result<bool, QueueError> {
        let mut call = self.script(&scripts::REDRIVE);
        call.arg(id);
        let moved: i64 = self.run("redrive a job", Effort::UntilAnswered, &call).await?;
        Ok(moved == 1)
    }

    /// The newest settlements, up to `limit`.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn history(&self, limit: usize) -> Result<Vec<HistoryEntry>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("LRANGE");
        command.arg(self.shared.keys.history()).arg(0).arg(limit.min(LIST_MAX) - 1);
        let request = Request::Command(&command);
        let lines: Vec<Vec<u8>> =
            self.connection.run("read the history", Effort::UntilAnswered, request).await?;
        Ok(lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    async fn look(&self, call: &redis::ScriptInvocation<'_>) -> Result<Vec<JobState>, QueueError> {
        let (_now, rows): (i64, Vec<LookRow>) =
            self.run("look at jobs", Effort::UntilAnswered, call).await?;
        Ok(rows.into_iter().map(read_state).collect())
    }
}

/// Total, like the envelope: what cannot be read shows as its default.
fn read_state((id, record, body, note, until): LookRow) -> JobState {
    let record = String::from_utf8_lossy(&record).into_owned();
    let mut fields = record.splitn(8, ' ');
    let mut next = || fields.next().unwrap_or_default();
    let (place, lane) = (Place::from_letter(next()), Lane::from_letter(next()));
    let (starts, attempts) = (next().parse().unwrap_or(0), next().parse().unwrap_or(0));
    let token = next().parse().unwrap_or(0);
    let enqueued_at = at_millis(next().parse().unwrap_or(0));
    let _ready = next();
    let worker = next().to_owned();
    let envelope = Envelope::decode(body);
    JobState {
        id: String::from_utf8_lossy(&id).into_owned(),
        kind: envelope.kind,
        meta: envelope.meta,
        payload: envelope.payload,
        place,
        lane,
        starts,
        attempts,
        token,
        worker,
        enqueued_at,
        until: (until > 0).then(|| at_millis(until)),
        failure: read_note(&String::from_utf8_lossy(&note)),
    }
}

fn read_note(note: &str) -> Option<Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Note {
        cause: String,
        chain: Vec<String>,
    }
    let mut lines = note.splitn(4, '\n');
    let at: SystemTime = at_millis(lines.next()?.parse().ok()?);
    let (how, worker) = (lines.next()?.to_owned(), lines.next()?.to_owned());
    let Note { cause, chain } = serde_json::from_str(lines.next()?).unwrap_or_default();
    Some(Failure { how, cause, chain, worker, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_as_failures() {
        let note = "1700000000000\nfailed\nw 1\n{\"cause\":\"a\\nb\"}";
        let failure = read_note(note).unwrap();
        assert_eq!((failure.how.as_str(), failure.cause.as_str()), ("failed", "a\nb"));
        assert_eq!((failure.worker.as_str(), failure.chain.len()), ("w 1", 0));
        assert_eq!(read_note(""), None);
    }

    #[test]
    fn a_broken_record_reads_as_something() {
        let state = read_state((b"1".to_vec(), b"\xff".to_vec(), vec![], vec![], 0));
        assert_eq!((state.place, state.starts, state.token), (Place::Dead, 0, 0));
    }
}
