//! The role that answers HTTP.

use std::sync::Arc;

use eyefleet::board::WorkerFacts;
use eyefleet::cli::open_follower_and_encoder;
use eyefleet::search::Searcher;
use eyefleet::serve::{Api, health_routes};

use crate::process::Process;

pub async fn run(process: Process) -> anyhow::Result<()> {
    let (learned, encoder) = open_follower_and_encoder(&process.client).await?;
    let client = process.client.clone();
    let searcher = Searcher::new(client.catalog.clone(), Arc::clone(&encoder), learned.clone());
    // What a search keeps of a library is let go of soon after its purge.
    let keeper = searcher.clone();
    tokio::spawn(keeper.forget_purged(client.config.reload_every, process.stop.clone()));
    let api = Api {
        catalog: client.catalog.clone(),
        board: client.board.clone(),
        searcher,
        queues: client.queues(),
        quiet_hours: client.config.quiet_hours.clone(),
    };
    let routes = health_routes(process.health.clone()).merge(api.routes());
    let running = process.answer(routes)?;
    let facts = WorkerFacts {
        worker: running.name.clone(),
        role: "serve".to_owned(),
        serves: std::collections::BTreeMap::new(),
        models: Some(encoder.pack().to_string()),
    };
    learned.follow(client.config.reload_every, facts, running.stop.clone()).await;
    running.end().await
}
