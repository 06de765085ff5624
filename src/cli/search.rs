//! `eyefleet search`: photos by what is in them. Works on the stores alone, no role need run.

use std::sync::Arc;

use super::args::SearchArgs;
use super::{Client, Exit};
use crate::follow::Follower;
use crate::search::Searcher;
use crate::vision::{Pack, Runtime, TextEncoder};

pub(super) async fn search(client: &Client, args: &SearchArgs, json: bool) -> anyhow::Result<Exit> {
    let searcher = open_searcher(client).await?;
    let found = searcher.search(&args.library, &args.text.join(" "), args.limit as usize).await?;
    let exit = if found.hits.is_empty() { Exit::NotFound } else { Exit::Done };
    if json {
        say!("{}", serde_json::to_string(&found)?);
        return Ok(exit);
    }
    for (place, hit) in found.hits.iter().enumerate() {
        let description = hit.description.as_deref().unwrap_or("no description");
        say!("{:>3}. {:.2}  {}  {description}", place + 1, hit.score, hit.path);
    }
    if found.hits.is_empty() {
        say!("nothing found");
    }
    Ok(exit)
}

/// A searcher on the stores of `client`, with the text encoder of the pack in its settings.
///
/// # Errors
/// A pack or a runtime library that is missing or broken.
pub async fn open_searcher(client: &Client) -> anyhow::Result<Searcher> {
    let (learned, encoder) = open_follower_and_encoder(client).await?;
    Ok(Searcher::new(client.catalog.clone(), encoder, learned))
}

/// What a searcher is made of: also what `serve` keeps up to date.
///
/// # Errors
/// As `open_searcher`.
pub async fn open_follower_and_encoder(
    client: &Client,
) -> anyhow::Result<(Follower, Arc<TextEncoder>)> {
    let config = client.config.clone();
    let encoder = tokio::task::spawn_blocking(move || -> anyhow::Result<TextEncoder> {
        let runtime = Runtime::open(config.onnxruntime.as_deref())?;
        let pack = Pack::find(&config.pack, &config.packs)?;
        Ok(TextEncoder::load(&runtime, &pack)?)
    });
    let encoder = Arc::new(encoder.await??);
    let learned = Follower::new(
        client.config.data.clone(),
        encoder.space().clone(),
        client.catalog.clone(),
        client.board.clone(),
    );
    Ok((learned, encoder))
}
