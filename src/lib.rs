//! Eyefleet: everything that can be tested without a process. `workers/` makes processes of it.
//!
//! Rooms in reading order: `names`, `fate` and `clock` are the words everybody uses; `jobs` is the
//! work; `originals`, `vision`, `enrich` the way of one photo; `catalog` what must not be lost;
//! `snapshot`, `learning`, `generation` what is learned from it; `board`, `follow`, `reconcile`,
//! `relay` how processes stay of one mind; `search` and `serve` the answers; `config`,
//! `telemetry`, `cli`, `supervise`, `doctor`, `backup`, `demo` the product around it. See ARCHITECTURE.md.

pub mod backup;
pub mod board;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod enrich;
pub mod fate;
pub mod filesystem;
pub mod follow;
mod full_disk;
pub mod generation;
pub mod jobs;
pub mod learning;
pub mod library_lock;
pub mod names;
pub mod ollama;
pub mod originals;
pub mod owners_word;
pub mod quiet;
pub mod reconcile;
pub mod relay;
pub mod reprocess;
pub mod schedule;
pub mod search;
pub mod serve;
pub mod snapshot;
pub mod supervise;
pub mod telemetry;
pub mod vision;
pub mod volume;
pub mod watch;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
