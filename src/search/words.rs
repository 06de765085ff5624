//! Search by words alone, for a query of which the encoder knows no word: a name that the owner
//! wrote, a word that the pack never learned.
//!
//! Every text of the library is read, page by page, which is why the encoder is asked first.

use super::rank::{self, Asked};
use crate::catalog::{Catalog, CatalogError};
use crate::names::{ImageId, LibraryId};

/// Texts read at once.
const PAGE: u64 = 500;
/// Most texts read for one query, in the order of their ids.
const TEXTS_MAX: usize = 200_000;

/// The images whose texts say most of what is asked, at most `wanted`, best first.
///
/// # Errors
/// A catalogue that does not answer.
pub(super) async fn said(
    catalog: &Catalog,
    library: &LibraryId,
    asked: &Asked,
    wanted: usize,
) -> Result<Vec<ImageId>, CatalogError> {
    let mut best = Best { room: wanted, found: Vec::new() };
    let mut after: Option<ImageId> = None;
    let mut read = 0;
    while read < TEXTS_MAX {
        let page = catalog.words_page(library, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(best.into_images()) };
        after = Some(last.image.clone());
        read += page.len();
        for text in page {
            let text = rank::corrected(text);
            if let Some(share) = asked.is_said_by(&text) {
                best.offer(share, text.image);
            }
        }
    }
    tracing::warn!(%library, texts = TEXTS_MAX, "a search by words alone read no further");
    Ok(best.into_images())
}

/// Keeps the best of what it is offered.
struct Best {
    room: usize,
    found: Vec<(f32, ImageId)>,
}

impl Best {
    fn offer(&mut self, share: f32, image: ImageId) {
        self.found.push((share, image));
        if self.found.len() > self.room * 2 {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        self.found.truncate(self.room);
    }

    fn into_images(mut self) -> Vec<ImageId> {
        self.sort();
        self.found.into_iter().map(|(_, image)| image).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_whenever_they_come() {
        let mut best = Best { room: 3, found: Vec::new() };
        for number in 0..100 {
            let share = if number == 7 || number == 93 { 1.0 } else { 0.5 };
            best.offer(share, ImageId::new(format!("{number:03}")).unwrap());
            assert!(best.found.len() <= 6);
        }
        let kept: Vec<String> = best.into_images().iter().map(ToString::to_string).collect();
        assert_eq!(kept, ["007", "093", "000"]);
    }
}
