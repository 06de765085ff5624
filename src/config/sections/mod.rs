//! The settings as they are written: a file for each section with its struct and its rules.
//!
//! A struct refuses keys that it does not know and has no defaults of its own: every value comes
//! from `config/default.toml`, where it is explained. Numbers are `u64` and `f64` throughout, so
//! that a value of the right kind can always be read and `check` alone says what is allowed.

mod analyze;
mod database;
mod export;
mod fleet;
mod log;
mod ollama;
mod paths;
mod queue;
mod reconcile;
mod redis;
mod run;
mod serve;
mod train;
mod vision;
mod watch;

use serde::Deserialize;

use super::problems::Problems;
use crate::schedule::Timetable;

/// All sections of `config/default.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub paths: paths::Paths,
    pub redis: redis::Redis,
    pub database: database::Database,
    pub queue: queue::Queue,
    pub analyze: analyze::Analyze,
    pub vision: vision::Vision,
    pub ollama: ollama::Ollama,
    pub watch: watch::Watch,
    pub reconcile: reconcile::Reconcile,
    pub export: export::Export,
    pub train: train::Train,
    pub fleet: fleet::Fleet,
    pub serve: serve::Serve,
    pub run: run::Run,
    pub log: log::Log,
}

impl Raw {
    /// The rules of every section that has some. The others are read as they are, or refused where
    /// they are used: an address by whoever binds it, the log's filter by the log.
    pub fn check(&self, problems: &mut Problems) {
        self.redis.check(problems);
        self.queue.check(problems);
        self.analyze.check(problems);
        self.vision.check(problems);
        self.ollama.check(problems);
        self.watch.check(problems);
        self.reconcile.check(problems);
        self.export.check(problems);
        self.train.check(problems);
        self.fleet.check(problems);
        self.run.check(problems);
        self.log.check(problems);
    }
}

/// A name that is safe as part of a key and of a path: letters, digits, dashes, dots, underscores.
fn named_well(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// A timetable where one is given.
fn timetable(key: &str, text: &str, problems: &mut Problems) {
    if !text.is_empty()
        && let Err(why) = Timetable::parse(text)
    {
        let allowed = "give a cron expression of five fields, such as \"0 3 * * 0\" for Sundays at \
                       three, or \"\" for none";
        problems.bad(key, format_args!("{text:?}"), format_args!("{allowed} ({why})"));
    }
}
