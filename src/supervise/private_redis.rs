//! The private Redis of one data folder: a child in its own process group, on a unix socket,
//! writing every change to disk before it answers.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::SuperviseError;
use crate::snapshot::durable::hex;

/// Longest path of a unix socket (`sun_path` has 108 bytes, one of them the closing zero).
const SOCKET_PATH_MAX: usize = 107;
/// Time to come up: reading a long append-only file back takes a while.
const START_MAX: Duration = Duration::from_mins(2);
/// Time to stop: the last fsync.
const STOP_MAX: Duration = Duration::from_secs(20);

/// A Redis that belongs to one data folder.
#[derive(Debug)]
pub struct PrivateRedis {
    socket: PathBuf,
    pid: u32,
    adopted: bool,
    /// The child, where this process started it; reaped when it ends.
    child: Option<std::process::Child>,
}

impl PrivateRedis {
    /// Starts one on `data`, or adopts the one that a killed supervisor left there.
    pub(super) async fn start(data: &Path) -> Result<Self, SuperviseError> {
        let folder = data.join("redis");
        std::fs::create_dir_all(&folder).map_err(SuperviseError::file("create", &folder))?;
        let socket = socket_path(data)?;
        let log = data.join("log/redis.log");
        if let Some(pid) = living(&socket, &folder).await {
            tracing::info!(pid, "adopted the Redis that was left running");
            return Ok(Self { socket, pid, adopted: true, child: None });
        }
        if let Err(error) = std::fs::remove_file(&socket)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(SuperviseError::file("remove the stale socket", &socket)(error));
        }
        let mut child = spawn(&folder, &socket, &log)?;
        let deadline = Instant::now() + START_MAX;
        loop {
            if let Some(pid) = living(&socket, &folder).await {
                tracing::info!(pid, socket = %socket.display(), "private Redis started");
                return Ok(Self { socket, pid, adopted: false, child: Some(child) });
            }
            let ended = child.try_wait().map_err(SuperviseError::file("watch", &socket))?;
            if let Some(status) = ended {
                return Err(SuperviseError::Redis { why: format!("it ended with {status}"), log });
            }
            if Instant::now() > deadline {
                let why = format!("it did not answer within {} s", START_MAX.as_secs());
                let _ended_anyway = child.kill();
                let _reaped = child.wait();
                return Err(SuperviseError::Redis { why, log });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it was running already.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Asks it to save and end, and waits until it has.
    pub(super) async fn stop(mut self) {
        let asked = ask(&self.socket, &["SHUTDOWN"]).await;
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            let gone = match &mut self.child {
                Some(child) => child.try_wait().is_ok_and(|ended| ended.is_some()),
                None => !lives(self.pid),
            };
            if gone {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Killed, it loses nothing: every answered write is on disk.
        tracing::warn!(pid = self.pid, asked = asked.is_ok(), "Redis did not stop in time: killed");
        if let Some(mut child) = self.child {
            let _ended_anyway = child.kill();
            let _reaped = child.wait();
        } else if let Some(pid) = rustix::process::Pid::from_raw(self.pid.cast_signed()) {
            let _ended_anyway = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn lives(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

fn spawn(folder: &Path, socket: &Path, log: &Path) -> Result<std::process::Child, SuperviseError> {
    let program = which("redis-server").ok_or(SuperviseError::NoRedisServer)?;
    let mut command = Command::new(&program);
    command
        .args(["--port", "0", "--daemonize", "no", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", "always", "--maxmemory-policy", "noeviction"])
        .args(["--unixsocketperm", "700", "--unixsocket"])
        .arg(socket)
        .arg("--dir")
        .arg(folder)
        .arg("--logfile")
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: a Ctrl-C on the terminal must not stop Redis before the roles.
        .process_group(0);
    command.spawn().map_err(SuperviseError::file("run", &program))
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|found| found.is_file())
}

/// Where the socket goes: in the data folder, or in a runtime folder of this user where the path
/// would be longer than a socket's may be.
fn socket_path(data: &Path) -> Result<PathBuf, SuperviseError> {
    let near = data.join("run/redis.sock");
    if near.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(near);
    }
    let user = rustix::process::getuid().as_raw();
    let base = std::env::var_os("XDG_RUNTIME_DIR")
        .map(|folder| PathBuf::from(folder).join("eyefleet"))
        .filter(|folder| folder.as_os_str().len() < 60)
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/eyefleet-{user}")));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&base);
    made.map_err(SuperviseError::file("create", &base))?;
    // In /tmp somebody else may have been there first.
    let facts = std::fs::symlink_metadata(&base).map_err(SuperviseError::file("look at", &base))?;
    let ours_alone = facts.is_dir() && facts.uid() == user && facts.mode().trailing_zeros() >= 6;
    if !ours_alone {
        let cause = std::io::Error::other("it is not a folder that only this user may open");
        return Err(SuperviseError::file("use", &base)(cause));
    }
    let digest = Sha256::digest(data.as_os_str().as_encoded_bytes());
    Ok(base.join(format!("{}.sock", hex(&digest[..8]))))
}

/// The process id of the Redis on `socket`, if one answers and keeps its data in `folder`.
async fn living(socket: &Path, folder: &Path) -> Option<u32> {
    let dir = ask(socket, &["CONFIG", "GET", "dir"]).await.ok()?;
    let dir: Vec<String> = redis::from_redis_value(dir).ok()?;
    let same = std::fs::canonicalize(dir.get(1)?).ok()? == std::fs::canonicalize(folder).ok()?;
    if !same {
        return None;
    }
    let info = ask(socket, &["INFO", "server"]).await.ok()?;
    let info: String = redis::from_redis_value(info).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("process_id:"))?;
    // While it reads its file back it answers INFO, but not yet work.
    ask(socket, &["PING"]).await.ok()?;
    line.trim().parse().ok()
}

async fn ask(socket: &Path, words: &[&str]) -> redis::RedisResult<redis::Value> {
    let client = redis::Client::open(format!("redis+unix://{}", socket.display()))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let near = socket_path(Path::new("/srv/eyefleet")).unwrap();
        assert_eq!(near, Path::new("/srv/eyefleet/run/redis.sock"));
        let deep = PathBuf::from(format!("/srv/{}", "deep/".repeat(40)));
        let far = socket_path(&deep).unwrap();
        assert!(far.as_os_str().len() <= SOCKET_PATH_MAX, "{}", far.display());
        let other = socket_path(&deep.join("other")).unwrap();
        assert_ne!(far, other, "two data folders would share a socket");
        let folder = std::fs::metadata(far.parent().unwrap()).unwrap();
        assert_eq!(folder.mode() & 0o777, 0o700);
    }
}
