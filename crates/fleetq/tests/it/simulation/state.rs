//! What the model and Redis must agree on after every step: the whole queue, its times counted
//! from the start of the list.

use std::collections::BTreeMap;
use std::fmt::Debug;

use fleetq::{Lane, Mode, Place, Totals};

pub type Millis = i64;
/// The time that a place has, for the jobs of that place.
pub type Time = fn(Whereabouts) -> Option<Millis>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub jobs: BTreeMap<String, Job>,
    /// The ids that wait, first lane first, each from its head.
    pub lanes: [Vec<String>; 3],
    /// The newest first.
    pub history: Vec<Ending>,
    pub totals: Totals,
    pub turn: usize,
    pub mode: Mode,
    pub cap: Option<u32>,
    pub reaped: Option<Millis>,
    pub grace_until: Option<Millis>,
    /// The clock was set back: leases that end too late are being pulled.
    pub pulling: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub payload: String,
    pub lane: Lane,
    pub whereabouts: Whereabouts,
    pub starts: u32,
    pub attempts: u32,
    /// The number of the latest claim of it, in the order in which claims were made; 0 for none.
    pub claim: usize,
    pub enqueued: Millis,
    pub ready: Millis,
    pub worker: String,
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    Ready,
    Scheduled { due: Millis },
    Claimed { until: Millis },
    Dead { since: Millis },
}

impl Whereabouts {
    pub fn place(self) -> Place {
        match self {
            Self::Ready => Place::Ready,
            Self::Scheduled { .. } => Place::Scheduled,
            Self::Claimed { .. } => Place::Claimed,
            Self::Dead { .. } => Place::Dead,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub at: Millis,
    pub how: String,
    pub worker: String,
    pub cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub id: String,
    pub how: String,
    pub at: Millis,
    pub worker: String,
    /// This one included.
    pub attempts: u32,
    pub wait: Millis,
    pub run: Millis,
}

/// One job as a claim shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub id: String,
    pub claim: usize,
    pub payload: String,
    pub lane: Lane,
    pub starts: u32,
    /// Before this one.
    pub attempts: u32,
    pub waited: Millis,
}

/// What one reap answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaping {
    pub returned: usize,
    pub quarantined: usize,
    pub promoted: usize,
    pub next_due: Option<Millis>,
    pub clock_set_back: Option<Millis>,
}

impl State {
    /// The jobs of one lane that `time` knows, earliest first, those of one moment by their ids.
    pub fn in_order(&self, lane: Lane, time: Time) -> Vec<(Millis, String)> {
        let jobs = self.jobs.iter().filter(|(_, job)| job.lane == lane);
        let times = jobs.map(|(id, job)| (time(job.whereabouts), id.clone()));
        let mut found: Vec<_> = times.filter_map(|(time, id)| Some((time?, id))).collect();
        found.sort();
        found
    }

    /// The earliest of all lanes.
    pub fn first(&self, time: Time) -> Option<Millis> {
        self.jobs.values().filter_map(|job| time(job.whereabouts)).min()
    }

    pub fn count(&self, place: Place) -> u64 {
        self.jobs.values().filter(|job| job.whereabouts.place() == place).count() as u64
    }

    /// What `redis` has otherwise than this model; nothing where they agree.
    pub fn differs(&self, redis: &Self) -> Option<String> {
        let mut told = Vec::new();
        let ids =
            self.jobs.keys().chain(redis.jobs.keys().filter(|id| !self.jobs.contains_key(*id)));
        for id in ids {
            tell(&mut told, &format!("job {id}"), &self.jobs.get(id), &redis.jobs.get(id));
        }
        tell(&mut told, "the lanes", &self.lanes, &redis.lanes);
        tell(&mut told, "the history", &self.history, &redis.history);
        tell(&mut told, "the totals", &self.totals, &redis.totals);
        tell(&mut told, "the turn of the lanes", &self.turn, &redis.turn);
        tell(&mut told, "the mode", &self.mode, &redis.mode);
        tell(&mut told, "the cap", &self.cap, &redis.cap);
        tell(&mut told, "the last reap", &self.reaped, &redis.reaped);
        tell(&mut told, "the end of the grace", &self.grace_until, &redis.grace_until);
        tell(&mut told, "whether leases are being pulled", &self.pulling, &redis.pulling);
        (!told.is_empty()).then(|| told.join("\n"))
    }
}

fn tell<T: PartialEq + Debug>(told: &mut Vec<String>, what: &str, model: &T, redis: &T) {
    if model != redis {
        told.push(format!("{what}:\n  model {model:?}\n  redis {redis:?}"));
    }
}
