//! `eyefleet queue redrive` and `flush`: dead letters brought back, or forgotten.
//!
//! What must stay true: the catalogue speaks first. A photo whose job is brought back waits again
//! before a worker can claim it, or the worker would find nothing to do; one whose job is forgotten
//! says that it failed, or reconciliation would offer it again as if it had never been tried.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};

use fleetq::{DeadFilter, DeadJob, Place};
use serde_json::json;

use super::super::args::{QueueFlushArgs, QueueName, QueueRedriveArgs, WhichDead};
use super::super::{Client, Exit, Progress};
use super::{pick, shortened};
use crate::reconcile::quarantine;

/// Dead letters looked at in one round: the most that the queue lists.
const ROUND: usize = 1000;
/// Characters shown of an id or a cause.
const SHOWN_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Redrive,
    Flush,
}

/// What came of it.
#[derive(Debug, Default)]
struct Moved {
    letters: u64,
    /// Letters that were meant and stay: their job cannot be read any more.
    left: u64,
    /// Forgotten letters that name no photo.
    untold: u64,
    /// Older letters could not be looked at behind so many that do not match.
    hidden: bool,
}

pub(super) async fn redrive(
    client: &Client,
    args: &QueueRedriveArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, filter) = (args.queue, filter(&args.which));
    let moved = carry_out(client, name, &filter, Verb::Redrive, json).await?;
    if json {
        say!(
            "{}",
            json!({ "queue": name.as_str(), "redriven": moved.letters, "left": moved.left })
        );
    } else if moved.letters > 0 {
        let verb = if moved.letters == 1 { "is" } else { "are" };
        say!("{} of queue {name} {verb} tried again", counted(moved.letters));
    }
    Ok(exit(name, &filter, &moved))
}

pub(super) async fn flush(
    client: &Client,
    args: &QueueFlushArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, filter) = (args.queue, filter(&args.which));
    if !args.yes && !confirmed(name, &filter)? {
        return Ok(Exit::Usage);
    }
    let moved = carry_out(client, name, &filter, Verb::Flush, json).await?;
    if json {
        say!(
            "{}",
            json!({ "queue": name.as_str(), "flushed": moved.letters, "untold": moved.untold })
        );
    } else if moved.letters > 0 {
        let verb = if moved.letters == 1 { "is" } else { "are" };
        say!("{} of queue {name} {verb} forgotten", counted(moved.letters));
        if moved.letters > moved.untold && name == QueueName::Analyze {
            say!("  photos that they were about stay failed: `eyefleet status` shows why");
        }
        if moved.untold > 0 {
            say!("  naming no photo: {}; what still waits of them is analyzed again", moved.untold);
        }
    }
    Ok(exit(name, &filter, &moved))
}

fn counted(letters: u64) -> String {
    if letters == 1 { "1 dead letter".to_owned() } else { format!("{letters} dead letters") }
}

fn filter(which: &WhichDead) -> DeadFilter {
    match (&which.id, &which.cause) {
        (Some(id), _) => DeadFilter::Id(id.clone()),
        (None, Some(text)) => DeadFilter::Cause(text.clone()),
        (None, None) => DeadFilter::All,
    }
}

/// The same rule as the queue's own.
fn matches(filter: &DeadFilter, letter: &DeadJob) -> bool {
    match (filter, &letter.failure) {
        (DeadFilter::All, _) => true,
        (DeadFilter::Id(id), _) => *id == letter.id,
        (DeadFilter::Cause(text), Some(failure)) => {
            failure.how == *text || failure.cause.contains(text)
        }
        (DeadFilter::Cause(_), None) => false,
    }
}

/// On a terminal the queue's name is to be typed; elsewhere `--yes` is needed.
fn confirmed(name: QueueName, filter: &DeadFilter) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        eprintln!("eyefleet: a flush cannot be undone: say --yes where nobody can be asked");
        return Ok(false);
    }
    let which = match filter {
        DeadFilter::All => "all dead letters".to_owned(),
        DeadFilter::Id(id) => format!("the dead letter {}", shortened(id, SHOWN_MAX)),
        DeadFilter::Cause(text) => {
            format!("those with {:?} in their cause", shortened(text, SHOWN_MAX))
        }
    };
    eprint!("Forget for good: {which} of queue {name}? Type `{name}` to confirm: ");
    std::io::stderr().flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    let same = typed.trim() == name.as_str();
    if !same {
        eprintln!("nothing was forgotten");
    }
    Ok(same)
}

