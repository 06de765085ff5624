//! `eyefleet queue drain`: no new jobs, and those that are there are worked off.

use std::time::{Duration, Instant};

use anyhow::ensure;
use fleetq::{Depth, Mode, Queue};
use serde_json::json;

use super::super::args::{QueueDrainArgs, QueueName};
use super::super::{Client, Exit, Progress};
use super::pick;
use super::words::counted;

/// Time between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time without any change after which a person is told what may be the matter.
const QUIET_MAX: Duration = Duration::from_secs(3);

/// How the wait ended.
enum Waited {
    /// Nothing is left.
    Out,
    /// By Ctrl-C, with so many unfinished jobs.
    Interrupted(u64),
}

pub(super) async fn drain(
    client: &Client,
    args: &QueueDrainArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, queue) = (args.queue, pick(client, args.queue));
    queue.drain().await?;
    let (mut left, mut exit) = (queue.depth().await?.unfinished(), Exit::Done);
    if !args.no_wait && left > 0 {
        left = match wait(queue, name, left, json).await? {
            Waited::Out => 0,
            Waited::Interrupted(left) => {
                exit = Exit::Interrupted;
                left
            }
        };
    }
    let photos = match name {
        QueueName::Analyze if left == 0 => Some(photos_waiting(client).await?),
        _ => None,
    };
    if json {
        say!(
            "{}",
            json!({
                "queue": name.as_str(),
                "mode": Mode::Draining,
                "unfinished": left,
                "photos_waiting": photos,
            })
        );
    } else if exit == Exit::Interrupted {
        eprintln!(
            "no longer waiting, unfinished jobs: {left}; queue {name} stays closed until \
             `eyefleet queue resume {name}`"
        );
    } else {
        match left {
            0 => say!("queue {name} is empty"),
            left => say!("queue {name} is being drained, unfinished jobs: {left}"),
        }
        say!("  it takes no new jobs until `eyefleet queue resume {name}`");
        if let Some(photos @ 1..) = photos {
            let wait = if photos == 1 { "waits" } else { "wait" };
            say!("  {} of the catalogue {wait} until then", counted(photos, "photo"));
        }
    }
    Ok(exit)
}

/// Photos that were recorded while the queue took no jobs, or whose job did nothing.
async fn photos_waiting(client: &Client) -> anyhow::Result<u64> {
    let mut photos = 0;
    for library in client.catalog.libraries().await? {
        photos += client.catalog.waiting_count(&library.id).await?;
    }
    Ok(photos)
}

async fn wait(queue: &Queue, name: QueueName, left: u64, quiet: bool) -> anyhow::Result<Waited> {
    let (mut left, mut most) = (left, left);
    let mut progress = Progress::new("drain", "jobs", most, quiet);
    let mut before = None;
    let mut since = Instant::now();
    let mut told = false;
    while left > 0 {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                return Ok(Waited::Interrupted(left));
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

        let now = Some((depth.totals, left));
        if before != now {
            (before, since) = (now, Instant::now());
        } else if !told
            && since.elapsed() >= QUIET_MAX
            && let Some(hint) = standstill(name, &depth)
        {
            progress.note(&hint);
            told = true;
        }
    }
    progress.finish();
    Ok(Waited::Out)
}

/// What may be the matter where nothing changes; nothing where jobs run, which may take long.
fn standstill(name: QueueName, depth: &Depth) -> Option<String> {
    if depth.claimed > 0 || depth.unfinished() == 0 {
        return None;
    }
    Some(if depth.ready() > 0 {
        let jobs = counted(depth.ready(), "job");
        format!(
            "no worker takes the {jobs} of queue {name}: `eyefleet run {name}` or `eyefleet up` starts \
             one, the log of one that runs says what it waits for; still waiting"
        )
    } else {
        let jobs = counted(depth.scheduled, "job");
        format!(
            "what is left waits for its next try, {jobs}: after failures that takes up to 5 min; \
             still waiting"
        )
    })
}

#[cfg(test)]
mod tests {
    use fleetq::{Lane, LaneDepth, Pace, Totals};

    use super::*;

    #[test]
    fn a_standstill_is_told_where_nobody_works() {
        let lane = |lane| LaneDepth {
            lane,
            ready: 0,
            scheduled: 0,
            claimed: 0,
            dead: 0,
            oldest_wait: None,
        };
        let empty = Depth {
            lanes: Lane::ALL.map(lane),
            scheduled: 0,
            claimed: 0,
            dead: 0,
            mode: Mode::Draining,
            cap: None,
            held: Vec::new(),
            pace: Pace::default(),
            totals: Totals::default(),
        };
        assert_eq!(standstill(QueueName::Train, &empty), None);
        let running = Depth { claimed: 1, scheduled: 2, ..empty.clone() };
        assert_eq!(standstill(QueueName::Train, &running), None, "it may just take long");
        let scheduled = Depth { scheduled: 1, ..empty.clone() };
        let hint = standstill(QueueName::Train, &scheduled).unwrap();
        assert!(hint.contains("waits for its next try, 1 job:"), "{hint}");
        let mut ready = empty;
        ready.lanes[1].ready = 2;
        let hint = standstill(QueueName::Train, &ready).unwrap();
        assert!(hint.contains("2 jobs of queue train: `eyefleet run train`"), "{hint}");
    }
}
