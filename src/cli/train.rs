//! `eyefleet train`: learn from the newest snapshot.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::args::TrainArgs;
use super::queued::{Queued, ask_for, look_up};
use super::{Client, Exit, Progress};
use crate::catalog::{CatalogError, Generation, GenerationState};
use crate::jobs::{Origin, TrainGeneration};
use crate::names::{GenerationNumber, LibraryId};
use crate::snapshot::SnapshotId;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Generations looked through for the one that was asked for.
const RECENT: u64 = 50;

/// How a training by hand differs from one by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Learn again what was learned already.
    pub force: bool,
    /// Make it current although it is a step back.
    pub publish_anyway: bool,
}

pub(super) async fn train(client: &Client, args: &TrainArgs, json: bool) -> anyhow::Result<Exit> {
    let how = How { force: args.force, publish_anyway: args.publish_anyway };
    if args.wait {
        let generation = train_and_wait(client, &args.library, how, json).await?;
        if json {
            say!("{}", super::generations::row(&generation));
        } else {
            say!(
                "generation {} is current, learned from {} images",
                generation.number,
                generation.images.unwrap_or_default()
            );
        }
        return Ok(Exit::Done);
    }
    let job = enqueue(client, &args.library, how).await?;
    if json {
        say!("{}", json!({ "enqueued": job.id() }));
    } else {
        say!("training of library {} is enqueued", args.library);
    }
    Ok(Exit::Done)
}

async fn enqueue(
    client: &Client,
    library: &LibraryId,
    how: How,
) -> anyhow::Result<TrainGeneration> {
    if client.catalog.library(library).await?.is_none() {
        return Err(CatalogError::UnknownLibrary(library.clone()).into());
    }
    let export = client.catalog.latest_export(library).await?.with_context(|| {
        format!("library {library} has no snapshot to learn from: run `eyefleet export` first")
    })?;
    let snapshot = SnapshotId::parse(&export.export)
        .with_context(|| format!("export {:?} has no snapshot id", export.export))?;
    let newer_than = if how.force {
        // Numbers of trainings that failed are used again.
        let recent = client.catalog.generations(library, RECENT).await?;
        let published =
            recent.iter().find(|generation| generation.state == GenerationState::Published);
        Some(published.map_or(GenerationNumber(0), |generation| generation.number))
    } else {
        None
    };
    let publish_anyway = how.publish_anyway;
    let job = TrainGeneration { library: library.clone(), snapshot, newer_than, publish_anyway };
    ask_for(&client.train, job.queued(&Origin::command())?).await?;
    Ok(job)
}

/// Asks for a training on the newest snapshot and waits until a generation of it is current.
///
/// # Errors
/// No snapshot, a training that failed, a store that is away.
pub async fn train_and_wait(
    client: &Client,
    library: &LibraryId,
    how: How,
    quiet: bool,
) -> anyhow::Result<Generation> {
    let job = enqueue(client, library, how).await?;
    let mut progress = Progress::new("train", "%", 100, quiet);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(training) = client.board.training(library).await? {
            progress.set((training.done * 100.0) as u64);
        }
        // Asked before the generations: a job that is gone has published, set the links and logged.
        let still_queued = matches!(look_up(&client.train, &job.id()).await?, Queued::Alive);
        let generations = client.catalog.generations(library, RECENT).await?;
        let mut of_snapshot = generations
            .into_iter()
            .filter(|generation| generation.snapshot == job.snapshot.as_str())
            // A forced training is a new one; an older generation of the snapshot does not answer.
            .filter(|generation| job.newer_than.is_none_or(|number| generation.number > number));
        let Some(newest) = of_snapshot.next() else {
            anyhow::ensure!(
                still_queued,
                "the training ended without a generation: see the log of the train role"
            );
            continue;
        };
        match newest.state {
            GenerationState::Published if !still_queued => {
                progress.set(100);
                progress.finish();
                return Ok(newest);
            }
            GenerationState::Published | GenerationState::Building | GenerationState::Failed
                if still_queued => {}
            GenerationState::Published | GenerationState::Building => {
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
