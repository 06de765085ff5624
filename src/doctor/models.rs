//! What a worker needs to see: ONNX Runtime's library and the pack.

use super::{Check, Subject, size};
use crate::config::Config;
use crate::vision::{PROVIDER, Pack, PackError, Runtime, RuntimeError};

pub(super) fn examine(config: &Config) -> Vec<Check> {
    let runtime = Runtime::open(config.onnxruntime.as_deref());
    let pack = Pack::find(&config.pack, &config.packs);
    let mut checks = vec![match &runtime {
        Ok(runtime) => {
            let file = runtime.library();
            let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
            let found = format!(
                "ONNX Runtime 1.{}, {}, models run on {PROVIDER}",
                runtime.minor(),
                file.display()
            );
            Check::ok(Subject::Models, "runtime", found)
        }
        Err(error) => no_runtime(error),
    }];
    match &pack {
        Ok(pack) => {
            checks.push(verified(pack));
            let needed = pack.manifest().runtime.min_ort_minor;
            if let Ok(runtime) = &runtime
                && runtime.minor() < needed
            {
                let found = format!(
                    "pack {} needs ONNX Runtime 1.{needed}, found 1.{}",
                    pack.name(),
                    runtime.minor()
                );
                checks.push(Check::problem(Subject::Models, "fit", found, "scripts/setup"));
            }
        }
        Err(error) => checks.push(no_pack(error)),
    }
    checks
}

fn no_runtime(error: &RuntimeError) -> Check {
    let setup = "scripts/setup   (or name the file with EYEFLEET_PATHS__ONNXRUNTIME)";
    let (found, mend) = match error {
        RuntimeError::NotFound { looked_at } => (
            format!(
                "ONNX Runtime's library is in none of {} places: beside the program, in \
                 .runtime/ above it, in the system's folders",
                looked_at.len()
            ),
            setup,
        ),
        RuntimeError::NamedButMissing { named_by, path } => (
            format!("{named_by} names {}, where there is no file", path.display()),
            "correct EYEFLEET_PATHS__ONNXRUNTIME or ORT_DYLIB_PATH, or unset it and run \
             scripts/setup",
        ),
        RuntimeError::TooOld { path, found, needed } => (
            format!(
                "{} is ONNX Runtime {found}, but 1.{needed} or newer is needed",
                path.display()
            ),
            setup,
        ),
        RuntimeError::NotLoadable { path, cause } => {
            (format!("{} cannot be opened: {cause}", path.display()), setup)
        }
    };
    Check::problem(Subject::Models, "runtime", found, mend)
}

fn verified(pack: &Pack) -> Check {
    let manifest = pack.manifest();
    let bytes = manifest.files.iter().map(|file| file.size).sum();
    let found = format!(
        "{}, {} files verified ({}), licence {}",
        pack.name(),
        manifest.files.len(),
        size(bytes),
        manifest.licence.spdx
    );
    if manifest.licence.commercial_use {
        return Check::ok(Subject::Models, "pack", found);
    }
    let mend =
        format!("not for commercial use; for that, choose another pack: {}", manifest.licence.url);
    Check::warning(Subject::Models, "pack", found, mend)
}

fn no_pack(error: &PackError) -> Check {
    let (found, mend) = match error {
        PackError::NotFound { name, looked_at } => (
            format!("no pack {name:?} in {} places", looked_at.len()),
            "set EYEFLEET_PATHS__PACKS to the folder that holds it, or \
             EYEFLEET_VISION__PACK=starter"
                .to_owned(),
        ),
        PackError::OtherSchema { .. } => {
            (error.to_string(), "install the eyefleet that the pack was made for".to_owned())
        }
        PackError::Unreadable { path, .. }
        | PackError::BadManifest { path, .. }
        | PackError::WrongSize { path, .. }
        | PackError::WrongHash { path, .. } => {
            let mend = format!("copy the pack again: {} is not as published", path.display());
            (error.to_string(), mend)
        }
        PackError::Escapes { folder, .. } | PackError::NoHash { folder, .. } => {
            (error.to_string(), format!("copy the pack in {} again", folder.display()))
        }
    };
    Check::problem(Subject::Models, "pack", found, mend)
}
