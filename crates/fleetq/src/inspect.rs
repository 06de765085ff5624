//! Looking at a queue without moving anything.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::connection::{Effort, Request};
use crate::error::QueueError;
use crate::job::{Envelope, Failure, JobState};
use crate::lane::Lane;
use crate::pace::Pace;
use crate::queue::{BATCH_MAX, Queue, at_millis};
use crate::record::Record;
use crate::scripts;
use crate::steer::Mode;

const LIST_MAX: usize = 1000;

/// One lane at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LaneDepth {
    /// Which lane.
    pub lane: Lane,
    /// Jobs waiting in it.
    pub ready: u64,
    /// Jobs of this lane that wait for their time.
    pub scheduled: u64,
    /// Jobs of this lane that workers hold.
    pub claimed: u64,
    /// Jobs of this lane in the dead letters.
    pub dead: u64,
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
    /// Settled to wait for what is away.
    pub waited: u64,
    /// Settled as dead.
    pub died: u64,
    /// Given back.
    pub given_back: u64,
    /// Settled as broken down and not yet started too often.
    pub crashed: u64,
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
    /// Dead letters forgotten.
    pub flushed: u64,
    /// Removed unfinished because their owner is gone.
    pub discarded: u64,
    /// Ids that were found where their job was not, and dropped.
    pub orphans: u64,
    /// Times that Redis's clock was found set back.
    pub clock_set_back: u64,
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
    /// What the queue takes and gives out.
    pub mode: Mode,
    /// The most jobs that the whole fleet may hold.
    pub cap: Option<u32>,
    /// The lanes of which no job is handed out.
    pub held: Vec<Lane>,
    /// How fast jobs are done.
    pub pace: Pace,
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

    /// How long the jobs that are ready or held will take at the pace of the last minute; none
    /// where nothing was done in it.
    pub fn eta(&self) -> Option<Duration> {
        let jobs = self.ready() + self.claimed;
        let per_second = self.pace.per_second();
        (jobs == 0 || per_second > 0.0).then(|| {
            Duration::from_secs_f64(if jobs == 0 { 0.0 } else { jobs as f64 / per_second })
        })
    }

    /// The longest wait at the head of any lane.
    pub fn oldest_wait(&self) -> Option<Duration> {
        self.lanes.iter().filter_map(|lane| lane.oldest_wait).max()
    }
}

/// One entry of the recent history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// The job.
    pub id: String,
    /// `done`, `retry`, `wait`, `dead`, `give` or `crash`.
    pub how: String,
    /// When, in ms since 1970 of Redis's time.
    pub at: i64,
    /// Its lane.
    pub lane: Lane,
    /// The worker that settled it.
    pub worker: String,
    /// Failures settled until then, this one included.
    pub attempts: u32,
    /// How long it had been ready before it was claimed, in ms.
    pub wait_ms: u64,
    /// How long it was held, in ms.
    pub run_ms: u64,
}

type LaneReply = (u64, i64, u64, u64, u64);
type DepthReply = (i64, (LaneReply, LaneReply, LaneReply), BTreeMap<String, String>);
type LookRow = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, i64);

