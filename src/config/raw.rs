//! The settings as they are written: one struct a section, unknown keys refused.

use std::path::PathBuf;

use serde::Deserialize;

/// All sections of `config/default.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub paths: Paths,
    pub redis: Redis,
    pub database: Database,
    pub queue: Queue,
    pub analyze: Analyze,
    pub vision: Vision,
    pub export: Export,
    pub train: Train,
    pub serve: Serve,
    pub run: Run,
    pub log: Log,
    pub watch: Watch,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    pub rescan_seconds: u64,
    pub settle_seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paths {
    pub data: PathBuf,
    pub packs: Vec<PathBuf>,
    pub onnxruntime: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    pub url: String,
    pub namespace: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    pub url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Queue {
    pub lease_seconds: u64,
    pub starts_max: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Analyze {
    pub slots: usize,
    pub replicas: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vision {
    pub pack: String,
    pub threads: usize,
    pub batch_max: usize,
    pub original_mib_max: u64,
    pub megapixels_max: u64,
    pub decode_seconds_max: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    pub limit: Limit,
}

/// A number of rows or the word `all`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Limit {
    Rows(u64),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Train {
    pub auto: bool,
    pub delay_seconds: u64,
    pub generations_kept: usize,
    pub exact_search_max: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serve {
    pub listen: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    pub health_listen: String,
    pub reload_seconds: f64,
    pub grace_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub filter: String,
    pub format: String,
}
