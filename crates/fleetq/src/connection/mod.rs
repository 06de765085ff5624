//! One Redis, reached for ever: a lost connection is dialled again with backoff, at the next call,
//! by whoever comes first. Whether one server, a cluster or the primary of sentinels is behind it
//! is a matter of [`address`] and [`line`]. What must stay true: a request that may have been
//! carried out is repeated only where repeating it changes nothing.

mod address;
mod check;
mod line;
mod options;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use redis::{Cmd, ConnectionInfo, FromRedisValue, RedisError, ScriptInvocation};

use crate::error::{Attempt, QueueError, keeps_the_line, may_pass, refused_for_now};
use address::Target;
use line::Line;
pub(crate) use options::Backoff;
pub use options::ConnectOptions;

/// How hard a call tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// One attempt; the caller has its own loop.
    Once,
    /// Repeated while it certainly was not carried out.
    UntilSent,
    /// Repeated even after a lost reply: a second run changes nothing.
    UntilAnswered,
}

pub(crate) enum Request<'a> {
    Script(&'a ScriptInvocation<'a>),
    Command(&'a Cmd),
    /// Asked of every server; answered by a map from its address to its answer.
    Everywhere(&'a Cmd),
}

/// A cheap handle on one Redis, be it a server or a cluster; clones share one connection.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    /// The queue that uses this handle, for its errors.
    queue: Option<Arc<str>>,
}

struct Shared {
    target: Target,
    address: String,
    options: ConnectOptions,
    state: Mutex<State>,
    dialling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    generation: u64,
    open: Option<Line>,
    /// The nodes of the cluster as it was dialled last.
    known: Vec<ConnectionInfo>,
    /// Dials that failed, and how the last of them did.
    failures: u64,
    failure: Option<RedisError>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("address", &self.shared.address)
            .field("queue", &self.queue)
            .finish()
    }
}

/// Connects and makes sure that the server, or each node of a cluster, can be trusted with jobs.
///
/// `url` is one of
///
/// - `redis://[[user]:password@]host[:port][/db]`
/// - `redis+unix:///path/to/socket[?db=0&user=u&pass=p]`
/// - `redis+cluster://[[user]:password@]host:port[,host:port...]`: some nodes of a cluster, which
///   name the others
/// - `redis+sentinel://[[user]:password@]host:port[,host:port...]/service[/db]`: sentinels, asked at
///   each new connection for the primary of `service`. User and password are those of the Redis
///   servers; where the sentinels want a login as well, it follows as
///   `?sentinel_user=u&sentinel_pass=p`
///
/// with `rediss` in place of `redis` for TLS (feature `tls`; with sentinels it holds for them and
/// for the servers). The authorities trusted are those of the system; the environment variable
/// `SSL_CERT_FILE` names a PEM file to be trusted in their place.
///
/// # Errors
/// [`QueueError::BadUrl`], [`QueueError::Unreachable`] when no server answers within
/// `options.wait_at_open`, [`QueueError::AuthRefused`], [`QueueError::Untrusted`],
/// [`QueueError::TooOld`] below Redis 6.2, and [`QueueError::EvictionPolicy`] when a server may
/// evict keys.
pub async fn connect(url: &str, options: ConnectOptions) -> Result<Connection, QueueError> {
    #[cfg(feature = "tls")]
    if url.starts_with("rediss") || url.starts_with("valkeys") {
        // Fails only where the program has installed a provider already, which then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let target = Target::parse(url).map_err(|cause| QueueError::BadUrl { cause })?;
    let address = target.address();
    let connection = Connection::new(target, address, options, None);
    check::check(&connection).await?;
    Ok(connection)
}

impl Connection {
    fn new(
        target: Target,
        address: String,
        options: ConnectOptions,
        queue: Option<Arc<str>>,
    ) -> Self {
        let shared = Shared {
            target,
            address,
            options,
            state: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared), queue }
    }

    /// Hosts and ports or the socket's path, without credentials.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// The same Redis over a connection of its own: for another runtime, or for calls that block.
    pub(crate) fn fork(&self, change: impl FnOnce(&mut ConnectOptions)) -> Self {
        let mut options = self.shared.options.clone();
        change(&mut options);
        let shared = &self.shared;
        Self::new(shared.target.clone(), shared.address.clone(), options, self.queue.clone())
    }

    /// The same connection, whose errors name the queue.
    pub(crate) fn of_queue(&self, label: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), queue: Some(label.into()) }
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// [`QueueError::Unreachable`] or what Redis says, once the patience is spent.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let ping = redis::cmd("PING");
        self.run("ping", Effort::UntilAnswered, Request::Command(&ping)).await
    }

    /// Sends one request; `action` completes "cannot ..." in the error.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        action: &'static str,
        effort: Effort,
        request: Request<'_>,
    ) -> Result<T, QueueError> {
        let started = Instant::now();
        let mut backoff = self.backoff();
        loop {
            let (error, repeatable) = match self.line().await {
                Err(cause) => {
                    let passing = may_pass(&cause);
                    (QueueError::from_dialling(&self.shared.address, cause), passing)
                }
                Ok((generation, mut line)) => match line.send(&request).await {
                    Ok(value) => return Ok(value),
                    Err(cause) => {
                        let repeatable = refused_for_now(&cause)
                            || (effort == Effort::UntilAnswered && cause.is_io_error());
                        self.drop_broken(generation, &cause);
                        (QueueError::from_reply(self.attempt(action), cause), repeatable)
                    }
                },
            };
            let out_of_time = started.elapsed() >= self.shared.options.patience;
            if effort == Effort::Once || !repeatable || out_of_time {
                return Err(error);
            }
            backoff.pause().await;
        }
    }

    fn attempt(&self, action: &'static str) -> Attempt {
        let queue = self.queue.as_ref().map(ToString::to_string);
        Attempt { action, queue, address: self.shared.address.clone() }
    }

    /// The open connection, dialled first where there is none. Who comes while somebody dials has
    /// that answer: where a host swallows every attempt, callers would else wait one for each of
    /// those before them.
    async fn line(&self) -> Result<(u64, Line), RedisError> {
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let failures = self.state().failures;
        let _only_one_dials = self.shared.dialling.lock().await;
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let mut known = {
            let state = self.state();
            if state.failures != failures
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
            state.known.clone()
        };
        let dialled = line::dial(&self.shared.target, &self.shared.options, &mut known).await;
        let mut state = self.state();
        let fresh = match dialled {
            Ok(fresh) => fresh,
            Err(failure) => {
                state.failures += 1;
                state.failure = Some(failure.clone());
                return Err(failure);
            }
        };
        state.generation += 1;
        state.open = Some(fresh.clone());
        state.known = known;
        Ok((state.generation, fresh))
    }

    fn open_line(&self) -> Option<(u64, Line)> {
        let state = self.state();
        state.open.as_ref().map(|open| (state.generation, open.clone()))
    }

    /// A connection that failed, timed out or leads to the wrong server is not used again. A
    /// stalled one is dropped as well: behind it may be a dead network.
    fn drop_broken(&self, generation: u64, error: &RedisError) {
        if keeps_the_line(error) {
            return;
        }
        let mut state = self.state();
        if state.generation == generation {
            state.open = None;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.shared.options)
    }
}
