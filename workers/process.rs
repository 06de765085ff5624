//! What every role of the fleet is: stores, a health page, a way to stop, a loop over its jobs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use apalis::prelude::WorkerBuilder;
use eyefleet::cli::Client;
use eyefleet::cli::args::RunArgs;
use eyefleet::clock::Clock;
use eyefleet::config::Config;
use eyefleet::jobs::{Away, Job, run_claim};
use eyefleet::serve::{self, Bound, Health};
use eyefleet::telemetry::{metrics, queues};
use fleetq::{Claim, ConnectOptions, FleetBackend, Queue, WorkerOptions};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Time that a role waits at its start for a database, and for a Redis, that is not there yet.
const STORE_WAIT_MAX: Duration = Duration::from_mins(1);

/// Time that handlers get to give their jobs back after the grace.
const GIVE_BACK_MAX: Duration = Duration::from_secs(4);

/// Time between two looks at what the queue's backend has counted, for the metrics.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// One process of the fleet.
pub struct Process {
    /// Stores and settings.
    pub client: Client,
    /// Fires when the process is to stop.
    pub stop: CancellationToken,
    /// Name of this process, unique for each start.
    pub name: String,
    /// Its health pages.
    pub health: Health,
    bound: Bound,
    announce: Option<PathBuf>,
}

impl Process {
    /// Opens the stores and binds the address of the health pages.
    pub async fn open(config: Config, args: &RunArgs) -> anyhow::Result<Self> {
        let stop = stop_signal(args.stop_with_stdin)?;
        let role = args.role.as_str();
        let (listen, setting) = match role {
            "serve" => (&config.serve_listen, "serve.listen"),
            _ => (&config.health_listen, "run.health_listen"),
        };
        let bound = serve::bind(listen, setting).await?;
        let handle = metrics::install(role)?;
        let client = tokio::select! {
            client = open(config) => client?,
            () = stop.cancelled() => anyhow::bail!("stopped before it had started"),
        };
        let health = Health::new(role, client.catalog.clone(), client.board.clone(), handle);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{role}-{host}-{}-{}", std::process::id(), &unique[..8]);
        tracing::info!(worker = name, url = bound.url(), version = eyefleet::VERSION, "started");
        Ok(Self { client, stop, name, health, bound, announce: args.announce.clone() })
    }

    /// The health pages alone, answered in the background.
    pub fn answer_health(self) -> anyhow::Result<Running> {
        let routes = serve::health_routes(self.health.clone());
        self.answer(routes)
    }

    /// `routes`, answered in the background; the supervisor is told the address.
    pub fn answer(self, routes: axum::Router) -> anyhow::Result<Running> {
        if let Some(path) = &self.announce {
            self.bound
                .announce(path)
                .with_context(|| format!("cannot announce the address in {}", path.display()))?;
        }
        tracing::info!(url = self.bound.url(), "answering");
        // Health is answered until the very end, also while running jobs finish.
        let ended = CancellationToken::new();
        let pages = tokio::spawn(self.bound.answer(routes, ended.clone()));
        Ok(Running {
            client: self.client,
            stop: self.stop,
            name: self.name,
            health: self.health,
            ended,
            pages,
        })
    }
}

/// Redis, the database and the role may be started in any order: the role waits a while for both.
async fn open(config: Config) -> anyhow::Result<Client> {
    let url = config.redis_url.as_ref().context(
        "REDIS_URL is not set: a role needs the Redis of its fleet (`eyefleet up` starts one)",
    )?;
    // Said once: who looks at a role that does nothing yet must see what it waits for.
    if let Err(error) = fleetq::connect(url.expose(), ConnectOptions::default()).await
        && error.is_transient()
    {
        let seconds = STORE_WAIT_MAX.as_secs();
        tracing::warn!(%error, url = url.masked(), "waiting up to {seconds} s for Redis");
    }
    Client::connect(config, Clock::system(), STORE_WAIT_MAX).await
}

