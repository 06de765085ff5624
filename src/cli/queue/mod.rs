//! `eyefleet queue`: what a person asks of a queue and of the jobs in it.
//!
//! What must stay true: a command that changes a queue says what holds from now on and how that is
//! ended again.

mod dead;
mod drain;
mod letters;
mod show;
mod status;

use fleetq::{Mode, Queue};
use serde_json::json;

use super::args::{Cap, QueueCapArgs, QueueCommand, QueueName};
use super::{Client, Exit};

pub(super) async fn queue(
    client: &Client,
    command: &QueueCommand,
    json: bool,
) -> anyhow::Result<Exit> {
    match command {
        QueueCommand::Status(args) => status::status(client, args, json).await,
        QueueCommand::Pause(args) => pause(client, args.queue, json).await,
        QueueCommand::Resume(args) => resume(client, args.queue, json).await,
        QueueCommand::Drain(args) => drain::drain(client, args, json).await,
        QueueCommand::Dead(args) => dead::dead(client, args, json).await,
        QueueCommand::Show(args) => show::show(client, args, json).await,
        QueueCommand::Redrive(args) => letters::redrive(client, args, json).await,
        QueueCommand::Flush(args) => letters::flush(client, args, json).await,
        QueueCommand::Cap(args) => cap(client, args, json).await,
    }
}

fn pick(client: &Client, name: QueueName) -> &Queue {
    match name {
        QueueName::Analyze => &client.analyze,
        QueueName::Export => &client.export,
        QueueName::Train => &client.train,
    }
}

async fn pause(client: &Client, name: QueueName, json: bool) -> anyhow::Result<Exit> {
    let queue = pick(client, name);
    queue.pause().await?;
    if json {
        return tell_mode(name, Mode::Paused);
    }
    let running = queue.depth().await?.claimed;
    say!("queue {name} is paused until `eyefleet queue resume {name}`");
    if running > 0 {
        say!("  running jobs go on: {running}");
    }
    Ok(Exit::Done)
}

async fn resume(client: &Client, name: QueueName, json: bool) -> anyhow::Result<Exit> {
    pick(client, name).resume().await?;
    if json {
        return tell_mode(name, Mode::Running);
    }
    say!("queue {name} takes jobs and gives them out");
    Ok(Exit::Done)
}

fn tell_mode(name: QueueName, mode: Mode) -> anyhow::Result<Exit> {
    say!("{}", json!({ "queue": name.as_str(), "mode": mode }));
    Ok(Exit::Done)
}

async fn cap(client: &Client, args: &QueueCapArgs, json: bool) -> anyhow::Result<Exit> {
    let (name, Cap(cap)) = (args.queue, args.cap);
    pick(client, name).set_cap(cap).await?;
    match cap {
        _ if json => say!("{}", json!({ "queue": name.as_str(), "cap": cap })),
        None => say!("queue {name} has no cap: its workers' slots are the limit"),
        Some(cap) => say!("jobs of queue {name} that may run at once, in the whole fleet: {cap}"),
    }
    Ok(Exit::Done)
}

/// A span of time in the two largest of its units.
pub(super) fn span(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A moment of Redis's time as people and programs read it.
fn moment(time: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.0}"))
}

/// Text that others wrote, in one line of at most `most` characters that no terminal obeys.
fn shortened(text: &str, most: usize) -> String {
    let shown: String = text.chars().take(most).flat_map(char::escape_debug).collect();
    let shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(most).is_some() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn spans_read_well() {
        for (millis, text) in [
            (0, "0.0 s"),
            (2_340, "2.3 s"),
            (61_000, "61 s"),
            (600_000, "10 min"),
            (7_500_000, "2 h 5 min"),
            (200_000_000, "2 d 7 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_others_wrote_is_short_and_harmless() {
        assert_eq!(shortened("{\"a\":\"it's\"}", 99), "{\"a\":\"it's\"}");
        assert_eq!(shortened("a\nb\u{1b}[31m", 99), "a\\nb\\u{1b}[31m");
        assert_eq!(shortened("häuser", 3), "häu…");
    }

    #[test]
    fn a_moment_is_told_in_seconds() {
        let time = std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!(moment(time), "2023-11-14T22:13:20Z");
    }
}
