//! What jobs of this process wait for, said once and not by each of them.
//!
//! With ten thousand photos waiting, a database that is away is met by every one of them. What must
//! stay true: a cause is logged when it begins and at most once a minute after that, whatever
//! number of jobs meets it; the memory for it is bounded; and a cause that one library alone has
//! holds up no other library.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines about one cause.
const SAY_EVERY: Duration = Duration::from_mins(1);
/// Causes told apart; further ones share one entry.
const CAUSES_MAX: usize = 16;
/// First pause in claiming while a store that every job needs is away.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest such pause, where a job does not say otherwise.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The causes that jobs of one process wait for.
#[derive(Debug)]
pub struct Away {
    state: Mutex<State>,
    pause_max: Duration,
}

impl Default for Away {
    fn default() -> Self {
        Self::resting(PAUSE_MAX)
    }
}

#[derive(Debug, Default)]
struct State {
    causes: BTreeMap<(Option<String>, String), Waiting>,
    /// How long claiming rests, and until when.
    pause: Option<(Duration, Instant)>,
}

#[derive(Debug)]
struct Waiting {
    said_at: Instant,
    unsaid: u64,
    /// Whether the end of what was said last is still to be told.
    open: bool,
}

impl Away {
    /// The causes of a worker that rests for `pause_max` at most.
    pub fn resting(pause_max: Duration) -> Self {
        Self { state: Mutex::default(), pause_max }
    }

    /// A job waits for `cause`. `owner` is named where only that one's jobs meet it; otherwise
    /// the answer is how long nothing is to be claimed.
    pub(super) fn met(&self, owner: Option<&str>, cause: &str) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = state.met(owner, cause, now) {
            if owner.is_none() {
                tracing::warn!(%cause, jobs, "a store is away, jobs wait for it");
            } else {
                tracing::warn!(%cause, jobs, "a folder is away, its jobs wait for it");
            }
        }
        owner.is_none().then(|| state.rest(now, self.pause_max))
    }

    /// A job of `owner` came to its end: what all need is there, and what that one needs.
    pub(super) fn over(&self, owner: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for cause in state.over(owner, Instant::now()) {
            tracing::info!(%cause, "work goes on again");
        }
    }
}

impl State {
    /// How many jobs have met it since the last line, where it is time for a line.
    fn met(&mut self, owner: Option<&str>, cause: &str, now: Instant) -> Option<u64> {
        let mut key = (owner.map(str::to_owned), cause.to_owned());
        if self.causes.len() >= CAUSES_MAX && !self.causes.contains_key(&key) {
            key = (None, "several causes".to_owned());
        }
        let Some(waiting) = self.causes.get_mut(&key) else {
            self.causes.insert(key, Waiting { said_at: now, unsaid: 0, open: true });
            return Some(1);
        };
        waiting.unsaid += 1;
        if now.duration_since(waiting.said_at) < SAY_EVERY {
            return None;
        }
        waiting.said_at = now;
        waiting.open = true;
        Some(std::mem::take(&mut waiting.unsaid))
    }

    /// The causes whose end is to be told. One that begins again within the minute is silent.
    fn over(&mut self, owner: &str, now: Instant) -> Vec<String> {
        self.pause = None;
        let mut ended = Vec::new();
        self.causes.retain(|(whose, cause), waiting| {
            if whose.as_deref().is_some_and(|whose| whose != owner) {
                return true;
            }
            if std::mem::take(&mut waiting.open) {
                ended.push(cause.clone());
            }
            now.duration_since(waiting.said_at) < SAY_EVERY
        });
        ended
    }

    /// Jobs that meet it together ask for one pause; it doubles when it was over and they meet it
    /// again.
    fn rest(&mut self, now: Instant, pause_max: Duration) -> Duration {
        let pause = match self.pause {
            Some((_, until)) if now < until => return until.duration_since(now),
            Some((pause, _)) => (pause * 2).min(pause_max),
            None => PAUSE_FIRST,
        };
        self.pause = Some((pause, now + pause));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_when_it_begins_and_once_a_minute() {
        let (mut state, start) = (State::default(), Instant::now());
        let lines: Vec<u64> = (0..1200)
            .filter_map(|number| state.met(None, "x", start + Duration::from_millis(number * 100)))
            .collect();
        assert_eq!(lines, [1, 600]);
        let later = start + Duration::from_mins(2);
        assert_eq!(state.over("a", later), ["x"]);
        assert_eq!(state.over("a", later), [""; 0]);
    }

    #[test]
    fn a_store_that_comes_and_goes_is_one_pair_of_lines_a_minute() {
        let (mut state, start) = (State::default(), Instant::now());
        let mut lines = 0;
        for number in 0..590 {
            let now = start + Duration::from_millis(number * 100);
            lines += usize::from(state.met(None, "x", now).is_some());
            lines += state.over("a", now).len();
        }
        assert_eq!(lines, 2);
    }

    #[test]
    fn the_end_of_what_one_library_has_is_told_by_that_library_alone() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.met(Some("a"), "x", now), Some(1));
        assert_eq!(state.over("b", now), [""; 0]);
        assert_eq!(state.over("a", now), ["x"]);
    }

    #[test]
    fn causes_are_bounded() {
        let (mut state, now) = (State::default(), Instant::now());
        for number in 0..1000 {
            state.met(None, &format!("cause {number}"), now);
        }
        assert!(state.causes.len() <= CAUSES_MAX + 1, "{}", state.causes.len());
    }

    #[test]
    fn the_rest_grows_while_the_store_stays_away() {
        let (mut state, mut now) = (State::default(), Instant::now());
        for wanted in [1, 2, 4, 5, 5] {
            let pause = state.rest(now, PAUSE_MAX);
            assert_eq!(pause, Duration::from_secs(wanted));
            assert_eq!(
                state.rest(now + pause / 2, PAUSE_MAX),
                pause / 2,
                "one for those who meet it together"
            );
            now += pause;
        }
        state.over("a", now);
        assert_eq!(state.rest(now, PAUSE_MAX), PAUSE_FIRST);
    }

    #[test]
    fn what_one_library_has_holds_up_no_other() {
        let away = Away::default();
        assert_eq!(away.met(Some("a"), "its folder"), None);
        assert_eq!(away.met(None, "the database"), Some(PAUSE_FIRST));
    }
}
