//! The queue as it shall be, without Redis: every call as one plain change of a [`State`].
//! Written from what the README promises, to be read and believed, not to be fast.

mod reaping;

use fleetq::{Enqueued, Lane, Mode, Place, QueueSettings, Settled};

use super::state::{Ending, Failure, Job, Millis, State, Taken, Whereabouts};
use super::step::{How, New};

pub const LEASE: Millis = 3_000;
const STARTS_MAX: u32 = 3;
const NEVER_SETTLED: &str = "started 3 times and never settled";
const HISTORY_MAX: usize = 5;
/// Nobody has reaped for longer than this: somebody was away.
const SILENCE: Millis = 1_500;
/// What holders of leases then get to renew.
const GRACE: Millis = 3_000;
/// Whose turn it is, of 13 claims.
const TURNS: &[u8] = b"iuiiuiibiuiiu";

pub fn settings() -> QueueSettings {
    QueueSettings {
        lease: std::time::Duration::from_millis(LEASE as u64),
        starts_max: STARTS_MAX,
        history_max: HISTORY_MAX,
        ..QueueSettings::default()
    }
}

/// One claim as its holder knows it: the job and the number of the claim.
pub type LeaseOf = (String, usize);

#[derive(Debug, Default)]
pub struct Model {
    pub now: Millis,
    pub claims_made: usize,
    /// When each claim was made, as its token tells.
    claimed: Vec<Millis>,
    newest_token: Option<Millis>,
    pub state: State,
}

impl Model {
    /// Nothing where the queue takes no jobs.
    pub fn enqueue(&mut self, jobs: &[New], payload: &str) -> Option<Vec<Enqueued>> {
        if self.state.mode == Mode::Draining {
            return None;
        }
        Some(jobs.iter().map(|new| self.enqueue_one(*new, payload)).collect())
    }

    fn enqueue_one(&mut self, New(id, lane, delay): New, payload: &str) -> Enqueued {
        if let Some(job) = self.state.jobs.get(id) {
            self.state.totals.duplicates += 1;
            return Enqueued::Duplicate(job.whereabouts.place());
        }
        self.state.totals.enqueued += 1;
        let job = Job {
            payload: payload.to_owned(),
            lane,
            whereabouts: Whereabouts::Ready,
            starts: 0,
            attempts: 0,
            claim: 0,
            enqueued: self.now,
            ready: self.now,
            worker: String::new(),
            failure: None,
        };
        self.state.jobs.insert(id.to_owned(), job);
        self.ready_after(id, delay);
        Enqueued::Added
    }

    /// At the end of its lane now, or scheduled. The job waits from the moment it is due.
    fn ready_after(&mut self, id: &str, seconds: i64) {
        let due = self.now + seconds * 1000;
        let job = self.state.jobs.get_mut(id).unwrap();
        job.ready = due;
        if seconds > 0 {
            job.whereabouts = Whereabouts::Scheduled { due };
        } else {
            self.put_last(id);
        }
    }

    fn put_last(&mut self, id: &str) {
        let job = self.state.jobs.get_mut(id).unwrap();
        job.whereabouts = Whereabouts::Ready;
        self.state.lanes[job.lane as usize].push(id.to_owned());
    }

    fn put_first(&mut self, id: &str) {
        let job = self.state.jobs.get_mut(id).unwrap();
        job.whereabouts = Whereabouts::Ready;
        self.state.lanes[job.lane as usize].insert(0, id.to_owned());
    }

    pub fn claim(&mut self, worker: &str, limit: usize) -> Vec<Taken> {
        self.promote(usize::MAX);
        let limit = limit.min(self.room());
        let mut chosen = Vec::new();
        while chosen.len() < limit
            && let Some(lane) = self.next_lane()
        {
            chosen.push(self.state.lanes[lane as usize].remove(0));
            self.state.turn = (self.state.turn + 1) % TURNS.len();
        }
        // The watch over who is away begins with the first claim of all.
        if !chosen.is_empty() {
            self.state.reaped.get_or_insert(self.now);
        }
        chosen.into_iter().map(|id| self.hand_out(&id, worker)).collect()
    }

