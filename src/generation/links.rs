//! Links on the volume, for people and tools: `current` and the seed system's file names.
//!
//! `current` is the one link that changes, replaced by rename; the others lead through it and
//! stay. The fleet's processes follow the catalogue, not these: they are a copy that the leader
//! keeps true.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::GenerationError;
use super::opened::files;
use crate::names::{GenerationNumber, LibraryId};
use crate::snapshot::durable;

const CURRENT: &str = "current";

/// The names under which a library's folder shows its current generation.
pub const LEARNED_LINKS: [&str; 7] = [
    files::CATEGORY_PATTERNS,
    files::DESCRIPTION_PATTERNS,
    files::SEARCH_INDEX,
    files::FACE_CLUSTERS,
    files::FACE_CLUSTERS_PICKLE,
    files::IMPROVED_DESCRIPTIONS,
    files::TRAINING_REPORT,
];

/// The names under which the root of the volume shows what else library `main` has.
pub const ROOT_LINKS: [&str; 4] =
    ["images_metadata.json", "export_timestamp.txt", "training.log", "training_history.log"];

/// Points `current` in `library_dir` to `number`, and the fixed names through `current`.
///
/// # Errors
/// Something that is not a link has the name of one, or the disk refuses.
pub fn link_current(library_dir: &Path, number: GenerationNumber) -> Result<(), GenerationError> {
    point(&library_dir.join(CURRENT), &PathBuf::from(format!("generations/{number}")))?;
    for name in LEARNED_LINKS {
        point(&library_dir.join(name), &Path::new(CURRENT).join(name))?;
    }
    durable::sync_folder(library_dir).map_err(GenerationError::io("sync", library_dir))
}

/// Points the seed's names in `data_dir` to library `main`, as far as it has such files.
///
/// # Errors
/// Something that is not a link has the name of one, or the disk refuses.
pub fn link_root(data_dir: &Path) -> Result<(), GenerationError> {
    let main = Path::new("libraries").join(LibraryId::main().as_str());
    for name in LEARNED_LINKS.iter().chain(&ROOT_LINKS) {
        let target = main.join(name);
        if data_dir.join(&target).exists() {
            point(&data_dir.join(name), &target)?;
        }
    }
    durable::sync_folder(data_dir).map_err(GenerationError::io("sync", data_dir))
}

/// Removes the links of [`link_root`] that lead nowhere any more: library `main` was purged.
///
/// # Errors
/// The disk refuses.
pub fn unlink_root(data_dir: &Path) -> Result<(), GenerationError> {
    let main = Path::new("libraries").join(LibraryId::main().as_str());
    for name in LEARNED_LINKS.iter().chain(&ROOT_LINKS) {
        let link = data_dir.join(name);
        let is_ours = fs::read_link(&link).is_ok_and(|target| target == main.join(name));
        if is_ours && !link.exists() {
            fs::remove_file(&link).map_err(GenerationError::io("remove", &link))?;
        }
    }
    Ok(())
}

/// The number that `current` points to; none if there is no such link.
pub(super) fn read_current(
    library_dir: &Path,
) -> Result<Option<GenerationNumber>, GenerationError> {
    let link = library_dir.join(CURRENT);
    let target = match fs::read_link(&link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(GenerationError::InTheWay(link));
        }
        other => other.map_err(GenerationError::io("read", &link))?,
    };
    let number = target.strip_prefix("generations").ok().and_then(Path::to_str);
    Ok(number.and_then(|number| number.parse().ok()).map(GenerationNumber))
}

/// Makes `link` a symbolic link to `target`; readers see the old target or the new one.
fn point(link: &Path, target: &Path) -> Result<(), GenerationError> {
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            return Err(GenerationError::InTheWay(link.to_owned()));
        }
        Ok(_) if fs::read_link(link).is_ok_and(|found| found == target) => return Ok(()),
        _ => {}
    }
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    // Two processes may set links at once: each has its own temporary one.
    let temporary = link.with_file_name(format!(".{name}.{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary)
        .and_then(|()| fs::rename(&temporary, link))
        .map_err(GenerationError::io("link", link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::samples;

    #[test]
    fn the_seeds_names_lead_to_the_current_generation() {
        let data = tempfile::tempdir().unwrap();
        let library = data.path().join("libraries/main");
        let store = samples::published(&library, &[1, 2]);
        fs::write(library.join("training.log"), "one\n").unwrap();
        for number in [1, 2, 1] {
            store.set_current_link(GenerationNumber(number)).unwrap();
            link_root(data.path()).unwrap();
            for root in [data.path(), &library] {
                let text = fs::read_to_string(root.join("category_patterns.json")).unwrap();
                assert!(text.contains(&format!("\"count\":{number}")), "{text}");
            }
        }
        assert_eq!(fs::read_to_string(data.path().join("training.log")).unwrap(), "one\n");
        assert!(fs::symlink_metadata(data.path().join("export_timestamp.txt")).is_err());
    }

    #[test]
    fn a_persons_own_file_is_never_replaced() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        fs::write(library.path().join("search_index.json"), "mine").unwrap();
        let error = store.set_current_link(GenerationNumber(1)).unwrap_err();
        assert!(matches!(error, GenerationError::InTheWay(_)), "{error}");
        assert_eq!(fs::read(library.path().join("search_index.json")).unwrap(), b"mine");
    }

    #[test]
    fn no_link_is_no_error() {
        let library = tempfile::tempdir().unwrap();
        assert_eq!(read_current(library.path()).unwrap(), None);
    }
}
