//! What an answer of Redis means: which error it becomes, and whether it passes by itself.
//! What must stay true: only what certainly changed nothing counts as refused.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::{Attempt, QueueError};
use crate::keys::LAYOUT;

impl QueueError {
    /// No connection: what dialling met.
    pub(crate) fn from_dialling(address: &str, cause: RedisError) -> Self {
        let address = address.to_owned();
        if code(&cause) == "NOAUTH" {
            return Self::AuthRefused { address, cause };
        }
        if is_untrusted(&cause) {
            return Self::Untrusted { address, cause };
        }
        Self::Unreachable { address, cause }
    }

    /// A connection there was: what the request met.
    pub(crate) fn from_reply(attempt: Attempt, cause: RedisError) -> Self {
        let queue = || attempt.queue.clone().unwrap_or_else(|| "?".to_owned());
        match code(&cause) {
            "NOAUTH" => Self::AuthRefused { address: attempt.address, cause },
            "NOPERM" => Self::NoPermission { attempt, cause },
            "OOM" => Self::Full { attempt, cause },
            "READONLY" => Self::ReadOnly { attempt, cause },
            "MISCONF" => Self::DiskTrouble { attempt, cause },
            "WRONGTYPE" => {
                // Our scripts name the key; Redis itself does not.
                let words = own_words(&cause);
                let named = words.contains(" holds a ");
                let unnamed = || "one of its keys holds a value of another type".to_owned();
                Self::WrongType { attempt, found: if named { words } else { unnamed() } }
            }
            "FLEETQBADARG" => Self::BadArgument { attempt, why: own_words(&cause) },
            "FLEETQDRAINING" => Self::Draining { queue: queue() },
            "FLEETQLAYOUT" => {
                Self::LayoutUnknown { queue: queue(), found: own_words(&cause), known: LAYOUT }
            }
            _ => Self::Redis { attempt, cause },
        }
    }
}

/// The code of a refusal; the empty string where the server said none.
///
/// What a command answered inside a script comes with its own code since Redis 7, and before that
/// within the text of an `ERR`. A right that is missing there has no code in any version.
fn code(error: &RedisError) -> &str {
    // What a cluster met while it was dialled is told as text alone.
    let told = error.detail().unwrap_or_default();
    if error.kind() == ErrorKind::AuthenticationFailed
        || (error.is_io_error() && told.contains("AuthenticationFailed"))
    {
        return "NOAUTH";
    }
    let code = error.code().unwrap_or_default();
    match code {
        "ERR" => code_within(told).unwrap_or(code),
        "WRONGPASS" => "NOAUTH",
        _ => code,
    }
}

fn code_within(text: &str) -> Option<&'static str> {
    let lacks_a_right = text.contains("can't run this command or subcommand")
        || text.contains("can't access at least one of the keys")
        || text.starts_with("ACL failure in script");
    if lacks_a_right {
        return Some("NOPERM");
    }
    if !text.starts_with("Error running script") {
        return None;
    }
    let codes = ["WRONGTYPE", "READONLY", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS"];
    let words = || text.split_ascii_whitespace().map(|word| word.trim_start_matches('-'));
    codes.into_iter().find(|code| words().any(|word| word == *code))
}