async fn carry_out(
    client: &Client,
    name: QueueName,
    filter: &DeadFilter,
    verb: Verb,
    quiet: bool,
) -> anyhow::Result<Moved> {
    let queue = pick(client, name);
    if name == QueueName::Analyze {
        return with_photos(client, filter, verb, quiet).await;
    }
    // Exports and trainings are decided anew from what the catalogue says: nothing to tell it.
    let letters = match verb {
        Verb::Redrive => queue.redrive_all(filter).await?,
        Verb::Flush => queue.flush(filter).await?,
    };
    Ok(Moved { letters, ..Moved::default() })
}

/// Letter by letter, newest first, until a round finds none that it has not met.
async fn with_photos(
    client: &Client,
    filter: &DeadFilter,
    verb: Verb,
    quiet: bool,
) -> anyhow::Result<Moved> {
    let (queue, catalog) = (&client.analyze, &client.catalog);
    let label = if verb == Verb::Redrive { "redrive" } else { "flush" };
    let quiet = quiet || matches!(filter, DeadFilter::Id(_));
    let mut progress: Option<Progress> = None;
    let mut moved = Moved::default();
    // One that dies again at once is not brought back for ever.
    let mut met = BTreeSet::new();
    loop {
        let letters = match filter {
            DeadFilter::Id(id) => Vec::from_iter(queue.state(id).await?),
            _ => queue.dead(ROUND).await?,
        };
        moved.hidden = letters.len() == ROUND;
        let mut new = letters;
        new.retain(|it| {
            it.place == Place::Dead && matches(filter, it) && met.insert(it.id.clone())
        });
        if new.is_empty() {
            if let Some(progress) = progress {
                progress.finish();
            }
            return Ok(moved);
        }
        let total = met.len() as u64;
        let progress = progress.get_or_insert_with(|| Progress::new(label, "jobs", total, quiet));
        progress.set_total(total);
        for letter in new {
            let id = DeadFilter::Id(letter.id.clone());
            match verb {
                // A job without a payload can only be looked at and forgotten: its photo stays as
                // it is.
                Verb::Redrive if letter.payload.is_empty() => moved.left += 1,
                Verb::Redrive => {
                    quarantine::reopen(catalog, &letter).await?;
                    let redriven = queue.redrive_all(&id).await?;
                    moved.letters += redriven;
                    moved.left += 1 - redriven.min(1);
                }
                Verb::Flush => {
                    moved.untold += u64::from(quarantine::photo_of(&letter).is_none());
                    quarantine::tell(catalog, &letter).await?;
                    moved.letters += queue.flush(&id).await?;
                }
            }
            progress.set(moved.letters);
        }
    }
}

/// Nothing that matched is an answer of its own, for scripts too.
fn exit(name: QueueName, filter: &DeadFilter, moved: &Moved) -> Exit {
    if moved.hidden {
        eprintln!(
            "eyefleet: behind the {ROUND} newest dead letters of queue {name} there may be more that \
             match: see to the newest first (`eyefleet queue dead {name} --by-cause`), then repeat"
        );
    }
    if moved.left > 0 {
        eprintln!(
            "eyefleet: {} of queue {name} cannot be brought back, because the job is gone or broken: \
             `eyefleet queue flush {name} ID` forgets it, a photo that still waits gets a new job",
            counted(moved.left)
        );
        return if moved.letters > 0 { Exit::Done } else { Exit::Failed };
    }
    if moved.letters > 0 {
        return Exit::Done;
    }
    match filter {
        DeadFilter::All => {
            eprintln!("queue {name} has no dead letters");
            return Exit::Done;
        }
        DeadFilter::Id(id) => eprintln!(
            "eyefleet: queue {name} has no dead letter {}: `eyefleet queue dead {name}` lists them",
            shortened(id, SHOWN_MAX)
        ),
        DeadFilter::Cause(text) => eprintln!(
            "eyefleet: no dead letter of queue {name} has {:?} in its cause: \
             `eyefleet queue dead {name} --by-cause` lists the causes",
            shortened(text, SHOWN_MAX)
        ),
    }
    Exit::NotFound
}
