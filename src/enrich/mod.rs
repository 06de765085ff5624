//! What the library's own past says about a new photo, beside what the models said.
//!
//! Pure: an analysis and a loaded generation go in, suggestions come out, nothing is read or
//! written. The model's own words are never changed: what is learned stands apart, so that it can
//! be recomputed with the next generation and never feeds back into training. Nothing is suggested
//! that the library's images do not support, and nothing the owner has declined.

mod associations;

pub use associations::{Associated, associate, enriched_text, own_words, without};

use std::collections::BTreeSet;

use crate::generation::{Generation, TermKind, language};
use crate::names::{GenerationNumber, ImageId, SpaceId};

/// A tag or category is suggested when the library is confident that at least this share of
/// images like this one has it; see [`Associated::likely_share`].
const SUGGESTED_SHARE_MIN: f64 = 0.5;
/// Images at least this close are taken for the same picture.
const DUPLICATE_COSINE_MIN: f32 = 0.98;
const DUPLICATES_MAX: usize = 10;
const CONTEXT_MAX: usize = 5;

/// What the models said of one photo.
#[derive(Debug, Clone, Copy)]
pub struct Analysis<'a> {
    /// Which photo; it is not its own duplicate.
    pub image: &'a ImageId,
    /// The model's sentence.
    pub description: Option<&'a str>,
    /// What the models saw in it.
    pub tags: &'a [String],
    /// Broad kinds.
    pub categories: &'a [String],
    /// Tags and categories that the owner removed: they stay removed.
    pub declined: &'a [String],
    /// The embedding space of `embedding`.
    pub space: &'a SpaceId,
    /// Its unit vector, if it has one.
    pub embedding: Option<&'a [f32]>,
}

/// What was learned, applied to one photo.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Enrichment {
    /// "..., commonly associated with a, b, c"; none where nothing is known to add.
    pub description: Option<String>,
    /// Tags that such photos mostly have, with the share that is likely, 0 to 1.
    pub tags: Vec<(String, f32)>,
    /// Categories that such photos mostly have, with the share that is likely, 0 to 1.
    pub categories: Vec<(String, f32)>,
    /// Words typical of its categories that its description lacks.
    pub context: Vec<String>,
    /// Photos that show the same, with their cosines, closest first.
    pub near_duplicates: Vec<(ImageId, f32)>,
    /// What it was learned by; none before the first training.
    pub generation: Option<GenerationNumber>,
}

/// Applies `generation` to `analysis`.
pub fn enrich(analysis: &Analysis<'_>, generation: &Generation) -> Enrichment {
    let described = analysis.description.map(own_words).unwrap_or_default();
    let known = KnownTerms::of(analysis, described);
    let associated = associate(
        described,
        analysis.tags,
        analysis.categories,
        analysis.declined,
        &generation.description_patterns,
    );
    let most = associated.iter().map(Associated::speakers).max().unwrap_or(0);
    let suggest = |fits: &dyn Fn(&Associated) -> bool| -> Vec<(String, f32)> {
        let share = |found: &Associated| found.likely_share(most, generation.completeness);
        let likely = associated.iter().filter(|found| share(found) >= SUGGESTED_SHARE_MIN);
        let fitting = likely.filter(|found| fits(found));
        fitting.map(|found| (found.term.clone(), share(found) as f32)).collect()
    };
    // "sea" may be both, a tag and a category.
    let is_tag = |found: &Associated| found.kind == TermKind::Tag;
    let is_category = |found: &Associated| {
        found.kind == TermKind::Category || generation.patterns.contains_key(&found.term)
    };
    Enrichment {
        description: analysis.description.and_then(|_| enriched_text(described, &associated)),
        tags: suggest(&is_tag),
        categories: suggest(&is_category),
        context: context(analysis, generation, &known),
        near_duplicates: near_duplicates(analysis, generation),
        generation: Some(generation.number),
    }
}

/// Everything that is said of the photo or must not be said.
struct KnownTerms(BTreeSet<String>);

impl KnownTerms {
    fn of(analysis: &Analysis<'_>, described: &str) -> Self {
        let named = [analysis.tags, analysis.categories, analysis.declined].into_iter().flatten();
        let words = language::content_words(described).into_iter().flatten();
        Self(named.map(|name| language::term(name)).chain(words).collect())
    }
}

