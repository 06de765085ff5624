//! Where the private Redis of one data folder lives: its files, its socket, its lock.
//!
//! What must stay true: a second server never opens the same append-only file. The server itself
//! holds the lock `redis/lock`, as its standard input, from before it runs until the kernel has
//! ended it; nobody starts one without having taken that lock first. What answers slowly is alive.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{SuperviseError, log_file};
use crate::snapshot::durable::hex;

/// Longest path of a unix socket (`sun_path` has 108 bytes, one of them the closing zero).
const SOCKET_PATH_MAX: usize = 107;
/// Time that a server gets to take a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Time that a server gets to answer one question: a slow disk holds it up.
const RESPONSE_MAX: Duration = Duration::from_secs(5);

/// What was seen at a socket.
#[derive(Debug)]
pub(super) enum Look {
    /// There is no socket, or nobody listens on it: the one state that means "no server".
    Absent,
    /// A server of this folder answers and has read its data.
    Ready {
        /// Its process.
        pid: u32,
    },
    /// Somebody is there and cannot be used yet: loading, busy, held up.
    Unready(String),
    /// A server that keeps its data elsewhere.
    Foreign(String),
}

/// The places of one data folder's Redis.
#[derive(Debug)]
pub(super) struct RedisHome {
    folder: PathBuf,
    /// Where the server logs.
    pub log: PathBuf,
    /// Where its socket goes, unless a running one says otherwise.
    pub socket: PathBuf,
}

impl RedisHome {
    pub fn open(data: &Path) -> Result<Self, SuperviseError> {
        let folder = data.join("redis");
        std::fs::create_dir_all(&folder).map_err(SuperviseError::file("create", &folder))?;
        let socket = socket_path(data)?;
        Ok(Self { folder, log: data.join("log/redis.log"), socket })
    }

