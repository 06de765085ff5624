//! One Redis server, reached for ever: a lost connection is dialled again with backoff, at the
//! next call, by whoever comes first. What must stay true: a request that may have been carried
//! out is repeated only where repeating it changes nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, ScriptInvocation};

use crate::error::{QueueError, may_pass, refused_for_now};

/// How to reach Redis. Every wait of the client is set here and none is left to a default of the
/// Redis library.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long one attempt to connect may take. Default 2 s.
    pub connection_timeout: Duration,
    /// How long Redis may take to answer one request. Default 5 s.
    pub response_timeout: Duration,
    /// The first pause between two attempts to connect; it doubles. Default 20 ms.
    pub retry_delay_min: Duration,
    /// The longest pause between two attempts to connect. Default 250 ms.
    pub retry_delay_max: Duration,
    /// How long one call keeps trying while Redis is away, before it returns an error. Default 5 s.
    pub patience: Duration,
    /// How long [`connect`] waits for a server that is not there yet. Default 0.
    pub wait_at_open: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connection_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            retry_delay_min: Duration::from_millis(20),
            retry_delay_max: Duration::from_millis(250),
            patience: Duration::from_secs(5),
            wait_at_open: Duration::ZERO,
        }
    }
}

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
}

/// A cheap handle on one Redis server; clones share one connection.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    address: String,
    options: ConnectOptions,
    line: Mutex<Line>,
    dialling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Line {
    generation: u64,
    open: Option<MultiplexedConnection>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("address", &self.shared.address).finish()
    }
}

/// Connects and makes sure that the server can be trusted with jobs.
///
/// `url` is `redis://[[user]:password@]host[:port][/db]`, `rediss://...` for TLS (feature `tls`)
/// or `redis+unix:///path/to/socket[?db=0&user=u&pass=p]`.
///
/// # Errors
/// [`QueueError::BadUrl`], [`QueueError::Unreachable`] when no server answers within
/// `options.wait_at_open`, [`QueueError::TooOld`] below Redis 6.2, and
/// [`QueueError::EvictionPolicy`] when the server may evict keys.
pub async fn connect(url: &str, options: ConnectOptions) -> Result<Connection, QueueError> {
    #[cfg(feature = "tls")]
    if url.starts_with("rediss:") || url.starts_with("valkeys:") {
        // Fails only where the program has installed a provider already, which then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let client = Client::open(url).map_err(|cause| QueueError::BadUrl { cause })?;
    let address = client.get_connection_info().addr().to_string();
    let connection = Connection::new(client, address, options);
    connection.check_server().await?;
    Ok(connection)
}

impl Connection {
    fn new(client: Client, address: String, options: ConnectOptions) -> Self {
        let shared = Shared {
            client,
            address,
            options,
            line: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Host and port or socket path, without credentials.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// The same server over a connection of its own: for another runtime, or for calls that block.
    pub(crate) fn fork(&self, change: impl FnOnce(&mut ConnectOptions)) -> Self {
        let mut options = self.shared.options.clone();
        change(&mut options);
        Self::new(self.shared.client.clone(), self.shared.address.clone(), options)
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// [`QueueError::Unreachable`] or [`QueueError::Redis`] once the patience is spent.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let ping = redis::cmd("PING");
        self.run("ping", Effort::UntilAnswered, Request::Command(&ping)).await
    }

    async fn check_server(&self) -> Result<(), QueueError> {
        let info = redis::cmd("INFO");
        let waiting = self.fork(|options| options.patience = options.wait_at_open);
        let text: String =
            waiting.run("read INFO", Effort::UntilAnswered, Request::Command(&info)).await?;
        let fields: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once(':')).collect();
        let address = self.shared.address.clone();

        let version = fields.get("redis_version").copied().unwrap_or("unknown");
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if (major, minor) < (6, 2) {
            return Err(QueueError::TooOld { address, found: version.to_owned() });
        }
        let policy = fields.get("maxmemory_policy").copied().unwrap_or("unknown");
        if policy != "noeviction" {
            return Err(QueueError::EvictionPolicy { address, policy: policy.to_owned() });
        }
        Ok(())
    }

    /// Sends one request; `action` completes "cannot ..." in the error.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        action: &'static str,
        effort: Effort,
        request: Request<'_>,
    ) -> Result<T, QueueError> {
        let started = Instant::now();
        let mut backoff = Backoff::new(&self.shared.options);
        loop {
            let (error, repeatable) = match self.line().await {
                Err(cause) => {
                    let passing = may_pass(&cause);
                    let address = self.shared.address.clone();
                    (QueueError::Unreachable { address, cause }, passing)
                }
                Ok((generation, mut open)) => {
                    let reply = match &request {
                        Request::Script(invocation) => invocation.invoke_async(&mut open).await,
                        Request::Command(command) => command.query_async(&mut open).await,
                    };
                    match reply {
                        Ok(value) => return Ok(value),
                        Err(cause) => {
                            let repeatable = refused_for_now(&cause)
                                || (effort == Effort::UntilAnswered && cause.is_io_error());
                            self.drop_broken(generation, &cause);
                            (QueueError::Redis { action, cause }, repeatable)
                        }
                    }
                }
            };
            let out_of_time = started.elapsed() >= self.shared.options.patience;
            if effort == Effort::Once || !repeatable || out_of_time {
                return Err(error);
            }
            backoff.pause().await;
        }
    }

    /// The open connection, dialled first where there is none.
    async fn line(&self) -> Result<(u64, MultiplexedConnection), RedisError> {
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let _only_one_dials = self.shared.dialling.lock().await;
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let options = &self.shared.options;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(Some(options.response_timeout));
        let fresh =
            self.shared.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut line = self.shared.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.generation += 1;
        line.open = Some(fresh.clone());
        Ok((line.generation, fresh))
    }

    fn open_line(&self) -> Option<(u64, MultiplexedConnection)> {
        let line = self.shared.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.open.as_ref().map(|open| (line.generation, open.clone()))
    }

    /// A connection that failed, timed out or leads to a replica is not used again. A stalled one
    /// is dropped as well: behind it may be a dead network.
    fn drop_broken(&self, generation: u64, error: &RedisError) {
        if !(error.is_io_error() || error.is_unrecoverable_error() || refused_for_now(error)) {
            return;
        }
        let mut line = self.shared.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.generation == generation {
            line.open = None;
        }
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.shared.options)
    }
}

/// Doubling pauses with jitter, so that a fleet does not come back in one instant.
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    fn new(options: &ConnectOptions) -> Self {
        let first = options.retry_delay_min.max(Duration::from_millis(1));
        Self { first, longest: options.retry_delay_max.max(first), next: first }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    pub(crate) async fn pause(&mut self) {
        // A fresh RandomState is the standard library's only source of chance.
        let chance = RandomState::new().build_hasher().finish() % 1024;
        let pause = self.next.mul_f64(0.5 + chance as f64 / 2048.0);
        self.next = (self.next * 2).min(self.longest);
        tokio::time::sleep(pause).await;
    }
}
