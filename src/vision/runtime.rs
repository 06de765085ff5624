//! ONNX Runtime's shared library: found by us, opened once, kept for the life of the process.
//!
//! `ort` would look for `ORT_DYLIB_PATH` by itself, but only when first used, and then it panics.
//! So the search happens here, before anything else touches `ort`, and its failure is an error
//! that says where it looked. One environment per process is ONNX Runtime's own rule.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::fate::Fate;

#[cfg(target_os = "macos")]
const LIBRARY_NAME: &str = "libonnxruntime.dylib";
#[cfg(not(target_os = "macos"))]
const LIBRARY_NAME: &str = "libonnxruntime.so";

/// The environment must outlive every session, and a second one is refused by the library: this
/// is the one value of the house that belongs to the process and not to whoever asked first.
static OPENED: Mutex<Option<Runtime>> = Mutex::new(None);

/// ONNX Runtime, opened. Cheap to clone; all clones are the same environment.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
    minor: u32,
}

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No library in any of the places.
    #[error(
        "ONNX Runtime's library {LIBRARY_NAME} was not found; looked at {}; run scripts/setup, \
         or set ORT_DYLIB_PATH to the file",
        list(looked_at)
    )]
    NotFound {
        /// Every path that was tried, in order.
        looked_at: Vec<PathBuf>,
    },
    /// A path was named by hand and nothing is there.
    #[error(
        "{named_by} names {}, where there is no file; correct it, or remove it and run \
         scripts/setup",
        path.display()
    )]
    NamedButMissing {
        /// Which setting named it.
        named_by: &'static str,
        /// The path as given.
        path: PathBuf,
    },
    /// The library is older than the interface this program was built for.
    #[error(
        "{} is ONNX Runtime {found}, but 1.{needed} or newer is needed; run scripts/setup",
        path.display()
    )]
    TooOld {
        /// The library's file.
        path: PathBuf,
        /// The version it reports.
        found: String,
        /// The least minor version that works.
        needed: u32,
    },
    /// The file is no ONNX Runtime library, or not for this machine.
    #[error(
        "{} cannot be opened as ONNX Runtime's library: {cause}; run scripts/setup",
        path.display()
    )]
    NotLoadable {
        /// The library's file.
        path: PathBuf,
        /// What the loader said.
        cause: String,
    },
}

impl RuntimeError {
    /// Another machine, or this one once set up, can do the work.
    pub fn fate(&self) -> Fate {
        match self {
            Self::NotFound { .. }
            | Self::NamedButMissing { .. }
            | Self::TooOld { .. }
            | Self::NotLoadable { .. } => Fate::Transient,
        }
    }
}

impl Runtime {
    /// Finds and opens the library: `path` when given, else `ORT_DYLIB_PATH`, else beside the
    /// executable, else `.runtime/` in a folder above the executable or the current folder, else
    /// the system's library folders. The first that exists is opened; a broken one is an error
    /// and not a reason to go on, so that the library in use is never a surprise.
    ///
    /// A process that has opened one gets the same again, whatever `path` says.
    ///
    /// # Errors
    /// `RuntimeError` lists the places that were tried, or says what is wrong with the file.
    pub fn open(path: Option<&Path>) -> Result<Self, RuntimeError> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = opened.as_ref() {
            return Ok(runtime.clone());
        }
        let library = Self::locate(path)?;
        let runtime = load(&library)?;
        tracing::info!(library = %library.display(), minor = runtime.minor, "opened ONNX Runtime");
        *opened = Some(runtime.clone());
        Ok(runtime)
    }

    /// The file that `open` would open.
    ///
    /// # Errors
    /// `RuntimeError` lists the places that were tried.
    pub fn locate(path: Option<&Path>) -> Result<PathBuf, RuntimeError> {
        let from_variable = std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty());
        let named = match (path, &from_variable) {
            (Some(path), _) => Some(("the setting paths.onnxruntime", path)),
            (None, Some(value)) => Some(("ORT_DYLIB_PATH", Path::new(value))),
            (None, None) => None,
        };
        find(named, &places())
    }

    /// The file in use.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The minor version of the library: 31 for ONNX Runtime 1.31.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Picks the file: a named one or nothing, else the first of `places` that exists.
