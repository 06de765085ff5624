//! A Redis of one system and one round, on a unix socket in a temporary folder, without
//! persistence. The settings are the same for all.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Dies with the bench.
pub struct Server {
    folder: TempDir,
    process: Child,
}

impl Server {
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.path().join("redis.sock"))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|cause| format!("cannot start redis-server: {cause}; install it"))?;
        let server = Self { folder, process };
        let started = Instant::now();
        while server.ask("PING").is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not answer on its socket; run it by hand".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn empty(&self) -> Result<(), Box<dyn Error>> {
        Ok(self.ask("FLUSHALL")?)
    }

    fn ask(&self, command: &str) -> redis::RedisResult<()> {
        let client = redis::Client::open(format!("redis+unix://{}", self.socket().display()))?;
        redis::cmd(command).exec(&mut client.get_connection()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
