//! `eyefleet doctor`: what is wrong, and the command that mends it.

use super::Exit;
use super::args::DoctorArgs;
use crate::config::Config;

/// # Errors
/// Output that cannot be written.
pub async fn doctor(_config: Config, _args: &DoctorArgs, _json: bool) -> anyhow::Result<Exit> {
    anyhow::bail!("not here yet")
}
