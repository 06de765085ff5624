//! The photos of a library that are to be done again, one after the other by id.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::catalog::{Catalog, CatalogError, WaitingImage};
use crate::names::{ImageId, LibraryId};
use crate::reprocess::{Due, Rules, due};

/// Photos read at once.
const PAGE: u64 = 500;

/// Reads the library page by page; each photo comes once, as it is when its page is read.
pub(super) struct DueStream<'a> {
    catalog: &'a Catalog,
    library: &'a LibraryId,
    since: Option<Timestamp>,
    rules: Rules,
    after: Option<ImageId>,
    ready: VecDeque<(WaitingImage, Due)>,
    ended: bool,
}

impl<'a> DueStream<'a> {
    pub fn new(
        catalog: &'a Catalog,
        library: &'a LibraryId,
        since: Option<Timestamp>,
        rules: Rules,
    ) -> Self {
        let (after, ready) = (None, VecDeque::new());
        Self { catalog, library, since, rules, after, ready, ended: false }
    }

    /// The next one; none at the end.
    ///
    /// # Errors
    /// A catalogue that is away.
    pub async fn next(&mut self) -> Result<Option<(WaitingImage, Due)>, CatalogError> {
        while self.ready.is_empty() && !self.ended {
            let after = self.after.as_ref();
            let page = self.catalog.done_page(self.library, self.since, after, PAGE).await?;
            match page.last() {
                Some(last) => self.after = Some(last.image.image.clone()),
                None => self.ended = true,
            }
            for photo in page {
                if let Some(due) = due(&photo, &self.rules) {
                    self.ready.push_back((photo.image, due));
                }
            }
        }
        Ok(self.ready.pop_front())
    }
}
