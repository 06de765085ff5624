//! What can go wrong between a program and its queue.
//! Every message names the input, the cause and, where there is one, the next step; none holds a
//! password. Losing a lease is not an error: see [`Settled`](crate::Settled).

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a call to the queue failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The address cannot be understood. The address itself is left out: it may hold a password.
    #[error(
        "the redis url cannot be used: {cause}; write redis://host:port/db, rediss://host:port/db \
         or redis+unix:///path/to/socket"
    )]
    BadUrl {
        /// What the redis client said.
        cause: RedisError,
    },
    /// No connection could be made in the time allowed.
    #[error("redis at {address} cannot be reached: {cause}")]
    Unreachable {
        /// Host and port or socket path.
        address: String,
        /// What the last try met.
        cause: RedisError,
    },
    /// The server may throw keys away, and jobs with them.
    #[error(
        "redis at {address} may evict jobs (maxmemory-policy is {policy}); run \
         `redis-cli config set maxmemory-policy noeviction` and keep it in redis.conf"
    )]
    EvictionPolicy {
        /// Host and port or socket path.
        address: String,
        /// The policy found.
        policy: String,
    },
    /// The server lacks commands the scripts use.
    #[error("redis at {address} is version {found}; 6.2 or newer is needed")]
    TooOld {
        /// Host and port or socket path.
        address: String,
        /// The version found.
        found: String,
    },
    /// The keys were written by a newer fleetq.
    #[error(
        "queue {queue} has key layout {found} and this program knows layout {known}; run a \
         program built with a fleetq that knows layout {found}"
    )]
    LayoutUnknown {
        /// Namespace and name.
        queue: String,
        /// The layout found.
        found: i64,
        /// The layout this program writes.
        known: i64,
    },
    /// A payload is over the limit of the queue.
    #[error("the payload of job {id} has {bytes} bytes and the limit is {bytes_max}")]
    PayloadTooLarge {
        /// The job refused.
        id: String,
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// A name, an id or a metadata entry is refused.
    #[error("{what} {value:?} is refused: {why}")]
    BadName {
        /// Which input.
        what: &'static str,
        /// What was given, shortened.
        value: String,
        /// What is allowed.
        why: &'static str,
    },
    /// A setting has no sensible value.
    #[error("setting {setting} is refused: {why}")]
    BadSetting {
        /// The name of the setting.
        setting: &'static str,
        /// What is allowed.
        why: String,
    },
    /// Redis answered with an error, or the connection broke under the call.
    #[error("cannot {action}: {cause}")]
    Redis {
        /// What was being done.
        action: &'static str,
        /// What the client or the server said.
        cause: RedisError,
    },
    /// The operating system refused something (a thread).
    #[error("cannot {action}: {cause}")]
    System {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl QueueError {
    /// Whether the same call may succeed later without anybody changing anything: Redis is away,
    /// loading, failing over or out of memory.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } | Self::Redis { cause, .. } => may_pass(cause),
            _ => false,
        }
    }
}

/// Whether the server refused the command as a whole and for a while: it changed nothing.
pub(crate) fn refused_for_now(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        ),
        _ => error.code() == Some("BUSY"),
    }
}

/// Whether this failure belongs to the moment rather than to the request.
pub(crate) fn may_pass(error: &RedisError) -> bool {
    error.is_io_error() || refused_for_now(error) || error.code() == Some("OOM")
}
