//! The workers of a storm: started, killed, stopped for longer than a lease and woken again.
//! What must stay true: a worker never ends by itself, and one that was stopped carries on.

use std::time::{Duration, Instant};

use super::chance::Chance;
use super::checker::Checker;
use crate::child::Process;

/// A worker that does not carry on within this time has failed.
const PATIENCE: Duration = Duration::from_mins(2);

pub struct Fleet {
    workers: Vec<Worker>,
    /// Straight to Redis, and over the bad line: every third worker takes that.
    urls: [String; 2],
    settings: [(&'static str, String); 2],
    lease: Duration,
    started: u64,
    pub woken: u64,
    /// Runs that others took over from a stopped worker.
    pub taken_over: u64,
}

struct Worker {
    name: String,
    process: Process,
    state: State,
}

enum State {
    Running,
    /// With the runs it held then: token and job.
    Stopped {
        since: Instant,
        held: Vec<(i64, String)>,
    },
    /// With the runs it has lost meanwhile, and how many it had ever begun.
    Woken {
        since: Instant,
        lost: Vec<(i64, String)>,
        starts: u64,
    },
}

impl Fleet {
    pub fn start(workers: usize, urls: [String; 2], store: &str, lease: Duration) -> Self {
        let settings = [("STORE", store.to_owned()), ("LEASE_MS", lease.as_millis().to_string())];
        let (workers_wanted, workers) = (workers, Vec::new());
        let mut fleet =
            Self { workers, urls, settings, lease, started: 0, woken: 0, taken_over: 0 };
        for _ in 0..workers_wanted {
            let worker = fleet.fresh();
            fleet.workers.push(worker);
        }
        fleet
    }

    fn fresh(&mut self) -> Worker {
        let url = &self.urls[usize::from(self.started % 3 == 2)];
        let name = format!("w{}", self.started);
        self.started += 1;
        let process = Process::start_as("storm", url, &name, &self.settings);
        Worker { name, process, state: State::Running }
    }

    pub fn all_run(&self) -> bool {
        self.workers.iter().all(|worker| matches!(worker.state, State::Running))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.workers.iter().map(|worker| worker.name.as_str())
    }

    /// Kills one that runs and starts a fresh one in its place; `false` when none may be killed.
    /// It has begun a job at least, so that there is progress however slow the machine is; now and
    /// then any will do, be it in the middle of its start.
    pub fn kill_one(&mut self, checker: &mut Checker, chance: &mut Chance) -> bool {
        let any = chance.roll(8) == 0;
        let may_die = |worker: &Worker| {
            matches!(worker.state, State::Running) && (any || checker.starts_of(&worker.name) > 0)
        };
        let Some(index) = self.pick(chance, may_die) else { return false };
        self.workers[index].process.kill();
        checker.forget_worker(&self.workers[index].name);
        self.workers[index] = self.fresh();
        true
    }

    /// Stops one that holds a long job right now, so that it learns of its loss while the job runs
    /// and its next holder runs it too; `false` when none does.
    pub fn stop_one(&mut self, checker: &Checker, chance: &mut Chance) -> bool {
        let holds = |worker: &Worker| {
            matches!(worker.state, State::Running) && checker.holds_long(&worker.name)
        };
        let Some(index) = self.pick(chance, holds) else { return false };
        let worker = &mut self.workers[index];
        worker.process.signal("-STOP");
        // What it held is read by the next look: the journal may be behind.
        worker.state = State::Stopped { since: Instant::now(), held: Vec::new() };
        true
    }

    fn pick(&self, chance: &mut Chance, fits: impl Fn(&Worker) -> bool) -> Option<usize> {
        let fitting: Vec<usize> =
            (0..self.workers.len()).filter(|index| fits(&self.workers[*index])).collect();
        let among = fitting.len() as u64;
        (among > 0).then(|| fitting[chance.roll(among) as usize])
    }

    /// Wakes those that were stopped for longer than their lease and have lost what they held, and
    /// follows them until they have learned of it and hold new jobs. Returns how many stops came to
    /// nothing: their workers held no job that another took over.
    pub fn tend(&mut self, checker: &Checker) -> usize {
        let mut in_vain = 0;
        for worker in &mut self.workers {
            assert!(!worker.process.has_ended(), "worker {} ended by itself", worker.name);
            match &mut worker.state {
                State::Running => {}
                State::Stopped { since, held } => {
                    if held.is_empty() {
                        *held = checker.open_runs(&worker.name);
                    }
                    let lost: Vec<_> = held
                        .iter()
                        .filter(|(token, id)| checker.is_overtaken(*token, id))
                        .cloned()
                        .collect();
                    let all_lost = lost.len() == held.len() && since.elapsed() > self.lease * 5 / 4;
                    if !all_lost && since.elapsed() < self.lease * 3 {
                        continue;
                    }
                    worker.process.signal("-CONT");
                    in_vain += usize::from(lost.is_empty());
                    self.taken_over += lost.len() as u64;
                    let starts = checker.starts_of(&worker.name);
                    worker.state = State::Woken { since: Instant::now(), lost, starts };
                }
                State::Woken { since, lost, starts } => {
                    let knows = lost.iter().all(|(token, id)| checker.has_ended(*token, id));
                    let claims = checker.starts_of(&worker.name) > *starts;
                    if knows && claims {
                        self.woken += 1;
                        worker.state = State::Running;
                        continue;
                    }
                    assert!(
                        since.elapsed() < PATIENCE,
                        "worker {} does not carry on: it knows of its loss: {knows}, it claims \
                         again: {claims}",
                        worker.name
                    );
                }
            }
        }
        in_vain
    }
}
