//! The owner thread of one model: requests come in one by one and go through it in batches.
//!
//! ```text
//! callers --(2 x batch_max waiting)--> channel --> owner thread: batch of what waits --> replies
//! ```
//!
//! The owner never waits for a batch to fill: it takes what is there, up to `batch_max`, so a lone
//! photo is not delayed and a crowd is served in crowds. A request whose caller has gone is
//! skipped. A batch that fails is run again one by one, so that one bad row fails alone. Where every
//! row of it then succeeds, it was the batch that was too large (for the memory of the moment):
//! the next ones are half as large, and grow again after a while.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::decoder::panic_message;
use crate::fate::Fate;

/// Batches that must succeed before larger ones are tried again after one was too large.
const GROWS_AFTER: u32 = 100;

/// Runs rows and gives one vector per row, in order.
pub(super) type RunBatch<T> = Box<dyn FnMut(&[&[T]]) -> Result<Vec<Vec<f32>>, String> + Send>;

/// The door to one owner thread. Dropping it waits for the batch that is running.
pub(super) struct Model<T> {
    name: &'static str,
    /// `None` only while being dropped.
    requests: Option<mpsc::Sender<Request<T>>>,
    owner: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

struct Request<T> {
    row: Vec<T>,
    reply: oneshot::Sender<Result<Vec<f32>, ModelError>>,
}

#[derive(Default)]
struct Counters {
    batches: AtomicU64,
    items: AtomicU64,
    largest_batch: AtomicU64,
    skipped: AtomicU64,
    failed: AtomicU64,
    batches_split: AtomicU64,
}

/// What one model has done since it was loaded, and how it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelStats {
    /// Batches that were run.
    pub batches: u64,
    /// Rows in them.
    pub items: u64,
    /// Rows in the largest.
    pub largest_batch: u64,
    /// Requests dropped because their caller had gone.
    pub skipped: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Batches that failed and were run again row by row.
    pub batches_split: u64,
    /// Requests waiting now.
    pub waiting: usize,
}

/// Why a model gave no vector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The run failed, for this row alone.
    #[error("the {model} failed: {cause}")]
    Failed {
        /// Which model.
        model: &'static str,
        /// What it said.
        cause: String,
    },
    /// The owner thread has ended.
    #[error("the {model} has stopped; restart the worker")]
    Stopped {
        /// Which model.
        model: &'static str,
    },
}

impl ModelError {
    /// Memory or a device may be short at the moment; the job's budget bounds the retries.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Failed { .. } | Self::Stopped { .. } => Fate::Transient,
        }
    }
}

