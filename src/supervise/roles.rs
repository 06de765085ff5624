//! The roles as processes: started, watched, started again, stopped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SuperviseError;
use super::fleet_file::{FleetFile, RunningRole};
use crate::config::Config;

/// Time that a role gets to announce its address: opening a large index takes a while.
const READY_MAX: Duration = Duration::from_mins(2);
/// First pause before a role that ended is started again; doubles up to the longest.
const RESTART_FIRST: Duration = Duration::from_millis(200);
/// Longest pause before a restart.
const RESTART_MAX: Duration = Duration::from_secs(10);
/// Starts that may fail before the first good one: then the cause will not go away by itself.
const FAILED_STARTS_MAX: u32 = 3;
/// A role that ran this long was healthy: its next restart is quick again.
const HEALTHY: Duration = Duration::from_mins(1);

/// One role to run.
#[derive(Debug, Clone)]
pub struct RoleSpec {
    /// The role's word on the command line.
    pub role: &'static str,
    /// Which of several, from 1.
    pub index: usize,
}

impl RoleSpec {
    /// All roles of a whole fleet with `replicas` analyze processes.
    pub fn whole_fleet(replicas: usize) -> Vec<Self> {
        let analyze = (1..=replicas).map(|index| Self { role: "analyze", index });
        let others = ["export", "train", "intake", "serve"].map(|role| Self { role, index: 1 });
        analyze.chain(others).collect()
    }

    fn name(&self) -> String {
        format!("{}-{}", self.role, self.index)
    }
}

/// The watched processes of a fleet.
#[derive(Debug)]
pub struct Roles {
    stopping: CancellationToken,
    file: Arc<FleetFile>,
    watched: Vec<Watched>,
}

/// How a role's first start goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// It ended so many times without having announced an address.
    Failed(u32),
    /// It has announced its address.
    Announced,
}

#[derive(Debug)]
struct Watched {
    name: String,
    log: PathBuf,
    start: watch::Receiver<Start>,
    task: JoinHandle<()>,
}

impl Roles {
    pub(super) fn start(
        config: &Config,
        program: &Path,
        specs: Vec<RoleSpec>,
        file: &Arc<FleetFile>,
    ) -> Self {
        let stopping = CancellationToken::new();
        let mut watched = Vec::new();
        for spec in specs {
            let log = config.data.join("log").join(format!("{}.log", spec.name()));
            let (started, start) = watch::channel(Start::Failed(0));
            let keeper = Keeper {
                name: spec.name(),
                role: spec.role,
                program: program.to_owned(),
                environment: environment(config, spec.role),
                announce: config.data.join("run").join(format!("{}.addr", spec.name())),
                log: log.clone(),
                grace: config.grace,
                file: Arc::clone(file),
                stopping: stopping.clone(),
                started,
            };
            let name = keeper.name.clone();
            watched.push(Watched { name, log, start, task: tokio::spawn(keeper.keep()) });
        }
        Self { stopping, file: Arc::clone(file), watched }
    }

    /// Waits until every role has announced its address once.
    pub(super) async fn ready(&mut self) -> Result<(), SuperviseError> {
        for role in &mut self.watched {
            let decided = |start: &Start| match start {
                Start::Announced => true,
                Start::Failed(times) => *times >= FAILED_STARTS_MAX,
            };
            let waited = tokio::time::timeout(READY_MAX, role.start.wait_for(decided)).await;
            let announced = matches!(waited, Ok(Ok(start)) if *start == Start::Announced);
            if !announced {
                return Err(SuperviseError::Role {
                    role: role.name.clone(),
                    why: last_line(&role.log),
                    log: role.log.clone(),
                });
            }
        }
        Ok(())
    }

    /// The processes that run now.
    pub fn running(&self) -> Vec<RunningRole> {
        self.file.roles()
    }

    pub(super) async fn stop(self, grace: Duration) {
        self.stopping.cancel();
        let all = futures_util::future::join_all(self.watched.into_iter().map(|role| role.task));
        // Each keeper bounds its own wait; this is the belt over those braces.
        let _late = tokio::time::timeout(grace + Duration::from_secs(10), all).await;
    }
}

