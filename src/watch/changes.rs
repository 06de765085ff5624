//! Files that were found → images of the catalogue and jobs of the queue.
//!
//! What must stay true: a file whose stamp is known costs no reading; everything is recorded in the
//! catalogue before it is enqueued, so that dying in between is mended by reconciliation; doing it
//! twice changes nothing; a photo keeps its id wherever its content goes, and an id never comes to
//! stand for another photo.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use fleetq::{Lane, Queue};
use sha2::{Digest, Sha256};

use super::walk::{FoundFile, is_gone};
use crate::catalog::{
    Catalog, CatalogError, Change, KnownFile, Moved, MovedFile, Upload, WaitingImage,
};
use crate::fate::Fate;
use crate::jobs::{JobError, Origin, Source, offer};
use crate::names::{ImageId, LibraryId, RelativePath, Revision};
use crate::originals;
use crate::reconcile::analyze_job;
use crate::snapshot::durable::hex;

/// Images of the same sizes among which a moved file is looked for.
pub(super) const CANDIDATES_MAX: u64 = 2000;
/// Longest id of an image.
const ID_BYTES_MAX: usize = 512;

/// What a folder's files changed in its library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Photos that were not known.
    pub new: u64,
    /// Photos with another content.
    pub changed: u64,
    /// Photos at another place.
    pub moved: u64,
    /// Photos whose file is gone.
    pub removed: u64,
}

impl std::ops::AddAssign for Changes {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.changed += other.changed;
        self.moved += other.moved;
        self.removed += other.removed;
    }
}

/// A library's folder, with what it takes to keep the catalogue equal to it.
#[derive(Clone)]
pub struct Library {
    /// Its name.
    pub id: LibraryId,
    /// Where its photos lie; canonical.
    pub root: PathBuf,
    /// Where they are recorded.
    pub catalog: Catalog,
    /// Where they wait for their analysis.
    pub queue: Queue,
    /// Largest original that is read, in bytes.
    pub original_bytes_max: u64,
}

/// A file whose content may be that of a photo which was elsewhere.
struct Target {
    file: FoundFile,
    hash: Option<String>,
    /// The image that is recorded at its path.
    holder: Option<KnownFile>,
}

impl Library {
    /// Records what is new, changed or moved among `files`, and enqueues it.
    ///
    /// # Errors
    /// A store that is away; then the same files are to be found again.
    pub async fn take(&self, files: Vec<FoundFile>, lane: Lane) -> Result<Changes, JobError> {
        let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let mut known = self.catalog.files_at(&self.id, &paths).await?;
        let mut uploads = Vec::new();
        let mut targets = Vec::new();
        for file in files {
            let Some(holder) = known.remove(&file.path) else {
                targets.push(Target { file, hash: None, holder: None });
                continue;
            };
            if holder.stamp.as_ref() == Some(&file.stamp) {
                continue;
            }
            // Only where there is something to compare with: else the analysis reads it anyway.
            let hash = match holder.content_hash {
                Some(_) => self.hash_of(&file.path).await?,
                None => None,
            };
            if hash.is_some() && hash == holder.content_hash {
                uploads.push(upload(holder.image, file, hash));
            } else {
                targets.push(Target { file, hash, holder: Some(holder) });
            }
        }
        let mut changes = Changes::default();
        let left = self.move_known(targets, lane, &mut changes).await?;
        let mut new = Vec::new();
        for target in left {
            match target.holder {
                Some(holder) => uploads.push(upload(holder.image, target.file, target.hash)),
                None => new.push(target.file),
            }
        }
        let new = self.without_removed(new).await?;
        for (id, file, hash) in self.ids_for(new).await? {
            uploads.push(upload(id, file, hash));
        }
        self.record(uploads, lane, &mut changes).await?;
        Ok(changes)
    }

    /// The mounts that were there at the last good look.
    ///
    /// # Errors
    /// A catalogue that is away, a library that was purged.
    pub async fn known_mounts(&self) -> Result<Vec<PathBuf>, JobError> {
        let library = self.catalog.library(&self.id).await?;
        let library = library.ok_or_else(|| CatalogError::UnknownLibrary(self.id.clone()))?;
        Ok(library.mounts)
    }

