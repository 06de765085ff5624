//! What is typical of a category: words and tags that it has more often than the library has.

use std::collections::BTreeMap;

use super::Tick;
use super::corpus::{Corpus, TermId};
use super::error::LearnError;
use super::together::{Together, link};
use crate::generation::{CategoryPattern, CategoryPatterns};

/// A category lists at most this many words, and as many tags.
const LISTED_MAX: usize = 20;

/// Learns the patterns of all categories.
pub(super) fn learn(corpus: &Corpus, tick: &mut Tick<'_>) -> Result<CategoryPatterns, LearnError> {
    let (mut words, mut tags) = (Together::default(), Together::default());
    let all = corpus.images().len().max(1) as f32;
    for image in corpus.images() {
        let (image_words, weight) = (corpus.distinct_words(image), corpus.weight(image));
        for category in corpus.categories(image) {
            for word in &image_words {
                words.count(*category, *word, weight);
            }
            for tag in corpus.tags(image) {
                tags.count(*category, *tag, weight);
            }
        }
        if image % 1024 == 0 {
            tick(image as f32 / all)?;
        }
    }
    let by_category = |together: &Together| -> BTreeMap<TermId, Vec<(TermId, u64)>> {
        together.by_first().into_iter().collect()
    };
    let (words, tags) = (by_category(&words), by_category(&tags));
    let mut patterns = CategoryPatterns::new();
    for (number, term) in (0..).zip(&corpus.terms).filter(|(_, term)| term.in_categories > 0) {
        let listed = |counts: &BTreeMap<TermId, Vec<(TermId, u64)>>, is_tag| {
            typical(corpus, number, counts.get(&number).map_or(&[][..], Vec::as_slice), is_tag)
        };
        let pattern = CategoryPattern {
            count: u64::from(term.category_images),
            common_words: listed(&words, false),
            co_occurring_tags: listed(&tags, true),
        };
        patterns.insert(term.shown.clone(), pattern);
    }
    Ok(patterns)
}

/// The terms among `counts` that are typical of `category`, strongest first.
fn typical(
    corpus: &Corpus,
    category: TermId,
    counts: &[(TermId, u64)],
    is_tag: bool,
) -> Vec<String> {
    let in_category = u64::from(corpus.terms[category as usize].in_categories);
    let mut found = Vec::new();
    for (number, count) in counts.iter().filter(|(number, _)| *number != category) {
        let term = &corpus.terms[*number as usize];
        let everywhere = u64::from(if is_tag { term.in_tags } else { term.in_words });
        let images = corpus.totals.weight;
        if let Some(link) = link(*count, in_category, everywhere, images, corpus.support_min()) {
            found.push((link.strength, if is_tag { &term.shown } else { &term.text }));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    found.into_iter().take(LISTED_MAX).map(|(_, name)| name.clone()).collect()
}
