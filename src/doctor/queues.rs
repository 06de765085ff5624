//! The queues: whether somebody paused or closed one, and whether jobs were given up. Nothing here is
//! a fault of the machine, so nothing here is a problem: what a person did or must look at is told.

use std::time::Duration;

use fleetq::{ConnectOptions, Depth, LAYOUT, Mode, Queue, QueueSettings};

use super::{Check, Subject, redis::address};
use crate::cli::args::QueueName;
use crate::config::Config;
use crate::supervise::Traces;

/// Time for all queues: a Redis that hangs is told by its own subject, before this one's time is up.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// Time to open them for whoever compares what is in them.
const OPEN_MAX: Duration = Duration::from_secs(1);

pub(super) async fn examine(config: &Config, traces: &Traces) -> Vec<Check> {
    let Some((url, _)) = address(config, traces) else { return Vec::new() };
    let looked = tokio::time::timeout(ANSWER_MAX, look(url.expose(), &config.namespace)).await;
    // What keeps it from looking is the server's to say, and said there.
    looked.unwrap_or(Ok(Vec::new())).unwrap_or_default()
}

/// The queues that are there, with `analyze` first. None where that is not, or one is of another
/// layout than this version's: opening it would change it.
pub(super) async fn open_all(config: &Config, traces: &Traces) -> Option<Vec<Queue>> {
    let (url, _) = address(config, traces)?;
    let opening = async {
        let mut server =
            ::redis::Client::open(url.expose())?.get_multiplexed_async_connection().await?;
        let connection = fleetq::connect(url.expose(), ConnectOptions::default()).await?;
        let mut queues = Vec::new();
        for name in QueueName::ALL {
            let name = name.as_str();
            match layout_of(&mut server, &config.namespace, name).await?.as_deref() {
                Some(LAYOUT) => {}
                // Emptied since it was opened, or never opened: it holds nothing.
                None if !queues.is_empty() => continue,
                _ => return Ok(None),
            }
            let settings = QueueSettings { lease: config.lease, ..QueueSettings::default() };
            queues.push(Queue::open(&connection, &config.namespace, name, settings).await?);
        }
        anyhow::Ok(Some(queues))
    };
    // What keeps it from opening is the server's to say, and said there.
    tokio::time::timeout(OPEN_MAX, opening).await.ok()?.ok()?
}

async fn layout_of(
    server: &mut ::redis::aio::MultiplexedConnection,
    namespace: &str,
    name: &str,
) -> ::redis::RedisResult<Option<String>> {
    let meta = format!("{{{namespace}:{name}}}:meta");
    ::redis::cmd("HGET").arg(meta).arg("layout").query_async(server).await
}

async fn look(url: &str, namespace: &str) -> anyhow::Result<Vec<Check>> {
    let mut server = ::redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let connection = fleetq::connect(url, ConnectOptions::default()).await?;
    let mut checks = Vec::new();
    for name in QueueName::ALL {
        let name = name.as_str();
        let layout = layout_of(&mut server, namespace, name).await?;
        // Opening a queue of an older layout would change it.
        checks.push(match layout.as_deref() {
            None => Check::ok(Subject::Queues, name, "no job yet"),
            Some(LAYOUT) => {
                let settings = QueueSettings::default();
                let queue = Queue::open(&connection, namespace, name, settings).await?;
                judge(name, &queue.depth().await?)
            }
            Some(other) => {
                let found =
                    format!("key layout {other}: a role of this version brings it to {LAYOUT}");
                Check::skipped(Subject::Queues, name, found)
            }
        });
    }
    Ok(checks)
}

fn judge(name: &'static str, depth: &Depth) -> Check {
    let unfinished = depth.unfinished();
    let (mut found, mut mend) = match depth.mode {
        Mode::Running => (format!("running, unfinished jobs: {unfinished}"), Vec::new()),
        Mode::Paused => (
            format!("paused by hand, unfinished jobs: {unfinished}"),
            vec![format!("eyefleet queue resume {name}")],
        ),
        Mode::Draining => (
            format!("drained by hand: it takes no new jobs, unfinished: {unfinished}"),
            vec![format!("eyefleet queue resume {name}")],
        ),
    };
    if depth.dead > 0 {
        found = format!("{found}, dead letters: {}", depth.dead);
        mend.push(format!("eyefleet queue dead {name} --by-cause"));
    }
    if mend.is_empty() {
        return Check::ok(Subject::Queues, name, found);
    }
    Check::warning(Subject::Queues, name, found, mend.join("; "))
}

#[cfg(test)]
mod tests {
    use fleetq::{Lane, LaneDepth, Pace, Totals};

    use super::*;
    use crate::doctor::State;

    #[test]
    fn what_a_person_did_or_must_look_at_is_a_warning() {
        let lane = |lane| LaneDepth {
            lane,
            ready: 1,
            scheduled: 0,
            claimed: 0,
            dead: 0,
            oldest_wait: None,
        };
        let running = Depth {
            lanes: Lane::ALL.map(lane),
            scheduled: 0,
            claimed: 0,
            dead: 0,
            mode: Mode::Running,
            cap: None,
            held: Vec::new(),
            pace: Pace::default(),
            totals: Totals::default(),
        };
        assert_eq!(judge("train", &running).state, State::Ok);
        let paused = judge("train", &Depth { mode: Mode::Paused, dead: 2, ..running.clone() });
        assert_eq!(paused.state, State::Warning);
        assert_eq!(paused.found, "paused by hand, unfinished jobs: 3, dead letters: 2");
        let mend = "eyefleet queue resume train; eyefleet queue dead train --by-cause";
        assert_eq!(paused.mend.as_deref(), Some(mend));
        let draining = judge("train", &Depth { mode: Mode::Draining, ..running });
        assert!(draining.found.contains("no new jobs, unfinished: 3"), "{}", draining.found);
    }
}