    /// Remembers the mounts of a good look, where they are others than before.
    ///
    /// # Errors
    /// As `known_mounts`.
    pub async fn remember_mounts(&self, mounts: &[PathBuf]) -> Result<(), JobError> {
        if self.known_mounts().await? != mounts {
            self.catalog.set_mounts(&self.id, mounts).await?;
        }
        Ok(())
    }

    /// Finds known photos among `targets` by their content: those whose file is gone, and those in
    /// whose place another file is now. Moves them, and gives back the targets that are none.
    async fn move_known(
        &self,
        mut targets: Vec<Target>,
        lane: Lane,
        changes: &mut Changes,
    ) -> Result<Vec<Target>, JobError> {
        let sizes: Vec<u64> = targets.iter().map(|target| target.file.bytes).collect();
        let same_size = self.catalog.files_of_sizes(&self.id, &sizes, CANDIDATES_MAX).await?;
        let displaced = targets.iter().filter_map(|target| target.holder.clone());
        let displaced: Vec<KnownFile> = displaced.collect();
        let mut homeless: HashMap<(u64, String), Vec<KnownFile>> = HashMap::new();
        for file in self.gone(same_size).await?.into_iter().chain(displaced) {
            if let (Some(bytes), Some(hash)) = (file.bytes, file.content_hash.clone()) {
                homeless.entry((bytes, hash)).or_default().push(file);
            }
        }
        let mut moved = Vec::new();
        let mut left = Vec::new();
        for mut target in targets.drain(..) {
            let bytes = target.file.bytes;
            let may_be_known = homeless.keys().any(|(size, _)| *size == bytes);
            if target.hash.is_none() && may_be_known {
                target.hash = self.hash_of(&target.file.path).await?;
            }
            let found =
                target.hash.clone().and_then(|hash| homeless.get_mut(&(bytes, hash))?.pop());
            match found {
                Some(image) => moved.push((image, target)),
                None => left.push(target),
            }
        }
        if moved.is_empty() {
            return Ok(left);
        }
        let away: HashSet<ImageId> = moved.iter().map(|(image, _)| image.image.clone()).collect();
        // Its file was replaced by another known photo, and its own content is nowhere.
        let replaced = moved.iter().filter_map(|(_, target)| target.holder.clone());
        let replaced: Vec<KnownFile> =
            replaced.filter(|holder| !away.contains(&holder.image)).collect();
        for target in &mut left {
            // The photo that was recorded here is elsewhere now; the file is another one.
            if target.holder.as_ref().is_some_and(|holder| away.contains(&holder.image)) {
                target.holder = None;
            }
        }
        self.carry_out(&moved, &replaced, lane, changes).await?;
        Ok(left)
    }

    async fn carry_out(
        &self,
        moved: &[(KnownFile, Target)],
        replaced: &[KnownFile],
        lane: Lane,
        changes: &mut Changes,
    ) -> Result<(), JobError> {
        let asked: Vec<MovedFile> = moved
            .iter()
            .map(|(image, target)| MovedFile {
                image: image.image.clone(),
                from: image.path.clone(),
                to: target.file.path.clone(),
                stamp: target.file.stamp.clone(),
            })
            .collect();
        let done = self.catalog.move_files(&self.id, &asked, replaced).await?;
        let mut jobs = Vec::new();
        for (asked, done) in asked.into_iter().zip(done) {
            match done {
                Moved::Kept => changes.moved += 1,
                Moved::Again(revision) => {
                    changes.moved += 1;
                    jobs.push(self.job(asked.image, asked.to, revision, lane));
                }
                // Somebody else changed it at the same moment: the next full look sees what is.
                Moved::Refused => {}
            }
        }
        changes.removed += replaced.len() as u64;
        self.enqueue(jobs).await
    }

    /// Those of `files` whose file is not there any more.
    pub(super) async fn gone(&self, files: Vec<KnownFile>) -> Result<Vec<KnownFile>, JobError> {
        let root = self.root.clone();
        blocking("looking for files that are gone", move || {
            let gone = |file: &KnownFile| is_gone_at(&root.join(file.path.as_str()));
            files.into_iter().filter(gone).collect()
        })
        .await
    }

