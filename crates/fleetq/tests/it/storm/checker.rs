//! Reads the journal of the store and says what must never be in it.
//!
//! Failure: a job without an effect, an effect without a job, a job done more often than it was
//! added or run again after it was done, one token handed out twice, an older token that writes after
//! a newer one or settles beside it, a run told of a loss that never was.
//! No failure, and only counted: a job that runs more than once before it is done, a run that is
//! refused as stale, a run that ends without a word because its process was killed.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What is known of the jobs, by id, and of the runs that have not ended, by worker.
#[derive(Default)]
pub struct Checker {
    jobs: HashMap<String, Job>,
    tokens: HashSet<i64>,
    open: HashMap<String, BTreeMap<i64, String>>,
    starts: HashMap<String, u64>,
    pub tallies: Tallies,
}

/// Counted, never judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tallies {
    pub runs: u64,
    pub effects_kept: u64,
    pub effects_refused: u64,
    pub done: u64,
    pub applied: u64,
    pub stale: u64,
    pub stopped: u64,
    pub failed: u64,
}

#[derive(Default)]
struct Job {
    /// How often it may have been added: each call that said so, and each that said nothing.
    lives_max: u64,
    done: u64,
    /// The newest token that wrote its effect, was told `done`, was told of its loss.
    written: i64,
    done_by: i64,
    told_lost: i64,
    runs: Vec<Run>,
}

struct Run {
    token: i64,
    kind: String,
    /// A newer run had begun before this one began to settle.
    overtaken: bool,
    ended: bool,
}

impl Job {
    fn newest(&self) -> i64 {
        self.runs.iter().map(|run| run.token).max().unwrap_or(0)
    }
}

impl Checker {
    /// A job that is about to be added.
    pub fn expect(&mut self, id: &str) {
        self.jobs.entry(id.to_owned()).or_default();
    }

    /// It was added, or nobody knows whether it was.
    pub fn may_live(&mut self, id: &str) {
        self.jobs.entry(id.to_owned()).or_default().lives_max += 1;
    }

    pub fn jobs(&self) -> u64 {
        self.jobs.len() as u64
    }

    /// Runs that this worker has begun.
    pub fn starts_of(&self, worker: &str) -> u64 {
        self.starts.get(worker).copied().unwrap_or(0)
    }

    /// Runs of this worker that have not ended: token and job.
    pub fn open_runs(&self, worker: &str) -> Vec<(i64, String)> {
        let runs = self.open.get(worker).into_iter().flatten();
        runs.map(|(token, id)| (*token, id.clone())).collect()
    }

    /// Whether it holds a job for longer than a lease.
    pub fn holds_long(&self, worker: &str) -> bool {
        let is_long = |token: i64, id: &str| {
            let run = self.jobs[id].runs.iter().find(|run| run.token == token);
            run.is_some_and(|run| matches!(run.kind.as_str(), "long" | "deaf"))
        };
        self.open.get(worker).is_some_and(|open| open.iter().any(|(token, id)| is_long(*token, id)))
    }

    pub fn is_overtaken(&self, token: i64, id: &str) -> bool {
        self.jobs[id].newest() > token
    }

    /// The process is gone, and what it ran with it.
    pub fn forget_worker(&mut self, worker: &str) {
        self.open.remove(worker);
    }

