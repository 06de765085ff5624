//! `[log]`: what a process says of itself.

use serde::Deserialize;

use crate::config::LogFormat;
use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Log {
    pub filter: String,
    pub format: String,
}

impl Log {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.known_format().is_none() {
            let given = format_args!("{:?}", self.format);
            problems.bad("log.format", given, "allowed are auto, pretty, json");
        }
    }

    /// The format in words that `check` has let through.
    pub fn format(&self) -> LogFormat {
        self.known_format().unwrap_or(LogFormat::Auto)
    }

    fn known_format(&self) -> Option<LogFormat> {
        match self.format.as_str() {
            "pretty" => Some(LogFormat::Pretty),
            "json" => Some(LogFormat::Json),
            "auto" => Some(LogFormat::Auto),
            _ => None,
        }
    }
}
