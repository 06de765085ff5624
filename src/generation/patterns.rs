//! What goes with what: the shapes of `category_patterns.json` and `description_patterns.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// See [`completeness`].
const COMPLETENESS_MIN: f64 = 0.5;

/// Category -> what is typical of it, in the seed system's shape.
pub type CategoryPatterns = BTreeMap<String, CategoryPattern>;

/// What is typical of a category.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryPattern {
    /// Images in it.
    pub count: u64,
    /// Words of descriptions that are more frequent here than elsewhere, strongest first.
    pub common_words: Vec<String>,
    /// Tags that are more frequent here than elsewhere, strongest first.
    pub co_occurring_tags: Vec<String>,
}

/// Term (a word, two words, or a tag; reduced as [`super::language`] does) -> what goes with it.
pub type DescriptionPatterns = BTreeMap<String, DescriptionPattern>;

/// What goes with a term.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DescriptionPattern {
    /// Images with the term; one that the owner corrected counts twice.
    pub count: u64,
    /// Tags and categories that such images commonly have, strongest first.
    pub associated: Vec<Association>,
    /// Tags and categories that such images hardly ever have although both are frequent: night
    /// where it is day. Never suggested to a photo with the term.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rarely_with: Vec<String>,
}

/// One thing that commonly goes with a term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Association {
    /// As people write it.
    pub term: String,
    /// Tag or category.
    pub kind: TermKind,
    /// Images with both; one that the owner corrected counts twice.
    pub count: u64,
    /// The share of the term's images that have it, 0 to 1.
    pub confidence: f32,
    /// How many times more frequent than in the library as a whole.
    pub lift: f32,
}

/// Where an associated term comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TermKind {
    /// A tag of images.
    Tag,
    /// A category of images.
    Category,
}

impl Association {
    /// The share that the library is confident of, given how few images it may rest on.
    pub fn certain_share(&self, images_with_term: u64) -> f64 {
        lower_bound(self.count, images_with_term)
    }

    /// How frequent it is in the library as a whole, 0 to 1.
    pub fn base_rate(&self) -> f64 {
        f64::from(self.confidence) / f64::from(self.lift.max(f32::EPSILON))
    }
}

/// Of ten tags, where one is always there, so many are named by the models: a library in which beach
/// photos are tagged "sea" at most four times in ten has models that miss the sea, and four in ten
/// means nearly always there.
///
/// Estimated as the share with which the best known tags are named where everything speaks for them
/// (Elkan and Noto, Learning classifiers from only positive and unlabeled data, 2008, the estimate
/// by the maximum; the highest tenth is left out, which may be chance). Not below one half: a library
/// that knows little of itself must not take its doubts for the models'.
pub fn completeness(patterns: &DescriptionPatterns) -> f64 {
    let mut best: BTreeMap<&str, f64> = BTreeMap::new();
    for pattern in patterns.values() {
        for association in pattern.associated.iter().filter(|it| it.kind == TermKind::Tag) {
            let share = best.entry(&association.term).or_default();
            *share = share.max(association.certain_share(pattern.count));
        }
    }
    let mut shares: Vec<f64> = best.into_values().collect();
    shares.sort_by(f64::total_cmp);
    let highest = shares.len().saturating_sub(1) * 9 / 10;
    shares.get(highest).map_or(1.0, |share| share.clamp(COMPLETENESS_MIN, 1.0))
}

/// The least share that `hits` of `trials` still speaks for (Wilson, one side, 97.5 %), so that three
/// of three weighs less than ninety of a hundred.
pub fn lower_bound(hits: u64, trials: u64) -> f64 {
    const Z: f64 = 1.96;
    if trials == 0 {
        return 0.0;
    }
    let n = trials as f64;
    let share = (hits as f64 / n).min(1.0);
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + Z * Z / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_cases_speak_softly() {
        assert!(lower_bound(3, 3) < lower_bound(90, 100));
        assert!(lower_bound(0, 50) < 1e-9 && lower_bound(0, 0) < 1e-9);
        assert!((lower_bound(500_000, 1_000_000) - 0.5).abs() < 0.01);
    }

    fn patterns(shares: &[(u64, TermKind)]) -> DescriptionPatterns {
        let pattern = |(number, (count, kind)): (usize, &(u64, TermKind))| {
            let association = Association {
                term: format!("tag{number}"),
                kind: *kind,
                count: *count,
                confidence: *count as f32 / 10_000.0,
                lift: 9.0,
            };
            let pattern = DescriptionPattern {
                count: 10_000,
                associated: vec![association],
                ..Default::default()
            };
            (format!("term{number}"), pattern)
        };
        shares.iter().enumerate().map(pattern).collect()
    }

    #[test]
    fn how_much_the_models_name_shows_where_everything_speaks_for_a_tag() {
        let tag = TermKind::Tag;
        let near = |value: f64, wanted: f64| assert!((value - wanted).abs() < 0.02, "{value}");
        near(completeness(&patterns(&[])), 1.0);
        near(completeness(&patterns(&[(9_900, tag), (2_000, tag)])), 0.5);
        near(completeness(&patterns(&[(7_000, tag), (7_100, tag), (7_200, tag)])), 0.7);
        near(completeness(&patterns(&[(1_000, tag)])), 0.5);
        near(completeness(&patterns(&[(9_900, TermKind::Category)])), 1.0);
    }

    #[test]
    fn categories_keep_the_old_shape() {
        let pattern = CategoryPattern {
            count: 245,
            common_words: vec!["hill".into()],
            co_occurring_tags: vec!["sky".into()],
        };
        let text = serde_json::to_string(&BTreeMap::from([("landscape", pattern)])).unwrap();
        assert_eq!(
            text,
            r#"{"landscape":{"count":245,"common_words":["hill"],"co_occurring_tags":["sky"]}}"#
        );
    }
}
