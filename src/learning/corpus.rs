//! A snapshot as numbers: every word, tag and category once, every image a short list of them.
//!
//! Read once, streamed; what stays in memory is a few dozen 32-bit numbers for each image. All
//! orders follow the snapshot's, so that the same snapshot gives the same numbers.

use std::collections::{BTreeMap, HashMap};

use super::Tick;
use super::error::LearnError;
use crate::enrich::own_words;
use crate::generation::{MemberFace, language};
use crate::names::ImageId;
use crate::snapshot::{Snapshot, SnapshotImage};

/// A term's number.
pub(super) type TermId = u32;

/// Where a stop word or a mark parted two words.
pub(super) const BREAK: TermId = TermId::MAX;

/// How many images one counts for that the owner has corrected. The models are wrong about a part of
/// their words and the owner is not, so the owner's count more; and no more than this, so that one
/// corrected image alone never has the support of three that anything is learned from, and two have.
pub(super) const CORRECTED_WEIGHT: u32 = 2;

/// A word, tag or category in its reduced form. Counts of images are weighted, see
/// [`CORRECTED_WEIGHT`].
#[derive(Debug)]
pub(super) struct Term {
    /// Reduced.
    pub text: String,
    /// As the first tag or category of this form was written, else the reduced form.
    pub shown: String,
    /// Images with it in a description.
    pub in_words: u32,
    /// Images with it as a tag.
    pub in_tags: u32,
    /// Images with it as a category.
    pub in_categories: u32,
    /// The same, each image once: what people read.
    pub category_images: u32,
}

/// What was counted over all images.
#[derive(Debug, Default, Clone)]
pub(super) struct Totals {
    pub images: u64,
    /// Images, a corrected one counted for more: what counts of images are a share of.
    pub weight: u64,
    pub with_description: u64,
    pub with_detailed_description: u64,
    pub with_faces: u64,
    pub corrected: u64,
    pub tags: u64,
}

/// All images of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    pub terms: Vec<Term>,
    pub totals: Totals,
    pub faces: Vec<MemberFace>,
    numbers: HashMap<String, TermId>,
    /// Words, then tags, then categories of each image, one image after the other.
    items: Vec<TermId>,
    images: Vec<Entry>,
}

/// Where the lists of an image end in `Corpus::items`, and its name if it has a vector.
#[derive(Debug)]
struct Entry {
    words: usize,
    tags: usize,
    categories: usize,
    vector_of: Option<ImageId>,
    weight: u32,
}

/// Reads the snapshot.
pub(super) fn gather(snapshot: &Snapshot, tick: &mut Tick<'_>) -> Result<Corpus, LearnError> {
    let mut corpus = Corpus::default();
    let expected = snapshot.manifest().images.max(1) as f32;
    for (number, image) in snapshot.images()?.enumerate() {
        corpus.add(image?);
        if number % 256 == 0 {
            tick(number as f32 / expected)?;
        }
    }
    Ok(corpus)
}

impl Corpus {
    /// How many images there are, as an index range.
    pub fn images(&self) -> std::ops::Range<usize> {
        0..self.images.len()
    }

    /// The words of an image in their order, with [`BREAK`]s.
    pub fn words(&self, image: usize) -> &[TermId] {
        let start = if image == 0 { 0 } else { self.images[image - 1].categories };
        &self.items[start..self.images[image].words]
    }

    /// The tags of an image, each once, ascending.
    pub fn tags(&self, image: usize) -> &[TermId] {
        &self.items[self.images[image].words..self.images[image].tags]
    }

    /// The categories of an image, each once, ascending.
    pub fn categories(&self, image: usize) -> &[TermId] {
        &self.items[self.images[image].tags..self.images[image].categories]
    }

    /// The words of an image, each once, ascending.
    pub fn distinct_words(&self, image: usize) -> Vec<TermId> {
        sorted_once(self.words(image).iter().copied().filter(|word| *word != BREAK).collect())
    }

    /// How many images it counts for.
    pub fn weight(&self, image: usize) -> u32 {
        self.images[image].weight
    }

    /// Whether an image has a vector; the n-th that has one has row n.
    pub fn has_vector(&self, image: usize) -> bool {
        self.images[image].vector_of.is_some()
    }

    /// The ids of the images with a vector, in the order of the rows.
    pub fn vector_ids(&self) -> Vec<ImageId> {
        self.images.iter().filter_map(|entry| entry.vector_of.clone()).collect()
    }

    /// The number of the term with this reduced form.
    pub fn number_of(&self, text: &str) -> Option<TermId> {
        self.numbers.get(text).copied()
    }

    /// The fewest images that anything is learned from: three, and more in a large library, where
    /// three of something are an accident.
    pub fn support_min(&self) -> u64 {
        (self.totals.images / 1000).max(3)
    }

    /// Categories and their numbers of images, the most frequent first.
    pub fn category_counts(&self) -> Vec<(&str, u64)> {
        let used = self.terms.iter().filter(|term| term.in_categories > 0);
        let mut counts: Vec<(&str, u64)> =
            used.map(|term| (term.shown.as_str(), u64::from(term.category_images))).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        counts
    }

