//! `eyefleet queue show`: everything known of one job.

use std::time::SystemTime;

use fleetq::{JobState, Place, Queue};
use serde_json::{Value, json};

use super::super::args::{QueueName, QueueShowArgs};
use super::super::{Client, Exit};
use super::condition::{has_record, is_readable, step_for_unreadable};
use super::pick;
use super::words::{UNKNOWN, at_millis, counted, filled, moment, shortened, span, timestamp};

/// Characters shown of a payload.
const PAYLOAD_MAX: usize = 300;
/// Characters shown of everything else.
const TEXT_MAX: usize = 1000;
/// Settlements looked through for a job that has left the queue.
const HISTORY: usize = 1000;

pub(super) async fn show(
    client: &Client,
    args: &QueueShowArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, queue) = (args.queue, pick(client, args.queue));
    let Some(job) = queue.state(&args.id).await? else {
        eprintln!("{}", gone(queue, name, &args.id).await?);
        return Ok(Exit::NotFound);
    };
    if json {
        say!("{}", as_data(name, &job));
    } else {
        say!("{}", text(name, &job));
    }
    Ok(Exit::Done)
}

/// What is left to say of a job that is not there.
async fn gone(queue: &Queue, name: QueueName, id: &str) -> anyhow::Result<String> {
    let shown = shortened(id, TEXT_MAX);
    let history = queue.history(HISTORY).await?;
    Ok(match history.iter().find(|run| run.id == id) {
        Some(run) => format!(
            "queue {name} has no job {shown} any more: its last run ended as {} by {}, {}",
            run.how,
            shortened(&run.worker, TEXT_MAX),
            moment(at_millis(run.at))
        ),
        None => format!(
            "queue {name} has no job {shown}: it has left the queue or was never added; \
             `eyefleet queue status {name} --history 20` shows the last that ended"
        ),
    })
}

fn as_data(name: QueueName, job: &JobState) -> Value {
    let whole = has_record(job);
    let ends = |place: Place| job.until.filter(|_| job.place == place).and_then(timestamp);
    json!({
        "queue": name.as_str(),
        "id": job.id,
        "kind": filled(&job.kind),
        "place": whole.then_some(job.place),
        "lane": whole.then_some(job.lane),
        "payload": payload(job),
        "meta": job.meta,
        "attempts": job.attempts,
        "starts": job.starts,
        "token": job.token,
        "worker": filled(&job.worker),
        "enqueued_at": timestamp(job.enqueued_at),
        "ready_since": ready_since(job).and_then(timestamp),
        "due_at": ends(Place::Scheduled),
        "claimed_at": claimed_at(job).and_then(timestamp),
        "lease_ends_at": ends(Place::Claimed),
        "died_at": ends(Place::Dead),
        "limit_seconds": job.limit.map(|limit| limit.as_secs_f64()),
        "failure": job.failure.as_ref().map(|failure| json!({
            "how": failure.how,
            "cause": failure.cause,
            "chain": failure.chain,
            "worker": filled(&failure.worker),
            "at": timestamp(failure.at),
        })),
    })
}

/// The payload as JSON where it is some, else as text; null where there is none.
fn payload(job: &JobState) -> Value {
    let text = String::from_utf8_lossy(&job.payload);
    let text = || filled(&text).map_or(Value::Null, Value::from);
    serde_json::from_slice(&job.payload).unwrap_or_else(|_| text())
}

/// Since when it waits in its lane.
fn ready_since(job: &JobState) -> Option<SystemTime> {
    (job.place == Place::Ready).then_some(job.ready_at)
}

/// Since when a worker holds it: a token is the time of its claim in microseconds.
fn claimed_at(job: &JobState) -> Option<SystemTime> {
    let held = job.place == Place::Claimed && job.token > 0;
    held.then(|| at_millis(job.token / 1000))
}

