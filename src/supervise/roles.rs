//! The roles as processes: started, watched, started again, stopped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fleet_file::{FleetFile, RunningRole};
use super::{SuperviseError, log_file};
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

/// The watched processes of a fleet. Dropping it tells every keeper to end its process.
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
                    why: log_file::last_line(&role.log),
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

    pub(super) async fn stop(&mut self, grace: Duration) {
        self.stopping.cancel();
        let all = futures_util::future::join_all(self.watched.drain(..).map(|role| role.task));
        // Each keeper bounds its own wait; this is the belt over those braces.
        let _late = tokio::time::timeout(grace + Duration::from_secs(10), all).await;
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// The settings that this process decided and a role cannot find out by itself. The rest it reads
/// from the same file and the inherited environment; the model's threads, for one, it derives from
/// the number of replicas.
fn environment(config: &Config, role: &str) -> Vec<(String, String)> {
    let mut variables = vec![
        ("EYEFLEET_PATHS__DATA".to_owned(), config.data.display().to_string()),
        ("EYEFLEET_DATABASE__URL".to_owned(), config.database_url.expose().to_owned()),
        ("EYEFLEET_REDIS__NAMESPACE".to_owned(), config.namespace.clone()),
        ("EYEFLEET_ANALYZE__REPLICAS".to_owned(), config.replicas.to_string()),
        ("EYEFLEET_RUN__RELOAD_SECONDS".to_owned(), config.reload_every.as_secs_f64().to_string()),
        ("EYEFLEET_QUEUE__LEASE_SECONDS".to_owned(), config.lease.as_secs().to_string()),
        ("EYEFLEET_RUN__GRACE_SECONDS".to_owned(), config.grace.as_secs().to_string()),
        ("EYEFLEET_LOG__FILTER".to_owned(), config.log_filter.clone()),
    ];
    if let Some(file) = &config.file {
        variables.push(("EYEFLEET_CONFIG".to_owned(), file.display().to_string()));
    }
    if let Some(url) = &config.redis_url {
        variables.push(("EYEFLEET_REDIS__URL".to_owned(), url.expose().to_owned()));
    }
    if role == "serve" {
        variables.push(("EYEFLEET_SERVE__LISTEN".to_owned(), config.serve_listen.clone()));
    }
    variables
}

/// The inherited variables that set what `decided` sets, by another name or in other letters: a
/// role must not see them, or they might win.
fn displaced(
    inherited: impl Iterator<Item = OsString>,
    decided: &[(String, String)],
) -> Vec<OsString> {
    let rival = |name: &OsString| {
        let Some(text) = name.to_str() else { return false };
        let long = text.to_uppercase();
        ["EYEFLEET_DATA", "REDIS_URL", "DATABASE_URL"].contains(&text)
            || decided.iter().any(|(name, _)| *name == long && name != text)
    };
    inherited.filter(rival).collect()
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
        log_file::rotate(&self.log);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in displaced(inherited, &self.environment) {
            command.env_remove(name);
        }
        command
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_sources(None, given).unwrap()
    }

    /// What a role reads that was started by a process with `inherited` and `decided` settings.
    fn of_a_role(inherited: &[(&str, &str)], decided: &Config) -> Config {
        let decided = environment(decided, "serve");
        let names = inherited.iter().map(|(name, _)| OsString::from(name));
        let gone = displaced(names, &decided);
        let kept = inherited.iter().filter(|(name, _)| !gone.iter().any(|it| it == name));
        let kept = kept.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let kept = kept.filter(|(name, _)| decided.iter().all(|(ours, _)| ours != name));
        // The decided ones first: even the last of the others must not win.
        let all: Vec<_> = decided.iter().cloned().chain(kept).collect();
        Config::from_sources(None, all).unwrap()
    }

    #[test]
    fn a_role_gets_what_its_supervisor_decided() {
        let mut decided = config(&[("EYEFLEET_DATA", "/decided"), ("DATABASE_URL", "sqlite://d")]);
        decided.redis_url = Some(crate::config::Secret::new("redis+unix:///decided"));
        "127.0.0.1:1".clone_into(&mut decided.serve_listen);
        for inherited in [
            [("EYEFLEET_DATA", "/x"), ("REDIS_URL", "redis://x"), ("DATABASE_URL", "sqlite://x")],
            [
                ("EYEFLEET_PATHS__DATA", "/x"),
                ("EYEFLEET_REDIS__URL", "redis://x"),
                ("EYEFLEET_DATABASE__URL", "sqlite://x"),
            ],
            [
                ("EYEFLEET_SERVE__LISTEN", "x:1"),
                ("EYEFLEET_Redis__Url", "redis://x"),
                ("EYEFLEET_database__url", "sqlite://x"),
            ],
        ] {
            let role = of_a_role(&inherited, &decided);
            assert_eq!(role.data, Path::new("/decided"), "{inherited:?}");
            assert_eq!(role.database_url.expose(), "sqlite://d", "{inherited:?}");
            assert_eq!(role.redis_url, decided.redis_url, "{inherited:?}");
            assert_eq!(role.serve_listen, "127.0.0.1:1", "{inherited:?}");
        }
    }

    #[test]
    fn threads_follow_the_replicas_that_run() {
        let mut decided = config(&[("EYEFLEET_DATA", "/decided")]);
        decided.replicas = 256;
        assert_eq!(of_a_role(&[], &decided).model_threads, 1);
        let said = [("EYEFLEET_VISION__THREADS", "7")];
        assert_eq!(of_a_role(&said, &decided).model_threads, 7);
    }
}
