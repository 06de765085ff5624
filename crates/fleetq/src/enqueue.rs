//! Adding jobs.
//! What must stay true: a job that is refused for its form stops a call before anything is added, and
//! a repeated call adds nothing twice.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::connection::Effort;
use crate::error::QueueError;
use crate::job::{Enqueued, Envelope, NewJob};
use crate::lane::Place;
use crate::queue::{BATCH_MAX, Queue, whole_millis};
use crate::scripts;

/// A script call that adds jobs carries about this many bytes, or one job.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Script calls that add jobs and are on their way at a time: the next one is there when Redis has
/// done with the last, and no more memory is taken than a few of them need.
const ENQUEUES_AT_ONCE: usize = 4;

impl Queue {
    /// Adds one job. A job that lives under the same id is left as it is and reported.
    ///
    /// After a lost reply the call is repeated; then a job of our own shows as a duplicate.
    ///
    /// # Errors
    /// [`QueueError::BadName`], [`QueueError::PayloadTooLarge`], [`QueueError::Draining`],
    /// [`QueueError::Full`], and what else Redis says.
    pub async fn enqueue(&self, job: NewJob) -> Result<Enqueued, QueueError> {
        job.check(self.shared.settings.payload_bytes_max)?;
        self.enqueue_one(&job).await
    }

    /// Adds many jobs, in script calls of at most 250 jobs and about 1 MiB each, several of which
    /// are on their way at a time; in each lane they keep their order. Nothing is added when one of
    /// them is refused for its form; when Redis fails on the way, some calls stand, perhaps not the
    /// first ones, and repeating the whole is safe.
    ///
    /// # Errors
    /// As [`Queue::enqueue`].
    pub async fn enqueue_many(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError> {
        for job in &jobs {
            job.check(self.shared.settings.payload_bytes_max)?;
        }
        let mut parts = batches(jobs).into_iter();
        let Some(first) = parts.next() else { return Ok(Vec::new()) };
        // Alone: it may have to dial or to load the script, and the others could overtake it.
        let mut answers = self.enqueue_batch(first).await?;
        let calls = parts.map(|part| self.enqueue_batch(part));
        let rest: Vec<Vec<Enqueued>> =
            stream::iter(calls).buffered(ENQUEUES_AT_ONCE).try_collect().await?;
        answers.extend(rest.concat());
        Ok(answers)
    }

    async fn enqueue_one(&self, job: &NewJob) -> Result<Enqueued, QueueError> {
        let delay = whole_millis(job.delay.unwrap_or_default());
        let mut call = scripts::enqueue_one(&self.shared.keys, job.lane, delay > 0);
        call.arg(job.id.as_str()).arg(job.lane.letter()).arg(delay).arg(Envelope::encode(job));
        let letter: String = self.run("enqueue a job", Effort::UntilAnswered, &call).await?;
        Ok(read_answer(&letter))
    }

    async fn enqueue_batch(&self, batch: Vec<NewJob>) -> Result<Vec<Enqueued>, QueueError> {
        if let [job] = batch.as_slice() {
            return Ok(vec![self.enqueue_one(job).await?]);
        }
        let mut call = self.script(&scripts::ENQUEUE);
        for job in &batch {
            let delay = whole_millis(job.delay.unwrap_or_default());
            call.arg(job.id.as_str()).arg(job.lane.letter()).arg(delay);
            call.arg(Envelope::encode(job));
        }
        let letters: Vec<String> = self.run("enqueue jobs", Effort::UntilAnswered, &call).await?;
        Ok(letters.iter().map(|letter| read_answer(letter)).collect())
    }
}

fn read_answer(letter: &str) -> Enqueued {
    match letter {
        "+" => Enqueued::Added,
        place => Enqueued::Duplicate(Place::from_letter(place)),
    }
}

/// The jobs in parts that one script call each can carry, in their order.
fn batches(jobs: Vec<NewJob>) -> Vec<Vec<NewJob>> {
    let mut parts: Vec<Vec<NewJob>> = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        let more = job.payload.len() + job.meta_bytes();
        match parts.last_mut() {
            Some(part) if part.len() < BATCH_MAX && bytes + more <= BATCH_BYTES_MAX => {
                part.push(job);
                bytes += more;
            }
            _ => {
                parts.push(vec![job]);
                bytes = more;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_carries_250_jobs_or_about_a_mebibyte_or_one_job() {
        let sizes = |bytes: &[usize]| {
            let jobs: Vec<NewJob> =
                bytes.iter().map(|&bytes| NewJob::new("1", "see", "x".repeat(bytes))).collect();
            batches(jobs).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[0; 501]), [250, 250, 1]);
        assert_eq!(sizes(&[700_000; 3]), [1, 1, 1]);
        assert_eq!(sizes(&[2 * BATCH_BYTES_MAX, 10, 10]), [1, 2]);
        let told = NewJob::new("1", "see", "{}").with_meta("what", "x".repeat(16_000));
        let parts = batches(vec![told; 100]);
        assert_eq!((parts[0].len(), parts.len()), (65, 2), "metadata counts as well");
    }
}
