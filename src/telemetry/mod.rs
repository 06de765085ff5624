//! What a process says of itself: log lines and metrics.

pub mod metrics;
pub mod queues;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Starts logging to standard error for a role named `role`.
///
/// # Errors
/// A filter that does not parse, naming it.
pub fn start_logging(config: &Config, role: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(format!("sea_orm_migration=warn,{}", config.log_filter))
        .map_err(|error| {
            anyhow::anyhow!("log.filter {:?} is not a filter: {error}", config.log_filter)
        })?;
    let pretty = match config.log_format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    if pretty {
        lines.with_ansi(std::io::stderr().is_terminal()).init();
    } else {
        lines.json().flatten_event(true).init();
    }
    tracing::debug!(role, pid = std::process::id(), version = crate::VERSION, "logging started");
    Ok(())
}
