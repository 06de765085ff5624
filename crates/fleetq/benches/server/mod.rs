//! A Redis of one bench on a unix socket, and jobs for it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleetq::{ConnectOptions, NewJob, Queue, QueueSettings, connect};

/// What the server does with a write before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Keeps it in memory alone, as the Redis of a test.
    None,
    /// Writes it to the disk, as the private Redis of `eyefleet up`.
    #[allow(dead_code, reason = "each bench is a crate of its own and one needs no disk")]
    EveryWrite,
}

/// Dies with the bench.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server in `folder` and opens an empty queue in it.
pub async fn open(folder: &Path, persistence: Persistence) -> (Server, Queue) {
    let socket = folder.join("redis.sock");
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket);
    command.arg("--dir").arg(folder);
    match persistence {
        Persistence::None => command.args(["--appendonly", "no"]),
        Persistence::EveryWrite => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
    };
    let server = Server(command.stdout(Stdio::null()).spawn().unwrap());
    let wait_at_open = Duration::from_secs(10);
    let options = ConnectOptions { wait_at_open, ..ConnectOptions::default() };
    let url = format!("redis+unix://{}", socket.display());
    let redis = connect(&url, options).await.unwrap();
    let queue = Queue::open(&redis, "bench", "empty", QueueSettings::default()).await.unwrap();
    (server, queue)
}

/// `count` jobs with nothing in them, named by the numbers from `from` on.
pub fn jobs(from: u64, count: u64) -> Vec<NewJob> {
    (from..from + count).map(|n| NewJob::new(n.to_string(), "empty", "")).collect()
}
