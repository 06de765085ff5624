//! The role that writes snapshots.

use std::sync::Arc;

use eyefleet::jobs::{ExportDeps, ExportSnapshot};
use eyefleet::vision::Pack;

use crate::process::Process;

pub async fn run(process: Process) -> anyhow::Result<()> {
    let (name, folders) = (process.client.config.pack.clone(), process.client.config.packs.clone());
    let pack = tokio::task::spawn_blocking(move || Pack::find(&name, &folders)).await??;
    let running = process.answer_health()?;
    let client = &running.client;
    let deps = ExportDeps {
        catalog: client.catalog.clone(),
        clock: client.clock.clone(),
        data: client.config.data.clone(),
        space: pack.space().clone(),
        dim: pack.manifest().postprocess.embedding.dim,
        train: client.config.auto_train.then(|| client.train.clone()),
        train_limit: client.config.export_limit,
        skipped_max_share: client.config.export_skipped_max_share,
    };
    running.work::<ExportSnapshot>("export", client.export.clone(), 1, Arc::new(deps)).await?;
    running.end().await
}
