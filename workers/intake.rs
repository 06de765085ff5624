//! The role that keeps Redis and the catalogue of one mind. Any number may run; the one that holds
//! the leader lease works, the others wait for its end.

use std::time::{Duration, Instant};

use anyhow::Context;
use eyefleet::board::Version;
use eyefleet::catalog::{Catalog, Stage, StageState};
use eyefleet::cli::Client;
use eyefleet::jobs::JobError;
use eyefleet::reconcile::reconcile;
use eyefleet::relay;
use eyefleet::telemetry::metrics;
use fleetq::{LeaderLease, Queue, Term};

use crate::process::Process;

/// Length of a term; renewed at every round.
const TERM: Duration = Duration::from_secs(10);
/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Time between two counts of catalogue and queues for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);

pub async fn run(process: Process) -> anyhow::Result<()> {
    let running = process.answer_health()?;
    let client = &running.client;
    let lease = LeaderLease::new(
        &client.connection,
        &client.config.namespace,
        "intake",
        &running.name,
        TERM,
    )?;
    let mut term = None;
    let mut counted: Option<Instant> = None;
    while !running.stop.is_cancelled() {
        term = lead(&lease, term).await;
        ::metrics::gauge!(metrics::LEADER).set(f64::from(u8::from(term.is_some())));
        if term.is_some() {
            if let Err(error) = round(client).await {
                tracing::warn!(%error, "this round was not finished; the next one repeats it");
            }
            if counted.is_none_or(|at| at.elapsed() > COUNT_EVERY) {
                counted = Some(Instant::now());
                if let Err(error) = count(client).await {
                    tracing::debug!(%error, "counts are unknown for now");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = running.stop.cancelled() => {}
        }
    }
    if let Some(term) = term
        && let Err(error) = lease.release(term).await
    {
        tracing::debug!(%error, "the lease runs out by itself");
    }
    running.end().await
}

/// The term that this process leads in, if it does.
async fn lead(lease: &LeaderLease, term: Option<Term>) -> Option<Term> {
    if let Some(term) = term
        && matches!(lease.renew(term).await, Ok(true))
    {
        return Some(term);
    }
    match lease.acquire().await {
        Ok(Some(new)) => {
            if term.is_none() {
                tracing::info!(token = new.token, "leading");
            }
            Some(new)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(%error, "nobody can lead while Redis is away");
            None
        }
    }
}

/// One round of the leader: safe to repeat, and for two leaders to do at once.
async fn round(client: &Client) -> Result<(), JobError> {
    announce(client).await?;
    reconcile(&client.catalog, &client.board, &client.analyze, client.clock.now()).await?;
    while relay::relay(&client.catalog, &client.board).await? > 0 {}
    relay::prune(&client.catalog, client.clock.now()).await
}

/// The version keys are copies of the catalogue's: made true here.
async fn announce(client: &Client) -> Result<(), JobError> {
    for library in client.catalog.libraries().await? {
        if let Some(current) = client.catalog.current_generation(&library.id).await? {
            let version = Version { change: current.change, number: current.number };
            client.board.announce(&library.id, version).await?;
        }
    }
    Ok(())
}

/// Depths and counts that no single worker knows.
async fn count(client: &Client) -> anyhow::Result<()> {
    for (name, queue) in client.queues() {
        count_queue(name, &queue).await?;
    }
    count_catalog(&client.catalog).await.context("counting images")
}

async fn count_queue(name: &'static str, queue: &Queue) -> anyhow::Result<()> {
    let depth = queue.depth().await?;
    let states = [
        ("ready", depth.ready()),
        ("scheduled", depth.scheduled),
        ("claimed", depth.claimed),
        ("dead", depth.dead),
    ];
    for (state, jobs) in states {
        ::metrics::gauge!(metrics::QUEUE_JOBS, "queue" => name, "state" => state).set(jobs as f64);
    }
    let oldest = depth.oldest_wait().unwrap_or_default().as_secs_f64();
    ::metrics::gauge!(metrics::QUEUE_OLDEST_WAIT_SECONDS, "queue" => name).set(oldest);
    Ok(())
}

async fn count_catalog(catalog: &Catalog) -> anyhow::Result<()> {
    let mut libraries = Vec::new();
    for library in catalog.libraries().await? {
        libraries.push(catalog.counts(&library.id).await?);
    }
    let images: u64 = libraries.iter().map(|counts| counts.images).sum();
    ::metrics::gauge!(metrics::CATALOG_IMAGES).set(images as f64);
    // Every pair, zeros included: a gauge that is not set keeps its last value.
    for stage in Stage::ALL {
        for state in StageState::ALL {
            let images: u64 = libraries.iter().map(|counts| counts.of(*stage, *state)).sum();
            let labels = [("stage", stage.as_str()), ("state", state.as_str())];
            ::metrics::gauge!(metrics::CATALOG_STAGES, &labels).set(images as f64);
        }
    }
    Ok(())
}
