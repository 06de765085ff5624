//! The private Redis of one data folder: a child in its own process group, on a unix socket,
//! writing every change to disk before it answers. Begun or adopted, watched, begun again, stopped.
//!
//! What must stay true: it stays on the socket that the fleet was told of, and who lets go of a
//! `PrivateRedis` has asked the server to end. Only a killed supervisor leaves one behind.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::SuperviseError;
use super::redis_home::{self, Look, RedisHome};

/// Time to come up: reading a long append-only file back takes a while.
const START_MAX: Duration = Duration::from_mins(2);
/// Time to stop: the last fsync.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Time between two looks at a server that starts or stops.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Time between two looks at a server that runs.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// First pause before a server that ended is started again; doubles up to the longest.
const RESTART_FIRST: Duration = Duration::from_millis(200);
/// Longest pause before a restart.
const RESTART_MAX: Duration = Duration::from_secs(10);
/// A server that ran this long was healthy: its next restart is quick again.
const HEALTHY: Duration = Duration::from_mins(1);

/// A Redis that belongs to one data folder. Dropping it asks the server to end (SIGTERM: it writes
/// what it has and ends by itself); `stop` also waits for that.
#[derive(Debug)]
pub struct PrivateRedis {
    keeper: Arc<Keeper>,
}

impl PrivateRedis {
    /// Starts one on `data`, or adopts the one that a killed supervisor left there.
    pub(super) async fn start(data: &Path) -> Result<Self, SuperviseError> {
        // Made before anything is started: dropped at any await below, it ends what there is.
        let redis = Self {
            keeper: Arc::new(Keeper {
                home: RedisHome::open(data)?,
                socket: OnceLock::new(),
                server: Mutex::new(None),
                stopping: CancellationToken::new(),
            }),
        };
        redis.keeper.obtain().await?;
        let keeper = Arc::clone(&redis.keeper);
        tokio::spawn(async move {
            let stopping = keeper.stopping.clone();
            stopping.run_until_cancelled(keeper.keep()).await;
        });
        Ok(redis)
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        redis_home::url(self.keeper.socket())
    }

    /// Its process; `None` while it is about to be started again.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.server().as_ref().map(|server| server.pid)
    }

    /// Asks it to save and end, and waits until it has.
    pub(super) async fn stop(&mut self) {
        self.keeper.stopping.cancel();
        let Some(mut server) = self.keeper.server().take() else { return };
        let asked = redis_home::ask(self.keeper.socket(), &["SHUTDOWN"]).await;
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            if server.ended().is_some() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // Killed, it loses nothing: every answered write is on disk.
        tracing::warn!(
            pid = server.pid,
            asked = asked.is_ok(),
            "Redis did not stop in time: killed"
        );
        server.signal(Signal::KILL);
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        // In this order: a keeper that is about to start one sees the token under the same lock.
        self.keeper.stopping.cancel();
        drop(self.keeper.server().take());
    }
}

/// The server process. Dropping it sends SIGTERM, unless it has been seen to end.
#[derive(Debug)]
struct Server {
    pid: u32,
    /// Where this process started it; reaped when it ends. An adopted one is another's child.
    child: Option<Child>,
    ended: Option<String>,
}

