//! `eyefleet queue dead`: which jobs were given up, and why.

use fleetq::{DeadJob, Queue};
use serde_json::json;

use super::super::args::{QueueDeadArgs, QueueName};
use super::super::{Client, Exit};
use super::{moment, pick, shortened};

/// Characters shown of an id and of a cause.
const SHOWN_MAX: usize = 200;

pub(super) async fn dead(
    client: &Client,
    args: &QueueDeadArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let queue = pick(client, args.queue);
    if args.by_cause {
        return by_cause(queue, args.queue, json).await;
    }
    let letters = queue.dead(usize::try_from(args.limit)?).await?;
    if json {
        let rows: Vec<_> = letters.iter().map(row).collect();
        say!("{}", serde_json::to_string(&rows)?);
        return Ok(Exit::Done);
    }
    for letter in &letters {
        let failure = letter.failure.as_ref();
        say!("{}", shortened(&letter.id, SHOWN_MAX));
        say!(
            "  {:<12} {}",
            failure.map_or("dead", |failure| &failure.how),
            shortened(failure.map_or("", |failure| &failure.cause), SHOWN_MAX)
        );
        say!(
            "  {:<12} {}, {} attempts, {} starts, by {}",
            "when",
            letter.until.map_or("?".to_owned(), moment),
            letter.attempts,
            letter.starts,
            shortened(failure.map_or(&letter.worker, |failure| &failure.worker), SHOWN_MAX)
        );
    }
    let all = queue.depth().await?.dead;
    let name = args.queue;
    match (letters.len() as u64, all) {
        (_, 0) => say!("queue {name} has no dead letters"),
        (shown, all) if shown < all => say!("{shown} of {all} dead letters; --limit shows more"),
        (_, all) => say!("{all} dead letters; `eyefleet queue show {name} ID` tells all of one"),
    }
    Ok(Exit::Done)
}

fn row(letter: &DeadJob) -> serde_json::Value {
    let failure = letter.failure.as_ref();
    json!({
        "id": letter.id,
        "kind": letter.kind,
        "lane": letter.lane,
        "how": failure.map(|failure| &failure.how),
        "cause": failure.map(|failure| &failure.cause),
        "attempts": letter.attempts,
        "starts": letter.starts,
        "worker": failure.map_or(&letter.worker, |failure| &failure.worker),
        "died_at": letter.until.map(moment),
    })
}

async fn by_cause(queue: &Queue, name: QueueName, json: bool) -> anyhow::Result<Exit> {
    let causes = queue.dead_causes().await?;
    if json {
        say!("{}", serde_json::to_string(&causes)?);
        return Ok(Exit::Done);
    }
    for cause in &causes {
        let text = if cause.cause.is_empty() { "other causes" } else { &cause.cause };
        say!("{:>7}  {:<12} {}", cause.jobs, cause.how, shortened(text, SHOWN_MAX));
    }
    if causes.is_empty() {
        say!("queue {name} has no dead letters");
    }
    Ok(Exit::Done)
}
