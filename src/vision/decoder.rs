//! The threads that decode: a fixed number, a bounded queue, and a watch over the clock.
//!
//! ```text
//! callers --(2 x threads waiting, then they wait outside)--> queue --> threads --> reply
//!                                                       watch --(time_max over)--> TimedOut
//! ```
//!
//! A codec cannot be interrupted. When one exceeds its time, its caller is answered, the thread is
//! counted as stuck and a new one takes its place, at most `threads` times; a stuck thread that
//! does end leaves, or takes up its work again when it was never replaced. A request whose caller
//! has gone is dropped unread. A panic stays inside its own picture.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::decode::{DecodeError, DecodeLimits, Photo, check_size, decode};

type Reply = oneshot::Sender<Result<Photo, DecodeError>>;
type Codec = Box<dyn Fn(&[u8], &DecodeLimits) -> Result<Photo, DecodeError> + Send + Sync>;

/// Decodes photos on its own threads. Share it in an `Arc`; dropping it ends the threads.
pub struct Decoder {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

/// What the decoder has done since it was made, and how it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecoderStats {
    /// Photos decoded.
    pub decoded: u64,
    /// Requests answered with an error, timeouts included.
    pub failed: u64,
    /// Requests dropped unread because their caller had gone.
    pub skipped: u64,
    /// Photos that exceeded their time.
    pub timed_out: u64,
    /// Requests in the queue now.
    pub waiting: usize,
    /// Photos being decoded now.
    pub running: usize,
    /// Threads that are busy with a photo whose time is over.
    pub stuck: usize,
}

struct Shared {
    limits: DecodeLimits,
    codec: Codec,
    replacements_max: usize,
    state: Mutex<State>,
    /// Signalled when a request arrives or the decoder closes.
    arrived: Condvar,
    /// Signalled when a photo begins, for the watch, or the decoder closes.
    begun: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Request>,
    running: BTreeMap<u64, Running>,
    next_serial: u64,
    /// Threads that take requests: neither stuck nor ended.
    live: usize,
    /// Stuck threads in whose place another was started.
    replaced: usize,
    closed: bool,
    stats: DecoderStats,
}

struct Request {
    bytes: Vec<u8>,
    reply: Reply,
    /// Given back when the request leaves the queue.
    _place: OwnedSemaphorePermit,
}

struct Running {
    deadline: Instant,
    stage: Stage,
}

enum Stage {
    InTime(Reply),
    Stuck { replaced: bool },
}

impl Decoder {
    /// Starts `threads` threads (at least one) that decode under `limits`.
    pub fn new(threads: usize, limits: DecodeLimits) -> Self {
        Self::with_codec(threads, limits, Box::new(decode))
    }

