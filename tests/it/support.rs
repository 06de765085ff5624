//! What the stories share: the binary, folders of their own, a database and a Redis of their own,
//! drawn photos.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use drawn::Generator;
use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;

/// Longest wait for anything; a story that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The binary under test with an environment that holds nothing of this machine's settings.
pub fn eyefleet(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyefleet"));
    for (name, _) in std::env::vars() {
        let is_setting = name.starts_with("EYEFLEET_");
        if is_setting
            || ["REDIS_URL", "DATABASE_URL", "AUTO_TRAIN", "OLLAMA_HOST"].contains(&name.as_str())
        {
            command.env_remove(name);
        }
    }
    command.env("EYEFLEET_DATA", data).stdin(Stdio::null());
    // On SQLite the default is what is tested.
    if let Some(url) = postgres_for(&data.join("catalog.sqlite")) {
        command.env("DATABASE_URL", url);
    }
    command
}

/// The catalogue of one story: SQLite in this file, or, where `EYEFLEET_TEST_POSTGRES` names a
/// server, a database there that is this file's own. The same file is the same database.
pub fn database_url(file: &Path) -> String {
    postgres_for(file).unwrap_or_else(|| format!("sqlite://{}", file.display()))
}

fn postgres_for(file: &Path) -> Option<String> {
    static MADE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let server = std::env::var("EYEFLEET_TEST_POSTGRES").ok()?;
    let mut hasher = DefaultHasher::new();
    file.hash(&mut hasher);
    // With the process in it: a temporary folder's name may come again.
    let name = format!("eyefleet_it_{}_{:016x}", std::process::id(), hasher.finish());
    let (host, _) = server.rsplit_once('/').expect("the address ends in a database");
    let url = format!("{host}/{name}");
    // Held meanwhile: two threads of one story must not both make it.
    let mut made = MADE.lock().unwrap();
    if made.insert(name.clone()) {
        // A thread of its own, because an async story may be the one that asks.
        let making = std::thread::spawn(move || make_database(&server, &name));
        making.join().unwrap();
    }
    Some(url)
}

fn make_database(server: &str, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let admin = Database::connect(server).await.expect("the test server answers");
        // A locale that sorts unlike bytes, which must not show anywhere.
        let statement = format!(
            "CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        );
        admin.execute_unprepared(&statement).await.expect("the test server obeys");
        admin.close().await.expect("the connection closes");
    });
}

/// Runs a command to its end and shows its output where the test fails.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the binary runs");
    println!("$ {command:?}\n{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Looks every few milliseconds until there is an answer.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", PATIENCE.as_secs());
        #[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Draws `count` photos into `folder`.
pub fn photos(folder: &Path, count: u64) {
    std::fs::create_dir_all(folder).unwrap();
    for index in 0..count {
        let drawing = drawn::draw(Generator::Second, 11, index);
        std::fs::write(folder.join(format!("{index:03}.jpg")), drawing.to_jpeg(88).unwrap())
            .unwrap();
    }
}

/// A process that is killed when the story ends.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the binary runs"))
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end and gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        wait_for("a process to end", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A Redis of one story, on a unix socket.
pub struct Redis {
    _process: Running,
    folder: TempDir,
}

impl Redis {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null());
        let process = Running::start(&mut command);
        wait_for("Redis to answer", || std::os::unix::net::UnixStream::connect(&socket).ok());
        Self { _process: process, folder }
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("redis.sock").display())
    }
}

/// The file in which a running fleet says what it is.
pub fn fleet_file(data: &Path) -> Option<serde_json::Value> {
    let text = std::fs::read(data.join("run/fleet.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// `eyefleet up` on a folder of its own, ready.
pub struct Up {
    pub process: Running,
    pub data: PathBuf,
}

impl Up {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = eyefleet(data);
        command.arg("up").env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0");
        command.envs(environment.iter().copied());
        let process = Running::start(&mut command);
        let up = Self { process, data: data.to_owned() };
        up.wait_until_ready();
        up
    }

    pub fn wait_until_ready(&self) {
        wait_for("the fleet to be ready", || {
            let facts = fleet_file(&self.data)?;
            let roles = facts["roles"].as_array()?;
            let ours = facts["pid"].as_u64()? == u64::from(self.process.0.id());
            (ours && roles.len() == 6 && roles.iter().all(|role| role["url"].is_string()))
                .then_some(())
        });
    }

    pub fn url(&self, role: &str) -> String {
        let facts = fleet_file(&self.data).unwrap();
        let roles = facts["roles"].as_array().unwrap();
        let role = roles.iter().find(|it| it["name"] == role).unwrap();
        role["url"].as_str().unwrap().to_owned()
    }

    pub fn pid(&self, role: &str) -> i32 {
        let facts = fleet_file(&self.data).unwrap();
        let roles = facts["roles"].as_array().unwrap();
        let role = roles.iter().find(|it| it["name"] == role).unwrap();
        i32::try_from(role["pid"].as_u64().unwrap()).unwrap()
    }

    pub fn stop(mut self) {
        self.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.process.end(), Some(0), "`eyefleet up` did not stop well");
    }
}

/// One HTTP question: status and body. A client of twenty lines, so that the tests need none.
pub fn get(url: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
