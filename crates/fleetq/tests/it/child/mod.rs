//! Worker processes for the tests that kill and pause them: this test binary, started again with
//! `FLEETQ_CHILD` set, runs [`child_process`] and nothing else. What such a worker does is its
//! role: `plain` (beside this), `storm` or `soak` (beside their tests).

mod plain;

use std::process::{Child, Command, Stdio};

/// A worker process; killed with the test.
pub struct Process(Child);

impl Process {
    pub fn start(url: &str, name: &str) -> Self {
        Self::start_as("plain", url, name, &[])
    }

    /// With settings of the role, which the process reads with [`setting`].
    pub fn start_as(role: &str, url: &str, name: &str, settings: &[(&str, String)]) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::child_process", "--nocapture", "--test-threads=1"])
            .env("FLEETQ_CHILD", url)
            .env("FLEETQ_CHILD_NAME", name)
            .env("FLEETQ_CHILD_ROLE", role)
            .envs(settings.iter().map(|(name, value)| (format!("FLEETQ_CHILD_{name}"), value)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a worker process: what [`Process::start_as`] was given under this name.
pub fn setting(name: &str) -> String {
    std::env::var(format!("FLEETQ_CHILD_{name}")).unwrap()
}

/// One thread is enough, and starts at once.
#[tokio::test(flavor = "current_thread")]
async fn child_process() {
    let Ok(url) = std::env::var("FLEETQ_CHILD") else { return };
    let name = setting("NAME");
    match setting("ROLE").as_str() {
        "plain" => plain::work(url, name).await,
        "storm" => crate::storm::worker::work(url, name).await,
        "soak" => crate::soak::work(url, name).await,
        role => panic!("no worker has the role {role}"),
    }
}