/// Words typical of the photo's categories that nobody has said of it.
fn context(analysis: &Analysis<'_>, generation: &Generation, known: &KnownTerms) -> Vec<String> {
    let mut context: Vec<String> = Vec::new();
    let patterns = analysis.categories.iter().filter_map(|name| generation.patterns.get(name));
    for word in patterns.flat_map(|pattern| &pattern.common_words) {
        if context.len() < CONTEXT_MAX && !known.0.contains(word) && !context.contains(word) {
            context.push(word.clone());
        }
    }
    context
}

fn near_duplicates(analysis: &Analysis<'_>, generation: &Generation) -> Vec<(ImageId, f32)> {
    // Vectors of different spaces are never compared.
    let same_space = *analysis.space == generation.manifest.space;
    let Some(embedding) = analysis.embedding.filter(|_| same_space) else {
        return Vec::new();
    };
    let others = |id: &str| id != analysis.image.as_str();
    // A vector that cannot be looked for has no duplicates; its analysis is not refused for it.
    let mut found = generation.index.search(embedding, DUPLICATES_MAX, &others).unwrap_or_default();
    found.retain(|(_, cosine)| *cosine > DUPLICATE_COSINE_MIN);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{Association, CategoryPattern, DescriptionPattern, samples};

    fn association(term: &str, kind: TermKind, count: u64) -> Association {
        Association { term: term.into(), kind, count, confidence: count as f32 / 100.0, lift: 3.0 }
    }

    fn generation(folder: &std::path::Path) -> Generation {
        let store = samples::published(folder, &[1]);
        let mut generation = store.open(GenerationNumber(1), None).unwrap();
        let dress = DescriptionPattern {
            count: 100,
            associated: vec![
                association("fashion", TermKind::Tag, 80),
                association("portrait", TermKind::Category, 70),
                association("formal", TermKind::Tag, 30),
                association("night", TermKind::Tag, 25),
            ],
            rarely_with: vec!["beach".into()],
        };
        let day =
            DescriptionPattern { count: 50, associated: vec![], rarely_with: vec!["night".into()] };
        generation.description_patterns =
            [("red dress".to_owned(), dress), ("day".to_owned(), day)].into();
        generation.patterns.insert(
            "people".into(),
            CategoryPattern {
                count: 9,
                common_words: vec!["smile".into(), "woman".into()],
                co_occurring_tags: vec![],
            },
        );
        generation
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_seeds_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let generation = generation(folder.path());
        let (tags, categories) = (strings(&["woman", "day"]), strings(&["people"]));
        let image = ImageId::new("new").unwrap();
        let vector = generation.index.vector(2).to_vec();
        let analysis = Analysis {
            image: &image,
            description: Some("a woman wearing red dress"),
            tags: &tags,
            categories: &categories,
            declined: &[],
            space: &samples::space(),
            embedding: Some(&vector),
        };
        let enriched = enrich(&analysis, &generation);
        let expected =
            "a woman wearing red dress, commonly associated with fashion, portrait, formal";
        assert_eq!(enriched.description.as_deref(), Some(expected));
        assert_eq!(enriched.tags.iter().map(|t| t.0.as_str()).collect::<Vec<_>>(), ["fashion"]);
        assert_eq!(enriched.categories[0].0, "portrait");
        assert_eq!(enriched.context, ["smile"]);
        assert_eq!(enriched.near_duplicates.len(), 1);
        assert_eq!(enriched.near_duplicates[0].0.as_str(), "img-000002");
        assert_eq!(enriched.generation, Some(GenerationNumber(1)));

        let itself = ImageId::new("img-000002").unwrap();
        let declined = strings(&["Fashion"]);
        let again = Analysis { image: &itself, declined: &declined, ..analysis };
        let enriched = enrich(&again, &generation);
        assert_eq!(enriched.near_duplicates, []);
        assert!(!enriched.description.unwrap().contains("fashion"));
    }

    #[test]
    fn a_generation_that_knows_nothing_adds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = samples::published(folder.path(), &[1]);
        let generation = store.open(GenerationNumber(1), None).unwrap();
        let image = ImageId::new("new").unwrap();
        let other_space = SpaceId::new("ffffffffffffffff").unwrap();
        let analysis = Analysis {
            image: &image,
            description: Some("a woman wearing red dress"),
            tags: &[],
            categories: &[],
            declined: &[],
            space: &other_space,
            embedding: Some(generation.index.vector(0)),
        };
        let expected =
            Enrichment { generation: Some(GenerationNumber(1)), ..Enrichment::default() };
        assert_eq!(enrich(&analysis, &generation), expected);
    }
}
