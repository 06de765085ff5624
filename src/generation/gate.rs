//! Whether what was learned may become current.
//!
//! A training can end well and still be a step back: of a snapshot that lost half of the photos, or
//! of a model that nobody uses. Search and enrichment would get worse for everybody at once, so such
//! a generation is held back until a person says otherwise.

use std::collections::BTreeMap;

use crate::names::SpaceId;

/// What must not shrink, by its name in a manifest's counts, and as a person calls it.
const ESSENTIAL: [(&str, &str); 6] = [
    ("vectors", "photos that search finds"),
    ("tags", "tags"),
    ("category_patterns", "categories with something typical"),
    ("description_patterns", "terms with something that goes with them"),
    ("words", "words with synonyms or related ones"),
    ("clusters", "groups of faces"),
];
/// Of less than this, chance alone takes a large share.
const COUNT_MIN: u64 = 20;
/// The share of its own vectors that an index must find. Exact search finds all; a graph that finds
/// fewer has parts that no way leads to.
const SELF_RETRIEVAL_MIN: f64 = 0.99;

/// What a generation is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate<'a> {
    /// The embedding space of its index.
    pub space: &'a SpaceId,
    /// As its manifest has them.
    pub counts: &'a BTreeMap<String, u64>,
    /// As its manifest has them.
    pub quality: &'a BTreeMap<String, f64>,
}

/// What it is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar<'a> {
    /// The space of the models in use: vectors of another one cannot be searched.
    pub space: &'a SpaceId,
    /// The counts of the generation that is current; none where there is none or it is unreadable.
    pub current: Option<&'a BTreeMap<String, u64>>,
    /// Analyzed photos that the library has now: what went with photos that were removed may go.
    pub images: u64,
    /// The share by which something essential may shrink, 0 to 1.
    pub shrink_max: f64,
}

/// What speaks against publishing, each as a person reads it; empty where nothing does.
pub fn objections(candidate: &Candidate<'_>, bar: &Bar<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if candidate.space != bar.space {
        found.push(format!(
            "it was learned in embedding space {}, the models in use work in {}",
            candidate.space, bar.space
        ));
    }
    let finds_itself = candidate.quality.get("self_retrieval").copied().unwrap_or(0.0);
    if finds_itself < SELF_RETRIEVAL_MIN {
        found.push(format!(
            "its index finds {:.1} % of its own vectors, needed are {:.0} %",
            finds_itself * 100.0,
            SELF_RETRIEVAL_MIN * 100.0
        ));
    }
    let Some(current) = bar.current else { return found };
    let count = |counts: &BTreeMap<String, u64>, name: &str| counts.get(name).copied();
    let images_then = count(current, "images").unwrap_or(0).max(1);
    let still_there = (bar.images as f64 / images_then as f64).min(1.0);
    for (name, what) in ESSENTIAL {
        let before = count(current, name).unwrap_or(0);
        let after = count(candidate.counts, name).unwrap_or(0);
        let least = before as f64 * still_there * (1.0 - bar.shrink_max);
        if before >= COUNT_MIN && (after as f64) < least {
            found.push(format!("{after} {what} in place of {before}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(images: u64, words: u64, clusters: u64) -> BTreeMap<String, u64> {
        [("images", images), ("vectors", images), ("words", words), ("clusters", clusters)]
            .map(|(name, count)| (name.to_owned(), count))
            .into()
    }

    fn spaces() -> (SpaceId, SpaceId) {
        (SpaceId::new("00112233aabbccdd").unwrap(), SpaceId::new("ffffffffffffffff").unwrap())
    }

    /// Of a candidate with `counts` in a library of `images` whose current one is 1000, 200, 30.
    fn judged(after: &BTreeMap<String, u64>, images: u64) -> Vec<String> {
        let (space, _) = spaces();
        let before = counts(1000, 200, 30);
        let quality = [("self_retrieval".to_owned(), 1.0)].into();
        let candidate = Candidate { space: &space, counts: after, quality: &quality };
        objections(
            &candidate,
            &Bar { space: &space, current: Some(&before), images, shrink_max: 0.5 },
        )
    }

    #[test]
    fn what_shrinks_by_more_than_the_share_is_named() {
        let none: [&str; 0] = [];
        assert_eq!(judged(&counts(1000, 200, 30), 1000), none);
        assert_eq!(judged(&counts(500, 100, 15), 1000), none, "just the share");
        assert_eq!(
            judged(&counts(499, 99, 14), 1000),
            [
                "499 photos that search finds in place of 1000",
                "99 words with synonyms or related ones in place of 200",
                "14 groups of faces in place of 30"
            ]
        );
        assert_eq!(judged(&counts(2000, 0, 30), 2000).len(), 1);
    }

    #[test]
    fn what_went_with_removed_photos_is_not_missed() {
        let none: [&str; 0] = [];
        assert_eq!(judged(&counts(100, 20, 3), 100), none);
        assert_eq!(judged(&counts(100, 9, 3), 100).len(), 1);
        // A snapshot of a few of them, asked for by hand: the others are still there.
        assert_eq!(judged(&counts(100, 200, 30), 1000).len(), 1);
    }

    #[test]
    fn little_shrinks_by_chance() {
        let (space, _) = spaces();
        let (before, after) = (counts(19, 19, 0), counts(1, 0, 0));
        let quality = [("self_retrieval".to_owned(), 1.0)].into();
        let candidate = Candidate { space: &space, counts: &after, quality: &quality };
        let bar = Bar { space: &space, current: Some(&before), images: 19, shrink_max: 0.0 };
        assert_eq!(objections(&candidate, &bar), Vec::<String>::new());
    }

    #[test]
    fn another_space_and_a_blind_index_are_refused_even_at_first() {
        let (space, other) = spaces();
        let after = counts(10, 0, 0);
        let quality = [("self_retrieval".to_owned(), 0.98)].into();
        let candidate = Candidate { space: &other, counts: &after, quality: &quality };
        let bar = Bar { space: &space, current: None, images: 10, shrink_max: 0.5 };
        assert_eq!(
            objections(&candidate, &bar),
            [
                "it was learned in embedding space ffffffffffffffff, the models in use work in \
                 00112233aabbccdd",
                "its index finds 98.0 % of its own vectors, needed are 99 %"
            ]
        );
        let unknown = Candidate { quality: &BTreeMap::new(), space: &space, ..candidate };
        assert_eq!(objections(&unknown, &bar).len(), 1, "a figure that is missing is no proof");
    }
}
