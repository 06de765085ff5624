//! Settings: read from three places, checked once, sensible ever after.
//!
//! `config/default.toml` holds every key; a file and the environment overlay it (`overlay`). A file
//! in `sections` says what each section holds and allows; `check` turns them into a `Config` that
//! holds only usable values. Every problem is reported at once, with the origin of the bad value.
//!
//! A new setting: a key with its comment in `config/default.toml`, a field and its rule in
//! `sections`, a field here, a line in `check`.

mod check;
mod overlay;
mod problems;
mod secret;
mod sections;
mod settings;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ollama::{Ollama, OllamaAddress};
use crate::quiet::QuietHours;
use crate::schedule::Timetable;
pub use problems::Origin;
pub use secret::Secret;
pub use settings::{Setting, Settings};

/// The built-in settings: every key with unit, default and reason.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Usable settings of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings file that was read, for the processes that this one starts.
    pub file: Option<PathBuf>,
    /// Folder of everything that a fleet on one machine keeps, absolute.
    pub data: PathBuf,
    /// Folders to look for packs in, before the places found by itself; the last is `model_cache`.
    pub packs: Vec<PathBuf>,
    /// Folder that keeps packs from elsewhere; empty where there is no home.
    pub model_cache: PathBuf,
    /// ONNX Runtime's library, where it was named.
    pub onnxruntime: Option<PathBuf>,
    /// Redis, where one was named; else the private one of `eyefleet up`.
    pub redis_url: Option<Secret>,
    /// First part of every Redis key.
    pub namespace: String,
    /// The catalogue's address.
    pub database_url: Secret,
    /// Time after which a silent worker's job goes to another.
    pub lease: Duration,
    /// Starts without an end after which a job is quarantined.
    pub starts_max: u32,
    /// Photos in work at once in one analyze process.
    pub slots: usize,
    /// Analyze processes that `eyefleet up` starts.
    pub replicas: usize,
    /// Name of the pack in use.
    pub pack: String,
    /// Threads of each model.
    pub model_threads: usize,
    /// Photos in one run of a model at most.
    pub batch_max: usize,
    /// Bytes of the largest original that is read.
    pub original_bytes_max: u64,
    /// Pixels of the largest picture that is decoded.
    pub pixels_max: u64,
    /// Time that decoding one picture may take.
    pub decode_time_max: Duration,
    /// Where an Ollama writes detailed descriptions, where one does.
    pub ollama_address: Option<OllamaAddress>,
    /// The model that it is asked for.
    pub ollama_model: String,
    /// Time that it gets for one photo.
    pub ollama_time_max: Duration,
    /// Photos that one process asks it about at once.
    pub ollama_at_once: usize,
    /// Time between two full looks at every watched folder.
    pub rescan_every: Duration,
    /// Time that a file must have been left alone before it is taken.
    pub settle: Duration,
    /// Time between two comparisons of catalogue, queue, originals and index.
    pub reconcile_every: Duration,
    /// Rows of an export when nobody says otherwise; `None` means all.
    pub export_limit: Option<u64>,
    /// When snapshots are written in any case.
    pub export_schedule: Option<Timetable>,
    /// Share of unusable images above which an export fails, 0 to 1.
    pub export_skipped_max_share: f64,
    /// Whether libraries learn by themselves.
    pub auto_train: bool,
    /// Time without new photos, and after the start, before a library learns.
    pub train_delay: Duration,
    /// New, changed or corrected photos after which a library learns again.
    pub train_after_images: u64,
    /// The same as a share of the library.
    pub train_after_share: f64,
    /// When whatever has changed is learned.
    pub train_schedule: Option<Timetable>,
    /// The share by which something essential may shrink from one generation to the next.
    pub train_shrink_max: f64,
    /// Generations kept beside the current one.
    pub generations_kept: usize,
    /// Vectors up to which search is exact.
    pub exact_search_max: usize,
    /// Bytes of memory that a training may take; `None`: half of the machine's.
    pub train_memory: Option<u64>,
    /// The share of a machine's cores that the fleet uses, above 0 and up to 1.
    pub share: f64,
    /// Hours without backfill and training.
    pub quiet_hours: QuietHours,
    /// Address of the HTTP API.
    pub serve_listen: String,
    /// Address of the health pages of the other roles.
    pub health_listen: String,
    /// Time between two looks at the current generation's number.
    pub reload_every: Duration,
    /// Time that running jobs get after SIGTERM.
    pub grace: Duration,
    /// Filter of the log.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
}

/// Every problem found in the settings, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{} in the settings:\n{}", count(.problems.len()), .problems.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// What is wrong, each naming the key, the value, its origin and what is allowed.
    pub problems: Vec<String>,
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

impl Config {
    /// Reads the settings of this process: defaults, `file`, the environment.
    ///
    /// # Errors
    /// Every unknown key and unusable value at once, each with the key's name.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Settings::read(file).config
    }

    /// Who writes detailed descriptions, where somebody does.
    pub fn ollama(&self) -> Option<Ollama> {
        let address = self.ollama_address.clone()?;
        Some(Ollama::new(address, self.ollama_model.as_str(), self.ollama_time_max))
    }

    /// The same with a given environment, for tests.
    ///
    /// # Errors
    /// As `load`.
    pub fn from_sources(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Settings::from_sources(file, environment).config
    }
}
