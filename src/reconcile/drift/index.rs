//! The catalogue compared with what search looks in: the current generation's index, and beside it
//! what was stored since.
//!
//! Photos that were removed after the generation was learned, and new ones, are no drift: search
//! leaves out the ones and holds the others beside the index.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use super::{DriftDeps, Found, PAGE};
use crate::catalog::Library;
use crate::fate::Fate;
use crate::generation::{GenerationStore, Listed, files, list};
use crate::jobs::JobError;
use crate::names::{GenerationNumber, LibraryId};
use crate::search::TAIL_ROWS_MAX;
use crate::volume;

/// Rows are dated by their writers' clocks: what was removed this shortly before the snapshot may
/// have been in it.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_secs(120);

/// What was found of each library's index. A generation never changes: its images are compared once,
/// and again while there is something to find.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    unknown: BTreeMap<LibraryId, (GenerationNumber, Found)>,
}

/// A generation's files as they are on the volume.
enum Files {
    Sound { index: Listed, learned_from: Timestamp },
    Broken(String),
}

impl Indexes {
    pub async fn look(
        &mut self,
        deps: &DriftDeps,
        libraries: &[Library],
    ) -> Result<Found, JobError> {
        self.unknown.retain(|id, _| libraries.iter().any(|library| library.id == *id));
        let mut all = Found { whole: true, ..Found::default() };
        for library in libraries {
            let Some(current) = library.current else { continue };
            let (id, number) = (&library.id, current.number);
            let folder = volume::library_dir(&deps.data, id);
            let read = tokio::task::spawn_blocking(move || read_files(folder, number));
            let read = read.await.map_err(|error| {
                JobError::new(Fate::Transient, format!("reading generation {number}: {error}"))
            })?;
            match read {
                Files::Broken(why) => {
                    // Another one may have become current meanwhile, and this one was collected.
                    let now = deps.catalog.current_generation(id).await?;
                    if now.is_some_and(|now| now.number == number) {
                        all.add(|| format!("{id}: {why}"));
                    }
                }
                Files::Sound { index, learned_from } => {
                    let known = self
                        .unknown
                        .get(id)
                        .filter(|(of, found)| *of == number && found.count == 0);
                    if known.is_none() {
                        let found = unknown_images(deps, id, &index, learned_from).await?;
                        self.unknown.insert(id.clone(), (number, found));
                    }
                    if let Some((_, found)) = self.unknown.get(id) {
                        all.and(found.clone());
                    }
                    let stored = deps.catalog.analyses_count(id, None).await?;
                    let room = (index.len() + TAIL_ROWS_MAX) as u64;
                    if stored > room {
                        all.count += stored - room;
                        all.examples.push(format!("{id}: {stored} photos, room for {room}"));
                    }
                }
            }
        }
        Ok(all)
    }
}

fn read_files(folder: PathBuf, number: GenerationNumber) -> Files {
    let store = GenerationStore::new(folder);
    let manifest = match store.manifest(number) {
        Ok(manifest) => manifest,
        Err(error) => return Files::Broken(error.to_string()),
    };
    let folder = store.folder(number);
    for (name, entry) in &manifest.files {
        let size = std::fs::metadata(folder.join(name)).map(|facts| facts.len());
        if size.as_ref().ok() != Some(&entry.size) {
            return Files::Broken(format!("generation {number} lacks {name} or a part of it"));
        }
    }
    match list(&folder.join(files::INDEX)) {
        Ok(index) => Files::Sound { index, learned_from: manifest.snapshot.started_at() },
        Err(error) => Files::Broken(format!("the index of generation {number}: {error}")),
    }
}

/// Images of the index that the catalogue does not know, or that were gone before it was learned.
async fn unknown_images(
    deps: &DriftDeps,
    library: &LibraryId,
    index: &Listed,
    learned_from: Timestamp,
) -> Result<Found, JobError> {
    let mut found = Found { whole: true, ..Found::default() };
    let mut row = 0;
    while row < index.len() {
        let images = index
            .images(row, PAGE as usize)
            .map_err(|error| JobError::new(Fate::Permanent, error.to_string()))?;
        row += images.len();
        let standing = deps.catalog.standing(library, &images).await?;
        for image in images {
            let is_gone = standing.get(&image).is_none_or(|standing| {
                standing.removed && standing.updated_at < learned_from - CLOCK_SKEW_MAX
            });
            if is_gone {
                found.add_image(library, &image);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Upload};
    use crate::clock::Clock;
    use crate::generation::samples;
    use crate::names::{ImageId, RelativePath};

    #[tokio::test]
    async fn images_of_the_index_are_looked_for_in_the_catalogue() {
        let folder = tempfile::tempdir().unwrap();
        samples::published(folder.path(), &[1]);
        let read = read_files(folder.path().to_owned(), GenerationNumber(1));
        let Files::Sound { index, learned_from } = read else { panic!("it is sound") };
        let images = samples::ids(index.len());

        let clock = Clock::held_at(learned_from - SignedDuration::from_hours(1));
        let url = crate::catalog::tests::database(folder.path()).await;
        let catalog = Catalog::open(&url, clock.clone()).await.unwrap();
        let main = LibraryId::main();
        catalog.ensure_library(&main, folder.path()).await.unwrap();
        let data = folder.path().to_owned();
        let deps =
            DriftDeps { catalog: catalog.clone(), queues: Vec::new(), data, clock: clock.clone() };
        let unknown = async || unknown_images(&deps, &main, &index, learned_from).await.unwrap();
        assert_eq!(unknown().await.count, index.len() as u64, "nobody has recorded them");

        let upload = |image: &ImageId| Upload {
            image: image.clone(),
            path: RelativePath::new(image.as_str()).unwrap(),
            bytes: None,
            content_hash: None,
            stamp: None,
            source: "story".to_owned(),
        };
        let uploads: Vec<Upload> = images.iter().map(upload).collect();
        catalog.record_uploads(&main, &uploads).await.unwrap();
        assert_eq!(unknown().await.count, 0);
        catalog.remove_image(&main, &images[0]).await.unwrap();
        clock.advance(SignedDuration::from_hours(2));
        catalog.remove_image(&main, &images[1]).await.unwrap();
        let found = unknown().await;
        assert_eq!((found.count, found.examples), (1, vec![format!("main/{}", images[0])]));
    }

    #[test]
    fn a_generation_that_lacks_a_file_or_a_part_of_one_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::published(folder.path(), &[1]);
        let broken = |number| match read_files(folder.path().to_owned(), number) {
            Files::Broken(why) => Some(why),
            Files::Sound { .. } => None,
        };
        assert_eq!(broken(GenerationNumber(1)), None);
        assert!(broken(GenerationNumber(2)).is_some());
        let index = store.folder(GenerationNumber(1)).join(files::INDEX);
        let bytes = std::fs::read(&index).unwrap();
        std::fs::write(&index, &bytes[..bytes.len() - 1]).unwrap();
        assert!(broken(GenerationNumber(1)).unwrap().contains(files::INDEX));
    }
}
