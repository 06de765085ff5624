//! Whether Redis has room to grow. It may not evict, so a full one refuses every job.

use super::{Check, Subject, size};

/// Share of `maxmemory` that is worth a look.
const LIMIT_WARNING: f64 = 0.80;
/// Share of `maxmemory` after which jobs are about to be refused.
const LIMIT_PROBLEM: f64 = 0.95;
/// Share of the machine: rewriting the append-only file may need as much once more.
const MACHINE_WARNING: f64 = 0.50;

/// Bytes used, allowed (0: no limit), and of the machine; `None` where the server does not say.
pub(super) fn judge(
    used: Option<u64>,
    limit: Option<u64>,
    machine: Option<u64>,
    command_line: &str,
) -> Check {
    let name = "memory";
    let Some(used) = used else {
        return Check::skipped(Subject::Redis, name, "it does not say what it uses");
    };
    let share = |whole: u64| used as f64 / whole as f64;
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        let found = format!(
            "{} used, {:.0} % of maxmemory {}",
            size(used),
            share(limit) * 100.0,
            size(limit)
        );
        let mend =
            format!("{command_line} config set maxmemory {}", limit.max(used).saturating_mul(2));
        return if share(limit) >= LIMIT_PROBLEM {
            Check::problem(
                Subject::Redis,
                name,
                if used >= limit {
                    format!("{found}: it is full, new jobs are refused")
                } else {
                    format!("{found}: new jobs are refused when it is full")
                },
                mend,
            )
        } else if share(limit) >= LIMIT_WARNING {
            Check::warning(Subject::Redis, name, found, mend)
        } else {
            Check::ok(Subject::Redis, name, found)
        };
    }
    match machine.filter(|machine| *machine > 0) {
        Some(machine) if share(machine) >= MACHINE_WARNING => {
            let found = format!(
                "{} used, {:.0} % of the machine's {}",
                size(used),
                share(machine) * 100.0,
                size(machine)
            );
            let mend = "give that machine more memory, or Redis a machine of its own";
            Check::warning(Subject::Redis, name, found, mend)
        }
        Some(machine) => {
            let found = format!("{} used, no limit, machine has {}", size(used), size(machine));
            Check::ok(Subject::Redis, name, found)
        }
        None => Check::ok(Subject::Redis, name, format!("{} used, no limit", size(used))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn the_limit_counts_first_and_then_the_machine() {
        for (used, limit, machine, state) in [
            (Some(10), Some(100), Some(1000), State::Ok),
            (Some(80), Some(100), Some(1000), State::Warning),
            (Some(95), Some(100), Some(1000), State::Problem),
            (Some(499), Some(0), Some(1000), State::Ok),
            (Some(500), Some(0), Some(1000), State::Warning),
            (Some(500), None, None, State::Ok),
            (None, None, None, State::Skipped),
        ] {
            let check = judge(used, limit, machine, "redis-cli");
            assert_eq!(check.state, state, "{check:?}");
        }
        let over = judge(Some(300), Some(100), None, "redis-cli");
        assert_eq!(over.mend.as_deref(), Some("redis-cli config set maxmemory 600"));
        let full = judge(Some(95), Some(100), None, "redis-cli");
        assert_eq!(full.mend.as_deref(), Some("redis-cli config set maxmemory 200"));
    }
}
