//! What is done wrong on purpose, to show that the demo notices, or that the fleet does not mind.

use std::time::Duration;

use anyhow::Context;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use tokio::task::JoinHandle;

use crate::cli::Client;
use crate::cli::args::Sabotage;
use crate::names::LibraryId;
use crate::supervise::{Fleet, FleetFile};

/// Workers killed in one demo.
const KILLS: usize = 4;
/// Time between two looks for a worker to kill.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Mischief that goes on beside the analysis.
pub(super) struct Mischief(Option<JoinHandle<anyhow::Result<()>>>);

impl Mischief {
    /// Waits for its end: mischief that did not happen proves nothing, and is an error.
    pub async fn end(self) -> anyhow::Result<()> {
        match self.0 {
            Some(task) => task.await?,
            None => Ok(()),
        }
    }
}

/// Begins what goes on beside the analysis.
pub(super) fn begin(what: Option<Sabotage>, fleet: &Fleet, client: &Client) -> Mischief {
    let client = client.clone();
    let data = fleet.config().data.clone();
    Mischief(match what {
        Some(Sabotage::FlushedRedis) => Some(tokio::spawn(async move {
            some_analyzed(&client, 5).await?;
            let url = client.config.redis_url.as_ref().context("the demo has its own Redis")?;
            let redis = redis::Client::open(url.expose())?;
            let mut connection = redis.get_multiplexed_async_connection().await?;
            redis::cmd("FLUSHALL").exec_async(&mut connection).await?;
            eprintln!("sabotage: Redis was emptied");
            Ok(())
        })),
        Some(Sabotage::KilledWorkers) => Some(tokio::spawn(async move {
            for kill in 0..KILLS {
                some_analyzed(&client, 5 * (kill as u64 + 1)).await?;
                let facts = FleetFile::find(&data).context("the demo's fleet has a file")?;
                let wanted = format!("analyze-{}", kill % client.config.replicas + 1);
                let role = facts.roles.iter().find(|role| role.name == wanted);
                let pid = role.and_then(|role| i32::try_from(role.pid).ok());
                let pid = pid.and_then(rustix::process::Pid::from_raw).context("a worker runs")?;
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
                eprintln!("sabotage: {wanted} was killed");
            }
            Ok(())
        })),
        Some(Sabotage::ShuffledVectors) | None => None,
    })
}

/// Waits until so many images are analyzed.
async fn some_analyzed(client: &Client, wanted: u64) -> anyhow::Result<()> {
    loop {
        // Before the first upload there is no library and nothing to count.
        let library = LibraryId::main();
        if client.catalog.library(&library).await?.is_some() {
            let counts = client.catalog.counts(&library).await?;
            if counts.analyzed >= wanted {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Gives every picture the vector of another one; its words stay. Straight in the database: the
/// catalogue has no call for this, and must not have one.
pub(super) async fn shuffle_vectors(client: &Client) -> anyhow::Result<()> {
    let database = Database::connect(client.config.database_url.expose()).await?;
    let sqlite = |sql: &str, values: Vec<sea_orm::Value>| {
        Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
    };
    let select = sqlite("SELECT image, embedding FROM analyses ORDER BY image", vec![]);
    let rows = database.query_all_raw(select).await?;
    anyhow::ensure!(rows.len() > 1, "there was nothing to shuffle");
    for (place, row) in rows.iter().enumerate() {
        let image: String = row.try_get("", "image")?;
        // About a third of the library away: another subject, whatever order they were drawn in.
        let other = &rows[(place + rows.len() / 3 + 1) % rows.len()];
        let vector: Vec<u8> = other.try_get("", "embedding")?;
        let update = "UPDATE analyses SET embedding = ? WHERE library = 'main' AND image = ?";
        database.execute_raw(sqlite(update, vec![vector.into(), image.into()])).await?;
    }
    eprintln!("sabotage: {} vectors were shuffled", rows.len());
    Ok(())
}
