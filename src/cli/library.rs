//! `eyefleet library`: add, list and purge libraries.

use std::path::Path;

use super::args::LibraryCommand;
use super::{Client, Exit};
use crate::catalog::{Catalog, Library};
use crate::names::LibraryId;

pub(super) async fn library(
    _client: &Client,
    _command: &LibraryCommand,
    _json: bool,
) -> anyhow::Result<Exit> {
    anyhow::bail!("not here yet")
}

/// x
///
/// # Errors
/// x
pub async fn attach(
    catalog: &Catalog,
    _data: &Path,
    id: &LibraryId,
    photos: &Path,
) -> anyhow::Result<Library> {
    let library = catalog.ensure_library(id, &std::fs::canonicalize(photos)?).await?;
    catalog.set_watched(id, true).await?;
    Ok(library)
}