fn text(name: QueueName, job: &JobState) -> String {
    let short = |text: &str| shortened(text, TEXT_MAX);
    let told = |text: &str| filled(text).map_or_else(|| UNKNOWN.to_owned(), short);
    let mut lines = Vec::new();
    let mut line = |label: &str, value: String| lines.push((label.to_owned(), value));
    if has_record(job) {
        line("queue", format!("{name}, lane {}", job.lane));
        line("place", place(job.place).to_owned());
    } else {
        line("queue", name.to_string());
        line("place", "unknown, its record in redis is damaged".to_owned());
    }
    line("kind", told(&job.kind));
    let payload = String::from_utf8_lossy(&job.payload);
    let payload = filled(&payload).map(|text| shortened(text, PAYLOAD_MAX));
    line("payload", payload.unwrap_or_else(|| "none, it is gone".to_owned()));
    for (key, value) in &job.meta {
        line(&short(key), short(value));
    }
    if has_record(job) {
        let attempts = counted(job.attempts.into(), "failed attempt");
        line("tried", format!("{attempts}, {}", counted(job.starts.into(), "start")));
    }
    if let Some(worker) = filled(&job.worker) {
        line("worker", short(worker));
    }
    line("added", moment(job.enqueued_at));
    if let Some(at) = ready_since(job) {
        line("ready since", moment(at));
    }
    if let Some(at) = claimed_at(job) {
        line("claimed", moment(at));
    }
    if let Some(until) = job.until {
        line(until_is(job.place), moment(until));
    }
    if let Some(limit) = job.limit {
        line("time limit", span(limit));
    }
    if let Some(failure) = &job.failure {
        line("failure", format!("{}: {}", failure.how, short(&failure.cause)));
        for cause in &failure.chain {
            line("because", short(cause));
        }
        let by =
            filled(&failure.worker).map_or_else(String::new, |by| format!(" by {}", short(by)));
        line("failed", format!("{}{by}", moment(failure.at)));
    }
    if job.place == Place::Dead && has_record(job) {
        line("next step", next_step(name, job));
    }
    let lines: Vec<String> =
        lines.iter().map(|(label, value)| format!("  {label:<12} {value}")).collect();
    format!("{}\n{}", short(&job.id), lines.join("\n"))
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Ready => "ready",
        Place::Scheduled => "scheduled",
        Place::Claimed => "claimed",
        Place::Dead => "dead",
    }
}

/// What [`JobState::until`] means in this place.
fn until_is(place: Place) -> &'static str {
    match place {
        Place::Ready => "until",
        Place::Scheduled => "due",
        Place::Claimed => "lease until",
        Place::Dead => "died",
    }
}

fn next_step(name: QueueName, job: &JobState) -> String {
    if is_readable(name, job) {
        format!("`eyefleet queue redrive {name} ID` tries it again, `flush` forgets it")
    } else {
        format!("the job cannot be read: {}", step_for_unreadable(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    use fleetq::{Failure, Lane};

    use super::*;

    fn claimed() -> JobState {
        JobState {
            id: "analyze-image:main:1:a.jpg".to_owned(),
            kind: "analyze-image".to_owned(),
            meta: BTreeMap::from([("source".to_owned(), "cli".to_owned())]),
            payload: br#"{"library":"main","image":"a.jpg","path":"a.jpg","revision":1}"#.to_vec(),
            limit: Some(Duration::from_mins(5)),
            place: Place::Claimed,
            lane: Lane::Upload,
            starts: 1,
            attempts: 0,
            token: 1_700_000_010_000_007,
            worker: "analyze-1".to_owned(),
            enqueued_at: at_millis(1_700_000_000_000),
            ready_at: at_millis(1_700_000_000_500),
            until: Some(at_millis(1_700_000_040_000)),
            failure: None,
        }
    }

    #[test]
    fn a_job_that_runs_says_since_when_and_by_whom() {
        insta::assert_snapshot!(text(QueueName::Analyze, &claimed()));
        let data = as_data(QueueName::Analyze, &claimed());
        assert_eq!(data["claimed_at"], "2023-11-14T22:13:30.000Z");
        assert_eq!(data["lease_ends_at"], "2023-11-14T22:14:00.000Z");
        assert_eq!(
            (data.get("died_at"), &data["payload"]["revision"]),
            (Some(&Value::Null), &1.into())
        );
    }

    #[test]
    fn a_letter_that_cannot_be_read_names_what_works() {
        let dead = JobState {
            kind: String::new(),
            payload: b"garbage".to_vec(),
            place: Place::Dead,
            attempts: 1,
            failure: Some(Failure {
                how: "dead".to_owned(),
                cause: "its envelope in redis is damaged and names no kind of job".to_owned(),
                chain: Vec::new(),
                worker: "analyze-1".to_owned(),
                at: at_millis(1_700_000_040_000),
            }),
            ..claimed()
        };
        insta::assert_snapshot!(text(QueueName::Analyze, &dead));
        assert_eq!(as_data(QueueName::Analyze, &dead)["payload"], "garbage");
    }

    #[test]
    fn a_damaged_record_claims_nothing() {
        let damaged = JobState {
            payload: Vec::new(),
            place: Place::Dead,
            lane: Lane::Backfill,
            starts: 0,
            token: 0,
            worker: String::new(),
            enqueued_at: UNIX_EPOCH,
            ready_at: UNIX_EPOCH,
            until: None,
            limit: None,
            ..claimed()
        };
        insta::assert_snapshot!(text(QueueName::Analyze, &damaged));
        let data = as_data(QueueName::Analyze, &damaged);
        for field in ["place", "lane", "payload", "worker", "enqueued_at", "died_at", "failure"] {
            assert_eq!(data.get(field), Some(&Value::Null), "{field}: {data}");
        }
    }
}
