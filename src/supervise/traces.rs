//! What a data folder tells of the fleet on it. Looks only: no folder is made, no lock is kept.
//!
//! A lock is asked for in its shared form and given back at once; who starts a fleet or a Redis at
//! that moment looks more than once.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::fleet_file::{Facts, FleetFile};
use super::redis_home;

/// The traces of `eyefleet up` on one data folder.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    /// What the supervisor that runs now says of its fleet.
    pub fleet: Option<Facts>,
    /// A supervisor runs that has not said anything yet, or nothing that can be read.
    pub silent: bool,
    /// The file of a fleet that does not run any more.
    pub stale: Option<PathBuf>,
    /// The private Redis, where one runs.
    pub redis: Option<RedisTrace>,
}

/// A private Redis that holds the lock of its data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisTrace {
    /// Its process id, as it was written by who started it.
    pub pid: Option<u32>,
    /// Its address for clients, where it is known.
    pub url: Option<String>,
}

impl Traces {
    /// Reads them. Touches the disk; call it from a thread that may block.
    pub fn read(data: &Path) -> Self {
        let run = data.join("run");
        let file = run.join(FleetFile::NAME);
        let supervised = held(&run.join(FleetFile::LOCK_NAME));
        let fleet = if supervised { FleetFile::find(data) } else { None };
        let redis = data.join("redis");
        let lock = redis.join("lock");
        let redis = held(&lock).then(|| {
            let text = std::fs::read_to_string(&lock).unwrap_or_default();
            let socket = redis_home::recorded_socket(&redis);
            let url = socket.map(|socket| redis_home::url(&socket));
            RedisTrace { pid: text.trim().parse().ok(), url }
        });
        Self {
            silent: supervised && fleet.is_none(),
            stale: (!supervised && file.exists()).then_some(file),
            fleet,
            redis,
        }
    }
}

/// The `redis-server` that `eyefleet up` would start.
pub fn redis_server() -> Option<PathBuf> {
    redis_home::which("redis-server")
}

/// Whether somebody holds the lock at `path`.
fn held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_fleet_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let traces = Traces::read(&data);
        assert!(traces.fleet.is_none() && traces.redis.is_none() && traces.stale.is_none());
        assert!(!data.exists(), "a look made a folder");
    }

    #[test]
    fn a_lock_tells_a_running_redis_from_an_ended_one() {
        let folder = tempfile::tempdir().unwrap();
        let redis = folder.path().join("redis");
        std::fs::create_dir(&redis).unwrap();
        std::fs::write(redis.join("lock"), "77\n").unwrap();
        std::fs::write(redis.join("socket"), "/run/x.sock").unwrap();
        assert_eq!(Traces::read(folder.path()).redis, None);
        let holder = File::open(redis.join("lock")).unwrap();
        flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
        let url = Some("redis+unix:///run/x.sock".to_owned());
        assert_eq!(Traces::read(folder.path()).redis, Some(RedisTrace { pid: Some(77), url }));
    }

    #[test]
    fn the_file_of_a_killed_fleet_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join("fleet.json"), "{}").unwrap();
        std::fs::write(run.join("up.lock"), "1\n").unwrap();
        assert_eq!(Traces::read(folder.path()).stale, Some(run.join("fleet.json")));
        let holder = File::open(run.join("up.lock")).unwrap();
        flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
        let traces = Traces::read(folder.path());
        assert!(traces.silent && traces.stale.is_none(), "{traces:?}");
    }
}
