//! What is done wrong on purpose, to show that the demo notices, or that the fleet does not mind.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Pid;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use tokio::task::JoinHandle;

use crate::cli::Client;
use crate::cli::args::Sabotage;
use crate::names::LibraryId;
use crate::supervise::{Fleet, FleetFile};

/// Workers killed one after the other while pictures are analyzed.
const KILLED: [&str; 5] = ["analyze-1", "analyze-2", "intake-1", "serve-1", "analyze-1"];
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
            let mut killed = BTreeSet::new();
            for (kill, name) in KILLED.iter().enumerate() {
                some_analyzed(&client, 5 * (kill as u64 + 1)).await?;
                kill_role(&data, name, &mut killed).await?;
            }
            Ok(())
        })),
        Some(Sabotage::ShuffledVectors) | None => None,
    })
}

/// Begins what goes on beside export and training: each is killed in the middle of its job.
pub(super) fn begin_later(what: Option<Sabotage>, fleet: &Fleet, client: &Client) -> Mischief {
    let client = client.clone();
    let data = fleet.config().data.clone();
    Mischief((what == Some(Sabotage::KilledWorkers)).then(|| {
        tokio::spawn(async move {
            let mut killed = BTreeSet::new();
            for (queue, name) in [(&client.export, "export-1"), (&client.train, "train-1")] {
                while queue.depth().await?.claimed == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                kill_role(&data, name, &mut killed).await?;
            }
            Ok(())
        })
    }))
}

/// Kills a worker right before the new pictures come: the one that takes its place must know what
/// was learned before it looks at any of them.
pub(super) async fn once_more(what: Option<Sabotage>, fleet: &Fleet) -> anyhow::Result<()> {
    if what == Some(Sabotage::KilledWorkers) {
        kill_role(&fleet.config().data, "analyze-2", &mut BTreeSet::new()).await?;
    }
    Ok(())
}

async fn kill_role(data: &Path, name: &str, killed: &mut BTreeSet<i32>) -> anyhow::Result<()> {
    let pid = living(data, name, killed).await?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    killed.insert(pid.as_raw_nonzero().get());
    eprintln!("sabotage: {name} (pid {}) was killed", pid.as_raw_nonzero());
    Ok(())
}

/// The process of a role that works: not one that was killed and stands in the file still.
async fn living(data: &Path, name: &str, killed: &BTreeSet<i32>) -> anyhow::Result<Pid> {
    loop {
        let facts = FleetFile::find(data).context("the demo's fleet has a file")?;
        let role = facts.roles.iter().find(|role| role.name == name && role.url.is_some());
        let pid = role.and_then(|role| i32::try_from(role.pid).ok());
        match pid.filter(|pid| !killed.contains(pid)).and_then(Pid::from_raw) {
            Some(pid) => return Ok(pid),
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
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
