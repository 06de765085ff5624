//! `eyefleet queue`: what a person asks of a queue and of the jobs in it.
//!
//! What must stay true: a command that changes a queue says what holds from now on and how that is
//! ended again.

mod condition;
mod dead;
mod drain;
mod letters;
mod moving;
mod show;
mod status;
mod words;

pub(super) use words::{counted, rate, span};

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
        QueueName::Detail => &client.detail,
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
        say!("  {} still {}", counted(running, "job"), if running == 1 { "runs" } else { "run" });
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
        Some(cap) => {
            say!(
                "queue {name} runs {} at most, in the whole fleet",
                counted(cap.get().into(), "job")
            );
        }
    }
    Ok(Exit::Done)
}
