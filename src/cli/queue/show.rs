//! `eyefleet queue show`: everything known of one job.

use fleetq::{JobState, Place, Queue};
use serde_json::{Value, json};

use super::super::args::{QueueName, QueueShowArgs};
use super::super::{Client, Exit};
use super::{moment, pick, shortened, span};

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
        tell(name, &job)?;
    }
    Ok(Exit::Done)
}

/// What is left to say of a job that is not there.
async fn gone(queue: &Queue, name: QueueName, id: &str) -> anyhow::Result<String> {
    let shown = shortened(id, TEXT_MAX);
    let history = queue.history(HISTORY).await?;
    Ok(match history.iter().find(|run| run.id == id) {
        Some(run) => format!(
            "queue {name} has no job {shown} any more: its last run ended as {} by {}",
            run.how, run.worker
        ),
        None => format!(
            "queue {name} has no job {shown}: it has left the queue or was never added; \
             `eyefleet queue status {name} --history 20` shows the last that ended"
        ),
    })
}

/// What [`JobState::until`] means in this place.
fn until_is(place: Place) -> &'static str {
    match place {
        Place::Ready => "until",
        Place::Scheduled => "due_at",
        Place::Claimed => "lease_ends_at",
        Place::Dead => "died_at",
    }
}

fn as_data(name: QueueName, job: &JobState) -> Value {
    let text = String::from_utf8_lossy(&job.payload);
    let payload = serde_json::from_slice::<Value>(&job.payload)
        .unwrap_or_else(|_| Value::String(text.into_owned()));
    let mut data = json!({
        "queue": name.as_str(),
        "id": job.id,
        "kind": job.kind,
        "place": job.place,
        "lane": job.lane,
        "payload": payload,
        "meta": job.meta,
        "attempts": job.attempts,
        "starts": job.starts,
        "token": job.token,
        "worker": job.worker,
        "enqueued_at": moment(job.enqueued_at),
        "limit_seconds": job.limit.map(|limit| limit.as_secs_f64()),
        "failure": job.failure.as_ref().map(|failure| json!({
            "how": failure.how,
            "cause": failure.cause,
            "chain": failure.chain,
            "worker": failure.worker,
            "at": moment(failure.at),
        })),
    });
    if let Some(until) = job.until {
        data[until_is(job.place)] = moment(until).into();
    }
    data
}

fn tell(name: QueueName, job: &JobState) -> anyhow::Result<()> {
    let short = |text: &str| shortened(text, TEXT_MAX);
    say!("{}", short(&job.id));
    let place = match job.place {
        Place::Ready => "ready",
        Place::Scheduled => "scheduled",
        Place::Claimed => "claimed",
        Place::Dead => "dead",
    };
    say!("  queue        {name}, lane {}", job.lane);
    say!("  place        {place}");
    say!("  kind         {}", short(&job.kind));
    say!("  payload      {}", shortened(&String::from_utf8_lossy(&job.payload), PAYLOAD_MAX));
    for (key, value) in &job.meta {
        say!("  {:<12} {}", short(key), short(value));
    }
    say!("  attempts     {} failed, {} starts not settled", job.attempts, job.starts);
    if !job.worker.is_empty() {
        say!("  worker       {}", short(&job.worker));
    }
    say!("  added        {}", moment(job.enqueued_at));
    if let Some(until) = job.until {
        say!("  {:<12} {}", until_is(job.place).replace('_', " "), moment(until));
    }
    if let Some(limit) = job.limit {
        say!("  time limit   {}", span(limit));
    }
    if let Some(failure) = &job.failure {
        say!("  failure      {}: {}", failure.how, short(&failure.cause));
        for cause in &failure.chain {
            say!("  {:<12} {}", "because", short(cause));
        }
        say!("  {:<12} {} by {}", "failed", moment(failure.at), short(&failure.worker));
    }
    Ok(())
}
