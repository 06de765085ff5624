//! The folder `generations/` of a library: written aside, published by one rename, collected.
//!
//! A number is used once. Until the rename nothing is visible; after it everything is on disk.
//! What a killed trainer left is removed by the next one, whose token is newer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::GenerationError;
use super::links;
use super::manifest::{GenerationManifest, Publication};
use super::opened::{self, Generation, files};
use crate::names::{Fence, GenerationNumber, SpaceId};
use crate::snapshot::FileEntry;
use crate::snapshot::durable::{self, HashedFile};

const BUILD_PREFIX: &str = ".build-";
/// In front of the name of a folder that is being removed.
const GONE_PREFIX: &str = ".gone-";

/// The generations of one library.
#[derive(Debug, Clone)]
pub struct GenerationStore {
    library_dir: PathBuf,
}

/// A folder that a trainer fills. Dropped unpublished, it is removed.
#[derive(Debug)]
pub struct BuildDir {
    path: PathBuf,
    fence: Fence,
}

impl BuildDir {
    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The trainer's token.
    pub fn fence(&self) -> Fence {
        self.fence
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        // Best effort: the next trainer removes what is left.
        let _ = durable::remove_folder(&self.path);
    }
}

impl GenerationStore {
    /// The generations under `library_dir`. Touches nothing.
    pub fn new(library_dir: impl Into<PathBuf>) -> Self {
        Self { library_dir: library_dir.into() }
    }

    /// The library's folder.
    pub fn library_dir(&self) -> &Path {
        &self.library_dir
    }

    /// Where the generation of this number lies, if there is one.
    pub fn folder(&self, number: GenerationNumber) -> PathBuf {
        self.shelf().join(number.to_string())
    }

    /// Begins a training under the token `fence`; what older ones left behind is removed.
    ///
    /// # Errors
    /// A newer training has begun, or the disk refuses.
    pub fn begin(&self, fence: Fence) -> Result<BuildDir, GenerationError> {
        let shelf = self.shelf();
        fs::create_dir_all(&shelf).map_err(GenerationError::io("create", &shelf))?;
        for (name, token) in self.builds()? {
            if token > fence {
                return Err(GenerationError::Superseded { mine: fence, newer: token });
            }
            // Whoever is still at work there finds no folder for its next file.
            remove(&self.take_away(&name)?)?;
        }
        let path = shelf.join(format!("{BUILD_PREFIX}{fence}"));
        fs::create_dir(&path).map_err(GenerationError::io("create", &path))?;
        Ok(BuildDir { path, fence })
    }

    /// Publishes what `build` holds under its number; after a failure of the disk the same folder
    /// may be published again. Publishing the same content again changes
    /// nothing and is no error. A rename that succeeds although the file system answers an error
    /// (network shares) is recognised by reading what lies there.
    ///
    /// # Errors
    /// The number is taken by something else, or the disk refuses; nothing is then visible.
    pub fn publish(
        &self,
        build: &BuildDir,
        publication: Publication,
    ) -> Result<GenerationManifest, GenerationError> {
        let number = publication.number;
        let published = self.manifest(number).ok().filter(|there| there.fence == build.fence);
        if let Some(published) = published {
            return Ok(published);
        }
        let manifest = publication.into_manifest(build.fence, settled_files(&build.path)?);
        if self.folder(number).exists() {
            return self.accept_existing(number, &manifest);
        }
        let path = build.path.join(files::MANIFEST);
        // Left by a publication of this folder that failed after it.
        let _ = fs::remove_file(&path);
        let mut file = HashedFile::create(&path).map_err(GenerationError::io("create", &path))?;
        serde_json::to_writer_pretty(&mut file, &manifest)
            .map_err(|error| GenerationError::io("write", &path)(error.into()))?;
        file.finish().map_err(GenerationError::io("write", &path))?;
        durable::sync_folder(&build.path).map_err(GenerationError::io("sync", &build.path))?;
        let shelf = self.shelf();
        if let Err(error) = fs::rename(&build.path, self.folder(number)) {
            if self.folder(number).exists() {
                return self.accept_existing(number, &manifest);
            }
            return Err(GenerationError::io("publish", &build.path)(error));
        }
        // The library's folder as well: with the first generation the shelf itself is new.
        for folder in [&shelf, &self.library_dir] {
            durable::sync_folder(folder).map_err(GenerationError::io("sync", folder))?;
        }
        Ok(manifest)
    }

    /// Removes the folder of a number that was given to the training under `fence` and never became
    /// current: a trainer died between its rename and the catalogue's word.
    ///
    /// # Errors
    /// A newer training has published it, the number is the one that `current` points to, or the disk
    /// refuses.
    pub fn discard(&self, number: GenerationNumber, fence: Fence) -> Result<(), GenerationError> {
        if !self.folder(number).exists() {
            return Ok(());
        }
        // A trainer that slept since it began may wake when another one has the number.
        if let Ok(there) = self.manifest(number)
            && there.fence > fence
        {
            return Err(GenerationError::Superseded { mine: fence, newer: there.fence });
        }
        if self.current_link()? == Some(number) {
            return Err(GenerationError::Taken { number, folder: self.folder(number) });
        }
        remove(&self.folder(number))
    }