fn find(named: Option<(&'static str, &Path)>, places: &[PathBuf]) -> Result<PathBuf, RuntimeError> {
    if let Some((named_by, path)) = named {
        // The loader reads a bare name as "search the system", a relative path as "beside the
        // executable": neither is what the person meant.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        if absolute.is_file() {
            return Ok(absolute);
        }
        return Err(RuntimeError::NamedButMissing { named_by, path: path.to_path_buf() });
    }
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => Err(RuntimeError::NotFound { looked_at: places.to_vec() }),
    }
}

/// Every place searched when none is named, in order.
fn places() -> Vec<PathBuf> {
    let executable = std::env::current_exe().ok();
    let executable_folder = executable.as_deref().and_then(Path::parent);
    let current_folder = std::env::current_dir().ok();
    let mut places = Vec::new();
    if let Some(folder) = executable_folder {
        places.push(folder.join(LIBRARY_NAME));
    }
    for start in [executable_folder, current_folder.as_deref()].into_iter().flatten() {
        for folder in start.ancestors() {
            places.push(folder.join(".runtime").join(LIBRARY_NAME));
        }
    }
    for folder in ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"] {
        places.push(Path::new(folder).join(LIBRARY_NAME));
    }
    let mut unique = Vec::with_capacity(places.len());
    for place in places {
        if !unique.contains(&place) {
            unique.push(place);
        }
    }
    unique
}

fn load(library: &Path) -> Result<Runtime, RuntimeError> {
    let not_loadable =
        |cause: String| RuntimeError::NotLoadable { path: library.to_path_buf(), cause };
    let builder = ort::init_from(library).map_err(|error| match error {
        ort::LoadDynamicError::BadVersion { version_str, path } => {
            RuntimeError::TooOld { path, found: version_str, needed: ort::MINOR_VERSION }
        }
        other => not_loadable(other.to_string()),
    })?;
    let environment = builder
        .with_name("eyefleet")
        .with_telemetry(false)
        .build()
        .map_err(|error| not_loadable(error.to_string()))?;
    let minor = ort::util::probe(library).unwrap_or(ort::MINOR_VERSION);
    Ok(Runtime { environment, library: library.to_path_buf(), minor })
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_names_every_place_and_the_next_step() {
        let places = [PathBuf::from("/nowhere/a.so"), PathBuf::from("/nowhere/b.so")];
        let message = find(None, &places).unwrap_err().to_string();
        assert!(message.contains("/nowhere/a.so, /nowhere/b.so"), "{message}");
        assert!(message.contains("run scripts/setup"), "{message}");
    }

    #[test]
    fn a_named_library_is_used_or_refused_but_never_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.so");
        std::fs::write(&other, "x").unwrap();
        let gone = folder.path().join("gone.so");
        let error = find(Some(("ORT_DYLIB_PATH", &gone)), std::slice::from_ref(&other));
        let message = error.unwrap_err().to_string();
        assert!(message.starts_with("ORT_DYLIB_PATH names"), "{message}");
        assert_eq!(find(None, &[gone, other.clone()]).unwrap(), other);
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join(LIBRARY_NAME);
        std::fs::write(&fake, "not a library").unwrap();
        // `ort` keeps the first library that loads; a broken one must not take that place.
        let probed = ort::util::probe(&fake);
        assert_eq!(probed, None);
    }

    #[test]
    fn the_search_goes_from_the_nearest_place_to_the_system() {
        let places = places();
        assert!(places.last().unwrap().starts_with("/usr/lib64"));
        assert!(places[0].ends_with(LIBRARY_NAME));
        assert!(places.iter().any(|place| place.parent().unwrap().ends_with(".runtime")));
    }
}
