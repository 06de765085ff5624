//! `eyefleet up`: a whole fleet in the foreground, until a signal stops it.

use std::time::Duration;

use anyhow::Context;
use eyefleet::cli::args::UpArgs;
use eyefleet::cli::{self, Client, Exit};
use eyefleet::clock::Clock;
use eyefleet::config::Config;
use eyefleet::supervise::{Fleet, RoleSpec};
use tokio_util::sync::CancellationToken;

use crate::process::stop_signal;

/// Time that a Redis gets which is being started again at this very moment.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn up(mut config: Config, args: &UpArgs) -> anyhow::Result<Exit> {
    let replicas = args.replicas.unwrap_or(config.replicas);
    anyhow::ensure!(
        (1..=256).contains(&replicas),
        "--replicas is {replicas}: allowed are 1 to 256"
    );
    config.replicas = replicas;
    if let Some(photos) = &args.photos {
        let facts = std::fs::metadata(photos);
        let facts = facts.with_context(|| format!("cannot watch {}", photos.display()))?;
        anyhow::ensure!(facts.is_dir(), "cannot watch {}: it is not a folder", photos.display());
    }
    let stop = stop_signal(false)?;
    let program = std::env::current_exe()?;
    let data = config.data.clone();
    let starting = Fleet::start(config, &program, RoleSpec::whole_fleet(replicas));
    let fleet = tokio::select! {
        fleet = starting => fleet?,
        // Dropping the start asks Redis and the roles to end, whatever there is of them.
        () = stop.cancelled() => return Ok(Exit::Done),
    };
    let url = fleet.roles().running().into_iter().find(|role| role.name.starts_with("serve"));
    eprintln!("eyefleet is up on {}", data.display());
    if let Some(url) = url.and_then(|role| role.url) {
        eprintln!("  HTTP      {url}/v1/status");
    }
    match &args.photos {
        Some(photos) => eprintln!("  photos    {}", photos.display()),
        None => eprintln!("  photos    eyefleet add PATH --wait"),
    }
    eprintln!("  search    eyefleet search TEXT");
    eprintln!("  logs      {}", data.join("log").display());
    eprintln!("  stop      Ctrl-C");
    let watched = watch(&fleet, args, &stop).await;
    eprintln!("stopping: running jobs get {} s", fleet.config().grace.as_secs());
    fleet.stop().await;
    watched.map(|()| Exit::Done)
}

/// Until `stop` fires: attaches the folder that was named, and shows how far it is.
async fn watch(fleet: &Fleet, args: &UpArgs, stop: &CancellationToken) -> anyhow::Result<()> {
    let Some(photos) = &args.photos else {
        stop.cancelled().await;
        return Ok(());
    };
    let config = fleet.config().clone();
    let following = async {
        let client = Client::connect(config, Clock::system(), PATIENCE).await?;
        cli::attach(&client.catalog, &client.config.data, &args.library, photos).await?;
        cli::follow_folder(&client, &args.library).await;
        Ok(())
    };
    tokio::select! {
        ended = following => ended,
        () = stop.cancelled() => Ok(()),
    }
}
