//! `run/fleet.json`: how the command line finds a fleet that runs on this machine.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
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
    /// `None` once it is removed: a keeper that comes late must not write it again.
    facts: Mutex<Option<Facts>>,
}

impl FleetFile {
    pub(super) const NAME: &'static str = "fleet.json";
    /// The file beside it that a supervisor holds locked for as long as it runs.
    pub(super) const LOCK_NAME: &'static str = "up.lock";

    pub(super) fn create(run: &Path, config: &Config) -> Result<Self, SuperviseError> {
        let redis_url = config.redis_url.as_ref().map_or("", |url| url.expose()).to_owned();
        let facts = Facts { pid: std::process::id(), redis_url, roles: Vec::new() };
        let file = Self { path: run.join(Self::NAME), facts: Mutex::new(Some(facts)) };
        file.write().map_err(SuperviseError::file("write", &file.path))?;
        Ok(file)
    }

    /// Puts `role` in the place of the process of the same name.
    pub(super) fn set(&self, role: RunningRole) {
        if let Some(facts) = self.facts().as_mut() {
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
        self.facts().as_ref().map_or_else(Vec::new, |facts| facts.roles.clone())
    }

    fn facts(&self) -> MutexGuard<'_, Option<Facts>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        // The lock spans writing and renaming, so that two writers cannot swap their order.
        let facts = self.facts();
        let Some(facts) = facts.as_ref() else { return Ok(()) };
        let text = serde_json::to_vec_pretty(facts)?;
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
        let run = data.join("run");
        let mut lock = std::fs::File::open(run.join(Self::LOCK_NAME)).ok()?;
        // Whoever is killed lets go of the lock, though not of the file, and another process may
        // have its number by now.
        if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
            return None;
        }
        let mut holder = String::new();
        lock.read_to_string(&mut holder).ok()?;
        let text = std::fs::read(run.join(Self::NAME)).ok()?;
        let facts: Facts = serde_json::from_slice(&text).ok()?;
        // A supervisor that has only just begun: the file is still that of the one before.
        (holder.trim() == facts.pid.to_string()).then_some(facts)
    }

    /// Removes it, for good.
    pub(super) fn remove(&self) {
        let mut facts = self.facts();
        *facts = None;
        let _already_gone_is_fine = std::fs::remove_file(&self.path);
    }
}
