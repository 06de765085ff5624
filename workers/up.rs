//! `eyefleet up`: a whole fleet in the foreground, until a signal stops it.

use eyefleet::cli::Exit;
use eyefleet::cli::args::UpArgs;
use eyefleet::config::Config;
use eyefleet::supervise::{Fleet, RoleSpec};

use crate::process::stop_signal;

pub async fn up(mut config: Config, args: &UpArgs) -> anyhow::Result<Exit> {
    let replicas = args.replicas.unwrap_or(config.replicas);
    anyhow::ensure!(
        (1..=256).contains(&replicas),
        "--replicas is {replicas}: allowed are 1 to 256"
    );
    config.replicas = replicas;
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
    eprintln!("  photos    eyefleet add PATH --wait");
    eprintln!("  search    eyefleet search TEXT");
    eprintln!("  logs      {}", data.join("log").display());
    eprintln!("  stop      Ctrl-C");
    stop.cancelled().await;
    eprintln!("stopping: running jobs get {} s", fleet.config().grace.as_secs());
    fleet.stop().await;
    Ok(Exit::Done)
}
