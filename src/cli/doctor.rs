//! `eyefleet doctor`: what is wrong, and the command that mends it.

use std::fmt::Write;
use std::io::IsTerminal;

use serde::Serialize;

use super::Exit;
use super::args::DoctorArgs;
use super::repair;
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{self, Check, State};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    problems: usize,
    warnings: usize,
    /// What was repaired before, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<Vec<repair::Outcome>>,
    checks: Vec<Check>,
}

/// Looks at everything and prints what was found, after what it repaired where that is asked for;
/// fails where there is a problem.
///
/// # Errors
/// Output that cannot be written; stores that are away where they are to be repaired.
pub async fn doctor(config: Config, args: &DoctorArgs, json: bool) -> anyhow::Result<Exit> {
    let mut repaired = None;
    if args.repair {
        repaired = Some(Box::pin(repair::repair(config.clone())).await?);
    }
    // All subjects at once are a large future; boxed, it stays off the caller's stack.
    let checks = Box::pin(doctor::examine(&config, &Clock::system())).await;
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (problems, warnings) = (count(State::Problem), count(State::Warning));
    let report = Report { problems, warnings, repaired, checks };
    if json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        say!("{}", text(&report, colours).trim_end());
    }
    Ok(if problems == 0 { Exit::Done } else { Exit::Failed })
}

fn text(report: &Report, colours: bool) -> String {
    let mut out = report.repaired.as_deref().map(repair::text).unwrap_or_default();
    let mut subject = None;
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    // Writing to a string cannot fail.
    for check in &report.checks {
        if subject.replace(check.subject) != Some(check.subject) {
            let _ = writeln!(out, "{}", check.subject.as_str());
        }
        let (mark, colour) = match check.state {
            State::Ok => ("ok", "32"),
            State::Warning => ("warn", "33"),
            State::Problem => ("PROBLEM", "31"),
            State::Skipped => ("skipped", "2"),
        };
        let mark = format!("{mark:<7}");
        let mark = if colours { format!("\x1b[{colour}m{mark}\x1b[0m") } else { mark };
        let _ = writeln!(out, "  {mark}  {:<width$}  {}", check.name, check.found);
        if let Some(mend) = &check.mend {
            let _ = writeln!(out, "  {:<7}  {:<width$}  mend: {mend}", "", "");
        }
    }
    let plural = |count: usize, word: &str| match count {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        many => format!("{many} {word}s"),
    };
    let _ = writeln!(
        out,
        "{}, {}",
        plural(report.problems, "problem"),
        plural(report.warnings, "warning")
    );
    out
}
