//! `eyefleet remove`: images leave the library and stay away.

use serde_json::json;

use super::args::RemoveArgs;
use super::{Client, Exit};
use crate::catalog::{CatalogError, OwnerRemoval};

pub(super) async fn remove(client: &Client, args: &RemoveArgs, json: bool) -> anyhow::Result<Exit> {
    let (catalog, library) = (&client.catalog, &args.library);
    if catalog.library(library).await?.is_none() {
        return Err(CatalogError::UnknownLibrary(library.clone()).into());
    }
    let (mut removed, mut unknown) = (0_u64, Vec::new());
    for image in &args.images {
        match catalog.remove_for_owner(library, image, client.clock.now()).await? {
            OwnerRemoval::Unknown => {
                eprintln!("library {library} has no image {image}");
                unknown.push(image);
            }
            OwnerRemoval::Removed => {
                removed += 1;
                if !json {
                    say!("{image}: removed; `eyefleet add` of its file brings it back");
                }
            }
            OwnerRemoval::WasRemoved | OwnerRemoval::Repeated => {
                if !json {
                    say!("{image}: was removed before, and stays so");
                }
            }
        }
    }
    if json {
        say!("{}", json!({ "removed": removed, "unknown": unknown }));
    }
    Ok(if unknown.is_empty() { Exit::Done } else { Exit::NotFound })
}