impl Server {
    fn new(pid: u32, child: Option<Child>) -> Self {
        Self { pid, child, ended: None }
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<String> {
        if self.ended.is_none() {
            self.ended = match &mut self.child {
                Some(child) => child.try_wait().ok().flatten().map(|status| status.to_string()),
                None if lives(self.pid) => None,
                None => Some("its process is gone".to_owned()),
            };
        }
        self.ended.clone()
    }

    fn signal(&mut self, signal: Signal) {
        // Asked just before: the number of a process that ended may belong to another by now.
        if self.ended().is_none()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            let _ended_meanwhile = kill_process(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
    }
}

fn lives(pid: u32) -> bool {
    let asked = Pid::from_raw(pid.cast_signed()).map(test_kill_process);
    // Another user's process lives as well.
    matches!(asked, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// Keeps a server there until it is told to stop.
#[derive(Debug)]
struct Keeper {
    home: RedisHome,
    /// Its socket, settled by the first server: clients know it from then on.
    socket: OnceLock<PathBuf>,
    server: Mutex<Option<Server>>,
    stopping: CancellationToken,
}

impl Keeper {
    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket(&self) -> &Path {
        self.socket.get().unwrap_or(&self.home.socket)
    }

    async fn keep(&self) {
        let mut pause = RESTART_FIRST;
        let mut started = Instant::now();
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            let Some(how) = self.gone().await else { continue };
            if started.elapsed() > HEALTHY {
                pause = RESTART_FIRST;
            }
            tracing::error!(how, again_in_ms = pause.as_millis() as u64, log = %self.home.log.display(), "Redis ended, started again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RESTART_MAX);
            started = Instant::now();
            if let Err(error) = self.obtain().await {
                tracing::error!(%error, "Redis is still away");
            }
        }
    }

    /// How the server ended; `None` while it runs. One that runs and does not answer is left alone.
    async fn gone(&self) -> Option<String> {
        let adopted = {
            let mut slot = self.server();
            let Some(server) = slot.as_mut() else { return Some("it did not come up".to_owned()) };
            if let Some(how) = server.ended() {
                return Some(how);
            }
            server.child.is_none()
        };
        // An adopted one that nobody reaps keeps its number; its socket tells.
        (adopted && redis_home::refuses(self.socket()).await).then(|| {
            let how = "nobody listens on its socket any more".to_owned();
            if let Some(server) = self.server().as_mut() {
                server.ended = Some(how.clone());
            }
            how
        })
    }

    /// Returns when a server answers: the one in the slot, one that holds the folder's lock, or,
    /// where nobody holds it, a new one.
    async fn obtain(&self) -> Result<(), SuperviseError> {
        let failed = |why| SuperviseError::Redis { why, log: self.home.log.clone() };
        let deadline = Instant::now() + START_MAX;
        let mut told = String::new();
        {
            let mut slot = self.server();
            if slot.as_mut().is_some_and(|server| server.ended().is_some()) {
                *slot = None;
            }
        }
        loop {
            let ended = self.server().as_mut().and_then(Server::ended);
            if let Some(how) = ended {
                self.server().take();
                return Err(failed(format!("it ended with {how}")));
            }
            let waiting = match self.step().await? {
                Step::Ready => return Ok(()),
                Step::Hopeless(why) => return Err(failed(why)),
                Step::Wait(why) => why,
            };
            if Instant::now() > deadline {
                return Err(failed(self.in_vain(&waiting)));
            }
            // A new one needs a moment before it listens; everything else is worth a line.
            if waiting != told && waiting != STARTING {
                tracing::warn!(why = waiting, pid = self.home.holder(), "waiting for Redis");
                told = waiting;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn step(&self) -> Result<Step, SuperviseError> {
        let mine = self.server().is_some();
        let lock = if mine { None } else { self.home.try_lock()? };
        let others = !mine && lock.is_none();
        let recorded = if others { self.home.recorded_socket() } else { None };
        let socket = recorded.unwrap_or_else(|| self.socket().to_owned());
        Ok(match (self.home.look(&socket).await, lock) {
            (Look::Ready { pid }, _) => {
                if !mine {
                    *self.server() = Some(Server::new(pid, None));
                    tracing::info!(pid, "adopted the Redis that was left running");
                }
                let _settled_before = self.socket.set(socket);
                Step::Ready
            }
            (Look::Absent, Some(lock)) => {
                let mut slot = self.server();
                // Seen under the slot's lock: after a drop nothing is started any more.
                if self.stopping.is_cancelled() {
                    return Ok(Step::Hopeless("its fleet is stopping".to_owned()));
                }
                let child = self.home.spawn(&socket, lock)?;
                let pid = child.id().unwrap_or_default();
                *slot = Some(Server::new(pid, Some(child)));
                tracing::info!(pid, socket = %socket.display(), "private Redis started");
                Step::Wait(STARTING.to_owned())
            }
            (Look::Absent, None) if mine => Step::Wait(STARTING.to_owned()),
            (Look::Absent, None) => Step::Wait(format!("nobody listens on {}", socket.display())),
            (Look::Unready(why), _) => Step::Wait(format!("{}: {why}", socket.display())),
            (Look::Foreign(why), _) => Step::Hopeless(why),
        })
    }

    /// Why nothing answered in all the time that there was.
    fn in_vain(&self, waiting: &str) -> String {
        let (seconds, lock) = (START_MAX.as_secs(), self.home.lock_path());
        let pid = self.home.holder();
        if self.server().is_some() {
            return format!("it (pid {pid}) did not answer within {seconds} s: {waiting}");
        }
        format!(
            "the one that runs already (pid {pid}, it holds {}) did not answer within {seconds} s: \
             {waiting}; look at that process, end it, and start again",
            lock.display()
        )
    }
}

/// What a new server is waited for.
const STARTING: &str = "it does not listen yet";

/// What one look led to.
enum Step {
    Ready,
    /// Look again, until the time is over.
    Wait(String),
    /// Looking again would not help.
    Hopeless(String),
}