    /// Opens a generation; see [`Generation::open`].
    ///
    /// # Errors
    /// It is not there, damaged, or of another embedding space than `wanted`.
    pub fn open(
        &self,
        number: GenerationNumber,
        wanted: Option<&SpaceId>,
    ) -> Result<Generation, GenerationError> {
        Generation::open(&self.folder(number), number, wanted)
    }

    /// What a generation says of itself; its files are not verified.
    ///
    /// # Errors
    /// It is not there, or its manifest is damaged.
    pub fn manifest(
        &self,
        number: GenerationNumber,
    ) -> Result<GenerationManifest, GenerationError> {
        opened::read_manifest(&self.folder(number), number)
    }

    /// The numbers of the published generations, ascending.
    ///
    /// # Errors
    /// The folder cannot be read; a missing one is an empty list.
    pub fn list(&self) -> Result<Vec<GenerationNumber>, GenerationError> {
        let mut numbers: Vec<GenerationNumber> = self
            .names()?
            .iter()
            .filter_map(|name| name.parse().ok().filter(|number: &i64| number.to_string() == *name))
            .map(GenerationNumber)
            .filter(|number| self.folder(*number).join(files::MANIFEST).is_file())
            .collect();
        numbers.sort();
        Ok(numbers)
    }

    /// Points the `current` link and the links under the seed's names to `number`.
    ///
    /// # Errors
    /// The generation is not there, something that is not a link is in the way, or the disk
    /// refuses.
    pub fn set_current_link(&self, number: GenerationNumber) -> Result<(), GenerationError> {
        self.manifest(number)?;
        links::link_current(&self.library_dir, number)
    }

    /// The number that the `current` link points to.
    ///
    /// # Errors
    /// The link cannot be read; a missing one is `None`.
    pub fn current_link(&self) -> Result<Option<GenerationNumber>, GenerationError> {
        links::read_current(&self.library_dir)
    }

    /// Removes all but the newest `keep_last` generations, those in `also_keep` (which live
    /// workers serve) and the one that `current` points to. Answers what was removed.
    ///
    /// # Errors
    /// The disk refuses; what was removed until then stays removed.
    pub fn collect(
        &self,
        keep_last: usize,
        also_keep: &[GenerationNumber],
    ) -> Result<Vec<GenerationNumber>, GenerationError> {
        let shelf = self.shelf();
        let mut removed = Vec::new();
        let numbers = self.list()?;
        let linked = self.current_link()?;
        let beyond = numbers.len().saturating_sub(keep_last);
        for number in &numbers[..beyond] {
            if also_keep.contains(number) || linked == Some(*number) {
                continue;
            }
            self.take_away(&number.to_string())?;
            removed.push(*number);
        }
        for name in self.names()? {
            if name.starts_with(GONE_PREFIX) {
                remove(&shelf.join(name))?;
            }
        }
        Ok(removed)
    }

    /// Gives a folder another name, under which it may be removed: who reads it finds it whole or not
    /// at all, and who writes into it does not refill what is being emptied.
    fn take_away(&self, name: &str) -> Result<PathBuf, GenerationError> {
        let (folder, gone) =
            (self.shelf().join(name), self.shelf().join(format!("{GONE_PREFIX}{name}")));
        remove(&gone)?;
        match fs::rename(&folder, &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            taken => taken.map_err(GenerationError::io("remove", &folder))?,
        }
        Ok(gone)
    }

    fn shelf(&self) -> PathBuf {
        self.library_dir.join("generations")
    }

    /// What already has the number is fine if it is the same content from the same snapshot. The
    /// report tells durations and may differ.
    fn accept_existing(
        &self,
        number: GenerationNumber,
        mine: &GenerationManifest,
    ) -> Result<GenerationManifest, GenerationError> {
        let content = |manifest: &GenerationManifest| {
            let mut files = manifest.files.clone();
            files.remove(files::TRAINING_REPORT);
            (manifest.snapshot.clone(), files)
        };
        match self.manifest(number) {
            Ok(existing) if content(&existing) == content(mine) => Ok(existing),
            _ => Err(GenerationError::Taken { number, folder: self.folder(number) }),
        }
    }

    fn builds(&self) -> Result<Vec<(String, Fence)>, GenerationError> {
        let token = |name: &str| name.strip_prefix(BUILD_PREFIX)?.parse().ok().map(Fence);
        let names = self.names()?.into_iter();
        Ok(names.filter_map(|name| token(&name).map(|token| (name, token))).collect())
    }

    fn names(&self) -> Result<Vec<String>, GenerationError> {
        let shelf = self.shelf();
        let entries = match fs::read_dir(&shelf) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(GenerationError::io("list", &shelf))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(GenerationError::io("list", &shelf))?;
            names.extend(entry.file_name().into_string());
        }
        Ok(names)
    }
}

fn remove(folder: &Path) -> Result<(), GenerationError> {
    durable::remove_folder(folder).map_err(GenerationError::io("remove", folder))
}

