//! Photos on their way into a library: found, brought beneath its root, and looked at.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::catalog::Upload;
use crate::names::{ImageId, RelativePath};
use crate::snapshot::durable::{hex, sync_folder};
use crate::watch::is_photo;

/// Folder beneath the library's root for photos that were added from elsewhere.
const ADDED: &str = "added";

/// Every photo of `paths` in order; folders are walked without following links.
pub(super) fn files_of(
    paths: &[PathBuf],
    refused: &mut Vec<String>,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let facts =
            std::fs::metadata(path).with_context(|| format!("cannot add {}", path.display()))?;
        if !facts.is_dir() {
            files.push(path.clone());
            continue;
        }
        for entry in walkdir::WalkDir::new(path).follow_links(false).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() && is_photo(entry.path()) => {
                    files.push(entry.into_path());
                }
                Ok(_) => {}
                Err(error) => refused.push(error.to_string()),
            }
        }
    }
    Ok(files)
}

/// Brings files beneath `root` and says what they are; a reason for each that cannot be taken.
pub(super) fn take(files: &[PathBuf], root: &Path, bytes_max: u64) -> Vec<Result<Upload, String>> {
    let one = |file: &PathBuf| {
        // Escaped: a name may hold what a terminal would obey.
        let shown = || file.display().to_string().escape_debug().to_string();
        take_one(file, root, bytes_max).map_err(|error| format!("{}: {error:#}", shown()))
    };
    files.iter().map(one).collect()
}

fn take_one(file: &Path, root: &Path, bytes_max: u64) -> anyhow::Result<Upload> {
    let real = std::fs::canonicalize(file)?;
    let facts = std::fs::metadata(&real)?;
    anyhow::ensure!(facts.is_file(), "it is not a regular file");
    anyhow::ensure!(
        facts.len() <= bytes_max,
        "it has {} bytes, more than the {bytes_max} allowed; add a smaller one, or raise \
         vision.original_mib_max",
        facts.len()
    );
    let as_text = |path: &Path| -> anyhow::Result<String> {
        let text = path.to_str();
        let text =
            text.context("its name is not UTF-8: rename it, the catalogue keeps names as text")?;
        ImageId::new(text)?;
        Ok(RelativePath::new(text)?.to_string())
    };
    // The name first: what cannot be recorded is not copied either.
    let inside = real.strip_prefix(root).ok();
    let given = match (inside, file.file_name()) {
        (Some(inside), _) => inside.to_owned(),
        // Under the name that was given: what a link points to may be called anything.
        (None, name) => Path::new(ADDED).join(name.context("it has no name")?),
    };
    as_text(&given)?;
    let (hash, bytes) = hash_of(&real)?;
    let relative = if inside.is_some() { given } else { copy_in(file, &hash, root)? };
    let text = as_text(&relative)?;
    Ok(Upload {
        image: ImageId::new(text.as_str())?,
        path: RelativePath::new(text)?,
        bytes: Some(bytes),
        content_hash: Some(hash),
        stamp: None,
        source: "cli".to_owned(),
    })
}

/// Copies a file beneath the root, whole or not at all; the same content under the same name is
/// there already the second time. Another photo of the same name is kept beside it, told apart by
/// its content.
fn copy_in(file: &Path, hash: &str, root: &Path) -> anyhow::Result<PathBuf> {
    let name = file.file_name().context("it has no name")?;
    let folder = root.join(ADDED);
    std::fs::create_dir_all(&folder)?;
    let mut distinct = Path::new(name).file_stem().unwrap_or(name).to_os_string();
    distinct.push(format!("-{}", &hash[..12]));
    if let Some(ending) = Path::new(name).extension() {
        distinct.push(".");
        distinct.push(ending);
    }
    for name in [name, distinct.as_os_str()] {
        let relative = Path::new(ADDED).join(name);
        let target = root.join(&relative);
        if !target.exists() {
            let mut aside = tempfile::NamedTempFile::new_in(&folder)?;
            std::io::copy(&mut File::open(file)?, &mut aside)?;
            aside.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            aside.as_file().sync_all()?;
            // Another `add` may have taken the name meanwhile: its file must not be replaced.
            match aside.persist_noclobber(&target) {
                Ok(_) => sync_folder(&folder)?,
                Err(refused) if refused.error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(refused) => return Err(refused.error.into()),
            }
        }
        if hash_of(&target)?.0 == hash {
            return Ok(relative);
        }
    }
    anyhow::bail!("{} holds something else already", root.join(ADDED).join(&distinct).display())
}

/// sha256 in hex, and the number of bytes.
fn hash_of(file: &Path) -> anyhow::Result<(String, u64)> {
    let mut reader = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok((hex(&hasher.finalize()), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_photos_of_one_name_are_both_kept() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(&root).unwrap();
        let mut taken = Vec::new();
        for (place, content) in [("a", "one"), ("b", "two"), ("c", "one")] {
            let place = folder.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            let file = place.join("IMG_0001.JPG");
            std::fs::write(&file, content).unwrap();
            taken.push(take_one(&file, &root, 100).unwrap().path.to_string());
        }
        assert_eq!(taken[0], "added/IMG_0001.JPG");
        assert_ne!(taken[0], taken[1]);
        assert_eq!(taken[0], taken[2], "the same content was copied twice");
        assert_eq!(std::fs::read_dir(root.join(ADDED)).unwrap().count(), 2);
    }

    #[test]
    fn a_refusal_shows_no_name_that_a_terminal_would_obey() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new\nline\u{1b}[31m.jpg");
        std::fs::write(&file, "x").unwrap();
        let refused = take(&[file], &folder.path().join("elsewhere"), 100).remove(0).unwrap_err();
        assert!(!refused.contains(char::is_control), "{refused:?}");
    }

    #[test]
    fn what_cannot_be_recorded_is_neither_read_nor_copied() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(&root).unwrap();
        let no_text = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.jpg"));
        std::fs::write(&no_text, "x").unwrap();
        let large = folder.path().join("large.jpg");
        File::create(&large).unwrap().set_len(1 << 40).unwrap();
        for (file, why) in [(no_text, "UTF-8"), (large, "original_mib_max")] {
            let refused = format!("{:#}", take_one(&file, &root, 100).unwrap_err());
            assert!(refused.contains(why), "{refused}");
        }
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "it was copied");
    }

    #[test]
    fn a_link_is_added_under_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(folder.path().join("blob"), "x").unwrap();
        let link = folder.path().join("photo.jpg");
        std::os::unix::fs::symlink("blob", &link).unwrap();
        assert_eq!(take_one(&link, &root, 100).unwrap().path.as_str(), "added/photo.jpg");
    }

    #[test]
    fn a_file_beneath_the_root_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir_all(root.join("2024")).unwrap();
        std::fs::write(root.join("2024/a.jpg"), "x").unwrap();
        let upload = take_one(&root.join("2024/a.jpg"), &root, 100).unwrap();
        assert_eq!((upload.path.as_str(), upload.bytes), ("2024/a.jpg", Some(1)));
    }

    #[test]
    fn a_folder_gives_its_photos_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jpg", "a.PNG", "notes.txt", "sub/c.webp"] {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "x").unwrap();
        }
        let files = files_of(&[folder.path().to_owned()], &mut Vec::new()).unwrap();
        let names: Vec<_> =
            files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.PNG", "b.jpg", "c.webp"]);
    }
}