impl<T: Send + 'static> Model<T> {
    /// Starts the owner thread, which keeps `run` to itself.
    pub(super) fn start(
        name: &'static str,
        batch_max: usize,
        run: RunBatch<T>,
    ) -> std::io::Result<Self> {
        let batch_max = batch_max.max(1);
        let (requests, inbox) = mpsc::channel(2 * batch_max);
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let mut owner = Owner {
            name,
            batch_max,
            bound: batch_max,
            succeeded: 0,
            inbox,
            run,
            counters: counted,
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        let owner = thread.spawn(move || owner.serve())?;
        Ok(Self { name, requests: Some(requests), owner: Some(owner), counters })
    }

    /// One row through the model; waits while the channel is full. Dropping the future gives the
    /// place up, and a row that no batch has taken is never run.
    pub(super) async fn run(&self, row: Vec<T>) -> Result<Vec<f32>, ModelError> {
        let stopped = || ModelError::Stopped { model: self.name };
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(stopped)?;
        requests.send(Request { row, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// What was done so far.
    pub(super) fn stats(&self) -> ModelStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waiting =
            self.requests.as_ref().map_or(0, |sender| sender.max_capacity() - sender.capacity());
        ModelStats {
            batches: read(&self.counters.batches),
            items: read(&self.counters.items),
            largest_batch: read(&self.counters.largest_batch),
            skipped: read(&self.counters.skipped),
            failed: read(&self.counters.failed),
            batches_split: read(&self.counters.batches_split),
            waiting,
        }
    }
}

impl<T> Drop for Model<T> {
    fn drop(&mut self) {
        // The channel closes first, else the owner would wait for ever. It is joined because a
        // process that exits while the library computes may crash in the library's destructors.
        drop(self.requests.take());
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}

struct Owner<T> {
    name: &'static str,
    batch_max: usize,
    /// Rows that the next batch takes at most.
    bound: usize,
    /// Batches that went well at this bound.
    succeeded: u32,
    inbox: mpsc::Receiver<Request<T>>,
    run: RunBatch<T>,
    counters: Arc<Counters>,
}

impl<T> Owner<T> {
    fn serve(&mut self) {
        while let Some(first) = self.inbox.blocking_recv() {
            let batch = self.form_batch(first);
            if !batch.is_empty() {
                self.answer(batch);
            }
        }
    }

    /// Everything that waits, up to the bound, without those who have gone.
    fn form_batch(&mut self, first: Request<T>) -> Vec<Request<T>> {
        let mut batch = Vec::with_capacity(self.batch_max);
        let mut next = Some(first);
        while let Some(request) = next {
            if request.reply.is_closed() {
                count(&self.counters.skipped, 1);
            } else {
                batch.push(request);
            }
            let has_room = batch.len() < self.bound;
            next = if has_room { self.inbox.try_recv().ok() } else { None };
        }
        batch
    }

    fn answer(&mut self, batch: Vec<Request<T>>) {
        match self.run_rows(&batch) {
            Ok(vectors) => {
                self.grow();
                for (request, vector) in batch.into_iter().zip(vectors) {
                    // The caller may have gone meanwhile; nobody else wants the vector.
                    let _ = request.reply.send(Ok(vector));
                }
            }
            Err(cause) if batch.len() == 1 => self.refuse(batch, &cause),
            Err(cause) => {
                count(&self.counters.batches_split, 1);
                let (rows, failed) = (batch.len(), self.failed());
                tracing::warn!(model = self.name, rows, cause, "a batch failed");
                for request in batch {
                    self.answer(vec![request]);
                }
                if self.failed() == failed {
                    (self.bound, self.succeeded) = (rows / 2, 0);
                    tracing::warn!(
                        model = self.name,
                        rows = self.bound,
                        "its rows went well alone: the next batches are smaller"
                    );
                }
            }
        }
    }

    fn grow(&mut self) {
        if self.bound < self.batch_max {
            self.succeeded += 1;
            if self.succeeded == GROWS_AFTER {
                (self.bound, self.succeeded) = ((self.bound * 2).min(self.batch_max), 0);
            }
        }
    }

    fn failed(&self) -> u64 {
        self.counters.failed.load(Ordering::Relaxed)
    }

    fn run_rows(&mut self, batch: &[Request<T>]) -> Result<Vec<Vec<f32>>, String> {
        let rows: Vec<&[T]> = batch.iter().map(|request| &request.row[..]).collect();
        count(&self.counters.batches, 1);
        count(&self.counters.items, rows.len() as u64);
        self.counters.largest_batch.fetch_max(rows.len() as u64, Ordering::Relaxed);
        let attempt = AssertUnwindSafe(|| (self.run)(&rows));
        let vectors = catch_unwind(attempt)
            .unwrap_or_else(|panic| Err(format!("panic: {}", panic_message(panic.as_ref()))))?;
        if vectors.len() != rows.len() {
            return Err(format!("{} rows gave {} vectors", rows.len(), vectors.len()));
        }
        Ok(vectors)
    }

    fn refuse(&self, batch: Vec<Request<T>>, cause: &str) {
        count(&self.counters.failed, batch.len() as u64);
        for request in batch {
            let error = ModelError::Failed { model: self.name, cause: cause.to_owned() };
            let _ = request.reply.send(Err(error));
        }
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
