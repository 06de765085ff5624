//! The role that learns.

use std::sync::Arc;

use eyefleet::jobs::{TrainDeps, TrainGeneration};
use eyefleet::vision::Pack;

use crate::process::Process;

pub async fn run(process: Process) -> anyhow::Result<()> {
    let (name, folders) = (process.client.config.pack.clone(), process.client.config.packs.clone());
    let pack = tokio::task::spawn_blocking(move || Pack::find(&name, &folders)).await??;
    let running = process.answer_health()?;
    let client = &running.client;
    let deps = TrainDeps {
        catalog: client.catalog.clone(),
        board: client.board.clone(),
        clock: client.clock.clone(),
        data: client.config.data.clone(),
        exact_search_max: client.config.exact_search_max,
        space: pack.space().clone(),
        shrink_max: client.config.train_shrink_max,
        generations_kept: client.config.generations_kept,
    };
    running.work::<TrainGeneration>("train", client.train.clone(), 1, Arc::new(deps)).await?;
    running.end().await
}