    /// The file that a running server holds locked; the process id in it is for people.
    pub fn lock_path(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Takes the lock, or answers `None` while a server runs on this folder.
    pub fn try_lock(&self) -> Result<Option<File>, SuperviseError> {
        let path = self.lock_path();
        let mut options = std::fs::OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(SuperviseError::file("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(SuperviseError::file("lock", &path)(error.into())),
        }
    }

    /// The process id that was written for the server that holds the lock.
    pub fn holder(&self) -> String {
        let text = std::fs::read_to_string(self.lock_path()).unwrap_or_default();
        let text = text.trim();
        if text.is_empty() { "of unknown number".to_owned() } else { text.to_owned() }
    }

    /// The socket of the server that runs. It differs from ours where the data folder's path is
    /// long and the runtime folder is another one now.
    pub fn recorded_socket(&self) -> Option<PathBuf> {
        recorded_socket(&self.folder)
    }

    /// Begins a server on `socket`; `lock` is its own from now on.
    pub fn spawn(&self, socket: &Path, lock: File) -> Result<Child, SuperviseError> {
        let program = which("redis-server").ok_or(SuperviseError::NoRedisServer)?;
        if let Err(error) = std::fs::remove_file(socket)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(SuperviseError::file("remove the stale socket", socket)(error));
        }
        // Before it runs: whoever finds the lock taken also finds the socket.
        let note = self.folder.join("socket");
        let noted = std::fs::write(&note, socket.as_os_str().as_encoded_bytes());
        noted.map_err(SuperviseError::file("write", &note))?;
        log_file::rotate(&self.log);
        let mut command = Command::new(&program);
        command
            .args(["--port", "0", "--daemonize", "no", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--maxmemory-policy", "noeviction"])
            .args(["--unixsocketperm", "700", "--unixsocket"])
            .arg(socket)
            .arg("--dir")
            .arg(&self.folder)
            .arg("--logfile")
            .arg(&self.log)
            // Redis never reads it; open, it holds the lock. No other child can inherit it so.
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: a Ctrl-C on the terminal must not stop Redis before the roles.
            .process_group(0);
        let child = command.spawn().map_err(SuperviseError::file("run", &program))?;
        if let Some(pid) = child.id() {
            let _only_for_people = std::fs::write(self.lock_path(), format!("{pid}\n"));
        }
        Ok(child)
    }

    /// What there is at `socket`.
    pub async fn look(&self, socket: &Path) -> Look {
        match connect(socket).await {
            Err(error) if absent(&error) => return Look::Absent,
            Err(error) => return Look::Unready(error.to_string()),
            Ok(()) => {}
        }
        let (pid, dir) = match facts(socket).await {
            Ok(facts) => facts,
            Err(error) => return Look::Unready(error.to_string()),
        };
        let same = matches!(
            (std::fs::canonicalize(&dir), std::fs::canonicalize(&self.folder)),
            (Ok(theirs), Ok(ours)) if theirs == ours
        );
        if !same {
            return Look::Foreign(format!(
                "another Redis (pid {pid}) answers on {} and keeps its data in {dir:?}: stop it",
                socket.display()
            ));
        }
        // While it reads its file back it answers the questions above, but not yet work.
        match ask(socket, &["PING"]).await {
            Ok(_) => Look::Ready { pid },
            Err(error) => Look::Unready(error.to_string()),
        }
    }
}

/// The socket that was noted in `folder` for the server there.
pub(super) fn recorded_socket(folder: &Path) -> Option<PathBuf> {
    let bytes = std::fs::read(folder.join("socket")).ok()?;
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// Whether nobody listens on a socket that was there: its server has ended.
pub(super) async fn refuses(socket: &Path) -> bool {
    connect(socket).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

async fn connect(socket: &Path) -> std::io::Result<()> {
    match tokio::time::timeout(CONNECT_MAX, UnixStream::connect(socket)).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

/// Process id and data folder of the server on `socket`.
async fn facts(socket: &Path) -> redis::RedisResult<(u32, String)> {
    let missing = |what| redis::RedisError::from((redis::ErrorKind::Parse, what));
    let dir: Vec<String> = redis::from_redis_value(ask(socket, &["CONFIG", "GET", "dir"]).await?)?;
    let dir = dir.into_iter().nth(1).ok_or_else(|| missing("it does not name its folder"))?;
    let info: String = redis::from_redis_value(ask(socket, &["INFO", "server"]).await?)?;
    let line = info.lines().find_map(|line| line.strip_prefix("process_id:"));
    let pid = line.and_then(|line| line.trim().parse().ok());
    Ok((pid.ok_or_else(|| missing("it does not name its process"))?, dir))
}

/// One question on a connection of its own.
pub(super) async fn ask(socket: &Path, words: &[&str]) -> redis::RedisResult<redis::Value> {
    let client = redis::Client::open(url(socket))?;
    let limits = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_response_timeout(Some(RESPONSE_MAX));
    let mut connection = client.get_multiplexed_async_connection_with_config(&limits).await?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await
}

/// The address for clients.
pub(super) fn url(socket: &Path) -> String {
    format!("redis+unix://{}", socket.display())
}

pub(super) fn which(program: &str) -> Option<PathBuf> {
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

    #[tokio::test]
    async fn only_a_missing_or_refusing_socket_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let home = RedisHome::open(folder.path()).unwrap();
        let socket = folder.path().join("test.sock");
        assert!(matches!(home.look(&socket).await, Look::Absent));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let hangs_up = std::thread::spawn(move || {
            // The look's own connection and the client's: both are taken, none is answered.
            drop((listener.accept(), listener.accept()));
        });
        let seen = home.look(&socket).await;
        assert!(matches!(seen, Look::Unready(_)), "{seen:?}");
        hangs_up.join().unwrap();
        assert!(matches!(home.look(&socket).await, Look::Absent), "its listener is gone");
        assert!(refuses(&socket).await);
    }

    #[test]
    fn the_lock_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let home = RedisHome::open(folder.path()).unwrap();
        let held = home.try_lock().unwrap();
        assert!(held.is_some());
        assert!(home.try_lock().unwrap().is_none());
        drop(held);
        assert!(home.try_lock().unwrap().is_some());
    }
}