    /// How many more jobs the fleet may hold.
    fn room(&self) -> usize {
        match self.state.cap {
            _ if self.state.mode == Mode::Paused => 0,
            Some(cap) => (cap as usize).saturating_sub(self.state.count(Place::Claimed) as usize),
            None => usize::MAX,
        }
    }

    /// The lane whose turn it is, or else the first that is not empty.
    fn next_lane(&self) -> Option<Lane> {
        let turn = match TURNS[self.state.turn] {
            b'i' => Lane::Interactive,
            b'u' => Lane::Upload,
            _ => Lane::Backfill,
        };
        let is_waiting = |lane: &Lane| !self.state.lanes[*lane as usize].is_empty();
        std::iter::once(turn).chain(Lane::ALL).find(is_waiting)
    }

    fn hand_out(&mut self, id: &str, worker: &str) -> Taken {
        self.claims_made += 1;
        // The token is the time, or a little above the last where the clock went back since.
        let newest = self.newest_token.map_or(self.now, |newest| newest.max(self.now));
        self.newest_token = Some(newest);
        self.claimed.push(newest);
        self.state.totals.claims += 1;
        let job = self.state.jobs.get_mut(id).unwrap();
        job.whereabouts = Whereabouts::Claimed { until: self.now + LEASE };
        job.claim = self.claims_made;
        worker.clone_into(&mut job.worker);
        job.starts += 1;
        Taken {
            id: id.to_owned(),
            claim: job.claim,
            payload: job.payload.clone(),
            lane: job.lane,
            starts: job.starts,
            attempts: job.attempts,
            // A clock that was set back shows no wait below nothing.
            waited: (self.now - job.ready).max(0),
        }
    }

    fn holds(&self, (id, claim): &LeaseOf) -> bool {
        self.state.jobs.get(id).is_some_and(|job| {
            job.claim == *claim && matches!(job.whereabouts, Whereabouts::Claimed { .. })
        })
    }

    pub fn renew(&mut self, leases: &[LeaseOf]) -> Vec<bool> {
        let until = self.now + LEASE;
        let mut answers = Vec::new();
        for lease in leases {
            let held = self.holds(lease);
            if held {
                let job = self.state.jobs.get_mut(&lease.0).unwrap();
                job.whereabouts = Whereabouts::Claimed { until };
            }
            answers.push(held);
        }
        answers
    }

    pub fn settle(&mut self, ends: &[(LeaseOf, How)]) -> Vec<Settled> {
        let (mut answers, mut given_back) = (Vec::new(), Vec::new());
        for (lease, how) in ends {
            if self.holds(lease) {
                self.end(&lease.0, *how);
                if matches!(how, How::GiveBack) {
                    given_back.push(&lease.0);
                }
                answers.push(Settled::Applied);
            } else {
                self.state.totals.stale += 1;
                answers.push(Settled::Stale);
            }
        }
        // They stand as they stood.
        for id in given_back.into_iter().rev() {
            self.put_first(id);
        }
        answers
    }

    fn end(&mut self, id: &str, how: How) {
        let before = self.job(id).clone();
        match how {
            How::Done => {
                self.state.totals.done += 1;
                self.state.jobs.remove(id);
            }
            How::Retry(delay) => {
                self.state.totals.retried += 1;
                self.fail(id, "failed", "again");
                self.job(id).attempts += 1;
                self.job(id).starts = 0;
                self.ready_after(id, delay);
            }
            How::Wait(delay) => {
                self.state.totals.waited += 1;
                self.fail(id, "failed", "away");
                self.job(id).starts = 0;
                self.ready_after(id, delay);
            }
            How::Dead => {
                self.state.totals.died += 1;
                self.fail(id, "dead", "broken");
                self.job(id).attempts += 1;
                self.job(id).whereabouts = Whereabouts::Dead { since: self.now };
            }
            How::GiveBack => {
                self.state.totals.given_back += 1;
                self.job(id).starts -= 1;
                self.job(id).whereabouts = Whereabouts::Ready;
            }
            How::Crash if before.starts >= STARTS_MAX => {
                self.quarantine(id, &format!("{NEVER_SETTLED}; the last time: crash"));
            }
            How::Crash => {
                self.state.totals.crashed += 1;
                self.fail(id, "crashed", "crash");
                self.put_last(id);
            }
        }
        self.remember(id, how, &before);
    }

