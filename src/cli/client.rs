//! What every command needs: the settings, the catalogue, the queues, the board of one fleet.

use std::time::Duration;

use anyhow::Context;
use fleetq::{ConnectOptions, Connection, Queue, QueueSettings};

use crate::board::Board;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Config, Secret};
use crate::supervise::FleetFile;

/// Names of the queues.
pub const QUEUES: [&str; 4] = ["analyze", "export", "train", "detail"];

/// A fleet as its clients see it.
#[derive(Clone)]
pub struct Client {
    /// Settings, with Redis's address filled in.
    pub config: Config,
    /// Dates what is written.
    pub clock: Clock,
    /// What must not be lost.
    pub catalog: Catalog,
    /// What processes tell each other.
    pub board: Board,
    /// The queues' connection.
    pub connection: Connection,
    /// Photos to analyze.
    pub analyze: Queue,
    /// Snapshots to write.
    pub export: Queue,
    /// Generations to learn.
    pub train: Queue,
    /// Photos to describe in detail.
    pub detail: Queue,
}

impl Client {
    /// Opens the fleet that the settings name, else the one that runs on the data folder.
    ///
    /// # Errors
    /// No fleet to be found, or one of its stores away: with the next step.
    pub async fn open(mut config: Config) -> anyhow::Result<Self> {
        if config.redis_url.is_none() {
            let found = FleetFile::find(&config.data).with_context(|| {
                format!(
                    "no fleet runs on {}: start one with `eyefleet up`, or set REDIS_URL to the \
                     Redis of another",
                    config.data.display()
                )
            })?;
            config.redis_url = Some(Secret::new(found.redis_url));
        }
        Self::connect(config, Clock::system(), Duration::ZERO).await
    }

    /// Opens the stores of a fleet whose Redis is known; waits up to `patience` for each that is not
    /// there yet.
    ///
    /// # Errors
    /// A store that is away, with its masked address.
    pub async fn connect(config: Config, clock: Clock, patience: Duration) -> anyhow::Result<Self> {
        let redis_url = config.redis_url.as_ref().context("REDIS_URL is not set")?;
        let catalog =
            Catalog::open_within(config.database_url.expose(), clock.clone(), patience).await?;
        let options = ConnectOptions { wait_at_open: patience, ..ConnectOptions::default() };
        let unusable = || format!("cannot use the Redis at {}", redis_url.masked());
        let connection =
            fleetq::connect(redis_url.expose(), options).await.with_context(unusable)?;
        let board = Board::open(redis_url.expose(), &config.namespace).with_context(unusable)?;
        let settings = QueueSettings {
            lease: config.lease,
            starts_max: config.starts_max,
            ..QueueSettings::default()
        };
        let [analyze, export, train, detail] = QUEUES;
        let open = |name| Queue::open(&connection, &config.namespace, name, settings.clone());
        Ok(Self {
            analyze: open(analyze).await.with_context(unusable)?,
            export: open(export).await.with_context(unusable)?,
            train: open(train).await.with_context(unusable)?,
            detail: open(detail).await.with_context(unusable)?,
            config,
            clock,
            catalog,
            board,
            connection,
        })
    }

    /// The queues that are in use, for their depth: that of detailed descriptions where somebody
    /// writes some.
    pub fn queues(&self) -> Vec<(&'static str, Queue)> {
        let queues = [&self.analyze, &self.export, &self.train, &self.detail];
        let in_use = if self.config.ollama_address.is_some() { 4 } else { 3 };
        QUEUES.into_iter().zip(queues.map(Clone::clone)).take(in_use).collect()
    }
}
