//! What is wrong with this machine, its stores and its folders, and the command that mends it.
//!
//! What must stay true: nothing is changed (no schema, no folder; the one file that tries the
//! volume is removed again), every subject has a time limit, and one that hangs or fails does not
//! hide the others. The rules are pure functions over what was seen.

mod clock;
mod database;
mod drift;
mod memory;
mod models;
mod ollama;
mod processes;
mod queues;
mod redis;
mod volume;

pub use processes::roles_on;

use std::future::Future;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::Config;
use crate::supervise::Traces;

/// Time that one subject may take: a server or a network's file system that hangs is a finding.
const SUBJECT_MAX: Duration = Duration::from_secs(5);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Works, and is worth a look.
    Warning,
    /// Does not work, or will lose something.
    Problem,
    /// Could not be looked at.
    Skipped,
}

/// What a check is about, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Where the settings come from.
    Settings,
    /// Processes of this data folder.
    Fleet,
    /// The queue's server.
    Redis,
    /// What waits in it.
    Queues,
    /// The catalogue's database.
    Database,
    /// Whether the stores fit together.
    Drift,
    /// The data folder.
    Volume,
    /// ONNX Runtime and the pack.
    Models,
    /// What the machines think the time is.
    Clock,
}

impl Subject {
    /// Its word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Fleet => "fleet",
            Self::Redis => "redis",
            Self::Queues => "queues",
            Self::Database => "database",
            Self::Drift => "drift",
            Self::Volume => "volume",
            Self::Models => "models",
            Self::Clock => "clock",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it belongs to.
    pub subject: Subject,
    /// Its name, unique within the subject.
    pub name: &'static str,
    /// How it ended.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// The command or the sentence that mends it.
    pub mend: Option<String>,
}

impl Check {
    fn new(subject: Subject, name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { subject, name, state, found: found.into(), mend: None }
    }

    fn ok(subject: Subject, name: &'static str, found: impl Into<String>) -> Self {
        Self::new(subject, name, State::Ok, found)
    }

    fn skipped(subject: Subject, name: &'static str, found: impl Into<String>) -> Self {
        Self::new(subject, name, State::Skipped, found)
    }

    fn warning(
        subject: Subject,
        name: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { mend: Some(mend.into()), ..Self::new(subject, name, State::Warning, found) }
    }

    fn problem(
        subject: Subject,
        name: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { mend: Some(mend.into()), ..Self::new(subject, name, State::Problem, found) }
    }
}

/// Looks at everything, all subjects at once; the checks come in the order of the report.
pub async fn examine(config: &Config, clock: &Clock) -> Vec<Check> {
    let data = config.data.clone();
    let read = tokio::task::spawn_blocking(move || Traces::read(&data));
    // A data folder that hangs is told by the volume's own check.
    let traces = match tokio::time::timeout(SUBJECT_MAX, read).await {
        Ok(Ok(traces)) => traces,
        Ok(Err(_)) | Err(_) => Traces::default(),
    };
    let hint = "look at the disk or network file system that holds it: `df -h` hangs as well";
    let (redis, queues, database, drift, volume, models, ollama, processes) = tokio::join!(
        within(
            Subject::Redis,
            "start the server again, or name another with REDIS_URL",
            redis::examine(config, &traces, clock)
        ),
        within(Subject::Queues, hint, queues::examine(config, &traces)),
        within(
            Subject::Database,
            "start the server again, or name another with DATABASE_URL",
            database::examine(config, clock)
        ),
        within(Subject::Drift, hint, drift::examine(config, &traces, clock)),
        within(
            Subject::Volume,
            hint,
            aside(Subject::Volume, {
                let (data, clock) = (config.data.clone(), clock.clone());
                move || volume::examine(&data, &clock)
            })
        ),
        within(
            Subject::Models,
            hint,
            aside(Subject::Models, {
                let config = config.clone();
                move || models::examine(&config)
            })
        ),
        within(Subject::Models, hint, ollama::examine(config)),
        within(
            Subject::Fleet,
            hint,
            aside(Subject::Fleet, {
                let (data, traces) = (config.data.clone(), traces.clone());
                move || processes::examine(&data, &traces)
            })
        ),
    );
    let file = match &config.file {
        Some(file) => format!("{}, checked", file.display()),
        None => "no file: built-in settings and the environment, checked".to_owned(),
    };
    let mut checks = vec![Check::ok(Subject::Settings, "file", file)];
    let seen = [redis, queues, database, drift, volume, models, ollama, processes];
    checks.extend(seen.into_iter().flatten());
    // Stable: within a subject the order is that of its file.
    checks.sort_by_key(|check| check.subject);
    checks
}

async fn within(
    subject: Subject,
    mend: &str,
    checks: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    let ended = tokio::time::timeout(SUBJECT_MAX, checks).await;
    ended.unwrap_or_else(|_| vec![hangs(subject, mend)])
}

fn hangs(subject: Subject, mend: &str) -> Check {
    let found = format!("no answer within {} s", SUBJECT_MAX.as_secs());
    Check::problem(subject, "answer", found, mend)
}

/// Runs what may block on a thread of its own; one that never returns ends with the process.
async fn aside(subject: Subject, look: impl FnOnce() -> Vec<Check> + Send + 'static) -> Vec<Check> {
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| {
        let mend = "this is a fault of eyefleet: please report it with the output above";
        vec![Check::problem(subject, "look", format!("the check itself failed: {error}"), mend)]
    })
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            (200 << 40, "200 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
