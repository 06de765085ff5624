//! A whole fleet on one machine: a private Redis and every role as a process of its own.
//!
//! What must stay true: one fleet for each data folder (a lock file says so), Redis outlives every
//! role and is stopped last, no role outlives its supervisor (it sees its standard input end), and
//! a Redis that outlived a killed supervisor is adopted, not fought. What ended by itself is started
//! again. A fleet that is dropped, or whose start is, leaves no process behind.

mod fleet_file;
mod log_file;
mod private_redis;
mod redis_home;
mod roles;
mod stillness;
mod traces;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetq::{ConnectOptions, Queue, QueueSettings};
use rustix::fs::{FlockOperation, flock};

pub use fleet_file::{FleetFile, RunningRole};
pub use private_redis::PrivateRedis;
pub use roles::{RoleSpec, Roles};
pub use stillness::Stillness;
pub use traces::{RedisTrace, Traces, redis_server};

use crate::config::{Config, Secret};

/// Looks at the lock of a data folder before it counts as taken; who only asks whether a fleet runs
/// holds it for a moment.
const LOCK_LOOKS: u32 = 10;
/// Time between two such looks.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time in which a named Redis that refuses to write for the moment may change its mind.
const NAMED_REDIS_PATIENCE: Duration = Duration::from_secs(2);

/// Why a fleet could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Another one runs on the same data.
    #[error(
        "another `eyefleet up` (pid {pid}) already runs on {data}: stop it, or choose another folder with EYEFLEET_DATA"
    )]
    AlreadyRunning {
        /// The folder.
        data: PathBuf,
        /// Its process, as it wrote it.
        pid: String,
    },
    /// A file or folder could not be used.
    #[error("cannot {doing} {path}: {cause}")]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The path in question.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// No Redis server to run.
    #[error(
        "redis-server was not found: run scripts/setup, install Debian's redis-server, or set REDIS_URL to one that runs"
    )]
    NoRedisServer,
    /// Redis did not come up.
    #[error("the private Redis did not come up: {why}; its log is {log}")]
    Redis {
        /// What was seen.
        why: String,
        /// Where it logs.
        log: PathBuf,
    },
    /// A Redis that nobody supervises works on the data.
    #[error(
        "the private Redis (pid {pid}) of {data} outlived its fleet: end it with `kill {pid}`, then repeat"
    )]
    RedisOutlived {
        /// The folder.
        data: PathBuf,
        /// Its process, as it was written.
        pid: String,
    },
    /// The Redis that the settings name.
    #[error("cannot use the Redis at {url}: {cause}")]
    NamedRedis {
        /// Its address, masked.
        url: String,
        /// What it or the system said, with the next step.
        cause: Box<fleetq::QueueError>,
    },
    /// A role did not come up.
    #[error("{role} did not come up: {why}; its log is {log}")]
    Role {
        /// Name and number of the role.
        role: String,
        /// The last thing that it said.
        why: String,
        /// Where it logs.
        log: PathBuf,
    },
}

impl SuperviseError {
    fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { doing, path, cause }
    }
}

/// A running fleet. Dropping it asks its processes to end and waits for none; `stop` waits, in
/// their order.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    // Dropped in this order: the roles are asked first, the folder is free last.
    roles: Roles,
    redis: Option<PrivateRedis>,
    file: Arc<FleetFile>,
    /// Held for as long as the fleet runs; the kernel releases it with the process.
    _lock: File,
}

impl Fleet {
    /// Starts Redis (unless one is named in the settings) and `roles`, with `program` as their
    /// executable. Returns when every role has announced its address.
    ///
    /// # Errors
    /// See `SuperviseError`; what was started before the failure is stopped again, and so it is
    /// when this future is dropped.
    pub async fn start(
        mut config: Config,
        program: &Path,
        roles: Vec<RoleSpec>,
    ) -> Result<Self, SuperviseError> {
        let run = config.data.join("run");
        for folder in [&config.data, &run, &config.data.join("log")] {
            std::fs::create_dir_all(folder).map_err(SuperviseError::file("create", folder))?;
        }
        let lock = lock(&config.data, &run).await?;
        let redis = match &config.redis_url {
            Some(url) => {
                try_named(url, &config.namespace).await?;
                None
            }
            None => Some(PrivateRedis::start(&config.data).await?),
        };
        if let Some(redis) = &redis {
            config.redis_url = Some(Secret::new(redis.url()));
        }
        let file = Arc::new(FleetFile::create(&run, &config)?);
        let roles = Roles::start(&config, program, roles, &file);
        let mut fleet = Self { config, roles, redis, file, _lock: lock };
        if let Err(error) = fleet.roles.ready().await {
            fleet.stop().await;
            return Err(error);
        }
        Ok(fleet)
    }

