//! `eyefleet add`: photos into the library, recorded in the catalogue, enqueued.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use fleetq::{Lane, Mode};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::args::AddArgs;
use super::{Client, Exit, Progress};
use crate::catalog::{Change, Upload, WaitingImage};
use crate::jobs::{Origin, offer};
use crate::library_lock;
use crate::names::{ImageId, LibraryId, RelativePath};
use crate::reconcile::analyze_job;
use crate::snapshot::durable::{hex, sync_folder};
use crate::volume;
use crate::watch::is_photo;

/// Files recorded in one transaction.
const BATCH: usize = 200;
/// Folder beneath the library's root for photos that were added from elsewhere.
const ADDED: &str = "added";
/// Time between two looks at how far the analysis is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What came of adding.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Added {
    /// Files found.
    pub files: u64,
    /// Images that are new or changed, and therefore enqueued.
    pub enqueued: u64,
    /// Images that are new or changed and recorded, while the queue is drained and takes no jobs:
    /// they are enqueued when somebody resumes it.
    pub held: u64,
    /// Images that were known with the same content.
    pub unchanged: u64,
    /// Files that could not be taken, with the reason.
    pub refused: Vec<String>,
}

pub(super) async fn add(client: &Client, args: &AddArgs, json: bool) -> anyhow::Result<Exit> {
    let failed_before = match client.catalog.library(&args.library).await? {
        Some(_) => client.catalog.counts(&args.library).await?.failed,
        None => 0,
    };
    let added = add_files(client, &args.library, &args.paths, json).await?;
    for refused in &added.refused {
        eprintln!("refused: {refused}");
    }
    if added.enqueued + added.held > 0 || args.wait {
        tell_of_queue(client, &added).await?;
    }
    let mut failed = 0;
    if args.wait {
        let failed_now = wait(client, &args.library, json).await?;
        failed = failed_now.saturating_sub(failed_before);
        if failed > 0 {
            eprintln!("failed: {failed}; `eyefleet status` shows why");
        }
    }
    if json {
        say!("{}", json!({ "added": added, "failed": args.wait.then_some(failed) }));
    } else {
        say!(
            "added {} of {} files ({} unchanged, {} refused)",
            added.enqueued + added.held,
            added.files,
            added.unchanged,
            added.refused.len()
        );
    }
    let all_well = added.refused.is_empty() && failed == 0;
    Ok(if all_well { Exit::Done } else { Exit::SomeFailed })
}

/// Records and enqueues every photo of `paths`.
///
/// # Errors
/// A path that does not exist, a root that cannot be used, a store that is away. Single files that
/// cannot be taken are listed in the answer.
pub async fn add_files(
    client: &Client,
    library: &LibraryId,
    paths: &[PathBuf],
    quiet: bool,
) -> anyhow::Result<Added> {
    let data = &client.config.data;
    let root = root_of(client, library).await?;

    let mut added = Added::default();
    let searched = paths.to_vec();
    let found = tokio::task::spawn_blocking(move || {
        let mut refused = Vec::new();
        files_of(&searched, &mut refused).map(|files| (files, refused))
    });
    let (files, refused) = found.await??;
    added.refused = refused;
    added.files = files.len() as u64;
    let mut progress = Progress::new("add", "files", added.files, quiet);
    let mut done = 0;
    for chunk in files.chunks(BATCH) {
        // From the copy to the queue: a purge of this library comes before or after.
        let _held = library_lock::hold(&client.catalog, data, library).await?;
        let (chunk_owned, root) = (chunk.to_vec(), root.clone());
        let most = client.config.original_bytes_max;
        let taken = tokio::task::spawn_blocking(move || take(&chunk_owned, &root, most)).await?;
        let mut uploads = Vec::with_capacity(taken.len());
        for upload in taken {
            match upload {
                Ok(upload) => uploads.push(upload),
                Err(refused) => added.refused.push(refused),
            }
        }
        record(client, library, &uploads, &mut added).await?;
        done += chunk.len() as u64;
        progress.set(done);
    }
    progress.finish();
    Ok(added)
}

