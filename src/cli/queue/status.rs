//! `eyefleet queue status`: what queues hold and how fast they are worked off.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use fleetq::{Depth, HistoryEntry, LaneDepth, Mode, Totals};
use serde::Serialize;

use super::super::args::{QueueName, QueueStatusArgs};
use super::super::{Client, Exit};
use super::{moment, pick, shortened, span};
use crate::serve::QueueAnswer;

/// Characters shown of a job's id in the history.
const ID_MAX: usize = 60;

/// One queue, as `--json` gives it.
#[derive(Debug, Serialize)]
struct QueueStatus {
    #[serde(flatten)]
    queue: QueueAnswer,
    unfinished: u64,
    oldest_wait_seconds: Option<f64>,
    lanes: BTreeMap<&'static str, LaneStatus>,
    totals: Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<HistoryEntry>>,
}

#[derive(Debug, Serialize)]
struct LaneStatus {
    ready: u64,
    scheduled: u64,
    claimed: u64,
    dead: u64,
    oldest_wait_seconds: Option<f64>,
}

pub(super) async fn status(
    client: &Client,
    args: &QueueStatusArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let names = args.queue.map_or(QueueName::ALL.to_vec(), |name| vec![name]);
    let mut all = BTreeMap::new();
    for name in names {
        let queue = pick(client, name);
        let depth = queue.depth().await?;
        let history = match args.history {
            0 => None,
            limit => Some(queue.history(usize::try_from(limit)?).await?),
        };
        if json {
            all.insert(name.as_str(), as_data(&depth, history));
        } else {
            say!("{}", text(name, &depth, &history.unwrap_or_default()).trim_end());
        }
    }
    if json {
        say!("{}", serde_json::to_string(&all)?);
    }
    Ok(Exit::Done)
}

fn as_data(depth: &Depth, history: Option<Vec<HistoryEntry>>) -> QueueStatus {
    let lane = |lane: &LaneDepth| {
        let status = LaneStatus {
            ready: lane.ready,
            scheduled: lane.scheduled,
            claimed: lane.claimed,
            dead: lane.dead,
            oldest_wait_seconds: lane.oldest_wait.map(|wait| wait.as_secs_f64()),
        };
        (lane.lane.as_str(), status)
    };
    QueueStatus {
        queue: depth.into(),
        unfinished: depth.unfinished(),
        oldest_wait_seconds: depth.oldest_wait().map(|wait| wait.as_secs_f64()),
        lanes: depth.lanes.iter().map(lane).collect(),
        totals: depth.totals,
        history,
    }
}

fn text(name: QueueName, depth: &Depth, history: &[HistoryEntry]) -> String {
    let mut out = String::new();
    let mode = match depth.mode {
        Mode::Running => "running".to_owned(),
        Mode::Paused => format!("paused until `eyefleet queue resume {name}`"),
        Mode::Draining => format!("draining: closed until `eyefleet queue resume {name}`"),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "queue {name}");
    let _ = writeln!(out, "  mode        {mode}");
    let cap = depth.cap.map_or("none".to_owned(), |cap| format!("{cap} jobs at once"));
    let _ = writeln!(out, "  cap         {cap}");
    let _ = writeln!(out, "  pace        {}", pace(depth));
    let _ = writeln!(out, "  jobs          ready  scheduled  claimed  dead  oldest wait");
    for lane in &depth.lanes {
        let counts = [lane.ready, lane.scheduled, lane.claimed, lane.dead];
        let _ = writeln!(out, "{}", row(lane.lane.as_str(), counts, lane.oldest_wait));
    }
    let counts = [depth.ready(), depth.scheduled, depth.claimed, depth.dead];
    let _ = writeln!(out, "{}", row("all", counts, depth.oldest_wait()));
    let _ = writeln!(out, "  totals      {}", totals(&depth.totals));
    for run in history {
        let _ = writeln!(
            out,
            "  {:<11} {} {}, waited {}, ran {}, by {}",
            run.how,
            u64::try_from(run.at).map_or_else(
                |_| "?".to_owned(),
                |at| moment(std::time::UNIX_EPOCH + Duration::from_millis(at)),
            ),
            shortened(&run.id, ID_MAX),
            span(Duration::from_millis(run.wait_ms)),
            span(Duration::from_millis(run.run_ms)),
            shortened(&run.worker, ID_MAX),
        );
    }
    out
}

fn row(
    name: &str,
    [ready, scheduled, claimed, dead]: [u64; 4],
    oldest: Option<Duration>,
) -> String {
    let oldest = oldest.map_or("-".to_owned(), span);
    format!("    {name:<11} {ready:>5} {scheduled:>10} {claimed:>8} {dead:>5}  {oldest:>11}")
}

/// How fast, and how long it will take.
fn pace(depth: &Depth) -> String {
    let per_second = depth.pace.per_second();
    match depth.eta() {
        _ if depth.mode == Mode::Paused => format!("{per_second:.1} jobs/s in the last minute"),
        Some(eta) if depth.unfinished() > 0 => {
            format!("{per_second:.1} jobs/s in the last minute, about {} left", span(eta))
        }
        Some(_) => format!("{per_second:.1} jobs/s in the last minute, nothing left"),
        None => "nothing was done in the last minute".to_owned(),
    }
}

/// Those that are not 0.
fn totals(totals: &Totals) -> String {
    let named = [
        (totals.enqueued, "added"),
        (totals.duplicates, "refused as duplicates"),
        (totals.claims, "claimed"),
        (totals.done, "done"),
        (totals.retried, "retried"),
        (totals.waited, "waited"),
        (totals.died, "dead"),
        (totals.given_back, "given back"),
        (totals.returned, "returned from lost workers"),
        (totals.quarantined, "quarantined"),
        (totals.stale, "settled too late"),
        (totals.redriven, "redriven"),
        (totals.flushed, "flushed"),
        (totals.discarded, "discarded"),
    ];
    let said = named.iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, what)| format!("{count} {what}")).collect();
    if said.is_empty() { "nothing yet".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use fleetq::{Lane, Pace};

    use super::*;

    #[test]
    fn a_paused_queue_reads_well() {
        let lane = |lane, ready: u64| LaneDepth {
            lane,
            ready,
            scheduled: 0,
            claimed: 0,
            dead: 0,
            oldest_wait: (ready > 0).then(|| Duration::from_mins(5)),
        };
        let depth = Depth {
            lanes: [lane(Lane::Interactive, 0), lane(Lane::Upload, 40), lane(Lane::Backfill, 0)],
            scheduled: 2,
            claimed: 0,
            dead: 1,
            mode: Mode::Paused,
            cap: Some(4),
            pace: Pace { done: 60, within: Duration::from_secs(30) },
            totals: Totals { enqueued: 103, done: 60, died: 1, ..Totals::default() },
        };
        insta::assert_snapshot!(text(QueueName::Analyze, &depth, &[]));
        let data = serde_json::to_value(as_data(&depth, None)).unwrap();
        assert_eq!(data["eta_seconds"], serde_json::Value::Null, "it is paused");
        let running = Depth { mode: Mode::Running, ..depth };
        assert_eq!(serde_json::to_value(as_data(&running, None)).unwrap()["eta_seconds"], 20.0);
        assert_eq!(pace(&running), "2.0 jobs/s in the last minute, about 20 s left");
        assert_eq!(data["lanes"]["upload"]["oldest_wait_seconds"], 300.0);
        assert!(data.get("history").is_none());
    }
}
