//! Dead letters found, brought back or forgotten, one by one.
//!
//! What must stay true: the catalogue speaks first. A photo whose job is brought back waits again
//! before a worker can claim it, or the worker would find nothing to do; one whose job is forgotten
//! says that it failed, or reconciliation would offer it again as if it had never been tried.

use std::collections::BTreeSet;

use fleetq::{DeadFilter, DeadJob, Place, Queue};

use super::super::args::QueueName;
use super::super::{Client, Progress};
use super::condition::{has_record, is_readable};
use super::pick;
use crate::jobs::Origin;
use crate::reconcile::quarantine;

/// Dead letters looked at in one round: the most that the queue lists.
pub(super) const ROUND: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Redrive,
    Flush,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Letters brought back or forgotten.
    pub letters: u64,
    /// Of those brought back: photos that got a new job, because theirs cannot be read.
    pub replaced: u64,
    /// Letters that were meant and stay: their job cannot be read, and nothing takes its place.
    pub left: u64,
    /// Forgotten letters that name no photo.
    pub untold: u64,
    /// Older letters could not be looked at behind so many that do not match.
    pub hidden: bool,
}

/// Letters that match.
pub(super) struct Found {
    pub letters: Vec<DeadJob>,
    /// As many newer ones as can be looked at lie above those that may be left.
    pub hidden: bool,
}

/// The newest letters that match.
pub(super) async fn find(queue: &Queue, filter: &DeadFilter) -> anyhow::Result<Found> {
    if let DeadFilter::Id(id) = filter {
        let job = queue.state(id).await?.filter(|job| job.place == Place::Dead);
        if job.as_ref().is_none_or(has_record) {
            return Ok(Found { letters: Vec::from_iter(job), hidden: false });
        }
        // Its record does not tell whether it is dead.
    }
    let mut letters = queue.dead(ROUND).await?;
    let hidden = letters.len() == ROUND;
    letters.retain(|letter| matches(filter, letter));
    Ok(Found { letters, hidden })
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

/// Letter by letter, newest first, until a round finds none that it has not met.
pub(super) async fn carry_out(
    client: &Client,
    name: QueueName,
    filter: &DeadFilter,
    verb: Verb,
    quiet: bool,
) -> anyhow::Result<Moved> {
    let queue = pick(client, name);
    let label = if verb == Verb::Redrive { "redrive" } else { "flush" };
    let quiet = quiet || matches!(filter, DeadFilter::Id(_));
    let mut progress: Option<Progress> = None;
    let mut moved = Moved::default();
    // One that dies again at once is not brought back for ever.
    let mut met = BTreeSet::new();
    loop {
        let Found { letters: mut new, hidden } = find(queue, filter).await?;
        moved.hidden = hidden;
        new.retain(|letter| met.insert(letter.id.clone()));
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
            match verb {
                Verb::Redrive => bring_back(client, name, &letter, &mut moved).await?,
                Verb::Flush => forget(client, name, &letter, &mut moved).await?,
            }
            progress.set(moved.letters);
        }
    }
}

async fn bring_back(
    client: &Client,
    name: QueueName,
    letter: &DeadJob,
    moved: &mut Moved,
) -> anyhow::Result<()> {
    let (queue, catalog) = (pick(client, name), &client.catalog);
    let has_photo = name == QueueName::Analyze;
    let back = if has_record(letter) && is_readable(name, letter) {
        if has_photo {
            quarantine::reopen(catalog, letter).await?;
        }
        queue.redrive(&letter.id).await?
    } else {
        // As it is, it would die again at once, or the queue would leave it.
        let replaced =
            has_photo && quarantine::replace(catalog, queue, letter, &Origin::command()).await?;
        moved.replaced += u64::from(replaced);
        replaced
    };
    moved.letters += u64::from(back);
    moved.left += u64::from(!back);
    Ok(())
}

async fn forget(
    client: &Client,
    name: QueueName,
    letter: &DeadJob,
    moved: &mut Moved,
) -> anyhow::Result<()> {
    // Exports and trainings are decided anew from what the catalogue says: nothing to tell it.
    if name == QueueName::Analyze {
        moved.untold += u64::from(quarantine::photo_of(letter).is_none());
        quarantine::tell(&client.catalog, letter).await?;
    }
    moved.letters += pick(client, name).flush(&DeadFilter::Id(letter.id.clone())).await?;
    Ok(())
}
