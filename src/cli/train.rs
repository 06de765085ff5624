//! `eyefleet train`: learn from the newest snapshot.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::args::TrainArgs;
use super::{Client, Exit, Progress};
use crate::catalog::{Generation, GenerationState};
use crate::jobs::TrainGeneration;
use crate::names::LibraryId;
use crate::snapshot::SnapshotId;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Generations looked through for the one that was asked for.
const RECENT: u64 = 50;

pub(super) async fn train(client: &Client, args: &TrainArgs, json: bool) -> anyhow::Result<Exit> {
    if args.wait {
        let generation = train_and_wait(client, &args.library, args.force, json).await?;
        if json {
            println!("{}", super::generations::row(&generation));
        } else {
            println!(
                "generation {} is current, learned from {} images",
                generation.number,
                generation.images.unwrap_or_default()
            );
        }
        return Ok(Exit::Done);
    }
    let job = enqueue(client, &args.library, args.force).await?;
    if json {
        println!("{}", json!({ "enqueued": job.id() }));
    } else {
        println!("training of library {} is enqueued", args.library);
    }
    Ok(Exit::Done)
}

async fn enqueue(
    client: &Client,
    library: &LibraryId,
    force: bool,
) -> anyhow::Result<TrainGeneration> {
    let export = client.catalog.latest_export(library).await?.with_context(|| {
        format!("library {library} has no snapshot to learn from: run `eyefleet export` first")
    })?;
    let snapshot = SnapshotId::parse(&export.export)
        .with_context(|| format!("export {:?} has no snapshot id", export.export))?;
    let job = TrainGeneration { library: library.clone(), snapshot, force };
    client.train.enqueue(job.queued()?).await?;
    Ok(job)
}

/// Asks for a training on the newest snapshot and waits until a generation of it is current.
///
/// # Errors
/// No snapshot, a training that failed, a store that is away.
pub async fn train_and_wait(
    client: &Client,
    library: &LibraryId,
    force: bool,
    quiet: bool,
) -> anyhow::Result<Generation> {
    let newest_before = client.catalog.generations(library, 1).await?;
    let newest_before = newest_before.first().map(|generation| generation.number);
    let job = enqueue(client, library, force).await?;
    let mut progress = Progress::new("train", "%", 100, quiet);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(training) = client.board.training(library).await? {
            progress.set((training.done * 100.0) as u64);
        }
        let still_queued = client.train.state(&job.id()).await?.is_some();
        let generations = client.catalog.generations(library, RECENT).await?;
        let mut of_snapshot = generations
            .into_iter()
            .filter(|generation| generation.snapshot == job.snapshot.as_str())
            // A forced training is a new one; an older generation of the snapshot does not answer.
            .filter(|generation| !force || Some(generation.number) > newest_before);
        let Some(newest) = of_snapshot.next() else {
            anyhow::ensure!(
                still_queued,
                "the training ended without a generation: see the log of the train role"
            );
            continue;
        };
        match newest.state {
            GenerationState::Published => {
                progress.set(100);
                progress.finish();
                return Ok(newest);
            }
            GenerationState::Building | GenerationState::Failed if still_queued => {}
            GenerationState::Building => {
                anyhow::bail!("the training of generation {} was lost: ask again", newest.number)
            }
            GenerationState::Failed => {
                anyhow::bail!(
                    "the training of generation {} failed: {}",
                    newest.number,
                    newest.reason.unwrap_or_default()
                )
            }
        }
    }
}
