//! `eyefleet library`: add, list and purge libraries.

use super::args::LibraryCommand;
use super::{Client, Exit};

pub(super) async fn library(
    _client: &Client,
    _command: &LibraryCommand,
    _json: bool,
) -> anyhow::Result<Exit> {
    anyhow::bail!("not here yet")
}
