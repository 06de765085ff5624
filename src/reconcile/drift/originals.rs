//! The catalogue compared with the originals. A watched folder is its watcher's business, which tells
//! a photo that moved or lies on a drive that is away from one that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Bounds, Cursor, DriftDeps, Found, PAGE};
use crate::catalog::Library;
use crate::fate::Fate;
use crate::jobs::JobError;
use crate::names::{ImageId, LibraryId, RelativePath};
use crate::originals;

/// Missing originals that are remembered; further ones are not counted.
const MISSING_MAX: usize = 10_000;

/// A walk over all originals, and those that it missed.
#[derive(Debug, Default)]
pub(super) struct Originals {
    cursor: Cursor,
    /// They are looked for again in every round, so that one that is back is noticed at once.
    missing: BTreeSet<(LibraryId, ImageId)>,
}

impl Originals {
    /// All that are known to be missing, after a look at the next part.
    pub async fn look(
        &mut self,
        deps: &DriftDeps,
        libraries: &[Library],
        bounds: &Bounds,
    ) -> Result<Found, JobError> {
        let mut pace = bounds.pace(bounds.originals);
        let from_the_beginning = self.cursor.is_at_the_beginning();
        let (rest, mut after) = self.cursor.rest(libraries);
        let mut is_over = false;
        'libraries: for library in rest.iter().filter(|library| !library.watched) {
            loop {
                if pace.is_over() {
                    is_over = true;
                    break 'libraries;
                }
                let page = deps.catalog.paths_page(&library.id, after.as_ref(), PAGE).await?;
                let Some((last, _)) = page.last().cloned() else { break };
                pace.took(page.len());
                match gone_of(&library.root, page).await? {
                    Some(gone) => {
                        let room = MISSING_MAX.saturating_sub(self.missing.len());
                        let gone = gone.into_iter().take(room);
                        self.missing.extend(gone.map(|image| (library.id.clone(), image)));
                    }
                    // The folder is away: that says nothing of its photos.
                    None => break,
                }
                self.cursor.set(&library.id, &last);
                after = Some(last);
            }
            after = None;
        }
        if !is_over {
            self.cursor = Cursor::default();
        }
        self.look_again(deps, libraries).await?;
        let mut found = Found { whole: from_the_beginning && !is_over, ..Found::default() };
        for (library, image) in &self.missing {
            found.add_image(library, image);
        }
        Ok(found)
    }

    /// Forgets those that are back, and those that nobody misses any more: removed, or elsewhere.
    async fn look_again(
        &mut self,
        deps: &DriftDeps,
        libraries: &[Library],
    ) -> Result<(), JobError> {
        let mut by_library: BTreeMap<LibraryId, Vec<ImageId>> = BTreeMap::new();
        for (library, image) in &self.missing {
            by_library.entry(library.clone()).or_default().push(image.clone());
        }
        for (id, images) in by_library {
            let library = libraries.iter().find(|library| library.id == id && !library.watched);
            let gone: Option<Vec<ImageId>> = match library {
                Some(library) => {
                    let paths = deps.catalog.paths_of(&id, &images).await?;
                    gone_of(&library.root, paths).await?
                }
                None => Some(Vec::new()),
            };
            // Of a folder that is away, what was known stays known.
            if let Some(gone) = gone {
                self.missing.retain(|(library, _)| *library != id);
                self.missing.extend(gone.into_iter().map(|image| (id.clone(), image)));
            }
        }
        Ok(())
    }
}

/// Those of `page` whose original is not there; none where their folder is away.
async fn gone_of(
    root: &Path,
    page: Vec<(ImageId, RelativePath)>,
) -> Result<Option<Vec<ImageId>>, JobError> {
    let root = root.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let mut gone = Vec::new();
        for (image, path) in page {
            match originals::exists(&root, &path) {
                Ok(true) => {}
                Ok(false) => gone.push(image),
                Err(_) => return None,
            }
        }
        Some(gone)
    });
    looked.await.map_err(|panic| JobError::new(Fate::Transient, panic.to_string()))
}
