//! A Redis of one bench on a unix socket, and jobs for it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleetq::{ConnectOptions, NewJob, Queue, QueueSettings, connect};

/// What the server does with a write before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Keeps it in memory alone, as the Redis of a test.
    #[allow(dead_code, reason = "each bench is a crate of its own and one needs the disk alone")]
    None,
    /// Writes it to the disk, as the private Redis of `eyefleet up`.
    #[allow(dead_code, reason = "each bench is a crate of its own and most need no disk")]
    EveryWrite,
}

/// Dies with the bench.
pub struct Server {
    process: Child,
    #[allow(dead_code, reason = "for a server that is started again")]
    persistence: Persistence,
}

#[allow(dead_code, reason = "each bench is a crate of its own and one alone kills its server")]
impl Server {
    /// `kill -9`; what is not on disk is gone.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Returns when it answers.
    pub async fn start_again(&mut self, folder: &Path) {
        self.process = spawn(folder, self.persistence);
        open_named(folder, "empty").await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server in `folder` and opens an empty queue in it.
pub async fn open(folder: &Path, persistence: Persistence) -> (Server, Queue) {
    let server = Server { process: spawn(folder, persistence), persistence };
    (server, open_named(folder, "empty").await)
}

/// Another queue of the server in `folder`, over a connection of its own.
pub async fn open_named(folder: &Path, name: &str) -> Queue {
    let wait_at_open = Duration::from_secs(10);
    let retry_delay_max = Duration::from_millis(20);
    let options = ConnectOptions { wait_at_open, retry_delay_max, ..ConnectOptions::default() };
    let url = format!("redis+unix://{}", folder.join("redis.sock").display());
    let redis = connect(&url, options).await.unwrap();
    Queue::open(&redis, "bench", name, QueueSettings::default()).await.unwrap()
}

fn spawn(folder: &Path, persistence: Persistence) -> Child {
    let socket = folder.join("redis.sock");
    // One that was killed leaves it behind.
    let _ = std::fs::remove_file(&socket);
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    command.arg("--dir").arg(folder);
    match persistence {
        Persistence::None => command.args(["--appendonly", "no"]),
        Persistence::EveryWrite => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
    };
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// `count` jobs with nothing in them, named by the numbers from `from` on.
#[allow(dead_code, reason = "each bench is a crate of its own and one has jobs of its own")]
pub fn jobs(from: u64, count: u64) -> Vec<NewJob> {
    (from..from + count).map(|n| NewJob::new(n.to_string(), "empty", "")).collect()
}
