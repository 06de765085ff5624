//! Where a job that was asked for is now.

use fleetq::{Enqueued, Mode, NewJob, Place, Queue, QueueError};

/// What the queue knows of a job.
pub(super) enum Queued {
    /// It waits or runs.
    Alive,
    /// It has left the queue: what came of it stands in the catalogue.
    Gone,
}

/// Asks for a job. One of the same id that was quarantined is taken out and tried again: whoever
/// asks by hand wants that.
///
/// # Errors
/// A queue that is being drained, with the command that ends that; when Redis is away.
pub(super) async fn ask_for(queue: &Queue, job: NewJob) -> anyhow::Result<()> {
    let id = job.id.clone();
    // Labels are `namespace:queue`; a person knows the queue.
    let name = queue.label().rsplit(':').next().unwrap_or_default();
    match queue.enqueue(job).await {
        Ok(Enqueued::Duplicate(Place::Dead)) => {
            queue.redrive(&id).await?;
        }
        Ok(_) => {}
        Err(QueueError::Draining { .. }) => anyhow::bail!(
            "queue {name} is being drained and takes no new jobs: `eyefleet queue resume {name}`, \
             then ask again"
        ),
        Err(error) => return Err(error.into()),
    }
    let depth = queue.depth().await?;
    let held = async |id: &str| {
        let job = queue.state(id).await?;
        Ok::<_, QueueError>(job.is_some_and(|job| depth.held.contains(&job.lane)))
    };
    if !depth.held.is_empty() && held(&id).await? {
        eprintln!(
            "the fleet had asked for it before and is paused: it begins after the pause (`eyefleet \
             status` says when), or after `eyefleet resume`"
        );
    }
    if depth.mode == Mode::Paused {
        eprintln!("queue {name} is paused: it begins after `eyefleet queue resume {name}`");
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
