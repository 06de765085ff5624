//! `[paths]`: where things lie on this machine.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::problems::Problems;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Paths {
    pub data: PathBuf,
    pub packs: Vec<PathBuf>,
    pub model_cache: PathBuf,
    pub onnxruntime: PathBuf,
}

impl Paths {
    /// The data folder, absolute: as set, else where the desktop standards put a program's data.
    pub fn data_folder(
        &self,
        environment: &[(String, String)],
        problems: &mut Problems,
    ) -> PathBuf {
        let folder =
            if self.data.as_os_str().is_empty() { usual(environment) } else { self.data.clone() };
        if folder.as_os_str().is_empty() {
            problems.add(
                "paths.data is not set and there is no HOME to put it under: set EYEFLEET_DATA",
            );
            return folder;
        }
        match std::path::absolute(&folder) {
            Ok(absolute) => absolute,
            Err(error) => {
                problems.bad("paths.data", folder.display(), error);
                folder
            }
        }
    }

    /// Where packs from elsewhere are kept: as set, else where models were kept before, else where
    /// the desktop standards put what a program can fetch again. Empty where there is no home.
    pub fn model_cache(&self, environment: &[(String, String)]) -> PathBuf {
        if !self.model_cache.as_os_str().is_empty() {
            return self.model_cache.clone();
        }
        let cache = variable(environment, "XDG_CACHE_HOME")
            .or_else(|| Some(variable(environment, "HOME")?.join(".cache")));
        variable(environment, "TRANSFORMERS_CACHE")
            .or_else(|| Some(cache?.join("eyefleet/models")))
            .unwrap_or_default()
    }

    /// ONNX Runtime's library, where one is named.
    pub fn onnxruntime(&self) -> Option<&Path> {
        (!self.onnxruntime.as_os_str().is_empty()).then_some(&self.onnxruntime)
    }
}

/// Empty where the environment names no home.
fn usual(environment: &[(String, String)]) -> PathBuf {
    let base = variable(environment, "XDG_DATA_HOME")
        .or_else(|| Some(variable(environment, "HOME")?.join(".local/share")));
    base.map(|base| base.join("eyefleet")).unwrap_or_default()
}

/// The folder that a variable names; an empty one names none.
fn variable(environment: &[(String, String)], wanted: &str) -> Option<PathBuf> {
    let found = environment.iter().find(|(name, value)| name == wanted && !value.is_empty());
    found.map(|(_, value)| PathBuf::from(value))
}
