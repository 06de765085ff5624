//! `eyefleet queue dead`: which jobs were given up, and why.

use std::time::SystemTime;

use fleetq::{DeadJob, Queue};
use serde_json::json;

use super::super::args::{QueueDeadArgs, QueueName};
use super::super::{Client, Exit};
use super::condition::{has_record, is_readable, step_for_unreadable};
use super::pick;
use super::words::{UNKNOWN, counted, filled, moment, shortened, timestamp};

/// Characters shown of an id and of a cause.
const SHOWN_MAX: usize = 200;

pub(super) async fn dead(
    client: &Client,
    args: &QueueDeadArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, queue) = (args.queue, pick(client, args.queue));
    if args.by_cause {
        return by_cause(queue, name, json).await;
    }
    let letters = queue.dead(usize::try_from(args.limit)?).await?;
    if json {
        let rows: Vec<_> = letters.iter().map(row).collect();
        say!("{}", serde_json::to_string(&rows)?);
        return Ok(Exit::Done);
    }
    for letter in &letters {
        say!("{}", text(letter));
    }
    let all = queue.depth().await?.dead;
    let told = counted(all, "dead letter");
    match (letters.len() as u64, all) {
        (_, 0) => say!("queue {name} has no dead letters"),
        (shown, all) if shown < all => say!("{shown} of {told}; --limit shows more"),
        (_, 1) => say!("{told}; `eyefleet queue show {name} ID` tells all of it"),
        _ => say!("{told}; `eyefleet queue show {name} ID` tells all of one"),
    }
    let unreadable = letters.iter().filter(|letter| !is_readable(name, letter)).count();
    if unreadable > 0 {
        say!("jobs among them that cannot be read: {unreadable}; {}", step_for_unreadable(name));
    }
    Ok(Exit::Done)
}

fn text(letter: &DeadJob) -> String {
    let failure = letter.failure.as_ref();
    let (how, cause) =
        failure.map_or(("dead", "unknown cause"), |failure| (&failure.how, &failure.cause));
    let mut facts = vec![died_at(letter).map_or_else(|| UNKNOWN.to_owned(), moment)];
    // Both are 0 where the job never ran.
    if letter.attempts + letter.starts > 0 {
        facts.push(counted(letter.attempts.into(), "failed attempt"));
        facts.push(counted(letter.starts.into(), "start"));
    }
    if let Some(worker) = worker(letter) {
        facts.push(format!("by {}", shortened(worker, SHOWN_MAX)));
    }
    format!(
        "{}\n  {how:<12} {}\n  {:<12} {}",
        shortened(&letter.id, SHOWN_MAX),
        shortened(cause, SHOWN_MAX),
        "when",
        facts.join(", ")
    )
}

/// As its place says, else as its note does: a damaged record tells neither.
fn died_at(letter: &DeadJob) -> Option<SystemTime> {
    letter.until.or(letter.failure.as_ref().map(|failure| failure.at))
}

fn worker(letter: &DeadJob) -> Option<&str> {
    filled(letter.failure.as_ref().map_or(&letter.worker, |failure| &failure.worker))
}

fn row(letter: &DeadJob) -> serde_json::Value {
    let failure = letter.failure.as_ref();
    json!({
        "id": letter.id,
        "kind": filled(&letter.kind),
        "lane": has_record(letter).then_some(letter.lane),
        "how": failure.map(|failure| &failure.how),
        "cause": failure.map(|failure| &failure.cause),
        "attempts": letter.attempts,
        "starts": letter.starts,
        "worker": worker(letter),
        "died_at": died_at(letter).and_then(timestamp),
    })
}

async fn by_cause(queue: &Queue, name: QueueName, json: bool) -> anyhow::Result<Exit> {
    let causes = queue.dead_causes().await?;
    if json {
        let rows: Vec<_> = causes
            .iter()
            .map(|it| json!({ "how": it.how, "cause": filled(&it.cause), "jobs": it.jobs }))
            .collect();
        say!("{}", serde_json::to_string(&rows)?);
        return Ok(Exit::Done);
    }
    for cause in &causes {
        let text = filled(&cause.cause).unwrap_or("other causes");
        say!("{:>7}  {:<12} {}", cause.jobs, cause.how, shortened(text, SHOWN_MAX));
    }
    if causes.is_empty() {
        say!("queue {name} has no dead letters");
    } else {
        say!("`eyefleet queue redrive {name} --cause TEXT` tries them again, `flush` forgets them");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use fleetq::{Failure, Lane, Place};

    use super::super::words::at_millis;
    use super::*;

    #[test]
    fn a_letter_says_what_is_known_and_nothing_else() {
        let died = at_millis(1_700_000_000_123);
        let failure = Failure {
            how: "broken".to_owned(),
            cause: "its body is gone".to_owned(),
            chain: Vec::new(),
            worker: String::new(),
            at: died,
        };
        let broken = DeadJob {
            id: "analyze-image:main:1:a.jpg".to_owned(),
            kind: String::new(),
            meta: std::collections::BTreeMap::new(),
            payload: Vec::new(),
            limit: None,
            place: Place::Dead,
            lane: Lane::Upload,
            starts: 0,
            attempts: 0,
            token: 0,
            worker: String::new(),
            enqueued_at: std::time::UNIX_EPOCH,
            ready_at: std::time::UNIX_EPOCH,
            until: Some(died),
            failure: Some(failure.clone()),
        };
        let ran = DeadJob {
            kind: "analyze-image".to_owned(),
            starts: 2,
            attempts: 1,
            failure: Some(Failure {
                how: "dead".to_owned(),
                cause: "analyze-image panicked: no message".to_owned(),
                worker: "analyze-1".to_owned(),
                ..failure
            }),
            ..broken.clone()
        };
        let damaged = DeadJob { until: None, failure: None, ..broken.clone() };
        insta::assert_snapshot!([&broken, &ran, &damaged].map(text).join("\n"));
        let row = row(&damaged);
        for field in ["kind", "lane", "how", "cause", "worker", "died_at"] {
            assert_eq!(row.get(field), Some(&serde_json::Value::Null), "{field}: {row}");
        }
    }
}