    /// One line of the journal.
    pub fn take(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (verb, id, token) = (word(), word().to_owned(), word());
        let (worker, detail) = (word(), word());
        let token: i64 = token.parse().map_err(|_| format!("no token in {line:?}"))?;
        let Some(job) = self.jobs.get_mut(&id) else {
            return Err(format!("a run of job {id}, which nobody has added: {line:?}"));
        };
        if verb == "start" {
            if !self.tokens.insert(token) {
                return Err(format!("token {token} was handed out twice, now for job {id}"));
            }
            job.runs.push(Run { token, kind: detail.to_owned(), overtaken: false, ended: false });
            self.open.entry(worker.to_owned()).or_default().insert(token, id);
            *self.starts.entry(worker.to_owned()).or_default() += 1;
            self.tallies.runs += 1;
            return Ok(());
        }

        let newest = job.newest();
        let Some(run) = job.runs.iter_mut().find(|run| run.token == token) else {
            return Err(format!("job {id} has no run under token {token}: {line:?}"));
        };
        match verb {
            "effect" if detail == "kept" => {
                if token < job.written {
                    let newer = job.written;
                    return Err(format!("job {id}: token {token} wrote after token {newer}"));
                }
                job.written = token;
                self.tallies.effects_kept += 1;
            }
            "effect" => {
                if token >= job.written {
                    return Err(format!("job {id}: its newest token {token} was refused"));
                }
                self.tallies.effects_refused += 1;
            }
            _ => {}
        }
        match verb {
            "effect" | "plan" => run.overtaken = newest > token,
            "stopped" => {
                if detail != "Some(LeaseLost)" {
                    return Err(format!("job {id} was stopped by {detail}"));
                }
                job.told_lost = job.told_lost.max(token);
                self.tallies.stopped += 1;
            }
            "settled" => match detail.split_once(' ') {
                Some((how, "Applied")) => {
                    if run.overtaken {
                        return Err(format!(
                            "job {id}: token {token} settled it ({how}) while {newest} held it"
                        ));
                    }
                    self.tallies.applied += 1;
                    if how == "done" {
                        self.tallies.done += 1;
                        job.done += 1;
                        job.done_by = job.done_by.max(token);
                    }
                }
                Some((_, "Stale")) => self.tallies.stale += 1,
                _ => self.tallies.failed += 1,
            },
            _ => return Err(format!("a line that means nothing: {line:?}")),
        }
        if verb == "settled" || verb == "stopped" {
            run.ended = true;
            if let Some(open) = self.open.get_mut(worker) {
                open.remove(&token);
            }
        }
        Ok(())
    }

    pub fn has_ended(&self, token: i64, id: &str) -> bool {
        self.jobs[id].runs.iter().any(|run| run.token == token && run.ended)
    }

