//! The queue's server: there, let in, new enough, keeping what it is told, with room to grow.

use std::collections::HashMap;

use redis::{Client, ConnectionAddr, ErrorKind, RedisError};

use super::{Check, Subject, clock, memory};
use crate::clock::Clock;
use crate::config::{Config, Secret};
use crate::supervise::{self, Traces};

/// The least version, `fleetq`'s own.
const VERSION_LEAST: (u32, u32) = (6, 2);

/// Whose Redis it is: that decides what mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The settings name it.
    Named,
    /// `eyefleet up` started it.
    Private,
}

/// What the server said.
struct Facts {
    info: HashMap<String, String>,
    fsync: Option<String>,
    time: Option<Told>,
}

/// A time in seconds, and when it was asked for and answered.
struct Told {
    theirs: f64,
    asked: f64,
    answered: f64,
}

pub(super) async fn examine(config: &Config, traces: &Traces, clock: &Clock) -> Vec<Check> {
    let Some((url, whose)) = address(config, traces) else { return vec![program().await] };
    let client = match Client::open(url.expose()) {
        Ok(client) => client,
        Err(error) => {
            let found = format!("the address {} cannot be used: {error}", url.masked());
            let mend = "set REDIS_URL to redis://[user:password@]host:port/db or \
                 redis+unix:///path/to/socket";
            return vec![Check::problem(Subject::Redis, "server", found, mend)];
        }
    };
    match look(&client, clock).await {
        Ok(facts) => judge(&facts, &url.masked(), whose, &command_line(&client)),
        Err(error) => vec![refused(&error, &url.masked(), whose)],
    }
}

/// Where the queues are: at the server that the settings name, else at the one that `eyefleet up`
/// started.
pub(super) fn address(config: &Config, traces: &Traces) -> Option<(Secret, Whose)> {
    if let Some(url) = &config.redis_url {
        return Some((url.clone(), Whose::Named));
    }
    let fleet = traces.fleet.as_ref().map(|fleet| fleet.redis_url.clone());
    let private = fleet.or_else(|| traces.redis.as_ref()?.url.clone());
    private.map(|url| (Secret::new(url), Whose::Private))
}

/// Without a server, what counts is whether `eyefleet up` could start one.
async fn program() -> Check {
    let mend = "sudo apt-get install redis-server, or set REDIS_URL to a Redis that runs";
    let Some(path) = supervise::redis_server() else {
        let found = "no fleet runs, REDIS_URL is not set, and there is no redis-server in PATH";
        return Check::problem(Subject::Redis, "server", found, mend);
    };
    let asked = tokio::process::Command::new(&path).arg("--version").kill_on_drop(true).output();
    let said = match asked.await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            let found = format!("{} does not start: {error}", path.display());
            return Check::problem(Subject::Redis, "server", found, mend);
        }
    };
    let version = said.split(' ').find_map(|word| word.strip_prefix("v=")).unwrap_or("unknown");
    if let Some(problem) = too_old(version) {
        return problem;
    }
    let found = format!("none runs; `eyefleet up` starts {}, {version}", path.display());
    Check::ok(Subject::Redis, "server", found)
}

async fn look(client: &Client, clock: &Clock) -> Result<Facts, RedisError> {
    // The subject's own limit ends what hangs; the client's would be shorter without a reason.
    let limits = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(super::SUBJECT_MAX))
        .set_response_timeout(Some(super::SUBJECT_MAX));
    let mut server = client.get_multiplexed_async_connection_with_config(&limits).await?;
    let text: String = redis::cmd("INFO").query_async(&mut server).await?;
    let info = text.lines().filter_map(|line| line.split_once(':'));
    let info = info.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    // Hosted servers and narrow users forbid CONFIG: what INFO says is enough then.
    let fsync: Result<Vec<String>, _> =
        redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(&mut server).await;
    let asked = clock::seconds(clock);
    let time: Result<(i64, i64), _> = redis::cmd("TIME").query_async(&mut server).await;
    let answered = clock::seconds(clock);
    let time = time.ok().map(|(seconds, micros)| Told {
        theirs: seconds as f64 + micros as f64 / 1e6,
        asked,
        answered,
    });
    Ok(Facts { info, fsync: fsync.ok().and_then(|pair| pair.into_iter().nth(1)), time })
}

/// How a person reaches the server, without its password.
fn command_line(client: &Client) -> String {
    let info = client.get_connection_info();
    let mut line = match info.addr() {
        ConnectionAddr::Tcp(host, port) => format!("redis-cli -h {host} -p {port}"),
        ConnectionAddr::TcpTls { host, port, .. } => {
            format!("redis-cli --tls -h {host} -p {port}")
        }
        ConnectionAddr::Unix(path) => format!("redis-cli -s {}", path.display()),
        _ => "redis-cli".to_owned(),
    };
    if let Some(user) = info.redis_settings().username() {
        line.push_str(" --user ");
        line.push_str(user);
    }
    if info.redis_settings().password().is_some() {
        line.push_str(" --askpass");
    }
    line
}