    fn with_codec(threads: usize, limits: DecodeLimits, codec: Codec) -> Self {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            limits,
            codec,
            replacements_max: threads,
            state: Mutex::default(),
            arrived: Condvar::new(),
            begun: Condvar::new(),
        });
        let mut state = shared.lock();
        for _ in 0..threads {
            shared.start_thread(&mut state);
        }
        drop(state);
        let watched = Arc::clone(&shared);
        let watch = std::thread::Builder::new().name("decode-watch".to_owned());
        if let Err(error) = watch.spawn(move || watched.watch()) {
            tracing::error!(%error, "no thread for the decoding watch: timeouts will not be seen");
        }
        Self { shared, places: Arc::new(Semaphore::new(2 * threads)) }
    }

    /// Decodes one photo; waits while the queue is full. Dropping the future gives the place
    /// back, and a request that no thread has begun is never begun.
    ///
    /// # Errors
    /// `DecodeError` says which limit or rule the bytes break.
    pub async fn decode(&self, bytes: Vec<u8>) -> Result<Photo, DecodeError> {
        check_size(&bytes, &self.shared.limits)?;
        let place =
            Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        self.shared.enqueue(Request { bytes, reply, _place: place })?;
        match answer.await {
            Ok(result) => result,
            // Only a decoder that lost its last thread drops a request without an answer.
            Err(_) => Err(DecodeError::NoThreadLeft { stuck: self.stats().stuck }),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &DecodeLimits {
        &self.shared.limits
    }

    /// What was done so far and what is under way.
    pub fn stats(&self) -> DecoderStats {
        let state = self.shared.lock();
        let running = state.running.len() - state.stats.stuck;
        DecoderStats { waiting: state.queue.len(), running, ..state.stats }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.queue.clear();
        drop(state);
        // The threads are not joined: a stuck one would hold up whoever drops us.
        self.shared.arrived.notify_all();
        self.shared.begun.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Codecs run outside the lock; a poisoned one would only mean a panic in our own few lines.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the system gave us another thread.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> bool {
        let shared = Arc::clone(self);
        let builder = std::thread::Builder::new().name("decode".to_owned());
        match builder.spawn(move || shared.work()) {
            Ok(_) => {
                state.live += 1;
                true
            }
            Err(error) => {
                tracing::error!(%error, "a decoding thread could not be started");
                false
            }
        }
    }

    fn enqueue(&self, request: Request) -> Result<(), DecodeError> {
        let mut state = self.lock();
        if state.live == 0 {
            return Err(DecodeError::NoThreadLeft { stuck: state.stats.stuck });
        }
        state.queue.push_back(request);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The life of one decoding thread.
    fn work(&self) {
        while let Some((serial, bytes)) = self.next_request() {
            let attempt = AssertUnwindSafe(|| (self.codec)(&bytes, &self.limits));
            let result = catch_unwind(attempt).unwrap_or_else(|panic| {
                Err(DecodeError::Panicked { cause: panic_message(panic.as_ref()) })
            });
            drop(bytes);
            if self.finish(serial, result) == Next::Leave {
                return;
            }
        }
    }

    /// Waits for a request whose caller still listens; `None` when the decoder closes.
    fn next_request(&self) -> Option<(u64, Vec<u8>)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let Some(request) = state.queue.pop_front() else {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if request.reply.is_closed() {
                state.stats.skipped += 1;
                continue;
            }
            let serial = state.next_serial;
            state.next_serial += 1;
            let deadline = Instant::now() + self.limits.time_max;
            let running = Running { deadline, stage: Stage::InTime(request.reply) };
            state.running.insert(serial, running);
            self.begun.notify_one();
            return Some((serial, request.bytes));
        }
    }

    fn finish(&self, serial: u64, result: Result<Photo, DecodeError>) -> Next {
        let mut state = self.lock();
        let running = state.running.remove(&serial).expect("the thread that began it removes it");
        match running.stage {
            Stage::InTime(reply) => {
                match &result {
                    Ok(_) => state.stats.decoded += 1,
                    Err(_) => state.stats.failed += 1,
                }
                // The caller may have gone meanwhile: then the work was in vain, and that is all.
                let _ = reply.send(result);
                Next::GoOn
            }
            Stage::Stuck { replaced } => {
                state.stats.stuck -= 1;
                if replaced {
                    state.replaced -= 1;
                    return Next::Leave;
                }
                state.live += 1;
                Next::GoOn
            }
        }
    }

    /// Looks at the clock until the decoder closes.
    fn watch(self: Arc<Self>) {
        let mut state = self.lock();
        while !state.closed {
            self.expire(&mut state);
            let in_time = state.running.values().filter(|it| matches!(it.stage, Stage::InTime(_)));
            let next_deadline = in_time.map(|it| it.deadline).min();
            state = match next_deadline {
                None => self.begun.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let pause = deadline.saturating_duration_since(Instant::now());
                    let waited = self.begun.wait_timeout(state, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Answers every caller whose photo is over time and replaces the threads within the bound.
    fn expire(self: &Arc<Self>, state: &mut State) {
        let now = Instant::now();
        let over_time = |running: &Running| {
            running.deadline <= now && matches!(running.stage, Stage::InTime(_))
        };
        let serials: Vec<u64> = state
            .running
            .iter()
            .filter(|(_, running)| over_time(running))
            .map(|(serial, _)| *serial)
            .collect();
        for serial in serials {
            let replaced = state.replaced < self.replacements_max && self.start_thread(state);
            let Some(running) = state.running.get_mut(&serial) else { continue };
            let stage = std::mem::replace(&mut running.stage, Stage::Stuck { replaced });
            if let Stage::InTime(reply) = stage {
                let _ = reply.send(Err(DecodeError::TimedOut { time_max: self.limits.time_max }));
            }
            state.stats.failed += 1;
            state.stats.timed_out += 1;
            state.stats.stuck += 1;
            state.live -= 1;
            if replaced {
                state.replaced += 1;
            }
            tracing::warn!(stuck = state.stats.stuck, replaced, "a photo is over its time");
        }
        if state.live == 0 {
            // Dropping the requests wakes their callers with NoThreadLeft.
            state.queue.clear();
        }
    }
}

#[derive(PartialEq)]
enum Next {
    GoOn,
    Leave,
}

/// The text of a panic, as far as it has one.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests;
