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
    #[error("redis at {address} cannot be {}: {}{}", reached_or_used(.cause), said(.cause), next_step(.cause))]
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
    #[error("cannot {action}: {}{}", said(.cause), next_step(.cause))]
    Redis {
        /// What was being done.
        action: &'static str,
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
    /// Whether the same call may succeed later without anybody changing anything: Redis is away,
    /// loading, failing over or out of memory, or jobs move too fast to be removed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } | Self::Redis { cause, .. } => may_pass(cause),
            Self::StillMoving { .. } => true,
            _ => false,
        }
    }
}

/// What redis said, fit to stand within a sentence.
fn said(error: &RedisError) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

/// A server that answers, if only with a refusal, can be reached.
fn reached_or_used(error: &RedisError) -> &'static str {
    if error.is_io_error() { "reached" } else { "used" }
}

/// What a person can do about it, to stand at the end of a message; empty where nothing is to be
/// done or nobody knows.
fn next_step(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            return "; correct user and password in the url";
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            return "; this server is a read-only replica: name its primary in the url";
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return "; grant the user of the url all commands on the queue's keys: \
                    `ACL SETUSER <user> ~* &* +@all`";
        }
        _ => {}
    }
    match error.code() {
        Some("NOAUTH") => "; redis wants a password: put it into the url",
        Some("OOM") => "; redis is full: raise its maxmemory or give it to this fleet alone",
        Some("MISCONF") => "; redis cannot write its files: see to its disk and its log",
        _ if error.is_io_error() => "; see that redis runs, or correct its url",
        _ => "",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_the_next_step_where_there_is_one() {
        let told = |code: &str| {
            let detail = Some("it says so.".to_owned());
            let cause = redis::make_extension_error(code.to_owned(), detail);
            QueueError::Redis { action: "claim jobs", cause }.to_string()
        };
        for (code, step) in [
            ("NOAUTH", "it says so; redis wants a password: put it into the url"),
            (
                "OOM",
                "it says so; redis is full: raise its maxmemory or give it to this fleet alone",
            ),
            ("MISCONF", "it says so; redis cannot write its files: see to its disk and its log"),
            ("OTHER", "it says so"),
        ] {
            let message = told(code);
            assert!(message.starts_with("cannot claim jobs: "), "{message}");
            assert!(message.ends_with(step), "{message}");
        }
    }
}
