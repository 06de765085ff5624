//! The queue as a backend of apalis.
//! What must stay true: the stream of tasks ends when it is told to and never because of Redis,
//! which is why its error type has no values.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::TaskId;
use apalis_core::worker::context::WorkerContext;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::claim::Claim;
use crate::error::QueueError;
use crate::feeder::{Feeder, give_back};
use crate::guard::GuardLayer;
use crate::hold_off::HoldOff;
use crate::job::check_name;
use crate::keeper::Leases;
use crate::queue::Queue;
use crate::settler::Settler;
use crate::stats::{Counters, Stats};

const SLOTS_MAX: usize = 10_000;

/// How one worker takes part.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The worker's name in records and dead letters; unique per start, at most 128 bytes.
    pub name: String,
    /// Jobs held at once, 1 to 10 000. No more are claimed.
    pub slots: usize,
    /// The wall-clock limit of a run, unless the job has its own or the claim sets another. Default
    /// none.
    pub limit: Option<Duration>,
}

impl WorkerOptions {
    /// A worker without a time limit.
    pub fn new(name: impl Into<String>, slots: usize) -> Self {
        Self { name: name.into(), slots, limit: None }
    }
}

/// Steers a [`FleetBackend`] after apalis has taken it.
#[derive(Debug, Clone)]
pub struct Handle {
    stop: CancellationToken,
    leases: Arc<Leases>,
    counters: Arc<Counters>,
}

impl Handle {
    /// Stops claiming. Claims that no handler has seen yet are given back, running ones go on, and
    /// the worker ends with the last of them.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether [`Handle::stop`] was called or the backend is gone.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Fires the cancellation of every claim with
    /// [`Ended::Interrupted`](crate::Ended::Interrupted), for the end of a grace period. The
    /// handlers give their jobs back.
    pub fn interrupt(&self) {
        self.leases.interrupt();
    }

    /// Jobs whose leases are being kept.
    pub fn held(&self) -> usize {
        self.leases.count()
    }

    /// What this worker has counted.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }
}

/// A [`Backend`] whose tasks carry a [`Claim`] each. It needs a tokio runtime.
#[derive(Debug)]
pub struct FleetBackend {
    queue: Queue,
    options: WorkerOptions,
    handle: Handle,
    stage: Stage,
}

enum Stage {
    Built,
    Feeding { claims: mpsc::Receiver<Claim>, feeder: JoinHandle<()> },
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Built => "Built",
            Self::Feeding { .. } => "Feeding",
            Self::Closing(_) => "Closing",
            Self::Closed => "Closed",
        })
    }
}

impl FleetBackend {
    /// A worker on `queue`. It starts to keep leases and to reap now, and to claim when apalis
    /// first polls it.
    ///
    /// # Errors
    /// [`QueueError::BadName`], [`QueueError::BadSetting`], and [`QueueError::System`] when the
    /// thread of leases cannot be started.
    pub fn new(queue: Queue, options: WorkerOptions) -> Result<Self, QueueError> {
        check_name("worker name", &options.name, 128)?;
        if options.slots == 0 || options.slots > SLOTS_MAX {
            let why = format!("1 to {SLOTS_MAX} are possible");
            return Err(QueueError::BadSetting { setting: "slots", why });
        }
        let counters = Arc::new(Counters::default());
        let leases = Leases::keep(&queue, Arc::clone(&counters))?;
        let handle = Handle { stop: CancellationToken::new(), leases, counters };
        Ok(Self { queue, options, handle, stage: Stage::Built })
    }

    /// Steers this backend from outside.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    fn start(&mut self, worker: &WorkerContext) {
        if !matches!(self.stage, Stage::Built) {
            return;
        }
        let (sender, claims) = mpsc::channel(self.options.slots);
        let feeder = Feeder {
            queue: self.queue.clone(),
            worker_name: self.options.name.clone(),
            worker: worker.clone(),
            slots: Arc::new(Semaphore::new(self.options.slots)),
            limit: self.options.limit,
            leases: Arc::clone(&self.handle.leases),
            counters: Arc::clone(&self.handle.counters),
            stop: self.handle.stop.clone(),
            settler: Settler::start(self.queue.clone()),
            hold_off: HoldOff::default(),
            claims: sender,
        };
        let feeder = tokio::spawn(feeder.run());
        self.stage = Stage::Feeding { claims, feeder };
    }
}

impl Backend for FleetBackend {
    type Task = Task<Claim>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        self.start(worker);
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        self.start(worker);
        let Stage::Feeding { claims, .. } = &mut self.stage else { return Poll::Ready(None) };
        if self.handle.is_stopped() {
            return Poll::Ready(None);
        }
        // Wakes at a stop as well: the feeder ends and takes the sending half with it.
        Poll::Ready(ready!(claims.poll_recv(cx)).map(|claim| {
            let task = TaskBuilder::new(())
                .task_id(TaskId::String(claim.token.to_string()))
                .attempt(claim.attempts as usize)
                .build();
            Ok(task.map_args(|()| claim))
        }))
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        self.handle.stop();
        loop {
            match std::mem::replace(&mut self.stage, Stage::Closed) {
                Stage::Feeding { claims, feeder } => {
                    self.stage = Stage::Closing(Box::pin(close(claims, feeder)));
                }
                Stage::Closing(mut closing) => {
                    if closing.as_mut().poll(cx).is_pending() {
                        self.stage = Stage::Closing(closing);
                        return Poll::Pending;
                    }
                }
                Stage::Built | Stage::Closed => break,
            }
        }
        self.handle.leases.close();
        // A worker whose stream has ended waits for its own stop: without this it would hang.
        if !worker.is_shutting_down() {
            let _ = worker.stop();
        }
        Poll::Ready(Ok(()))
    }
}

/// Waits for the feeder and gives back what no handler has seen.
async fn close(mut claims: mpsc::Receiver<Claim>, feeder: JoinHandle<()>) {
    claims.close();
    let mut unseen = Vec::new();
    while let Some(claim) = claims.recv().await {
        unseen.push(claim);
    }
    give_back(unseen).await;
    let _ = feeder.await;
}

impl Drop for FleetBackend {
    fn drop(&mut self) {
        self.handle.stop.cancel();
        self.handle.leases.close();
    }
}

impl BackendConfig for FleetBackend {
    type Args = Claim;
    type Id = TaskId;
    type Kind = Ephemeral;
    type Config = WorkerOptions;
    type Layer = GuardLayer;

    fn config(&self) -> &Self::Config {
        &self.options
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        GuardLayer::new(self.queue.clone())
    }
}