    fn job(&mut self, id: &str) -> &mut Job {
        self.state.jobs.get_mut(id).unwrap()
    }

    fn fail(&mut self, id: &str, how: &str, cause: &str) {
        let at = self.now;
        let job = self.job(id);
        let worker = job.worker.clone();
        job.failure = Some(Failure { at, how: how.to_owned(), worker, cause: cause.to_owned() });
    }

    fn remember(&mut self, id: &str, how: How, job: &Job) {
        let claimed = self.claimed[job.claim - 1];
        let ending = Ending {
            id: id.to_owned(),
            how: verb(how).to_owned(),
            at: self.now,
            worker: job.worker.clone(),
            attempts: job.attempts + u32::from(matches!(how, How::Retry(_) | How::Dead)),
            wait: (claimed - job.ready).max(0),
            run: (self.now - claimed).max(0),
        };
        self.state.history.insert(0, ending);
        self.state.history.truncate(HISTORY_MAX);
    }

    pub fn redrive(&mut self, id: &str) -> bool {
        if self.state.jobs.get(id).is_none_or(|job| job.whereabouts.place() != Place::Dead) {
            return false;
        }
        let job = self.job(id);
        (job.starts, job.attempts, job.failure) = (0, 0, None);
        self.ready_after(id, 0);
        self.state.totals.redriven += 1;
        true
    }

    /// The dead letters with `text` in their cause, or that died this way, oldest first.
    fn dead_of(&self, text: &str) -> Vec<String> {
        let letters = Lane::ALL.iter().flat_map(|lane| self.state.in_order(*lane, death));
        let meant = letters.filter(|(_, id)| {
            let failure = self.state.jobs[id].failure.as_ref().unwrap();
            failure.how == text || failure.cause.contains(text)
        });
        meant.map(|(_, id)| id).collect()
    }

    pub fn redrive_all(&mut self, text: &str) -> u64 {
        let letters = self.dead_of(text);
        for id in &letters {
            self.redrive(id);
        }
        letters.len() as u64
    }

    pub fn flush(&mut self, text: &str) -> u64 {
        let letters = self.dead_of(text);
        for id in &letters {
            self.state.jobs.remove(id);
        }
        self.state.totals.flushed += letters.len() as u64;
        letters.len() as u64
    }

    pub fn steer(&mut self, mode: Mode) {
        self.state.mode = mode;
    }

    pub fn cap(&mut self, cap: u32) {
        self.state.cap = (cap > 0).then_some(cap);
    }

    /// Answers how many jobs went, how many of them were claimed and how many entries of the
    /// history went.
    pub fn discard(&mut self, prefix: &str) -> (u64, u64, u64) {
        let state = &mut self.state;
        let (before, claimed, ended) =
            (state.jobs.len(), state.count(Place::Claimed), state.history.len());
        state.jobs.retain(|id, _| !id.starts_with(prefix));
        for lane in &mut state.lanes {
            lane.retain(|id| !id.starts_with(prefix));
        }
        state.history.retain(|ending| !ending.id.starts_with(prefix));
        let gone = (before - state.jobs.len()) as u64;
        state.totals.discarded += gone;
        (gone, claimed - state.count(Place::Claimed), (ended - state.history.len()) as u64)
    }

    pub fn empty(&mut self) {
        self.state = State::default();
        self.newest_token = None;
    }
}

fn verb(how: How) -> &'static str {
    match how {
        How::Done => "done",
        How::Retry(_) => "retry",
        How::Wait(_) => "wait",
        How::Dead => "dead",
        How::GiveBack => "give",
        How::Crash => "crash",
    }
}

fn lease_end(whereabouts: Whereabouts) -> Option<Millis> {
    if let Whereabouts::Claimed { until } = whereabouts { Some(until) } else { None }
}

fn due(whereabouts: Whereabouts) -> Option<Millis> {
    if let Whereabouts::Scheduled { due } = whereabouts { Some(due) } else { None }
}

fn death(whereabouts: Whereabouts) -> Option<Millis> {
    if let Whereabouts::Dead { since } = whereabouts { Some(since) } else { None }
}