    fn add(&mut self, image: SnapshotImage) {
        let texts = [&image.description, &image.detailed_description];
        for text in texts.into_iter().flatten() {
            for word in language::content_words(own_words(text)) {
                let number = word.map_or(BREAK, |word| self.number(&word, None));
                self.items.push(number);
            }
            self.items.push(BREAK);
        }
        let words = self.items.len();
        let tag_names: Vec<&str> = image.tags.iter().map(|tag| tag.name.as_str()).collect();
        let tags = self.add_names(&tag_names);
        let category_names: Vec<&str> = image.categories.iter().map(String::as_str).collect();
        let categories = self.add_names(&category_names);
        let vector_of = image.vector.map(|_| image.image.clone());
        let weight = if image.corrected { CORRECTED_WEIGHT } else { 1 };
        self.images.push(Entry { words, tags, categories, vector_of, weight });

        let newest = self.images.len() - 1;
        for word in self.distinct_words(newest) {
            self.terms[word as usize].in_words += weight;
        }
        for position in words..tags {
            self.terms[self.items[position] as usize].in_tags += weight;
        }
        for position in tags..categories {
            let term = &mut self.terms[self.items[position] as usize];
            term.in_categories += weight;
            term.category_images += 1;
        }
        let totals = &mut self.totals;
        totals.images += 1;
        totals.weight += u64::from(weight);
        totals.with_description += u64::from(image.description.is_some());
        totals.with_detailed_description += u64::from(image.detailed_description.is_some());
        totals.with_faces += u64::from(image.face_count > 0);
        totals.corrected += u64::from(image.corrected);
        totals.tags += image.tags.len() as u64;
        let owner = image.image;
        let faces = image.faces.iter();
        self.faces.extend(faces.map(|face| MemberFace { image: owner.clone(), face: face.face }));
    }

    /// Appends tags or categories, each once; answers where they end.
    fn add_names(&mut self, names: &[&str]) -> usize {
        let mut numbers = Vec::new();
        for name in names {
            let text = language::term(name);
            // A tag such as "there" or "2" says nothing, whoever made it.
            if !text.is_empty() && !language::is_stop_word(&text) {
                numbers.push(self.number(&text, Some(name.trim())));
            }
        }
        self.items.extend(sorted_once(numbers));
        self.items.len()
    }

    /// The number of a term, a new one if need be. A name that people wrote is shown rather than
    /// its reduced form.
    fn number(&mut self, text: &str, written: Option<&str>) -> TermId {
        if let Some(number) = self.numbers.get(text) {
            let term = &mut self.terms[*number as usize];
            let first_written = term.in_tags == 0 && term.in_categories == 0;
            if let Some(written) = written.filter(|_| first_written) {
                written.clone_into(&mut term.shown);
            }
            return *number;
        }
        let number = self.terms.len() as TermId;
        let shown = written.unwrap_or(text).to_owned();
        let text = text.to_owned();
        self.numbers.insert(text.clone(), number);
        self.terms.push(Term {
            text,
            shown,
            in_words: 0,
            in_tags: 0,
            in_categories: 0,
            category_images: 0,
        });
        number
    }

    /// Pairs of words that follow each other in at least `support` images: the pair -> its text
    /// and its number of images.
    pub fn phrases(&self, support: u64) -> BTreeMap<(TermId, TermId), (String, u64)> {
        let frequent = |word: TermId| {
            word != BREAK && u64::from(self.terms[word as usize].in_words) >= support
        };
        let mut counts: HashMap<(TermId, TermId), u64> = HashMap::new();
        for image in self.images() {
            // A pair can only be frequent if both of its words are.
            for pair in self.pairs_in(image) {
                if frequent(pair.0) && frequent(pair.1) {
                    *counts.entry(pair).or_default() += u64::from(self.weight(image));
                }
            }
        }
        let text = |id: TermId| self.terms[id as usize].text.as_str();
        let frequent_pairs = counts.into_iter().filter(|(_, count)| *count >= support);
        frequent_pairs
            .map(|(pair, count)| (pair, (format!("{} {}", text(pair.0), text(pair.1)), count)))
            .collect()
    }

    /// Words of an image that follow each other, each pair once, ascending.
    pub fn pairs_in(&self, image: usize) -> Vec<(TermId, TermId)> {
        let pairs = self.words(image).windows(2).map(|pair| (pair[0], pair[1]));
        let mut pairs: Vec<_> =
            pairs.filter(|(first, second)| *first != BREAK && *second != BREAK).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

pub(super) fn sorted_once(mut numbers: Vec<TermId>) -> Vec<TermId> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::samples;

    #[test]
    fn an_image_becomes_words_tags_and_categories() {
        let library = tempfile::tempdir().unwrap();
        let mut rows = vec![samples::tagged(
            "a",
            "A red dress, and red shoes, commonly associated with junk",
            &["Sports Car", "there", "dress"],
            &["People"],
        )];
        rows[0].0.detailed_description = Some("dresses".into());
        let snapshot = samples::written(library.path(), 1, rows);
        let corpus = gather(&snapshot, &mut |_| Ok(())).unwrap();
        let text = |id: &TermId| {
            if *id == BREAK { "|" } else { &corpus.terms[*id as usize].text }
        };
        let words: Vec<&str> = corpus.words(0).iter().map(text).collect();
        assert_eq!(words, ["red", "dress", "|", "red", "shoe", "|", "dress", "|"]);
        let tags: Vec<&str> = corpus.tags(0).iter().map(text).collect();
        assert_eq!(tags, ["dress", "sport car"]);
        let car = corpus.number_of("sport car").unwrap();
        assert_eq!(corpus.terms[car as usize].shown, "Sports Car");
        assert_eq!(corpus.category_counts(), [("People", 1)]);
        let dress = &corpus.terms[corpus.number_of("dress").unwrap() as usize];
        assert_eq!((dress.in_words, dress.in_tags), (1, 1));
        assert_eq!(corpus.pairs_in(0).len(), 2);
        assert_eq!(corpus.phrases(1).len(), 2);
    }
}
