//! The role that keeps Redis and the catalogue of one mind. Any number may run; the one that holds
//! the leader lease works, the others wait for its end.

use std::time::{Duration, Instant};

use anyhow::Context;
use eyefleet::board::Version;
use eyefleet::catalog::{Catalog, DetailCounts, Stage, StageState};
use eyefleet::cli::Client;
use eyefleet::generation::{GenerationError, GenerationStore};
use eyefleet::jobs::JobError;
use eyefleet::quiet::{self, Hold};
use eyefleet::reconcile::Reconciler;
use eyefleet::reconcile::details::Details;
use eyefleet::reconcile::drift::{self, DriftDeps};
use eyefleet::schedule::{self, Rules, ScheduleDeps, Told};
use eyefleet::telemetry::{metrics, queues};
use eyefleet::watch::{Pace, WatchDeps, Watching};
use eyefleet::{relay, volume};
use fleetq::{LeaderLease, Term};
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::detail;
use crate::process::{Process, Running};

/// Length of a term.
const TERM: Duration = Duration::from_secs(10);
/// Time between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Batches of events relayed in one round.
const RELAY_BATCHES: usize = 20;
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
    let (say, leading) = watch::channel(false);
    let leader = tokio::spawn(lead(lease, say, running.stop.clone()));
    let drift = drift::follow(
        drift_deps(client),
        client.config.reconcile_every,
        leading.clone(),
        running.stop.clone(),
    );
    let drift = tokio::spawn(drift);
    let (leads, described) = (leading.clone(), detail::work(&running));
    let described = async {
        let ended = described.await;
        // A worker that broke ends its process, which is started again.
        ended.inspect_err(|_| running.stop.cancel())
    };
    let ((), described) = tokio::join!(rounds(&running, leads), described);
    described?;
    leader.await?;
    drift.await?;
    running.end().await
}

/// The leader's rounds, while this process leads, until it is to stop.
async fn rounds(running: &Running, leading: watch::Receiver<bool>) {
    let client = &running.client;
    let mut reconciler = Reconciler::default();
    let mut details = Details::default();
    let mut watching = Watching::default();
    let (watch_deps, schedule_deps) = (watch_deps(client), schedule_deps(client));
    let (mut told, mut counted) = (Told::default(), None::<Instant>);
    let mut held = None;
    while !running.stop.is_cancelled() {
        if *leading.borrow() {
            round(client, &mut reconciler, &mut details).await;
            hold(client, &mut held).await;
            if let Err(error) = watching.step(&watch_deps).await {
                tracing::warn!(%error, "which folders are watched is unknown for now");
            }
            if counted.is_none_or(|at| at.elapsed() > COUNT_EVERY) {
                counted = Some(Instant::now());
                let now = client.clock.now();
                if held.is_none()
                    && let Err(error) = schedule::step(&schedule_deps, &mut told, now).await
                {
                    tracing::warn!(%error, "what is due is looked up again in the next round");
                }
                if let Err(error) = count(client).await {
                    tracing::debug!(%error, "counts are unknown for now");
                }
            }
        } else {
            watching.stop();
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = running.stop.cancelled() => {}
        }
    }
    watching.stop();
}

fn drift_deps(client: &Client) -> DriftDeps {
    DriftDeps {
        catalog: client.catalog.clone(),
        queues: client.queues().into_iter().map(|(_, queue)| queue).collect(),
        data: client.config.data.clone(),
        clock: client.clock.clone(),
    }
}

/// Quiet hours and pauses, made true in the queues. While a store is away what was so stays so.
async fn hold(client: &Client, held: &mut Option<Hold>) {
    let now = client.clock.now().to_zoned(TimeZone::system());
    let hours = &client.config.quiet_hours;
    match quiet::apply(&client.catalog, &client.queues(), hours, &now).await {
        Ok(new) => {
            match new {
                Some(hold) if *held != new => tracing::info!(
                    until = %hold.until, way_out = hold.way_out(), "Backfill and training are held"
                ),
                None if held.is_some() => tracing::info!("Backfill and training go on"),
                _ => {}
            }
            ::metrics::gauge!(metrics::BACKFILL_HELD).set(f64::from(u8::from(new.is_some())));
            *held = new;
        }
        Err(error) => tracing::warn!(%error, "whether backfill is held is unknown for now"),
    }
}

fn watch_deps(client: &Client) -> WatchDeps {
    WatchDeps {
        catalog: client.catalog.clone(),
        board: client.board.clone(),
        queue: client.analyze.clone(),
        clock: client.clock.clone(),
        data: client.config.data.clone(),
        original_bytes_max: client.config.original_bytes_max,
        pace: Pace { rescan_every: client.config.rescan_every, settle: client.config.settle },
    }
}

