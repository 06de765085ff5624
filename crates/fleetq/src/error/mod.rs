//! What can go wrong between a program and its queue.
//! Every message names the input, the cause and, where there is one, the next step; none holds a
//! password. Losing a lease is not an error: see [`Settled`](crate::Settled).

mod answer;

use redis::RedisError;

use crate::lane::Lane;
pub(crate) use answer::{keeps_the_line, may_pass, refused_for_now};
use answer::{login_step, reached_or_used, said, step_after_dialling};

/// A call that failed: what was tried, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// What was tried; it completes "cannot ...".
    pub action: &'static str,
    /// Namespace and name of the queue, where the call was made for one.
    pub queue: Option<String>,
    /// Hosts and ports or the socket's path.
    pub address: String,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { action, queue, address } = self;
        match queue {
            Some(queue) => write!(formatter, "{action} (queue {queue}, redis at {address})"),
            None => write!(formatter, "{action} (redis at {address})"),
        }
    }
}

/// Why a call to the queue failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The address cannot be understood. The address itself is left out: it may hold a password.
    #[error(
        "the redis url cannot be used: {}; write redis://host:port/db, rediss://host:port/db, \
         redis+unix:///path/to/socket, redis+cluster://host:port,host:port or \
         redis+sentinel://host:port,host:port/service",
        said(.cause)
    )]
    BadUrl {
        /// What the redis client said.
        cause: RedisError,
    },
    /// No connection could be made in the time allowed.
    #[error(
        "redis at {address} cannot be {}: {}{}",
        reached_or_used(.cause), said(.cause), step_after_dialling(.cause)
    )]
    Unreachable {
        /// Hosts and ports or the socket's path.
        address: String,
        /// What the last try met.
        cause: RedisError,
    },
    /// The certificate of the server is not one to be trusted.
    #[error(
        "redis at {address} shows a certificate that is not trusted: {}; write the certificate of \
         its authority into a PEM file and name that in SSL_CERT_FILE, and use the host that the \
         certificate names",
        said(.cause)
    )]
    Untrusted {
        /// Hosts and ports.
        address: String,
        /// What the TLS library found wrong.
        cause: RedisError,
    },
    /// A wrong password, a user that does not exist, or none where one is needed.
    #[error("redis at {address} refuses the login: {}; {}", said(.cause), login_step(.cause))]
    AuthRefused {
        /// Hosts and ports or the socket's path.
        address: String,
        /// What the server said.
        cause: RedisError,
    },
    /// The user of the url lacks a right. Nothing was changed where opening a queue says so; a
    /// right that is taken away later may stop a script half-way.
    #[error(
        "cannot {attempt}: {}; grant it to the user of the url, the README of fleetq has the \
         list: `ACL SETUSER <user> ...`", said(.cause)
    )]
    NoPermission {
        /// What was tried, and where.
        attempt: Attempt,
        /// What the server said.
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
    /// Redis has no memory left. Nothing was changed.
    #[error(
        "cannot {attempt}: redis is full ({}); raise its maxmemory or give it to this fleet alone",
        said(.cause)
    )]
    Full {
        /// What was tried, and where.
        attempt: Attempt,
        /// What the server said.
        cause: RedisError,
    },
    /// The server is a replica. Nothing was changed.
    #[error(
        "cannot {attempt}: {}; this server is a read-only replica: name its primary in the url, \
         or wait for the end of a failover", said(.cause)
    )]
    ReadOnly {
        /// What was tried, and where.
        attempt: Attempt,
        /// What the server said.
        cause: RedisError,
    },
    /// Redis cannot write its files and takes no changes meanwhile. Nothing was changed.
    #[error("cannot {attempt}: {}; see to the disk of redis and to its log", said(.cause))]
    DiskTrouble {
        /// What was tried, and where.
        attempt: Attempt,
        /// What the server said.
        cause: RedisError,
    },
    /// A key of the queue holds something else. Nothing was changed.
    #[error(
        "cannot {attempt}: {found}; somebody else writes to the keys of the queue: see what they \
         hold (`redis-cli type <key>`), and delete or rename what is not of the queue"
    )]
    WrongType {
        /// What was tried, and where.
        attempt: Attempt,
        /// The key and what it holds, where that is known.
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
        found: String,
        /// The layout this program writes.
        known: &'static str,
    },
    /// The queue is being emptied. Nothing was added.
    #[error(
        "queue {queue} is being drained and takes no new jobs; resume it (`Queue::resume`) once \
         it may take some again"
    )]
    Draining {
        /// Namespace and name.
        queue: String,
    },
    /// An argument reached Redis that no script takes. Nothing was changed.
    #[error("cannot {attempt}: {why}")]
    BadArgument {
        /// What was tried, and where.
        attempt: Attempt,
        /// The argument and what is allowed.
        why: String,
    },
    /// No lane has that name.
    #[error("lane {given:?} does not exist; the lanes are {}", lanes())]
    NoSuchLane {
        /// What was given, shortened.
        given: String,
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
    /// Redis answered with another error, or the connection broke under the call.
    #[error("cannot {attempt}: {}{}", said(.cause), step_after_dialling(.cause))]
    Redis {
        /// What was tried, and where.
        attempt: Attempt,
        /// What the client or the server said.
        cause: RedisError,
    },
    /// Jobs that were to be removed kept moving between their places.
    #[error(
        "{left} jobs whose ids begin with {prefix:?} were still moving when the search for them \
         ended; remove them again"
    )]
    StillMoving {
        /// What their ids begin with.
        prefix: String,
        /// How many the last round met.
        left: u64,
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
    /// Whether the same call may succeed later without a change to the program, its input or its
    /// rights: Redis is away, loading, failing over, full or without disk, the queue is being
    /// drained, or jobs move too fast to be removed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } | Self::Redis { cause, .. } => may_pass(cause),
            Self::Full { .. }
            | Self::ReadOnly { .. }
            | Self::DiskTrouble { .. }
            | Self::Draining { .. }
            | Self::StillMoving { .. } => true,
            Self::BadUrl { .. }
            | Self::Untrusted { .. }
            | Self::AuthRefused { .. }
            | Self::NoPermission { .. }
            | Self::EvictionPolicy { .. }
            | Self::TooOld { .. }
            | Self::WrongType { .. }
            | Self::LayoutUnknown { .. }
            | Self::BadArgument { .. }
            | Self::NoSuchLane { .. }
            | Self::PayloadTooLarge { .. }
            | Self::BadName { .. }
            | Self::BadSetting { .. }
            | Self::System { .. } => false,
        }
    }
}

fn lanes() -> String {
    Lane::ALL.map(Lane::as_str).join(", ")
}
