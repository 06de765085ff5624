//! The role that learns.

use std::sync::Arc;

use eyefleet::jobs::{TrainDeps, TrainGeneration};
use eyefleet::vision::Pack;

use crate::process::Process;

/// Steps of niceness: beside processes at 0 that are busy, a training gets about a tenth of a core.
const NICE: i32 = 10;

/// Nobody waits for a training, while somebody may wait for a search or a description. The system's
/// schedulers of disks take their order from the same number.
pub fn let_others_go_first() {
    // A host that forbids even this has its own reasons; the training goes on.
    let _ = rustix::process::nice(NICE);
}

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
