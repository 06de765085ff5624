//! `eyefleet generations show`: how one was learned and what it holds.

use super::super::{Client, Exit};
use super::{given_or_current, nothing_learned, row};
use crate::names::{GenerationNumber, LibraryId};

pub(super) async fn show(
    client: &Client,
    library: &LibraryId,
    number: Option<GenerationNumber>,
    json: bool,
) -> anyhow::Result<Exit> {
    let Some(number) = given_or_current(client, library, number).await? else {
        return Ok(nothing_learned(library));
    };
    let all = client.catalog.generations(library, super::RECENT).await?;
    let Some(generation) = all.iter().find(|it| it.number == number) else {
        eprintln!(
            "eyefleet: library {library} has no generation {number}: `eyefleet generations` lists \
             those it has"
        );
        return Ok(Exit::NotFound);
    };
    if json {
        say!("{}", row(generation));
        return Ok(Exit::Done);
    }
    say!("generation {number} of library {library}");
    say!("  state      {}", generation.state.as_str());
    if let Some(reason) = &generation.reason {
        say!("  because    {reason}");
    }
    say!("  snapshot   {}", generation.snapshot);
    if let Some(parent) = generation.parent {
        say!("  after      generation {parent}");
    }
    say!("  begun      {:.0}", generation.created_at);
    if let Some(at) = generation.published_at {
        say!("  published  {at:.0}");
    }
    if generation.pinned {
        say!("  pinned     until `eyefleet generations unpin {number}`");
    }
    if let Some(report) = &generation.report {
        say!("{}", serde_json::to_string_pretty(report)?);
    }
    Ok(Exit::Done)
}
