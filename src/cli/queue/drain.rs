//! `eyefleet queue drain`: no new jobs, and those that are there are worked off.

use std::time::Duration;

use anyhow::ensure;
use fleetq::Mode;
use serde_json::json;

use super::super::args::QueueDrainArgs;
use super::super::{Client, Exit, Progress};
use super::pick;

/// Time between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn drain(
    client: &Client,
    args: &QueueDrainArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, queue) = (args.queue, pick(client, args.queue));
    queue.drain().await?;
    let mut left = queue.depth().await?.unfinished();
    if !args.no_wait && left > 0 {
        let mut most = left;
        let mut progress = Progress::new("drain", "jobs", most, json);
        while left > 0 {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                pressed = tokio::signal::ctrl_c() => {
                    pressed?;
                    eprintln!(
                        "no longer waiting, unfinished jobs: {left}; queue {name} stays closed until \
                         `eyefleet queue resume {name}`"
                    );
                    return Ok(Exit::Interrupted);
                }
            }
            let depth = queue.depth().await?;
            left = depth.unfinished();
            ensure!(
                left == 0 || depth.mode == Mode::Draining,
                "queue {name} is {} meanwhile, unfinished jobs: {left}; drain it again",
                depth.mode.as_str()
            );
            // What is brought back from the dead letters meanwhile is worked off as well.
            most = most.max(left);
            progress.set_total(most);
            progress.set(most - left);
        }
        progress.finish();
    }
    if json {
        say!("{}", json!({ "queue": name.as_str(), "mode": Mode::Draining, "unfinished": left }));
        return Ok(Exit::Done);
    }
    match left {
        0 => say!("queue {name} is empty"),
        left => say!("queue {name} is being drained, unfinished jobs: {left}"),
    }
    say!("  it takes no new jobs until `eyefleet queue resume {name}`");
    Ok(Exit::Done)
}