/// The settings that this process decided and a role cannot find out by itself. The rest it reads
/// from the same file and the inherited environment.
fn environment(config: &Config, role: &str) -> Vec<(String, String)> {
    let mut variables = vec![
        ("EYEFLEET_DATA".to_owned(), config.data.display().to_string()),
        ("DATABASE_URL".to_owned(), config.database_url.expose().to_owned()),
        ("EYEFLEET_REDIS__NAMESPACE".to_owned(), config.namespace.clone()),
        ("EYEFLEET_VISION__THREADS".to_owned(), config.model_threads.to_string()),
        ("EYEFLEET_RUN__RELOAD_SECONDS".to_owned(), config.reload_every.as_secs_f64().to_string()),
        ("EYEFLEET_QUEUE__LEASE_SECONDS".to_owned(), config.lease.as_secs().to_string()),
        ("EYEFLEET_RUN__GRACE_SECONDS".to_owned(), config.grace.as_secs().to_string()),
        ("EYEFLEET_LOG__FILTER".to_owned(), config.log_filter.clone()),
    ];
    if let Some(file) = &config.file {
        variables.push(("EYEFLEET_CONFIG".to_owned(), file.display().to_string()));
    }
    if let Some(url) = &config.redis_url {
        variables.push(("REDIS_URL".to_owned(), url.expose().to_owned()));
    }
    if role == "serve" {
        variables.push(("EYEFLEET_SERVE__LISTEN".to_owned(), config.serve_listen.clone()));
    }
    variables
}

/// The last thing that a role said, for the message of its failure.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it said nothing").chars().take(500).collect()
}

/// Keeps one role running until it is told to stop.
struct Keeper {
    name: String,
    role: &'static str,
    program: PathBuf,
    environment: Vec<(String, String)>,
    announce: PathBuf,
    log: PathBuf,
    grace: Duration,
    file: Arc<FleetFile>,
    stopping: CancellationToken,
    started: watch::Sender<Start>,
}

impl Keeper {
    async fn keep(self) {
        let mut pause = RESTART_FIRST;
        while !self.stopping.is_cancelled() {
            let started = Instant::now();
            match self.spawn() {
                Ok(child) => self.watch(child).await,
                Err(error) => tracing::error!(role = self.name, %error, "cannot start"),
            }
            if self.stopping.is_cancelled() {
                return;
            }
            self.started.send_modify(|start| {
                if let Start::Failed(times) = start {
                    *times += 1;
                }
            });
            if started.elapsed() > HEALTHY {
                pause = RESTART_FIRST;
            }
            tracing::warn!(role = self.name, again_in_ms = pause.as_millis() as u64, log = %self.log.display(), "role ended, started again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stopping.cancelled() => return,
            }
            pause = (pause * 2).min(RESTART_MAX);
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let _none_there_is_fine = std::fs::remove_file(&self.announce);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        Command::new(&self.program)
            .args(["run", self.role, "--announce"])
            .arg(&self.announce)
            // The pipe stays open for as long as this process lives; its end tells the role to stop.
            .arg("--stop-with-stdin")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Returns when the process has ended.
    async fn watch(&self, mut child: Child) {
        // Kept open here: waiting for a child would close it, and the role would stop.
        let _input = child.stdin.take();
        let pid = child.id().unwrap_or_default();
        self.file.set(RunningRole { name: self.name.clone(), pid, url: None });
        let mut look = tokio::time::interval(Duration::from_millis(25));
        let mut announced = false;
        loop {
            tokio::select! {
                _ = child.wait() => return,
                () = self.stopping.cancelled() => return self.end(child, pid).await,
                _ = look.tick(), if !announced => {
                    if let Ok(url) = std::fs::read_to_string(&self.announce) {
                        announced = true;
                        self.file.set(RunningRole { name: self.name.clone(), pid, url: Some(url) });
                        self.started.send_replace(Start::Announced);
                    }
                }
            }
        }
    }

    async fn end(&self, mut child: Child, pid: u32) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
            let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let patience = self.grace + Duration::from_secs(5);
        if tokio::time::timeout(patience, child.wait()).await.is_err() {
            tracing::warn!(role = self.name, "did not stop in time: killed; its jobs are repeated");
            let _gone_already = child.kill().await;
        }
    }
}