/// Brings every file of the folder to the disk; answers sizes and hashes.
fn settled_files(folder: &Path) -> Result<BTreeMap<String, FileEntry>, GenerationError> {
    let mut settled = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(GenerationError::io("list", folder))? {
        let entry = entry.map_err(GenerationError::io("list", folder))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == files::MANIFEST {
            continue;
        }
        let io = |action| GenerationError::io(action, &path);
        File::open(&path).and_then(|file| file.sync_all()).map_err(io("sync"))?;
        settled.insert(name, durable::measure(&path).map_err(io("read"))?);
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::Fate;
    use crate::generation::samples;

    fn numbers(list: &[i64]) -> Vec<GenerationNumber> {
        list.iter().copied().map(GenerationNumber).collect()
    }

    #[test]
    fn a_trainer_that_dies_before_the_rename_leaves_nothing_that_is_seen() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let build = store.begin(Fence(50)).unwrap();
        samples::fill(build.path(), 2);
        std::mem::forget(build); // As a kill would: nobody cleans up.
        assert_eq!(store.list().unwrap(), numbers(&[1]));
        let left = library.path().join("generations/.build-50");
        assert!(left.exists());
        // Somebody died while removing it.
        let half_gone = library.path().join("generations/.gone-.build-50");
        fs::create_dir(&half_gone).unwrap();
        fs::write(half_gone.join("words.json"), "{}").unwrap();
        let next = store.begin(Fence(51)).unwrap();
        assert!(!left.exists() && !half_gone.exists(), "the next trainer removes it");
        let hidden = store.names().unwrap().into_iter().filter(|name| name.starts_with('.'));
        assert_eq!(hidden.collect::<Vec<_>>(), [".build-51"]);
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn an_older_trainer_gives_way() {
        let library = tempfile::tempdir().unwrap();
        let store = GenerationStore::new(library.path());
        let _newer = store.begin(Fence(9)).unwrap();
        let error = store.begin(Fence(8)).unwrap_err();
        assert_eq!(error.fate(), Fate::Superseded);
    }

    #[test]
    fn a_trainer_that_dies_after_the_rename_left_a_whole_generation() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        store.set_current_link(GenerationNumber(1)).unwrap();
        samples::publish(&store, 2); // And died here: published, not current.
        assert_eq!(store.current_link().unwrap(), Some(GenerationNumber(1)));
        assert!(store.open(GenerationNumber(2), None).is_ok());
        // Its retry trains again and publishes the same content under the same number.
        let build = store.begin(Fence(900)).unwrap();
        samples::fill(build.path(), 2);
        fs::write(build.path().join(files::TRAINING_REPORT), "{\"took\": 2}").unwrap();
        store.publish(&build, samples::publication(2)).unwrap();
        store.set_current_link(GenerationNumber(2)).unwrap();
        assert_eq!(store.current_link().unwrap(), Some(GenerationNumber(2)));
    }

    #[test]
    fn what_a_newer_trainer_published_is_not_discarded() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let there = store.manifest(GenerationNumber(1)).unwrap().fence;
        let error = store.discard(GenerationNumber(1), Fence(there.0 - 1)).unwrap_err();
        assert!(matches!(error, GenerationError::Superseded { newer, .. } if newer == there));
        assert!(store.open(GenerationNumber(1), None).is_ok());
        store.discard(GenerationNumber(1), there).unwrap();
        assert!(!store.folder(GenerationNumber(1)).exists());
    }

    #[test]
    fn a_number_is_never_used_twice() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1]);
        let build = store.begin(Fence(77)).unwrap();
        samples::fill(build.path(), 3);
        let error = store.publish(&build, samples::publication(1)).unwrap_err();
        assert!(matches!(error, GenerationError::Taken { .. }), "{error}");
        assert_eq!(store.open(GenerationNumber(1), None).unwrap().patterns["landscape"].count, 1);
    }

    #[test]
    fn a_publication_that_failed_late_may_be_repeated() {
        let library = tempfile::tempdir().unwrap();
        let store = GenerationStore::new(library.path());
        let build = store.begin(Fence(5)).unwrap();
        samples::fill(build.path(), 1);
        fs::write(build.path().join(files::MANIFEST), "half").unwrap();
        let published = store.publish(&build, samples::publication(1)).unwrap();
        // And once more after an answer that was lost on the way: the folder is gone by then.
        assert!(!build.path().exists());
        assert_eq!(store.publish(&build, samples::publication(1)).unwrap(), published);
        assert!(store.open(GenerationNumber(1), None).is_ok());
    }

    #[test]
    fn the_newest_the_served_and_the_current_are_kept() {
        let library = tempfile::tempdir().unwrap();
        let store = samples::published(library.path(), &[1, 2, 3, 4, 5, 6]);
        store.set_current_link(GenerationNumber(2)).unwrap();
        let removed = store.collect(2, &numbers(&[3])).unwrap();
        assert_eq!(removed, numbers(&[1, 4]));
        assert_eq!(store.list().unwrap(), numbers(&[2, 3, 5, 6]));
        assert!(store.collect(9, &[]).unwrap().is_empty());
    }
}
