//! What goes with the words of a description: term -> tags and categories, and what it excludes.
//!
//! Only tags and categories are ever suggested: words of captions make poor tags. Terms that are
//! both frequent and yet hardly ever meet (day and night) are noted as such, so that one is never
//! suggested to a photo that has the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Tick;
use super::corpus::{Corpus, TermId, sorted_once};
use super::error::LearnError;
use super::together::{Together, link};
use crate::generation::{Association, DescriptionPattern, DescriptionPatterns, TermKind};

/// A term lists at most this many things that go with it.
const LISTED_MAX: usize = 12;
/// Two terms exclude each other if they meet in less than this share of the images that chance
/// would give, and chance would give at least `EXPECTED_MIN`.
const EXCLUDED_SHARE_MAX: f64 = 0.1;
const EXPECTED_MIN: f64 = 5.0;
const EXCLUDED_MAX: usize = 40;

/// Learns what goes with every frequent word, pair of words, tag and category.
pub(super) fn learn(
    corpus: &Corpus,
    tick: &mut Tick<'_>,
) -> Result<DescriptionPatterns, LearnError> {
    let support = corpus.support_min();
    let keys = Keys::new(corpus, support);
    let suggestable = Suggestable::new(corpus, support);
    let mut together = Together::default();
    let mut counts = vec![0_u64; keys.texts.len()];
    let all = corpus.images().len().max(1) as f32;
    for image in corpus.images() {
        let (targets, weight) = (suggestable.of(corpus, image), corpus.weight(image));
        for key in keys.of(corpus, image) {
            counts[key as usize] += u64::from(weight);
            for target in &targets {
                together.count(key, *target, weight);
            }
        }
        if image % 1024 == 0 {
            tick(image as f32 / all)?;
        }
    }
    let mut met: BTreeMap<TermId, Vec<(TermId, u64)>> = together.by_first().into_iter().collect();
    let mut patterns = DescriptionPatterns::new();
    for (key, text) in (0..).zip(&keys.texts) {
        let count = counts[key as usize];
        if count < support {
            continue;
        }
        let met = met.remove(&key).unwrap_or_default();
        let own = corpus.number_of(text);
        let pattern = DescriptionPattern {
            count,
            associated: associated(corpus, &suggestable, text, count, &met),
            rarely_with: excluded(corpus, &suggestable, own, count, &met),
        };
        if !pattern.associated.is_empty() || !pattern.rarely_with.is_empty() {
            patterns.insert(text.clone(), pattern);
        }
    }
    Ok(patterns)
}

fn associated(
    corpus: &Corpus,
    suggestable: &Suggestable,
    key: &str,
    count: u64,
    met: &[(TermId, u64)],
) -> Vec<Association> {
    let key_words: BTreeSet<&str> = key.split(' ').collect();
    let mut found = Vec::new();
    for (number, both) in met {
        let term = &corpus.terms[*number as usize];
        // "red dress" says nothing new about "dress".
        let overlaps = term.text.split(' ').any(|word| key_words.contains(word));
        let everywhere = suggestable.counts[number];
        let support = corpus.support_min();
        let link = link(*both, count, everywhere, corpus.totals.weight, support);
        if let Some(link) = link.filter(|_| !overlaps) {
            let association = Association {
                term: term.shown.clone(),
                kind: if term.in_tags > 0 { TermKind::Tag } else { TermKind::Category },
                count: link.count,
                confidence: rounded(link.confidence),
                lift: rounded(link.lift),
            };
            found.push((link.strength, association));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.term.cmp(&b.1.term)));
    found.into_iter().take(LISTED_MAX).map(|(_, association)| association).collect()
}

/// Frequent tags and categories that images with this term lack, the most surprising first.
fn excluded(
    corpus: &Corpus,
    suggestable: &Suggestable,
    own: Option<TermId>,
    count: u64,
    met: &[(TermId, u64)],
) -> Vec<String> {
    let met: HashMap<TermId, u64> = met.iter().copied().collect();
    let mut found = Vec::new();
    for (number, everywhere) in suggestable.counts.iter().filter(|(n, _)| Some(**n) != own) {
        let expected = count as f64 * *everywhere as f64 / corpus.totals.weight as f64;
        let both = met.get(number).copied().unwrap_or(0) as f64;
        if expected >= EXPECTED_MIN && both <= expected * EXCLUDED_SHARE_MAX {
            found.push((expected - both, &corpus.terms[*number as usize].shown));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    found.into_iter().take(EXCLUDED_MAX).map(|(_, name)| name.clone()).collect()
}

/// Four digits are enough for people and keep the file small.
fn rounded(value: f64) -> f32 {
    ((value * 1e4).round() / 1e4) as f32
}

/// What may speak for something: frequent words, pairs of words, tags and categories. A word and a
/// tag of the same form are one key.
struct Keys {
    texts: Vec<String>,
    of_terms: HashMap<TermId, TermId>,
    of_pairs: HashMap<(TermId, TermId), TermId>,
}

impl Keys {
    fn new(corpus: &Corpus, support: u64) -> Self {
        let mut keys =
            Self { texts: Vec::new(), of_terms: HashMap::new(), of_pairs: HashMap::new() };
        for (number, term) in (0..).zip(&corpus.terms) {
            let uses = [term.in_words, term.in_tags, term.in_categories];
            if uses.iter().map(|uses| u64::from(*uses)).sum::<u64>() >= support {
                keys.of_terms.insert(number, keys.texts.len() as TermId);
                keys.texts.push(term.text.clone());
            }
        }
        for (pair, (text, _)) in corpus.phrases(support) {
            let same_text = corpus.number_of(&text).and_then(|term| keys.of_terms.get(&term));
            let key = same_text.copied().unwrap_or_else(|| {
                keys.texts.push(text);
                keys.texts.len() as TermId - 1
            });
            keys.of_pairs.insert(pair, key);
        }
        keys
    }

    fn of(&self, corpus: &Corpus, image: usize) -> Vec<TermId> {
        let words = corpus.distinct_words(image);
        let named = corpus.tags(image).iter().chain(corpus.categories(image));
        let terms = words.iter().chain(named).filter_map(|term| self.of_terms.get(term));
        let pairs = corpus.pairs_in(image);
        let pairs = pairs.iter().filter_map(|pair| self.of_pairs.get(pair));
        sorted_once(terms.chain(pairs).copied().collect())
    }
}

/// What may be suggested: frequent tags and categories, with their numbers of images.
struct Suggestable {
    counts: BTreeMap<TermId, u64>,
}

impl Suggestable {
    fn new(corpus: &Corpus, support: u64) -> Self {
        let mut counts = BTreeMap::new();
        for image in corpus.images() {
            for term in Self::named(corpus, image) {
                *counts.entry(term).or_default() += u64::from(corpus.weight(image));
            }
        }
        counts.retain(|_, count| *count >= support);
        Self { counts }
    }

    fn of(&self, corpus: &Corpus, image: usize) -> Vec<TermId> {
        let mut named = Self::named(corpus, image);
        named.retain(|term| self.counts.contains_key(term));
        named
    }

    fn named(corpus: &Corpus, image: usize) -> Vec<TermId> {
        let named = corpus.tags(image).iter().chain(corpus.categories(image));
        sorted_once(named.copied().collect())
    }
}
