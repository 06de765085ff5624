//! Which words belong together and which stand for each other: two lists, never mixed.
//!
//! Related: they come together (beach, sand). Synonyms replace each other and hardly ever meet
//! (saree, sari); `synonyms` finds those.

use std::collections::BTreeMap;

use super::corpus::{Corpus, TermId, sorted_once};
use super::error::LearnError;
use super::together::{Together, link};
use super::{Tick, synonyms};
use crate::generation::{Neighbour, WordEntry, Words};

/// The most frequent terms only, in a large library.
const TERMS_MAX: usize = 20_000;
const RELATED_MAX: usize = 8;

/// Learns both lists for every frequent word and tag.
pub(super) fn learn(
    corpus: &Corpus,
    vectors: &[f32],
    dim: usize,
    tick: &mut Tick<'_>,
) -> Result<Words, LearnError> {
    let vocabulary = Vocabulary::new(corpus);
    let together = vocabulary.count_together(corpus, tick)?;
    let met: BTreeMap<TermId, Vec<(TermId, u64)>> = together.by_first().into_iter().collect();
    let candidates = synonyms::candidates(corpus, &vocabulary, &together, &met);
    tick(0.8)?;
    let looks = synonyms::Looks::of(corpus, &vocabulary, &candidates, vectors, dim);
    let mut words = Words { images: corpus.totals.images, words: BTreeMap::new() };
    for (term, count) in &vocabulary.counts {
        let met = met.get(term).map_or(&[][..], Vec::as_slice);
        let alike = candidates.get(term).map_or(&[][..], Vec::as_slice);
        let entry = WordEntry {
            count: *count,
            synonyms: synonyms::chosen(corpus, *term, alike, &looks),
            related: related_to(corpus, &vocabulary, *term, met),
        };
        if !entry.synonyms.is_empty() || !entry.related.is_empty() {
            words.words.insert(corpus.terms[*term as usize].text.clone(), entry);
        }
    }
    Ok(words)
}

/// The frequent terms with their numbers of images, as a word or as a tag.
pub(super) struct Vocabulary {
    pub counts: BTreeMap<TermId, u64>,
}

impl Vocabulary {
    fn new(corpus: &Corpus) -> Self {
        let mut counts: BTreeMap<TermId, u64> = BTreeMap::new();
        for image in corpus.images() {
            for term in said_of(corpus, image) {
                *counts.entry(term).or_default() += u64::from(corpus.weight(image));
            }
        }
        let support = corpus.support_min();
        let mut frequent: Vec<(TermId, u64)> =
            counts.into_iter().filter(|(_, count)| *count >= support).collect();
        frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        frequent.truncate(TERMS_MAX);
        Self { counts: frequent.into_iter().collect() }
    }

    /// The frequent words and tags of an image, each once, ascending.
    pub fn of(&self, corpus: &Corpus, image: usize) -> Vec<TermId> {
        let mut terms = said_of(corpus, image);
        terms.retain(|term| self.counts.contains_key(term));
        terms
    }

    /// Counts every pair, both ways.
    fn count_together(&self, corpus: &Corpus, tick: &mut Tick<'_>) -> Result<Together, LearnError> {
        let mut together = Together::default();
        let all = corpus.images().len().max(1) as f32;
        for image in corpus.images() {
            let terms = self.of(corpus, image);
            for first in &terms {
                for second in terms.iter().filter(|second| *second != first) {
                    together.count(*first, *second, corpus.weight(image));
                }
            }
            if image % 256 == 0 {
                tick(0.7 * image as f32 / all)?;
            }
        }
        Ok(together)
    }
}

/// Words and tags of an image, each once, ascending.
fn said_of(corpus: &Corpus, image: usize) -> Vec<TermId> {
    let mut terms = corpus.distinct_words(image);
    terms.extend(corpus.tags(image));
    sorted_once(terms)
}

fn related_to(
    corpus: &Corpus,
    vocabulary: &Vocabulary,
    term: TermId,
    met: &[(TermId, u64)],
) -> Vec<Neighbour> {
    let (images, support) = (corpus.totals.weight, corpus.support_min());
    let count = vocabulary.counts[&term];
    let mut found = Vec::new();
    for (other, both) in met {
        let link = link(*both, count, vocabulary.counts[other], images, support);
        if let Some(link) = link.filter(|_| !share_a_word(corpus, term, *other)) {
            // Normalised pointwise mutual information: 0 for chance, 1 for never apart.
            let both_share = link.count as f64 / images as f64;
            let weight = if both_share < 1.0 { link.lift.ln() / -both_share.ln() } else { 1.0 };
            found.push(neighbour(corpus, *other, weight));
        }
    }
    strongest(found, RELATED_MAX)
}

/// "red dress" and "dress": neither a synonym nor news.
pub(super) fn share_a_word(corpus: &Corpus, first: TermId, second: TermId) -> bool {
    let (first, second) = (&corpus.terms[first as usize].text, &corpus.terms[second as usize].text);
    first.split(' ').any(|word| second.split(' ').any(|other| word == other))
}

pub(super) fn neighbour(corpus: &Corpus, term: TermId, weight: f64) -> Neighbour {
    let weight = (weight.clamp(0.0, 1.0) * 1e4).round() / 1e4;
    Neighbour { word: corpus.terms[term as usize].shown.clone(), weight: weight as f32 }
}

pub(super) fn strongest(mut found: Vec<Neighbour>, most: usize) -> Vec<Neighbour> {
    found.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.word.cmp(&b.word)));
    found.truncate(most);
    found
}