    /// The path is the id. Where that belongs to another photo, living, removed by its owner or deleted
    /// with words of its owner on it, something is added.
    async fn ids_for(
        &self,
        new: Vec<FoundFile>,
    ) -> Result<Vec<(ImageId, FoundFile, Option<String>)>, JobError> {
        let plain: Vec<ImageId> =
            new.iter().filter_map(|file| ImageId::new(file.path.as_str()).ok()).collect();
        let held = self.catalog.held_ids(&self.id, &plain).await?;
        let mut named = Vec::with_capacity(new.len());
        for file in new {
            let mut hash = None;
            let path = file.path.as_str();
            let mut free = path.len() <= ID_BYTES_MAX;
            if let Some(of_deleted) = held.get(path) {
                if of_deleted.is_some() {
                    hash = self.hash_of(&file.path).await?;
                }
                // The deleted photo itself is back.
                free &= hash.is_some() && hash == *of_deleted;
            }
            let text = if free { path.to_owned() } else { told_apart(path, &file.stamp) };
            let id = ImageId::new(text);
            let id = id.map_err(|error| JobError::new(Fate::Permanent, error.to_string()))?;
            named.push((id, file, hash));
        }
        Ok(named)
    }

    async fn record(
        &self,
        uploads: Vec<Upload>,
        lane: Lane,
        changes: &mut Changes,
    ) -> Result<(), JobError> {
        let recorded = self.catalog.record_uploads(&self.id, &uploads).await?;
        let mut jobs = Vec::new();
        for image in recorded {
            match image.change {
                Change::New => changes.new += 1,
                Change::Changed => changes.changed += 1,
                // Somebody else recorded the path a moment ago: the next look finds it known.
                Change::Unchanged | Change::PathTaken(_) => continue,
            }
            jobs.push(self.job(image.image, image.path, image.revision, lane));
        }
        self.enqueue(jobs).await
    }

    fn job(
        &self,
        image: ImageId,
        path: RelativePath,
        revision: Revision,
        lane: Lane,
    ) -> fleetq::NewJob {
        let origin = Origin::new(Source::Watch);
        analyze_job(&self.id, &WaitingImage { image, path, revision }, lane, &origin)
    }

    /// While the queue is drained the photos are recorded all the same: reconciliation offers them
    /// when it is resumed, and the folder is followed meanwhile.
    async fn enqueue(&self, jobs: Vec<fleetq::NewJob>) -> Result<(), JobError> {
        let photos = jobs.len();
        if offer(&self.queue, jobs).await?.is_none() {
            tracing::info!(library = %self.id, photos, "recorded while the queue is being drained");
        }
        Ok(())
    }

    /// The sha256 of a file's content; `None` where it cannot be read: the analysis says why.
    pub(super) async fn hash_of(&self, path: &RelativePath) -> Result<Option<String>, JobError> {
        let (root, path, most) = (self.root.clone(), path.clone(), self.original_bytes_max);
        let read = blocking("reading a file that may have changed", move || {
            let bytes = originals::read(&root, &path, most)?;
            Ok::<_, originals::OriginalError>(bytes.map(|bytes| hex(&Sha256::digest(bytes))))
        });
        match read.await? {
            Ok(hash) => Ok(hash),
            Err(error) if error.fate() != Fate::Permanent => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

fn upload(image: ImageId, file: FoundFile, content_hash: Option<String>) -> Upload {
    Upload {
        image,
        path: file.path,
        bytes: Some(file.bytes),
        content_hash,
        stamp: Some(file.stamp),
        source: "folder".to_owned(),
    }
}

/// An id for a file whose path is the id of another photo: the same file always gets the same.
fn told_apart(path: &str, stamp: &str) -> String {
    let digest = hex(&Sha256::digest(format!("{path}\n{stamp}")));
    let mut end = path.len().min(ID_BYTES_MAX - 17);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{}", &path[..end], &digest[..16])
}

fn is_gone_at(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| is_gone(&error))
}

/// Disks may hold a thread for long: never one of the async ones.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| JobError::new(Fate::Transient, format!("{doing} broke: {panic}")))
}
