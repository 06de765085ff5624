//! `eyefleet queue status`: what queues hold and how fast they are worked off.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use fleetq::{Depth, HistoryEntry, Lane, LaneDepth, Mode, Totals};
use serde::Serialize;

use super::super::args::{QueueName, QueueStatusArgs};
use super::super::{Client, Exit};
use super::pick;
use super::words::{at_millis, counted, filled, moment, rate, shortened, span, timestamp};
use crate::serve::QueueAnswer;

/// A pace that is taken from the whole last minute looks back at least this far.
const FULL_PACE: Duration = Duration::from_secs(50);
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
    /// The last runs that ended, newest first; null where nobody asked for them.
    history: Option<Vec<RunStatus>>,
}

/// A run that ended, as `--json` gives it.
#[derive(Debug, Serialize)]
struct RunStatus {
    id: String,
    how: String,
    at: Option<String>,
    lane: Lane,
    worker: Option<String>,
    attempts: u32,
    wait_ms: u64,
    run_ms: u64,
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
        history: history.map(|runs| runs.into_iter().map(run_status).collect()),
    }
}

fn run_status(run: HistoryEntry) -> RunStatus {
    RunStatus {
        at: timestamp(at_millis(run.at)),
        worker: filled(&run.worker).map(str::to_owned),
        id: run.id,
        how: run.how,
        lane: run.lane,
        attempts: run.attempts,
        wait_ms: run.wait_ms,
        run_ms: run.run_ms,
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
    if !depth.held.is_empty() {
        let lanes: Vec<&str> = depth.held.iter().map(|lane| lane.as_str()).collect();
        let _ = writeln!(out, "  held        {} (`eyefleet status` tells why)", lanes.join(", "));
    }
    let at_once = |cap: u32| format!("{} at once", counted(cap.into(), "job"));
    let cap = depth.cap.map_or("none".to_owned(), at_once);
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
    if depth.dead > 0 {
        let dead = counted(depth.dead, "dead letter");
        let _ = writeln!(
            out,
            "  next step   {dead}: `eyefleet queue dead {name} --by-cause` tells why"
        );
    }
    for run in history {
        let _ = writeln!(
            out,
            "  {:<11} {} {}, waited {}, ran {}, by {}",
            run.how,
            moment(at_millis(run.at)),
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
    let at_hand = depth.ready() + depth.claimed;
    let pace = depth.pace;
    if pace.done == 0 {
        return if depth.unfinished() == 0 { "nothing to do" } else { "nothing was done lately" }
            .to_owned();
    }
    let within = if pace.within >= FULL_PACE { "minute".to_owned() } else { span(pace.within) };
    let so_far = format!("{} in the last {within}", rate(pace.per_second()));
    match depth.eta() {
        _ if depth.mode == Mode::Paused || !depth.held.is_empty() => so_far,
        Some(eta) if at_hand > 0 => format!("{so_far}, about {} left", span(eta)),
        _ if depth.scheduled > 0 => format!("{so_far}, the rest waits for its time"),
        _ => format!("{so_far}, nothing left"),
    }
}

/// Those that are not 0; `docs/queues.md` says what each means.
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
        (totals.crashed, "crashed"),
        (totals.returned, "returned from lost workers"),
        (totals.quarantined, "quarantined"),
        (totals.promoted, "came due"),
        (totals.stale, "settled too late"),
        (totals.redriven, "redriven"),
        (totals.flushed, "flushed"),
        (totals.discarded, "discarded"),
        (totals.orphans, "stray ids dropped"),
        (totals.clock_set_back, "x the clock was set back"),
    ];
    let said = named.iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, what)| format!("{count} {what}")).collect();
    if said.is_empty() { "nothing yet".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use fleetq::Pace;

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
            held: Vec::new(),
            pace: Pace { done: 60, within: Duration::from_secs(30) },
            totals: Totals { enqueued: 103, done: 60, died: 1, ..Totals::default() },
        };
        insta::assert_snapshot!(text(QueueName::Analyze, &depth, &[]));
        let data = serde_json::to_value(as_data(&depth, None)).unwrap();
        assert_eq!(data["eta_seconds"], serde_json::Value::Null, "it is paused");
        let running = Depth { mode: Mode::Running, ..depth };
        assert_eq!(serde_json::to_value(as_data(&running, None)).unwrap()["eta_seconds"], 20.0);
        assert_eq!(pace(&running), "2.0 jobs/s in the last 30 s, about 20 s left");
        assert_eq!(data["lanes"]["upload"]["oldest_wait_seconds"], 300.0);
        assert_eq!(data.get("history"), Some(&serde_json::Value::Null));
    }

    #[test]
    fn a_pace_claims_no_more_than_is_known() {
        let lane = |lane| LaneDepth {
            lane,
            ready: 0,
            scheduled: 0,
            claimed: 0,
            dead: 0,
            oldest_wait: None,
        };
        let idle = Depth {
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
        assert_eq!(pace(&idle), "nothing to do");
        let stuck = Depth { claimed: 2, ..idle.clone() };
        assert_eq!(pace(&stuck), "nothing was done lately");
        let slow = Pace { done: 10, within: Duration::from_mins(1) };
        let slow = Depth { pace: slow, ..stuck };
        assert_eq!(pace(&slow), "10 jobs/min in the last minute, about 12 s left");
        let later = Depth { claimed: 0, scheduled: 3, ..slow.clone() };
        assert_eq!(pace(&later), "10 jobs/min in the last minute, the rest waits for its time");
        let done = Depth { pace: Pace { done: 2, within: Duration::from_millis(500) }, ..idle };
        assert_eq!(pace(&done), "4.0 jobs/s in the last 500 ms, nothing left");
    }

    #[test]
    fn a_run_is_told_to_programs_with_time_and_units() {
        let run = HistoryEntry {
            id: "a".to_owned(),
            how: "done".to_owned(),
            at: 1_700_000_000_123,
            lane: Lane::Upload,
            worker: String::new(),
            attempts: 0,
            wait_ms: 4,
            run_ms: 40,
        };
        let data = serde_json::to_value(run_status(run)).unwrap();
        assert_eq!(data["at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(
            (data.get("worker"), &data["run_ms"]),
            (Some(&serde_json::Value::Null), &40.into())
        );
    }
}
