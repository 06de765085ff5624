//! Files that were found → images of the catalogue and jobs of the queue.
//!
//! What must stay true: a file whose stamp is known costs no reading; everything is recorded in the
//! catalogue before it is enqueued, so that dying in between is mended by reconciliation; doing it
//! twice changes nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fleetq::{Lane, Queue};
use sha2::{Digest, Sha256};

use super::walk::{FoundFile, is_gone};
use crate::catalog::{Catalog, Change, KnownFile, MovedFile, Upload, WaitingImage};
use crate::fate::Fate;
use crate::jobs::JobError;
use crate::names::{ImageId, LibraryId, RelativePath};
use crate::originals;
use crate::reconcile::analyze_job;
use crate::snapshot::durable::hex;

/// Images of the same sizes among which a moved file is looked for.
const CANDIDATES_MAX: u64 = 2000;
/// Images looked at at once for being gone.
const PAGE: u64 = 500;
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

impl Library {
    /// Records what is new, changed or moved among `files`, and enqueues it.
    ///
    /// # Errors
    /// A store that is away; then the same files are to be found again.
    pub async fn take(&self, files: Vec<FoundFile>, lane: Lane) -> Result<Changes, JobError> {
        let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let known = self.catalog.files_at(&self.id, &paths).await?;
        let (mut unknown, mut touched) = (Vec::new(), Vec::new());
        for file in files {
            match known.get(&file.path) {
                Some(image) if image.stamp.as_ref() == Some(&file.stamp) => {}
                Some(image) => touched.push((image.clone(), file)),
                None => unknown.push(file),
            }
        }
        let mut changes = Changes::default();
        let (moved, new) = self.moved_and_new(unknown).await?;
        let mut uploads = Vec::new();
        for (image, file, hash) in self.move_files(moved, &mut changes).await? {
            uploads.push(upload(image, file, hash));
        }
        for (image, file) in touched {
            // Only where there is something to compare with: else the analysis reads it anyway.
            let hash = match image.content_hash {
                Some(_) => self.hash_of(&file.path).await?,
                None => None,
            };
            uploads.push(upload(image.image, file, hash));
        }
        let ids = self.free_ids(&new).await?;
        uploads.extend(ids.into_iter().zip(new).map(|(id, file)| upload(id, file, None)));
        self.record(uploads, lane, &mut changes).await?;
        Ok(changes)
    }

    /// Removes the images beneath `folder` (all without one) whose files are gone.
    ///
    /// # Errors
    /// A store that is away.
    pub async fn remove_gone(&self, folder: Option<&RelativePath>) -> Result<u64, JobError> {
        let mut removed = 0;
        let mut after: Option<RelativePath> = None;
        loop {
            let page = self.catalog.files_beneath(&self.id, folder, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(removed) };
            after = Some(last.path.clone());
            let gone = self.gone(page).await?;
            removed += self.catalog.remove_files(&self.id, &gone).await?;
        }
    }

    /// Removes the image at `path`, whose file is gone.
    ///
    /// # Errors
    /// A store that is away.
    pub async fn remove_at(&self, path: &RelativePath) -> Result<u64, JobError> {
        let known = self.catalog.files_at(&self.id, std::slice::from_ref(path)).await?;
        let gone = self.gone(known.into_values().collect()).await?;
        Ok(self.catalog.remove_files(&self.id, &gone).await?)
    }

    /// Those of `files` whose file is not there any more.
    async fn gone(&self, files: Vec<KnownFile>) -> Result<Vec<KnownFile>, JobError> {
        let root = self.root.clone();
        blocking("looking for files that are gone", move || {
            let gone = |file: &KnownFile| is_gone_at(&root.join(file.path.as_str()));
            files.into_iter().filter(gone).collect()
        })
        .await
    }

    /// Tells files that moved from new ones: a known image of the same size whose file is gone,
    /// and the same content. Only then a new file is read before its analysis reads it.
    async fn moved_and_new(
        &self,
        unknown: Vec<FoundFile>,
    ) -> Result<(Vec<(KnownFile, FoundFile, String)>, Vec<FoundFile>), JobError> {
        let sizes: Vec<u64> = unknown.iter().map(|file| file.bytes).collect();
        let same_size = self.catalog.files_of_sizes(&self.id, &sizes, CANDIDATES_MAX).await?;
        let mut lost: HashMap<(u64, String), Vec<KnownFile>> = HashMap::new();
        for file in self.gone(same_size).await? {
            if let (Some(bytes), Some(hash)) = (file.bytes, file.content_hash.clone()) {
                lost.entry((bytes, hash)).or_default().push(file);
            }
        }
        let (mut moved, mut new) = (Vec::new(), Vec::new());
        for file in unknown {
            let may_have_moved = lost.keys().any(|(bytes, _)| *bytes == file.bytes);
            let hash = if may_have_moved { self.hash_of(&file.path).await? } else { None };
            let image = hash.and_then(|hash| {
                let image = lost.get_mut(&(file.bytes, hash.clone()))?.pop()?;
                Some((image, hash))
            });
            match image {
                Some((image, hash)) => moved.push((image, file, hash)),
                None => new.push(file),
            }
        }
        Ok((moved, new))
    }

    /// Moves the images that may be; gives back the others, which change like any other.
    async fn move_files(
        &self,
        moved: Vec<(KnownFile, FoundFile, String)>,
        changes: &mut Changes,
    ) -> Result<Vec<(ImageId, FoundFile, Option<String>)>, JobError> {
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<MovedFile> = moved
            .iter()
            .map(|(image, file, _)| MovedFile {
                image: image.image.clone(),
                from: image.path.clone(),
                to: file.path.clone(),
                stamp: file.stamp.clone(),
            })
            .collect();
        let done = self.catalog.move_files(&self.id, &asked).await?;
        let mut left = Vec::new();
        for ((image, file, hash), done) in moved.into_iter().zip(done) {
            if done {
                changes.moved += 1;
            } else {
                left.push((image.image, file, Some(hash)));
            }
        }
        Ok(left)
    }

    /// The path is the id. Where a photo that moved away holds that id, something is added to it.
    async fn free_ids(&self, new: &[FoundFile]) -> Result<Vec<ImageId>, JobError> {
        let plain: Vec<ImageId> =
            new.iter().filter_map(|file| ImageId::new(file.path.as_str()).ok()).collect();
        let held = self.catalog.living_ids(&self.id, &plain).await?;
        let id = |file: &FoundFile| {
            let path = file.path.as_str();
            let free = path.len() <= ID_BYTES_MAX && !held.contains(path);
            let told_apart = || {
                let digest = hex(&Sha256::digest(format!("{path}\n{}", file.stamp)));
                let mut end = path.len().min(ID_BYTES_MAX - 17);
                while !path.is_char_boundary(end) {
                    end -= 1;
                }
                format!("{}~{}", &path[..end], &digest[..16])
            };
            let text = if free { path.to_owned() } else { told_apart() };
            ImageId::new(text).map_err(|error| JobError::new(Fate::Permanent, error.to_string()))
        };
        new.iter().map(id).collect()
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
            let waiting =
                WaitingImage { image: image.image, path: image.path, revision: image.revision };
            jobs.push(analyze_job(&self.id, &waiting, lane));
        }
        self.queue.enqueue_many(jobs).await?;
        Ok(())
    }

    /// The sha256 of a file's content; `None` where it cannot be read: the analysis says why.
    async fn hash_of(&self, path: &RelativePath) -> Result<Option<String>, JobError> {
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
