//! The queue as it is: the crate's own calls and scripts on a real Redis, their answers put into the
//! words of the model.

use std::num::NonZeroU32;
use std::time::Duration;

use fleetq::{
    DeadFilter, Depth, Enqueued, Lane, Lease, Mode, NewJob, Place, Queue, QueueError, Settle,
    Settled,
};
use redis::aio::MultiplexedConnection;

use super::model::settings;
use super::state::{Millis, Reaping, State, Taken};
use super::step::{How, New};
use super::stored::{Clock, Stored};
use crate::harness::Server;

pub struct Real {
    queue: Queue,
    line: MultiplexedConnection,
    clock: Clock,
    stored: Stored,
    /// All tokens ever given out, in their order and in the time of the list.
    pub tokens: Vec<i64>,
    clock_went_back: bool,
    /// Tokens from here on must rise.
    rising_from: usize,
}

/// Why a list cannot go on.
#[derive(Debug)]
pub enum Trouble {
    /// The model and Redis disagree.
    Wrong(String),
    /// The machine stood still for too long to tell.
    Late,
}

impl From<QueueError> for Trouble {
    fn from(error: QueueError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Wrong(text)
    }
}

impl Real {
    /// On an empty server.
    pub async fn start(server: &Server) -> Self {
        let mut line = server.raw().await;
        redis::cmd("FLUSHALL").exec_async(&mut line).await.unwrap();
        let queue = server.queue(settings()).await;
        let stored = Stored::read(&mut line).await;
        let clock = Clock::start(&stored);
        let stored = clock.read(stored).unwrap();
        Self { queue, line, clock, stored, tokens: vec![], clock_went_back: false, rising_from: 0 }
    }

    /// Before every call: it is `now`, and the milliseconds since the last one have not passed.
    pub async fn set_clock(&mut self, now: Millis) {
        let went_back = now < self.clock.now();
        self.clock_went_back |= went_back;
        if went_back && !self.stored.hashes["meta"].contains_key("token") {
            self.rising_from = self.tokens.len();
        }
        self.clock.set(now, &self.stored, &mut self.line).await;
    }

    /// After every call: what is there now.
    pub async fn look(&mut self) -> Result<State, Trouble> {
        let depth = self.queue.depth().await;
        let stored = Stored::read(&mut self.line).await;
        self.stored = self.clock.read(stored).ok_or(Trouble::Late)?;
        let depth = depth?;
        let state = super::look::look(&self.stored, &self.tokens, &depth)?;
        check_depth(&depth, &state, self.clock.now())?;
        Ok(state)
    }

    pub async fn enqueue(
        &self,
        jobs: &[New],
        payload: &str,
    ) -> Result<Option<Vec<Enqueued>>, Trouble> {
        let jobs = jobs.iter().map(|New(id, lane, delay)| {
            let job = NewJob::new(*id, "count", payload).in_lane(*lane);
            job.after(Duration::from_secs(*delay as u64))
        });
        match self.queue.enqueue_many(jobs.collect()).await {
            Err(QueueError::Draining { .. }) => Ok(None),
            answers => Ok(Some(answers?)),
        }
    }

    /// The claims and their leases.
    pub async fn claim(
        &mut self,
        worker: &str,
        limit: usize,
    ) -> Result<(Vec<Taken>, Vec<Lease>), Trouble> {
        let claims = self.queue.claim(worker, limit).await?;
        let (mut taken, mut leases) = (Vec::new(), Vec::new());
        for claim in claims {
            let token = self.clock.token_of_list(claim.token);
            if let Some(last) =
                self.tokens[self.rising_from..].last().filter(|last| **last >= token)
            {
                return Err(format!("token {token} was given out after {last}").into());
            }
            self.tokens.push(token);
            taken.push(Taken {
                id: claim.id.clone(),
                claim: self.tokens.len(),
                payload: String::from_utf8(claim.payload.clone()).unwrap(),
                lane: claim.lane,
                starts: claim.starts,
                attempts: claim.attempts,
                waited: whole_seconds(claim.waited),
            });
            leases.push(Lease { id: claim.id.clone(), token });
        }
        Ok((taken, leases))
    }

    pub async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, Trouble> {
        let leases: Vec<_> = leases.iter().map(|lease| self.of_server(lease)).collect();
        Ok(self.queue.renew(&leases).await?)
    }

    pub async fn settle(&self, ends: &[(Lease, How)]) -> Result<Vec<Settled>, Trouble> {
        let ends: Vec<_> =
            ends.iter().map(|(lease, how)| (self.of_server(lease), settlement(*how))).collect();
        Ok(self.queue.settle_many(&ends).await?)
    }