/// What our own scripts said, without the place in the script that Redis adds to it.
fn own_words(error: &RedisError) -> String {
    let text = error.detail().unwrap_or_default();
    text.split(" script: ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// What redis said, fit to stand within a sentence: the first words alone where it names the place
/// in a script.
pub(super) fn said(error: &RedisError) -> String {
    let text = error.to_string();
    text.split(" script: ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// What to do about a refused login.
pub(super) fn login_step(error: &RedisError) -> &'static str {
    match error.code() {
        Some("NOAUTH") => "redis wants a password: put it into the url",
        _ => "correct user and password in the url",
    }
}

/// A server that answers, if only with a refusal, can be reached.
pub(super) fn reached_or_used(error: &RedisError) -> &'static str {
    if error.is_io_error() { "reached" } else { "used" }
}

/// What a person can do where nothing better is known; to stand at the end of a message.
pub(super) fn step_after_dialling(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::MasterNameNotFoundBySentinel => {
            "; see that the sentinels watch the service of the url and that its primary runs"
        }
        ErrorKind::Server(ServerErrorKind::ClusterDown) => {
            "; see that every slot has a node that runs: `redis-cli --cluster check <host:port>`"
        }
        ErrorKind::Server(ServerErrorKind::CrossSlot) => {
            "; is this a cluster behind a proxy? name its nodes in the url"
        }
        ErrorKind::Server(ServerErrorKind::Moved) => {
            "; this server is a node of a cluster: write redis+cluster:// into the url"
        }
        ErrorKind::Io => "; see that redis runs, or correct its url",
        _ => "",
    }
}

fn is_untrusted(error: &RedisError) -> bool {
    error.to_string().contains("invalid peer certificate")
}

/// Whether the server refused the command as a whole and for a while: it changed nothing.
pub(crate) fn refused_for_now(error: &RedisError) -> bool {
    match error.kind() {
        // The library found no node to send it to.
        ErrorKind::ClusterConnectionNotFound => true,
        _ => matches!(
            code(error),
            "LOADING"
                | "TRYAGAIN"
                | "CLUSTERDOWN"
                | "MASTERDOWN"
                | "READONLY"
                | "NOREPLICAS"
                | "BUSY"
                | "MOVED"
                | "ASK"
        ),
    }
}

/// Whether this failure belongs to the moment rather than to the request.
pub(crate) fn may_pass(error: &RedisError) -> bool {
    if code(error) == "NOAUTH" || is_untrusted(error) {
        return false;
    }
    // Sentinels know no primary while they elect one.
    error.is_io_error()
        || error.kind() == ErrorKind::MasterNameNotFoundBySentinel
        || refused_for_now(error)
        || matches!(code(error), "OOM" | "MISCONF")
}

/// Whether the connection is still good after this answer. One that leads to a replica, or to a
/// cluster as it was, is not; while a slot moves nothing better can be dialled.
pub(crate) fn keeps_the_line(error: &RedisError) -> bool {
    if matches!(code(error), "TRYAGAIN" | "ASK") {
        return true;
    }
    !(error.is_io_error() || error.is_unrecoverable_error() || refused_for_now(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: &str, detail: &str) -> RedisError {
        let line = format!("-{code} {detail}\r\n");
        redis::parse_redis_value(line.as_bytes()).unwrap().extract_error().unwrap_err()
    }

    fn told(code: &str, detail: &str) -> QueueError {
        let attempt = Attempt {
            action: "claim jobs",
            queue: Some("shop:mail".into()),
            address: "here:6379".into(),
        };
        QueueError::from_reply(attempt, reply(code, detail))
    }

    #[test]
    fn each_answer_becomes_its_error_with_place_and_next_step() {
        for (code, detail, transient, step) in [
            ("OOM", "command not allowed", true, "raise its maxmemory"),
            ("READONLY", "You can't write", true, "name its primary"),
            ("MISCONF", "Redis is configured to save", true, "see to the disk"),
            ("NOAUTH", "Authentication required.", false, "wants a password"),
            ("WRONGPASS", "invalid username-password pair", false, "correct user and password"),
            ("NOPERM", "this user has no permissions", false, "grant it"),
            (
                "ERR",
                "The user executing the script can't run this command or subcommand script: 86f",
                false,
                "grant it",
            ),
            ("ERR", "ACL failure in script: No permissions to access a key", false, "grant it"),
            ("WRONGTYPE", "Operation against a key", false, "delete or rename what"),
            (
                "ERR",
                "Error running script (call to f_08): @user_script:1: WRONGTYPE Operation",
                false,
                "delete or rename what",
            ),
            (
                "ERR",
                "Error running script (call to f_08): @user_script: 1: -READONLY You can't write",
                true,
                "name its primary",
            ),
            ("WRONGTYPE", "{shop:mail}:jobs holds a string", false, "{shop:mail}:jobs holds a"),
            ("FLEETQDRAINING", "no new jobs", true, "resume it"),
            ("FLEETQLAYOUT", "7.1", false, "knows layout 7.1"),
            ("FLEETQBADARG", "delay -1 is negative", false, "delay -1 is negative"),
            ("CLUSTERDOWN", "The cluster is down", true, "--cluster check"),
            ("ERR", "unknown command", false, "unknown command"),
        ] {
            let error = told(code, detail);
            assert_eq!(error.is_transient(), transient, "{error}");
            let text = error.to_string();
            assert!(text.contains(step), "{text}");
            assert!(text.contains("here:6379") || text.contains("shop:mail"), "{text}");
            assert!(!text.contains(" script: "), "{text}");
        }
    }

    #[test]
    fn what_moved_or_waits_is_sent_again() {
        for code in ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY"] {
            let error = reply(code, "1 here:1");
            assert!(refused_for_now(&error) && may_pass(&error), "{error}");
        }
        assert!(!refused_for_now(&reply("OOM", "command not allowed")));
        assert!(keeps_the_line(&reply("TRYAGAIN", "x")) && !keeps_the_line(&reply("MOVED", "x")));
    }
}