fn schedule_deps(client: &Client) -> ScheduleDeps {
    let config = &client.config;
    ScheduleDeps {
        catalog: client.catalog.clone(),
        export: client.export.clone(),
        train: client.train.clone(),
        export_limit: config.export_limit,
        rules: Rules::new(config, TimeZone::system()),
        begun: client.clock.now(),
    }
}

/// Holds the lease whenever it can, in a task of its own: a long round must not lose it.
async fn lead(lease: LeaderLease, say: watch::Sender<bool>, stop: CancellationToken) {
    let mut term = None;
    while !stop.is_cancelled() {
        term = next_term(&lease, term).await;
        say.send_replace(term.is_some());
        ::metrics::gauge!(metrics::LEADER).set(f64::from(u8::from(term.is_some())));
        tokio::select! {
            () = tokio::time::sleep(RENEW_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    if let Some(term) = term
        && let Err(error) = lease.release(term).await
    {
        tracing::debug!(%error, "the lease runs out by itself");
    }
}

/// The term that this process leads in, if it does.
async fn next_term(lease: &LeaderLease, term: Option<Term>) -> Option<Term> {
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

/// One round of the leader: safe to repeat, and for two leaders to do at once. Its parts do not
/// depend on each other, so a failing one does not stop the others.
async fn round(client: &Client, reconciler: &mut Reconciler, details: &mut Details) {
    let now = client.clock.now();
    let parts = [
        ("announcing generations", announce(client).await),
        (
            "reconciling",
            reconciler.step(&client.catalog, &client.board, &client.analyze, now).await.map(drop),
        ),
        ("offering photos to be described", offer_details(client, details).await),
        ("relaying events", relay_some(client).await),
        ("pruning events", relay::prune(&client.catalog, now).await),
    ];
    for (part, result) in parts {
        if let Err(error) = result {
            tracing::warn!(%error, part, "not finished in this round; the next one repeats it");
        }
    }
}

async fn offer_details(client: &Client, details: &mut Details) -> Result<(), JobError> {
    if client.config.ollama_address.is_none() {
        return Ok(());
    }
    details.step(&client.catalog, &client.detail).await.map(drop)
}

/// A bounded number of batches; what is left waits for the next round.
async fn relay_some(client: &Client) -> Result<(), JobError> {
    for _ in 0..RELAY_BATCHES {
        if relay::relay(&client.catalog, &client.board).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// The version keys and the links on the volume are copies of the catalogue's word: made true here.
async fn announce(client: &Client) -> Result<(), JobError> {
    // Read before the libraries: one that is missing from those is gone.
    let announced = client.board.versions().await?;
    let libraries = client.catalog.libraries().await?;
    let standing = libraries.iter().map(|library| library.id.clone()).collect();
    client.board.withdraw_others(announced.into_keys(), &standing).await?;
    for library in libraries {
        let Some(current) = library.current else { continue };
        let version = Version { change: current.change, number: current.number };
        client.board.announce(&library.id, version).await?;
        let folder = volume::library_dir(&client.config.data, &library.id);
        let linked = tokio::task::spawn_blocking(move || {
            let store = GenerationStore::new(folder);
            if store.current_link()? != Some(current.number) {
                store.set_current_link(current.number)?;
            }
            Ok::<_, GenerationError>(())
        });
        match linked.await {
            Ok(linked) => linked?,
            Err(panic) => tracing::error!(%panic, "setting the current link broke"),
        }
    }
    Ok(())
}

/// Depths and counts that no single worker knows.
async fn count(client: &Client) -> anyhow::Result<()> {
    for (name, queue) in client.queues() {
        queues::publish_depth(name, &queue.depth().await?);
    }
    count_catalog(&client.catalog).await.context("counting images")?;
    if client.config.ollama_address.is_some() {
        count_details(&client.catalog).await.context("counting detailed descriptions")?;
    }
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

async fn count_details(catalog: &Catalog) -> anyhow::Result<()> {
    let mut all = DetailCounts::default();
    for library in catalog.libraries().await? {
        let counts = catalog.detail_counts(&library.id).await?;
        all.waiting += counts.waiting;
        all.done += counts.done;
        all.failed += counts.failed;
    }
    for (state, images) in [("waiting", all.waiting), ("done", all.done), ("failed", all.failed)] {
        ::metrics::gauge!(metrics::CATALOG_DETAILS, "state" => state).set(images as f64);
    }
    Ok(())
}