fn refused(error: &RedisError, address: &str, whose: Whose) -> Check {
    let locked_out = error.kind() == ErrorKind::AuthenticationFailed
        || ["NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|code| error.code() == Some(code));
    if locked_out {
        let found = format!("{address} does not let this user in: {error}");
        let mend = "correct user and password in REDIS_URL: redis://user:password@host:port/db";
        return Check::problem(Subject::Redis, "server", found, mend);
    }
    let found = format!("{address} cannot be used: {error}");
    let mend = match whose {
        Whose::Named => "start that server, or correct REDIS_URL; unset, `eyefleet up` starts one",
        Whose::Private => {
            "wait until it has read its data; log/redis.log in the data folder tells more"
        }
    };
    Check::problem(Subject::Redis, "server", found, mend)
}

fn too_old(version: &str) -> Option<Check> {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = VERSION_LEAST;
    (found < VERSION_LEAST).then(|| {
        let text = format!("Redis {version}, but {major}.{minor} or newer is needed");
        Check::problem(Subject::Redis, "version", text, "sudo apt-get install redis-server")
    })
}

fn judge(facts: &Facts, address: &str, whose: Whose, line: &str) -> Vec<Check> {
    let said = |key: &str| facts.info.get(key).map_or("unknown", String::as_str);
    let version = said("redis_version");
    let of = if whose == Whose::Private { ", private to this fleet" } else { "" };
    let server = format!("{address}, Redis {version}{of}");
    let mut checks = vec![Check::ok(Subject::Redis, "server", server)];
    checks.extend(too_old(version));
    if ["slave", "replica"].contains(&said("role")) {
        let found = "this is a replica and takes no writes";
        let mend = "set REDIS_URL to its primary (see `info replication`)";
        checks.push(Check::problem(Subject::Redis, "role", found, mend));
    }
    let policy = said("maxmemory_policy");
    checks.push(if policy == "noeviction" {
        Check::ok(Subject::Redis, "eviction", "noeviction")
    } else {
        let found =
            format!("maxmemory-policy is {policy}: jobs may be thrown away, and no role starts");
        let mend =
            format!("{line} config set maxmemory-policy noeviction   (and keep it in redis.conf)");
        Check::problem(Subject::Redis, "eviction", found, mend)
    });
    checks.push(persistence(facts, line));
    let number = |key: &str| said(key).parse::<u64>().ok();
    checks.push(memory::judge(
        number("used_memory"),
        number("maxmemory"),
        number("total_system_memory"),
        line,
    ));
    checks.push(match &facts.time {
        Some(told) => clock::judge("redis", told.theirs, told.asked, told.answered),
        None => Check::skipped(Subject::Clock, "redis", "it does not tell its time"),
    });
    checks
}

fn persistence(facts: &Facts, line: &str) -> Check {
    let said = |key: &str| facts.info.get(key).map_or("", String::as_str);
    let name = "persistence";
    if said("aof_enabled") != "1" {
        let found = "no append-only file: after a crash the jobs are made again from the catalogue";
        let mend = format!("{line} config set appendonly yes   (and keep it in redis.conf)");
        return Check::warning(Subject::Redis, name, found, mend);
    }
    if said("aof_last_write_status") == "err" {
        let found = "the append-only file could not be written: Redis refuses every change";
        let mend = "free space on the disk of its folder; its log names the error";
        return Check::problem(Subject::Redis, name, found, mend);
    }
    match facts.fsync.as_deref() {
        Some("no") => {
            let found = "append-only file, left to the system to write: a power cut takes the \
                 last half minute of jobs, which are made again from the catalogue";
            let mend = format!("{line} config set appendfsync everysec");
            Check::warning(Subject::Redis, name, found, mend)
        }
        Some(fsync) => Check::ok(Subject::Redis, name, format!("append-only file, fsync {fsync}")),
        None => Check::ok(Subject::Redis, name, "append-only file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    fn facts(changes: &[(&str, &str)], fsync: Option<&str>) -> Facts {
        let healthy = [
            ("redis_version", "7.0.15"),
            ("role", "master"),
            ("maxmemory_policy", "noeviction"),
            ("aof_enabled", "1"),
            ("aof_last_write_status", "ok"),
            ("used_memory", "1000000"),
            ("maxmemory", "0"),
            ("total_system_memory", "8000000000"),
        ];
        let all = healthy.iter().chain(changes);
        let info = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Facts { info, fsync: fsync.map(str::to_owned), time: None }
    }

    #[test]
    fn each_fault_is_found_by_its_name() {
        let mut cases = vec![
            (facts(&[("redis_version", "6.0.16")], None), "version", State::Problem),
            (facts(&[("role", "slave")], None), "role", State::Problem),
            (facts(&[("maxmemory_policy", "allkeys-lru")], None), "eviction", State::Problem),
            (facts(&[("aof_enabled", "0")], None), "persistence", State::Warning),
            (facts(&[("aof_last_write_status", "err")], None), "persistence", State::Problem),
            (facts(&[], Some("no")), "persistence", State::Warning),
        ];
        for (facts, name, state) in cases.drain(..) {
            let checks = judge(&facts, "redis://x", Whose::Named, "redis-cli");
            let bad: Vec<_> = checks.iter().filter(|check| check.mend.is_some()).collect();
            assert_eq!(bad.len(), 1, "{bad:?}");
            assert_eq!((bad[0].name, bad[0].state), (name, state));
        }
    }

    #[test]
    fn a_healthy_server_is_let_alone() {
        for fsync in [None, Some("always"), Some("everysec")] {
            let checks = judge(&facts(&[], fsync), "redis://x", Whose::Named, "redis-cli");
            assert!(checks.iter().all(|check| check.mend.is_none()), "{checks:?}");
        }
    }

    #[test]
    fn a_command_reaches_the_server_and_holds_no_password() {
        for (url, line) in [
            ("redis://h:7000/1", "redis-cli -h h -p 7000"),
            ("redis://me:hunter2@h:7000", "redis-cli -h h -p 7000 --user me --askpass"),
            ("redis+unix:///run/x.sock", "redis-cli -s /run/x.sock"),
        ] {
            assert_eq!(command_line(&Client::open(url).unwrap()), line);
        }
    }
}