    /// The settings with Redis's address filled in: what a client of this fleet uses.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The roles and their processes.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// The private Redis, where there is one.
    pub fn redis(&self) -> Option<&PrivateRedis> {
        self.redis.as_ref()
    }

    /// Stops the roles within their grace, then Redis, and removes the fleet's file.
    pub async fn stop(mut self) {
        self.roles.stop(self.config.grace).await;
        if let Some(redis) = &mut self.redis {
            redis.stop().await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.file.remove();
    }
}

/// Makes sure that a Redis that somebody else runs can be used. Each role would find out by itself,
/// but it would wait for it long and say so in its log only.
async fn try_named(url: &Secret, namespace: &str) -> Result<(), SuperviseError> {
    let named = |cause| SuperviseError::NamedRedis { url: url.masked(), cause: Box::new(cause) };
    let options = ConnectOptions { patience: NAMED_REDIS_PATIENCE, ..ConnectOptions::default() };
    let connection = fleetq::connect(url.expose(), options).await.map_err(named)?;
    let queue = Queue::open(&connection, namespace, "analyze", QueueSettings::default())
        .await
        .map_err(named)?;
    // Roles wait for one that takes no jobs for now; whoever starts a fleet wants to know.
    queue.check_writable().await.map_err(named)
}

/// Takes the lock of `data`, or names the process that holds it.
async fn lock(data: &Path, run: &Path) -> Result<File, SuperviseError> {
    let path = run.join(FleetFile::LOCK_NAME);
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(SuperviseError::file("open", &path))?;
    let mut looks = 1;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if looks < LOCK_LOOKS {
            looks += 1;
            tokio::time::sleep(LOCK_LOOK_EVERY).await;
            continue;
        }
        let pid = std::fs::read_to_string(&path).unwrap_or_default();
        return Err(SuperviseError::AlreadyRunning {
            data: data.to_owned(),
            pid: pid.trim().to_owned(),
        });
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(SuperviseError::file("write", &path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fleet_is_found_by_its_lock_and_not_by_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let (data, run) = (folder.path(), folder.path().join("run"));
        std::fs::create_dir(&run).unwrap();
        let home = [("EYEFLEET_DATA".to_owned(), data.display().to_string())];
        let config = Config::from_sources(None, home).unwrap();
        assert!(FleetFile::find(data).is_none());
        let held = lock(data, &run).await.unwrap();
        assert!(FleetFile::find(data).is_none(), "it has not said anything yet");
        let file = FleetFile::create(&run, &config).unwrap();
        assert_eq!(FleetFile::find(data).unwrap().pid, std::process::id());
        assert!(matches!(lock(data, &run).await, Err(SuperviseError::AlreadyRunning { .. })));
        // The file stays, and its process id belongs to somebody who lives.
        drop(held);
        assert!(FleetFile::find(data).is_none());
        // Removed, it stays so, whatever a keeper still has to say.
        file.remove();
        file.set(RunningRole { name: "late-1".to_owned(), pid: 1, url: None });
        assert_eq!(std::fs::read_dir(&run).unwrap().count(), 1, "only the lock's file is left");
    }

    #[tokio::test]
    async fn who_only_asks_does_not_stop_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FleetFile::LOCK_NAME);
        let asking = File::create(&path).unwrap();
        flock(&asking, FlockOperation::NonBlockingLockShared).unwrap();
        let (taken, ()) = tokio::join!(lock(folder.path(), folder.path()), async {
            tokio::time::sleep(LOCK_LOOK_EVERY * 2).await;
            drop(asking);
        });
        taken.unwrap();
    }
}
