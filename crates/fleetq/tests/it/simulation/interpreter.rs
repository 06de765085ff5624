//! Runs a list of steps against the model and against Redis, and holds them together after each.

use std::fmt::Debug;

use std::collections::BTreeMap;

use fleetq::{Lease, Mode};

use super::model::{LeaseOf, Model};
use super::real::{Real, Trouble};
use super::step::{End, How, PROCESSES, Step, as_code};
use crate::harness::Server;

/// The totals by their names.
pub type Counted = BTreeMap<String, u64>;

/// How often a list is begun anew on a machine that stands still.
const TRIES_MAX: usize = 20;

/// Fails where the model and Redis disagree.
pub async fn replay(steps: Vec<Step>) {
    let server = Server::start().await;
    if let Err(why) = run(&server, &steps).await {
        panic!("{why}");
    }
}

/// Answers what was counted, or the disagreement and the list up to it.
pub async fn run(server: &Server, steps: &[Step]) -> Result<Counted, String> {
    for _ in 0..TRIES_MAX {
        let mut both = Both::start(server).await;
        match both.all(steps).await {
            Ok(()) => return Ok(both.counted),
            Err((_, Trouble::Late)) => {}
            Err((at, Trouble::Wrong(why))) => {
                let list = as_code(&steps[..=at]);
                return Err(format!("after step {at}, {:?}:\n{why}\nthe list:\n{list}", steps[at]));
            }
        }
    }
    panic!("of {TRIES_MAX} tries each met a step longer than a machine that works needs");
}

/// A lease in somebody's hand, as the model knows it and as Redis does.
type Held = (LeaseOf, Lease);
type Ends<L> = Vec<(L, How)>;

struct Both {
    model: Model,
    real: Real,
    /// What each process believes to hold, the latest first.
    hands: [Vec<Held>; PROCESSES],
    /// Over emptied servers.
    counted: Counted,
    payloads: usize,
}

impl Both {
    async fn start(server: &Server) -> Self {
        Self {
            model: Model::default(),
            real: Real::start(server).await,
            hands: Default::default(),
            counted: Counted::new(),
            payloads: 0,
        }
    }

    async fn all(&mut self, steps: &[Step]) -> Result<(), (usize, Trouble)> {
        for (at, step) in steps.iter().enumerate() {
            self.step(step).await.map_err(|trouble| (at, trouble))?;
        }
        self.count();
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::Unheard(call) if matches!(**call, Step::Claim(..)) => {
                let hands = self.hands.clone();
                self.call(call).await?;
                self.hands = hands;
            }
            Step::Unheard(call) => {
                self.call(call).await?;
                self.call(call).await?;
            }
            Step::Watch(seconds) => {
                for _ in 0..*seconds {
                    self.model.now += 1000;
                    self.call(&Step::Reap(100)).await?;
                }
            }
            call => self.call(call).await?,
        }
        Ok(())
    }

    async fn call(&mut self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::Pass(seconds) => self.model.now += seconds * 1000,
            Step::Empty => self.model.now += 1000,
            Step::SetBack(seconds) => self.model.now -= seconds * 1000,
            _ => {}
        }
        self.real.set_clock(self.model.now).await;
        let answers = self.carry_out(step).await;
        let redis = self.real.look().await;
        if let Err(Trouble::Late) = redis {
            return Err(Trouble::Late);
        }
        answers?;
        let redis = redis?;
        match self.model.state.differs(&redis) {
            Some(difference) => Err(difference.into()),
            None => Ok(()),
        }
    }

    /// Both, and their answers compared.
    async fn carry_out(&mut self, step: &Step) -> Result<(), Trouble> {
        let (model, real) = (&mut self.model, &mut self.real);
        match step {
            Step::Enqueue(jobs) => {
                self.payloads += 1;
                let payload = format!("{{\"call\":{}}}", self.payloads);
                let answer = real.enqueue(jobs, &payload).await?;
                agree(&model.enqueue(jobs, &payload), &answer)?;
            }
            Step::Claim(process, limit) => {
                let worker = format!("process-{process}");
                let (taken, leases) = real.claim(&worker, *limit).await?;
                agree(&model.claim(&worker, *limit), &taken)?;
                for (taken, lease) in taken.into_iter().zip(leases) {
                    self.hands[*process].insert(0, ((taken.id, taken.claim), lease));
                }
            }
            Step::Renew(process) => {
                let (known, leases): (Vec<_>, Vec<_>) =
                    self.hands[*process].iter().cloned().unzip();
                agree(&model.renew(&known), &real.renew(&leases).await?)?;
            }
            Step::Settle(process, ends) => {
                let (known, leases) = pick(&self.hands[*process], ends);
                agree(&model.settle(&known), &real.settle(&leases).await?)?;
            }
            Step::Reap(limit) => agree(&model.reap(*limit), &real.reap(*limit).await?)?,
            Step::Redrive(id) => agree(&model.redrive(id), &real.redrive(id).await?)?,
            Step::RedriveAll(text) => {
                agree(&model.redrive_all(text), &real.redrive_all(text).await?)?;
            }
            Step::Flush(text) => agree(&model.flush(text), &real.flush(text).await?)?,
            Step::Pause => agree(&model.steer(Mode::Paused), &real.steer(Mode::Paused).await?)?,
            Step::Drain => agree(&model.steer(Mode::Draining), &real.steer(Mode::Draining).await?)?,
            Step::Resume => agree(&model.steer(Mode::Running), &real.steer(Mode::Running).await?)?,
            Step::Cap(cap) => agree(&model.cap(*cap), &real.cap(*cap).await?)?,
            Step::Discard(prefix) => agree(&model.discard(prefix), &real.discard(prefix).await?)?,
            Step::Empty => {
                self.count();
                self.model.empty();
                self.real.empty().await;
            }
            Step::Die(process) => self.hands[*process].clear(),
            Step::Pass(_) | Step::SetBack(_) => {}
            Step::Watch(_) | Step::Unheard(_) => unreachable!("made of calls"),
        }
        Ok(())
    }

    fn count(&mut self) {
        let totals = serde_json::to_value(self.model.state.totals).unwrap();
        for (name, count) in totals.as_object().unwrap() {
            *self.counted.entry(name.clone()).or_default() += count.as_u64().unwrap();
        }
    }
}

/// The leases meant, as far as there are any; one may be meant twice.
fn pick(hand: &[Held], ends: &[End]) -> (Ends<LeaseOf>, Ends<Lease>) {
    let (mut known, mut leases) = (Vec::new(), Vec::new());
    for End(nth, how) in ends {
        if let Some((of, lease)) = hand.get(*nth) {
            known.push((of.clone(), *how));
            leases.push((lease.clone(), *how));
        }
    }
    (known, leases)
}

fn agree<T: PartialEq + Debug>(model: &T, redis: &T) -> Result<(), String> {
    if model == redis {
        return Ok(());
    }
    Err(format!("the answers:\n  model {model:?}\n  redis {redis:?}"))
}
