//! `run/fleet.json`: how the command line finds a fleet that runs on this machine.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::SuperviseError;
use crate::config::Config;

/// What a supervisor says of its fleet. Readable by its user only: the address may hold a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Facts {
    /// Process id of the supervisor.
    pub pid: u32,
    /// Redis's address.
    pub redis_url: String,
    /// The processes of the fleet.
    pub roles: Vec<RunningRole>,
}

/// One process of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRole {
    /// Role and number, for example `analyze-1`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Its HTTP address, once it has announced it.
    pub url: Option<String>,
}

/// The file, kept equal to what runs.
#[derive(Debug)]
pub struct FleetFile {
    path: PathBuf,
    facts: Mutex<Facts>,
}

impl FleetFile {
    const NAME: &'static str = "fleet.json";

    pub(super) fn create(run: &Path, config: &Config) -> Result<Self, SuperviseError> {
        let redis_url = config.redis_url.as_ref().map_or("", |url| url.expose()).to_owned();
        let facts = Facts { pid: std::process::id(), redis_url, roles: Vec::new() };
        let file = Self { path: run.join(Self::NAME), facts: Mutex::new(facts) };
        file.write().map_err(SuperviseError::file("write", &file.path))?;
        Ok(file)
    }

    /// Puts `role` in the place of the process of the same name.
    pub(super) fn set(&self, role: RunningRole) {
        {
            let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            facts.roles.retain(|other| other.name != role.name);
            facts.roles.push(role);
            facts.roles.sort_by(|a, b| a.name.cmp(&b.name));
        }
        if let Err(error) = self.write() {
            tracing::warn!(path = %self.path.display(), %error, "the fleet's file could not be written");
        }
    }

    /// What runs now.
    pub fn roles(&self) -> Vec<RunningRole> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).roles.clone()
    }

    fn write(&self) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        // The lock spans writing and renaming, so that two writers cannot swap their order.
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = serde_json::to_vec_pretty(&*facts)?;
        let aside = self.path.with_extension("json.new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        std::io::Write::write_all(&mut file, &text)?;
        std::fs::rename(&aside, &self.path)
    }

    /// The fleet that runs on `data`, if one does.
    pub fn find(data: &Path) -> Option<Facts> {
        let text = std::fs::read(data.join("run").join(Self::NAME)).ok()?;
        let facts: Facts = serde_json::from_slice(&text).ok()?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(facts.pid).ok()?)?;
        // A file left by a killed supervisor names a process that is gone.
        rustix::process::test_kill_process(pid).ok()?;
        Some(facts)
    }

    pub(super) fn remove(run: &Path) {
        let _already_gone_is_fine = std::fs::remove_file(run.join(Self::NAME));
    }
}