/// Where the library's photos lie; a library that is new gets a folder of its own.
async fn root_of(client: &Client, library: &LibraryId) -> anyhow::Result<PathBuf> {
    let data = &client.config.data;
    let own = volume::originals_dir(data, library);
    let root = match client.catalog.library(library).await? {
        Some(known) => known.root,
        None => client.catalog.ensure_library(library, &own).await?.root,
    };
    if root == own {
        let _not_purged_meanwhile = library_lock::hold(&client.catalog, data, library).await?;
        tokio::fs::create_dir_all(&own)
            .await
            .with_context(|| format!("cannot create {}", own.display()))?;
    }
    tokio::fs::canonicalize(&root)
        .await
        .with_context(|| format!("the folder of library {library}, {}, is away", root.display()))
}

/// The catalogue first, the queue second: a crash between them is what reconciliation mends.
async fn record(
    client: &Client,
    library: &LibraryId,
    uploads: &[Upload],
    added: &mut Added,
) -> anyhow::Result<()> {
    let recorded = client.catalog.record_uploads(library, uploads).await?;
    let unchanged = recorded.iter().filter(|image| image.change == Change::Unchanged);
    let unchanged: Vec<ImageId> = unchanged.map(|image| image.image.clone()).collect();
    // An earlier try may have ended between the two, and whoever adds them again waits for them.
    let still_waiting = client.catalog.waiting_among(library, &unchanged).await?;
    let (mut jobs, mut again) = (Vec::new(), Vec::new());
    let origin = Origin::command();
    for image in recorded {
        let jobs = match &image.change {
            Change::New | Change::Changed => &mut jobs,
            Change::Unchanged => {
                added.unchanged += 1;
                if !still_waiting.contains(&image.image) {
                    continue;
                }
                &mut again
            }
            Change::PathTaken(owner) => {
                added.refused.push(format!("{}: it is image {owner} already", image.path));
                continue;
            }
        };
        let waiting =
            WaitingImage { image: image.image, path: image.path, revision: image.revision };
        jobs.push(analyze_job(library, &waiting, Lane::Upload, &origin));
    }
    let photos = jobs.len() as u64;
    jobs.append(&mut again);
    let kept = "the photos are recorded and are analyzed by themselves once redis takes jobs again";
    match offer(&client.analyze, jobs).await.context(kept)? {
        Some(_) => added.enqueued += photos,
        None => added.held += photos,
    }
    Ok(())
}

/// Says where somebody keeps the photos from being analyzed.
async fn tell_of_queue(client: &Client, added: &Added) -> anyhow::Result<()> {
    let until = "`eyefleet queue resume analyze`";
    match client.analyze.depth().await?.mode {
        _ if added.held == 1 => {
            eprintln!(
                "queue analyze is being drained: 1 photo is recorded and waits until {until}"
            );
        }
        _ if added.held > 0 => eprintln!(
            "queue analyze is being drained: {} photos are recorded and wait until {until}",
            added.held
        ),
        Mode::Paused => eprintln!("queue analyze is paused: nothing is analyzed until {until}"),
        Mode::Running | Mode::Draining => {}
    }
    Ok(())
}

/// Every photo of `paths` in order; folders are walked without following links.
fn files_of(paths: &[PathBuf], refused: &mut Vec<String>) -> anyhow::Result<Vec<PathBuf>> {
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
fn take(files: &[PathBuf], root: &Path, bytes_max: u64) -> Vec<Result<Upload, String>> {
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

/// Waits until nothing of the library waits. Returns how many of its images are failed.
async fn wait(client: &Client, library: &LibraryId, quiet: bool) -> anyhow::Result<u64> {
    let before = client.catalog.counts(library).await?;
    let mut progress = Progress::new("analyze", "images", before.waiting, quiet);
    loop {
        let counts = client.catalog.counts(library).await?;
        progress.set_total(before.waiting.max(counts.waiting));
        progress.set(before.waiting.saturating_sub(counts.waiting));
        if counts.waiting == 0 {
            progress.finish();
            return Ok(counts.failed);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
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