    /// Once all is drained: the whole of it, beside the effects that the store holds.
    pub fn finish(&self, effects: &HashMap<String, i64>) -> Result<(), String> {
        for id in effects.keys() {
            if !self.jobs.contains_key(id) {
                return Err(format!("an effect of job {id}, which nobody has added"));
            }
        }
        for (id, job) in &self.jobs {
            let Job { lives_max, done, written, done_by, told_lost, .. } = *job;
            let newest = job.newest();
            match effects.get(id) {
                None => return Err(format!("job {id} was added and has no effect")),
                Some(token) if *token != written => {
                    return Err(format!(
                        "the effect of job {id} is {token}, written was {written}"
                    ));
                }
                Some(_) => {}
            }
            if lives_max == 0 {
                return Err(format!("job {id} was refused as alive before it was ever added"));
            }
            if done > lives_max {
                return Err(format!("job {id} was done {done} times and added {lives_max} times"));
            }
            if done > 0 && lives_max == 1 && newest > done_by {
                return Err(format!("job {id} ran as {newest} after {done_by} had settled it"));
            }
            if told_lost > 0 && newest <= told_lost {
                return Err(format!("job {id}: {told_lost} was told of a loss, nobody took it"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two jobs, one added once, the other perhaps twice; then these lines; then the effects that
    /// the lines themselves tell of.
    fn check(lines: &[&str]) -> Result<(), String> {
        let mut effects = HashMap::new();
        for line in lines {
            if let ["effect", id, token, _, "kept"] = line.split(' ').collect::<Vec<_>>()[..] {
                effects.insert(id.to_owned(), token.parse().unwrap());
            }
        }
        check_with(lines, &effects)
    }

    fn check_with(lines: &[&str], effects: &HashMap<String, i64>) -> Result<(), String> {
        let mut checker = Checker::default();
        for (id, lives) in [("1", 1), ("2", 2)] {
            checker.expect(id);
            (0..lives).for_each(|_| checker.may_live(id));
        }
        let other = ["start 2 11 w count", "effect 2 11 w kept", "settled 2 11 w done Applied"];
        for line in other.iter().chain(lines) {
            checker.take(line)?;
        }
        let mut effects = effects.clone();
        effects.entry("2".to_owned()).or_insert(11);
        checker.finish(&effects)
    }

    const START: &str = "start 1 20 w count";
    const KEPT: &str = "effect 1 20 w kept";
    const DONE: &str = "settled 1 20 w done Applied";

    #[test]
    fn what_a_storm_may_do_is_accepted() {
        for lines in [
            vec![START, KEPT, DONE],
            // Killed before it settled, then again by another.
            vec![
                START,
                KEPT,
                "start 1 30 x count",
                "effect 1 30 x kept",
                "settled 1 30 x done Applied",
            ],
            // Stopped for too long: refused in both places.
            vec![
                START,
                "start 1 30 x count",
                "effect 1 30 x kept",
                "settled 1 30 x done Applied",
                "effect 1 20 w refused",
                "settled 1 20 w done Stale",
            ],
            // The same, and told so in time.
            vec![
                START,
                "stopped 1 20 w Some(LeaseLost)",
                "start 1 30 x count",
                "effect 1 30 x kept",
                "settled 1 30 x done Applied",
            ],
            // A settlement whose first reply was lost.
            vec![START, KEPT, "settled 1 20 w done Stale"],
            // It may have been added twice, so it may be done twice.
            vec![
                START,
                KEPT,
                DONE,
                "start 2 40 w count",
                "effect 2 40 w kept",
                "settled 2 40 w done Applied",
            ],
        ] {
            assert_eq!(check(&lines), Ok(()), "{lines:?}");
        }
    }

    #[test]
    fn each_broken_promise_is_found_and_named() {
        let newer = ["start 1 30 x count", "effect 1 30 x kept", "settled 1 30 x done Applied"];
        for (lines, words) in [
            (vec![], "1 was added and has no effect"),
            (vec![START, "plan 1 20 w dead", "settled 1 20 w dead Applied"], "has no effect"),
            (vec!["start 7 20 w count"], "job 7, which nobody has added"),
            (vec![START, "start 1 20 x count"], "handed out twice"),
            ([&[START][..], &newer, &[KEPT]].concat(), "token 20 wrote after token 30"),
            (vec![START, "effect 1 20 w refused"], "newest token 20 was refused"),
            (
                [&[START][..], &newer, &["effect 1 20 w refused", DONE]].concat(),
                "token 20 settled it (done) while 30 held it",
            ),
            (
                vec![
                    START,
                    "start 1 30 x count",
                    "plan 1 20 w give",
                    "settled 1 20 w give Applied",
                ],
                "token 20 settled it (give) while 30 held it",
            ),
            ([&[START, KEPT, DONE][..], &newer].concat(), "was done 2 times and added 1 times"),
            ([&[START, KEPT, DONE][..], &newer[..2]].concat(), "ran as 30 after 20 had settled it"),
            ([&newer[..], &["effect 1 20 w kept"]].concat(), "has no run under token 20"),
            (vec![START, "stopped 1 20 w Some(TimeLimit)"], "stopped by Some(TimeLimit)"),
            (
                vec![START, KEPT, "stopped 1 20 w Some(LeaseLost)"],
                "20 was told of a loss, nobody took it",
            ),
        ] {
            let said = check(&lines).expect_err(&format!("{lines:?} is broken"));
            assert!(said.contains(words), "{lines:?}: {said}");
        }
    }

    #[test]
    fn the_effects_themselves_are_looked_at() {
        let lines = [START, KEPT, DONE];
        for (effects, words) in [
            (vec![("1", 19)], "the effect of job 1 is 19, written was 20"),
            (vec![("1", 20), ("9", 5)], "an effect of job 9, which nobody has added"),
            (vec![("2", 11)], "job 1 was added and has no effect"),
        ] {
            let effects = effects.iter().map(|(id, token)| ((*id).to_owned(), *token)).collect();
            let said = check_with(&lines, &effects).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_job_refused_as_alive_before_it_was_added_is_found() {
        let mut checker = Checker::default();
        checker.expect("1");
        for line in [START, KEPT, DONE] {
            checker.take(line).unwrap();
        }
        let effects = HashMap::from([("1".to_owned(), 20)]);
        assert!(checker.finish(&effects).unwrap_err().contains("before it was ever added"));
    }
}