    pub async fn reap(&self, limit: usize) -> Result<Reaping, Trouble> {
        let reaped = self.queue.reap(limit).await?;
        Ok(Reaping {
            returned: reaped.returned,
            quarantined: reaped.quarantined,
            promoted: reaped.promoted,
            clock_set_back: reaped.clock_set_back.map(nearest_second),
            // Asked a few ms after the second, and answered with as much less.
            next_due: reaped.next_due.map(|wait| wait.as_millis().div_ceil(1000) as Millis * 1000),
        })
    }

    pub async fn redrive(&self, id: &str) -> Result<bool, Trouble> {
        Ok(self.queue.redrive(id).await?)
    }

    pub async fn discard(&self, prefix: &str) -> Result<(u64, u64, u64), Trouble> {
        let gone = self.queue.discard(prefix).await?;
        let newest = self.tokens[self.rising_from..].last().copied().unwrap_or(i64::MIN);
        let told = self.clock.token_of_list(gone.newest_token);
        if told < newest {
            return Err(format!("no token is above {told}, said discard, and {newest} is").into());
        }
        Ok((gone.jobs, gone.claimed, gone.history))
    }

    pub async fn redrive_all(&self, text: &str) -> Result<u64, Trouble> {
        Ok(self.queue.redrive_all(&filter(text)).await?)
    }

    pub async fn flush(&self, text: &str) -> Result<u64, Trouble> {
        Ok(self.queue.flush(&filter(text)).await?)
    }

    pub async fn steer(&self, mode: Mode) -> Result<(), Trouble> {
        match mode {
            Mode::Running => self.queue.resume().await?,
            Mode::Paused => self.queue.pause().await?,
            Mode::Draining => self.queue.drain().await?,
        }
        Ok(())
    }

    pub async fn cap(&self, cap: u32) -> Result<(), Trouble> {
        Ok(self.queue.set_cap(NonZeroU32::new(cap)).await?)
    }

    fn of_server(&self, lease: &Lease) -> Lease {
        Lease { id: lease.id.clone(), token: self.clock.token_of_server(lease.token) }
    }

    pub async fn empty(&mut self) {
        let mut pipe = redis::pipe();
        pipe.cmd("FLUSHALL").cmd("SCRIPT").arg("FLUSH").exec_async(&mut self.line).await.unwrap();
        // The clock alone keeps tokens rising through this, where it was not set back before.
        if self.clock_went_back {
            self.rising_from = self.tokens.len();
            self.clock_went_back = false;
        }
    }
}

fn whole_seconds(time: Duration) -> Millis {
    time.as_secs() as Millis * 1000
}

fn nearest_second(time: Duration) -> Millis {
    (time.as_millis() as Millis + 500) / 1000 * 1000
}

fn filter(text: &str) -> DeadFilter {
    if text.is_empty() { DeadFilter::All } else { DeadFilter::Cause(text.to_owned()) }
}

fn settlement(how: How) -> Settle {
    let seconds = |seconds: i64| Duration::from_secs(seconds as u64);
    match how {
        How::Done => Settle::Done,
        How::Retry(after) => Settle::RetryAfter { delay: seconds(after), cause: "again".into() },
        How::Wait(after) => Settle::Wait { delay: seconds(after), cause: "away".into() },
        How::Dead => Settle::Dead { cause: "broken".into(), chain: vec!["because".into()] },
        How::GiveBack => Settle::GiveBack,
        How::Crash => Settle::Crashed { cause: "crash".into() },
    }
}

/// What the queue says of itself.
fn check_depth(depth: &Depth, state: &State, now: Millis) -> Result<(), String> {
    let places = [Place::Scheduled, Place::Claimed, Place::Dead].map(|place| state.count(place));
    let told = (depth.mode, depth.cap, [depth.scheduled, depth.claimed, depth.dead]);
    if told != (state.mode, state.cap, places) {
        return Err(format!(
            "{:?}, {:?}, {places:?} and the depth says {told:?}",
            state.mode, state.cap
        ));
    }
    for lane in Lane::ALL {
        let ids = &state.lanes[lane as usize];
        let wait = ids.first().map(|id| (now - state.jobs[id].ready).max(0));
        let count = |place| {
            let jobs = state.jobs.values().filter(|job| job.lane == lane);
            jobs.filter(|job| job.whereabouts.place() == place).count() as u64
        };
        let found = [Place::Ready, Place::Scheduled, Place::Claimed, Place::Dead].map(count);
        let told = &depth.lanes[lane as usize];
        let counts = [told.ready, told.scheduled, told.claimed, told.dead];
        if (counts, told.oldest_wait.map(whole_seconds)) != (found, wait) {
            return Err(format!(
                "{lane} has {found:?}, waits {wait:?} ms and the depth says {told:?}"
            ));
        }
    }
    Ok(())
}
