//! Where a job that was asked for is now.

use fleetq::{Enqueued, NewJob, Place, Queue};

/// What the queue knows of a job.
pub(super) enum Queued {
    /// It waits or runs.
    Alive,
    /// It has left the queue: what came of it stands in the catalogue.
    Gone,
}

/// Asks for a job. One of the same id that was quarantined is taken out and tried again: whoever
/// asks by hand wants that.
pub(super) async fn ask_for(queue: &Queue, job: NewJob) -> anyhow::Result<()> {
    let id = job.id.clone();
    if queue.enqueue(job).await? == Enqueued::Duplicate(Place::Dead) {
        queue.redrive(&id).await?;
    }
    Ok(())
}

/// Looks a job up.
///
/// # Errors
/// When it was quarantined, with the cause; when Redis is away.
pub(super) async fn look_up(queue: &Queue, id: &str) -> anyhow::Result<Queued> {
    match queue.state(id).await? {
        Some(job) if job.place == Place::Dead => {
            let cause = job.failure.map_or_else(String::new, |failure| failure.cause);
            anyhow::bail!("{id} was quarantined: {cause}; see the log of its role, then ask again")
        }
        Some(_) => Ok(Queued::Alive),
        None => Ok(Queued::Gone),
    }
}
