//! Servers that listen on a port, for what a unix socket cannot show: clusters, sentinels, TLS.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// Dies with the test.
pub struct TcpServer {
    pub port: u16,
    folder: TempDir,
    settings: Vec<String>,
    process: Child,
}

impl TcpServer {
    /// Without persistence; `settings` are those of redis.conf, each with `--` in front.
    pub async fn start(settings: &[&str]) -> Self {
        Self::start_as("redis-server", settings).await
    }

    /// With a second port for the other nodes of its cluster.
    pub async fn start_node(settings: &[&str]) -> Self {
        Self::launch("redis-server", free_port_of_node(), settings).await
    }

    /// The program at `path`.
    pub async fn start_as(path: &str, settings: &[&str]) -> Self {
        Self::launch(path, free_port(), settings).await
    }

    async fn launch(path: &str, port: u16, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
        let process = spawn(path, &folder, port, &settings);
        let mut server = Self { port, folder, settings, process };
        server.answers().await;
        server
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.host())
    }

    /// Over the unix socket, whatever listens on the port.
    pub async fn raw(&self) -> MultiplexedConnection {
        self.try_raw().await.unwrap()
    }

    async fn try_raw(&self) -> redis::RedisResult<MultiplexedConnection> {
        let socket = self.folder.path().join("redis.sock");
        let client = redis::Client::open(format!("redis+unix://{}", socket.display()))?;
        client.get_multiplexed_async_connection().await
    }

    /// `kill -9`; what was not on disk is gone.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// On the same port, with the same folder; it may take a while until it answers.
    pub fn launch_again(&mut self) {
        self.process = spawn("redis-server", &self.folder, self.port, &self.settings);
    }

    async fn answers(&mut self) {
        let started = Instant::now();
        loop {
            if let Ok(mut line) = self.try_raw().await
                && redis::cmd("PING").exec_async(&mut line).await.is_ok()
            {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            let refused = "redis-server ended at once: it may be built without TLS, or not know";
            assert!(ended.is_none(), "{refused} {:?}", self.settings);
            assert!(started.elapsed() < Duration::from_secs(20), "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Nodes talk to each other on the port that lies ten thousand above.
fn free_port_of_node() -> u16 {
    loop {
        let port = free_port();
        let above = port.checked_add(10_000);
        if above.is_some_and(|above| TcpListener::bind(("127.0.0.1", above)).is_ok()) {
            return port;
        }
    }
}

fn spawn(path: &str, folder: &TempDir, port: u16, settings: &[String]) -> Child {
    let socket = folder.path().join("redis.sock");
    let _ = std::fs::remove_file(&socket);
    // TLS takes the port over where the settings name it.
    let plain = if settings.iter().any(|text| text == "--tls-port") { 0 } else { port };
    let settings = settings.iter().map(|text| text.replace("PORT", &port.to_string()));
    Command::new(path)
        .args(["--port", &plain.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(folder.path())
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|cause| panic!("{path} can be run: {cause}"))
}
