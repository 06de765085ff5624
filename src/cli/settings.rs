//! `eyefleet config show`: every setting with its value and where that comes from.

use std::path::Path;

use super::Exit;
use super::args::ConfigCommand;

/// # Errors
/// Settings that cannot be read; output that cannot be written.
pub fn config(_file: Option<&Path>, _command: &ConfigCommand, _json: bool) -> anyhow::Result<Exit> {
    anyhow::bail!("not here yet")
}
