//! `eyefleet queue redrive` and `flush`: which dead letters are meant, whether that is wanted, and what
//! came of it.

use std::io::{BufRead, IsTerminal, Write};

use fleetq::DeadFilter;
use serde_json::json;

use super::super::args::{QueueFlushArgs, QueueName, QueueRedriveArgs, WhichDead};
use super::super::{Client, Exit};
use super::condition::step_for_unreadable;
use super::moving::{Found, Moved, ROUND, Verb, carry_out, find};
use super::pick;
use super::words::{counted, shortened};

/// Characters shown of an id or a cause.
const SHOWN_MAX: usize = 200;

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
            json!({
                "queue": name.as_str(),
                "redriven": moved.letters,
                "replaced": moved.replaced,
                "left": moved.left,
            })
        );
    } else if moved.letters > 0 {
        say!("{} tried again", these(name, moved.letters));
        if moved.replaced > 0 {
            say!("  with a new job, because theirs cannot be read: {}", moved.replaced);
        }
    }
    Ok(exit(name, &filter, &moved))
}

pub(super) async fn flush(
    client: &Client,
    args: &QueueFlushArgs,
    json: bool,
) -> anyhow::Result<Exit> {
    let (name, filter) = (args.queue, filter(&args.which));
    let mut moved = Moved::default();
    // Nobody is asked about nothing.
    let found = find(pick(client, name), &filter).await?;
    if found.letters.is_empty() {
        moved.hidden = found.hidden;
    } else {
        if !args.yes && !confirmed(name, &filter, &found)? {
            return Ok(Exit::Usage);
        }
        moved = carry_out(client, name, &filter, Verb::Flush, json).await?;
    }
    if json {
        say!(
            "{}",
            json!({ "queue": name.as_str(), "flushed": moved.letters, "untold": moved.untold })
        );
    } else if moved.letters > 0 {
        say!("{} forgotten", these(name, moved.letters));
        match moved.letters - moved.untold.min(moved.letters) {
            _ if name != QueueName::Analyze => {}
            0 => {}
            1 => say!("  the photo that it was about stays failed: `eyefleet status` shows why"),
            _ => say!("  photos that they were about stay failed: `eyefleet status` shows why"),
        }
        if moved.untold > 0 {
            say!("  naming no photo: {}; what still waits of them is analyzed again", moved.untold);
        }
    }
    Ok(exit(name, &filter, &moved))
}

/// The letters as the beginning of a sentence.
fn these(name: QueueName, letters: u64) -> String {
    let verb = if letters == 1 { "is" } else { "are" };
    format!("{} of queue {name} {verb}", counted(letters, "dead letter"))
}

fn filter(which: &WhichDead) -> DeadFilter {
    match (&which.id, &which.cause) {
        (Some(id), _) => DeadFilter::Id(id.clone()),
        (None, Some(text)) => DeadFilter::Cause(text.clone()),
        (None, None) => DeadFilter::All,
    }
}

/// On a terminal the queue's name is to be typed; elsewhere `--yes` is needed.
fn confirmed(name: QueueName, filter: &DeadFilter, found: &Found) -> anyhow::Result<bool> {
    let least = if found.hidden { "at least " } else { "" };
    let number = found.letters.len() as u64;
    let which = match filter {
        DeadFilter::All => format!("all dead letters ({least}{number})"),
        DeadFilter::Id(id) => format!("the dead letter {}", shortened(id, SHOWN_MAX)),
        DeadFilter::Cause(text) => {
            let letters = counted(number, "dead letter");
            format!("{least}{letters} with {:?} in the cause", shortened(text, SHOWN_MAX))
        }
    };
    if !std::io::stdin().is_terminal() {
        eprintln!(
            "eyefleet: this would forget for good, of queue {name}, {which}: say --yes where nobody \
             can be asked"
        );
        return Ok(false);
    }
    eprint!("Forget for good, of queue {name}, {which}? Type `{name}` to confirm: ");
    std::io::stderr().flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    let same = typed.trim() == name.as_str();
    if !same {
        eprintln!("nothing was forgotten");
    }
    Ok(same)
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
        eprintln!("eyefleet: {}", why_left(name, moved.left));
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

/// Why letters could not be brought back, and what can be done about them.
fn why_left(name: QueueName, left: u64) -> String {
    let left = counted(left, "dead letter");
    match name {
        QueueName::Analyze => format!(
            "{left} of queue analyze cannot be brought back: the job cannot be read, and the \
             catalogue knows no photo that needs it; `eyefleet queue flush analyze ID` forgets it"
        ),
        QueueName::Export | QueueName::Train | QueueName::Detail => format!(
            "{left} of queue {name} cannot be brought back: the job cannot be read; {}",
            step_for_unreadable(name)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_told_with_the_next_step() {
        for (name, step) in [
            (QueueName::Analyze, "`eyefleet queue flush analyze ID`"),
            (QueueName::Train, "then `eyefleet train` asks anew"),
        ] {
            let why = why_left(name, 1);
            assert!(why.starts_with("1 dead letter of") && why.contains(step), "{why}");
        }
    }
}