/// A process whose pages answer.
pub struct Running {
    /// Stores and settings.
    pub client: Client,
    /// Fires when the process is to stop.
    pub stop: CancellationToken,
    /// Name of this process.
    pub name: String,
    health: Health,
    ended: CancellationToken,
    pages: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Works on the jobs of `queue`, called `name`, `slots` at a time, until the process is to stop;
    /// then lets them finish within the grace and gives the rest back.
    pub async fn work<J: Job>(
        &self,
        name: &'static str,
        queue: Queue,
        slots: usize,
        deps: Arc<J::Deps>,
    ) -> anyhow::Result<()> {
        let run =
            move |claim: Claim, away: Arc<Away>| run_claim::<J>(claim, Arc::clone(&deps), away);
        self.work_claims(name, queue, slots, J::AWAY_PAUSE_MAX, run).await
    }

    /// The same for a queue whose jobs are of several kinds: `run` runs one and settles it. While what
    /// they need is away, claiming rests for up to `away_pause_max`.
    pub async fn work_claims<F>(
        &self,
        name: &'static str,
        queue: Queue,
        slots: usize,
        away_pause_max: Duration,
        run: impl Fn(Claim, Arc<Away>) -> F + Clone + Send + Sync + 'static,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let backend = FleetBackend::new(queue, WorkerOptions::new(&self.name, slots))?;
        let (handle, counted) = (backend.handle(), backend.handle());
        let away = Arc::new(Away::resting(away_pause_max));
        let run = move |claim: Claim| {
            let work = run(claim, Arc::clone(&away));
            async move {
                // A task of its own: handlers of one apalis worker share a task, and a slow poll
                // of one would hold up the others.
                // It ends with the handler, which the queue drops when it goes on for too long.
                let running = AbortOnDropHandle::new(tokio::spawn(work));
                if let Err(error) = running.await {
                    tracing::error!(%error, "the runner itself broke; the job's lease runs out");
                }
            }
        };
        // No concurrency layer: the backend hands out no more claims than it has slots.
        let worker = WorkerBuilder::new(self.name.as_str()).backend(backend).build(run);
        let stopping = {
            let (stop, grace) = (self.stop.clone(), self.client.config.grace);
            let health = self.health.clone();
            async move {
                stop.cancelled().await;
                health.stopping();
                handle.stop();
                tracing::info!(running = handle.held(), "stopping: no more claims");
                tokio::time::sleep(grace).await;
                tracing::warn!(
                    running = handle.held(),
                    "grace is over: running jobs are given back"
                );
                handle.interrupt();
                // Giving back waits for a Redis that is away; beyond this the leases run out.
                tokio::time::sleep(GIVE_BACK_MAX).await;
                tracing::warn!(
                    running = handle.held(),
                    "not all jobs were given back: their leases run out"
                );
            }
        };
        let publishing = async {
            let mut again = tokio::time::interval(PUBLISH_EVERY);
            loop {
                again.tick().await;
                queues::publish_stats(name, &counted.stats());
            }
        };
        tokio::select! {
            ended = worker.run() => ended.context("the worker ended by itself")?,
            () = stopping => {}
            () = publishing => {}
        }
        // What was settled and given back since the last look.
        queues::publish_stats(name, &counted.stats());
        Ok(())
    }

    /// Ends the pages: the process is done.
    pub async fn end(self) -> anyhow::Result<()> {
        self.ended.cancel();
        let pages = tokio::time::timeout(Duration::from_secs(2), self.pages).await;
        if let Ok(Ok(Err(error))) = pages {
            return Err(error);
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Fires at SIGTERM, SIGINT, SIGHUP and, where asked for, at the end of standard input.
pub fn stop_signal(with_stdin: bool) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let fire = stop.clone();
    tokio::spawn(async move {
        let input_ended = async {
            if with_stdin {
                let mut nothing = [0; 64];
                while matches!(tokio::io::stdin().read(&mut nothing).await, Ok(1..)) {}
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            () = input_ended => {}
        }
        fire.cancel();
    });
    Ok(stop)
}
