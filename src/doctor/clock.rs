//! Whether this machine and the stores agree on the time.
//!
//! Leases and tokens live by Redis's time and rows are dated by this machine's, so a difference
//! shows in the order of events and in the age of what is listed.

use super::{Check, Subject};
use crate::clock::Clock;

/// Difference from which on the order of events looks wrong, in seconds.
const WARNING_SECONDS: f64 = 1.0;
/// Difference that no network explains, in seconds.
const PROBLEM_SECONDS: f64 = 10.0;
const MEND: &str = "on the machine whose time is wrong: `sudo timedatectl set-ntp true`";

/// This machine's time in seconds since 1970.
pub(super) fn seconds(clock: &Clock) -> f64 {
    clock.now().as_microsecond() as f64 / 1e6
}

/// Judges a clock that said `theirs`, asked at `asked` and answered at `answered`. It was read at
/// some moment between the two: only what lies outside them is a difference.
pub(super) fn judge(name: &'static str, theirs: f64, asked: f64, answered: f64) -> Check {
    let ahead = if theirs > answered {
        theirs - answered
    } else if theirs < asked {
        theirs - asked
    } else {
        0.0
    };
    let side = if ahead > 0.0 { "ahead of" } else { "behind" };
    let found = format!("{:.1} s {side} this machine", ahead.abs());
    if ahead.abs() > PROBLEM_SECONDS {
        return Check::problem(Subject::Clock, name, found, MEND);
    }
    if ahead.abs() > WARNING_SECONDS {
        return Check::warning(Subject::Clock, name, found, MEND);
    }
    Check::ok(Subject::Clock, name, "agrees with this machine within 1 s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn only_a_difference_outside_the_question_counts() {
        for (theirs, answered, state, found) in [
            (100.0, 100.2, State::Ok, "within 1 s"),
            (99.5, 100.2, State::Ok, "within 1 s"),
            // A slow answer is no difference.
            (104.0, 108.0, State::Ok, "within 1 s"),
            (102.0, 100.2, State::Warning, "1.8 s ahead of"),
            (97.0, 100.2, State::Warning, "3.0 s behind"),
            (110.1, 100.2, State::Warning, "9.9 s ahead of"),
            (130.2, 100.2, State::Problem, "30.0 s ahead of"),
            (80.0, 100.2, State::Problem, "20.0 s behind"),
        ] {
            let check = judge("redis", theirs, 100.0, answered);
            assert_eq!(check.state, state, "{theirs}: {check:?}");
            assert!(check.found.contains(found), "{check:?}");
            assert_eq!(check.mend.is_some(), state != State::Ok);
        }
    }
}