impl Queue {
    /// Counts the jobs in each place, at one moment and at a cost that does not grow with them.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let call = self.script(&scripts::DEPTH);
        let (now, replies, meta): DepthReply =
            self.run("read the depth", Effort::UntilAnswered, &call).await?;
        let lane = |lane, (ready, since, scheduled, claimed, dead): LaneReply| {
            let waits = u64::try_from(now - since).unwrap_or(0);
            let oldest_wait = (since > 0).then(|| Duration::from_millis(waits));
            LaneDepth { lane, ready, scheduled, claimed, dead, oldest_wait }
        };
        let lanes = [
            lane(Lane::Interactive, replies.0),
            lane(Lane::Upload, replies.1),
            lane(Lane::Backfill, replies.2),
        ];
        let sum = |of: fn(&LaneDepth) -> u64| lanes.iter().map(of).sum();
        let (scheduled, claimed, dead) =
            (sum(|lane| lane.scheduled), sum(|lane| lane.claimed), sum(|lane| lane.dead));
        let total = |name: &str| meta.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let totals = Totals {
            enqueued: total("enqueued"),
            duplicates: total("duplicates"),
            claims: total("claims"),
            done: total("done"),
            retried: total("retried"),
            waited: total("waited"),
            died: total("died"),
            given_back: total("given_back"),
            crashed: total("crashed"),
            returned: total("returned"),
            quarantined: total("quarantined"),
            promoted: total("promoted"),
            stale: total("stale"),
            redriven: total("redriven"),
            flushed: total("flushed"),
            discarded: total("discarded"),
            orphans: total("orphans"),
            clock_set_back: total("clock_set_back"),
        };
        let mode = Mode::read(meta.get("mode"));
        let cap = meta.get("cap").and_then(|text| text.parse().ok());
        let letters = meta.get("held").map_or("", String::as_str);
        let held = Lane::ALL.into_iter().filter(|lane| letters.contains(lane.letter())).collect();
        let pace = Pace::read(now, &meta);
        Ok(Depth { lanes, scheduled, claimed, dead, mode, cap, held, pace, totals })
    }

    /// Where a job is now; `None` when it is finished or was never added.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn state(&self, id: &str) -> Result<Option<JobState>, QueueError> {
        Ok(self.states(&[id.as_bytes()]).await?.pop())
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
            self.request("read the history", Effort::UntilAnswered, request).await?;
        Ok(lines.iter().filter_map(|line| read_entry(&String::from_utf8_lossy(line))).collect())
    }

    /// Where these jobs are now, in their order; those that are finished or were never added are left
    /// out.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn states<Id: AsRef<[u8]>>(&self, ids: &[Id]) -> Result<Vec<JobState>, QueueError> {
        let (mut states, mut rest) = (Vec::new(), ids);
        while !rest.is_empty() {
            let mut call = self.script(&scripts::LOOK);
            call.arg("ids");
            for id in rest.iter().take(BATCH_MAX) {
                call.arg(id.as_ref());
            }
            let (looked_at, rows): (usize, Vec<LookRow>) =
                self.run("look at jobs", Effort::UntilAnswered, &call).await?;
            states.extend(rows.into_iter().map(read_state));
            rest = rest.get(looked_at.max(1)..).unwrap_or_default();
        }
        Ok(states)
    }
}

fn read_state((id, record, body, note, until): LookRow) -> JobState {
    let record = String::from_utf8_lossy(&record);
    let record = Record::read(&record);
    let envelope = Envelope::decode(body);
    JobState {
        id: String::from_utf8_lossy(&id).into_owned(),
        kind: envelope.kind,
        meta: envelope.meta,
        payload: envelope.payload,
        limit: envelope.limit,
        place: record.place,
        lane: record.lane,
        starts: record.starts,
        attempts: record.attempts,
        token: record.token,
        worker: record.worker.to_owned(),
        enqueued_at: at_millis(record.enqueued),
        ready_at: at_millis(record.ready),
        until: (until > 0).then(|| at_millis(until)),
        failure: read_note(&String::from_utf8_lossy(&note)),
    }
}

/// `id\nhow\nat\nrecord`, the record as it was before the settlement.
fn read_entry(line: &str) -> Option<HistoryEntry> {
    let mut lines = line.splitn(4, '\n');
    let (id, how) = (lines.next()?.to_owned(), lines.next()?.to_owned());
    let at: i64 = lines.next()?.parse().ok()?;
    let record = Record::read(lines.next()?);
    let this_one = u32::from(matches!(how.as_str(), "retry" | "dead"));
    // A token is the time of its claim in microseconds, if not a little more.
    let claimed = record.token / 1000;
    Some(HistoryEntry {
        id,
        how,
        at,
        lane: record.lane,
        worker: record.worker.to_owned(),
        attempts: record.attempts + this_one,
        wait_ms: u64::try_from(claimed - record.ready).unwrap_or(0),
        run_ms: u64::try_from(at - claimed).unwrap_or(0),
    })
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
    use crate::lane::Place;

    #[test]
    fn notes_read_as_failures() {
        let note = "1700000000000\nfailed\nw 1\n{\"cause\":\"a\\nb\"}";
        let failure = read_note(note).unwrap();
        assert_eq!((failure.how.as_str(), failure.cause.as_str()), ("failed", "a\nb"));
        assert_eq!((failure.worker.as_str(), failure.chain.len()), ("w 1", 0));
        assert_eq!(read_note(""), None);
    }

    #[test]
    fn entries_of_the_history_read_back() {
        let entry = read_entry("a b\nretry\n5000\nc u 1 2 4000123 1000 3000 w 1").unwrap();
        assert_eq!((entry.id.as_str(), entry.how.as_str(), entry.at), ("a b", "retry", 5000));
        assert_eq!((entry.wait_ms, entry.run_ms, entry.attempts), (1000, 1000, 3));
        assert_eq!((entry.worker.as_str(), entry.lane), ("w 1", Lane::Upload));
        assert_eq!(read_entry("a\nretry"), None);
    }

    #[test]
    fn a_broken_record_reads_as_something() {
        let state = read_state((b"1".to_vec(), b"\xff".to_vec(), vec![], vec![], 0));
        assert_eq!((state.place, state.starts, state.token), (Place::Dead, 0, 0));
    }
}
