//! What commonly goes with a description and its tags, and the seed's sentence that says so.
//!
//! Every word, pair of words, tag and category of the photo speaks for what it was often seen
//! with, as far as its numbers carry. Training uses the same function for the descriptions of the
//! whole library, so that both say the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::generation::{DescriptionPattern, DescriptionPatterns, TermKind, language};

/// Between the model's words and the learned ones.
const JOINT: &str = ", commonly associated with ";
/// More would read as a list, not as a sentence.
const NAMED_MAX: usize = 5;
/// Something that fewer photos like this one have is not common.
const COMMON_SHARE_MIN: f64 = 0.2;
/// What fewer of the photo's known terms speak for is a word's accident ("white" and dogs), unless
/// one of them is as sure as this.
const SPEAKERS_SHARE_MIN: f64 = 0.25;
const SURE_SHARE_MIN: f64 = 0.5;

/// Something that goes with a photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Associated {
    /// As people write it.
    pub term: String,
    /// Tag or category.
    pub kind: TermKind,
    /// The share of photos with the most telling term of this one that have it, as far as the
    /// library is certain, 0 to 1.
    pub certain_share: f64,
    /// How much all terms of the photo together speak for it.
    strength: f64,
    /// How many of them do.
    speakers: usize,
}

impl Associated {
    /// How many terms of the photo speak for it.
    pub fn speakers(&self) -> usize {
        self.speakers
    }

    /// The share of photos like this one that show it, 0 to 1: with those in which the models missed
    /// it (`completeness`, see [`crate::generation::completeness`]), and less where it is outvoted.
    /// What a wrong tag brings with it has that tag alone to speak for it, while `most` speak for what
    /// the photo is about.
    pub fn likely_share(&self, most: usize, completeness: f64) -> f64 {
        let agreement = self.speakers as f64 / most.max(1) as f64;
        (self.certain_share / completeness * agreement).min(1.0)
    }
}

/// What goes with a photo, strongest first. Never what is said of it already, what the owner
/// `declined`, or what is hardly ever seen together with one of its terms.
pub fn associate(
    description: &str,
    tags: &[String],
    categories: &[String],
    declined: &[String],
    patterns: &DescriptionPatterns,
) -> Vec<Associated> {
    let said = said(description, tags, categories);
    let declined: BTreeSet<String> = declined.iter().map(|name| language::term(name)).collect();
    let known: Vec<&DescriptionPattern> =
        said.iter().filter_map(|term| patterns.get(term)).collect();
    let contradicted: BTreeSet<String> = known
        .iter()
        .flat_map(|pattern| pattern.rarely_with.iter().map(|other| language::term(other)))
        .collect();
    let mut found: BTreeMap<String, Associated> = BTreeMap::new();
    for pattern in &known {
        for association in &pattern.associated {
            let term = language::term(&association.term);
            let is_new = !said.contains(&term) && !shares_words(&term, &said);
            if !is_new || declined.contains(&term) || contradicted.contains(&term) {
                continue;
            }
            let certain = association.certain_share(pattern.count);
            let entry = found.entry(term).or_insert_with(|| Associated {
                term: association.term.clone(),
                kind: association.kind,
                certain_share: 0.0,
                strength: 0.0,
                speakers: 0,
            });
            entry.speakers += 1;
            entry.certain_share = entry.certain_share.max(certain);
            entry.strength += (certain - association.base_rate()).max(0.0);
        }
    }
    let speakers_min = known.len() as f64 * SPEAKERS_SHARE_MIN;
    let is_common = |found: &Associated| {
        let enough_speak = found.speakers as f64 >= speakers_min;
        found.certain_share >= SURE_SHARE_MIN
            || found.certain_share >= COMMON_SHARE_MIN && enough_speak
    };
    let mut found: Vec<Associated> = found.into_values().filter(is_common).collect();
    found.sort_by(|a, b| b.strength.total_cmp(&a.strength).then_with(|| a.term.cmp(&b.term)));
    found
}

/// The description with what goes with it: "a dog, commonly associated with park, grass". None if
/// there is nothing to add or nothing to add it to.
pub fn enriched_text(description: &str, associated: &[Associated]) -> Option<String> {
    if description.is_empty() || associated.is_empty() {
        return None;
    }
    let named: Vec<&str> =
        associated.iter().take(NAMED_MAX).map(|found| found.term.as_str()).collect();
    let sentence = description.trim_end_matches(['.', ' ']);
    Some(format!("{sentence}{JOINT}{}", named.join(", ")))
}

/// An enriched description without the learned words that are `declined`; none where nothing learned is
/// left in it. A description that nothing was added to comes back as it is.
pub fn without(enriched: &str, declined: &dyn Fn(&str) -> bool) -> Option<String> {
    let Some((own, learned)) = enriched.split_once(JOINT) else {
        return Some(enriched.to_owned());
    };
    let left: Vec<&str> = learned.split(", ").filter(|term| !declined(term)).collect();
    (!left.is_empty()).then(|| format!("{own}{JOINT}{}", left.join(", ")))
}

/// A description without what an earlier generation appended: learned words must never teach.
pub fn own_words(description: &str) -> &str {
    let end = description.find(JOINT).unwrap_or(description.len());
    description[..end].trim()
}

/// Words, pairs of words, tags and categories of a photo, reduced.
fn said(description: &str, tags: &[String], categories: &[String]) -> BTreeSet<String> {
    let words = language::content_words(description);
    let pairs = words.windows(2).filter_map(|pair| match pair {
        [Some(first), Some(second)] => Some(format!("{first} {second}")),
        _ => None,
    });
    let mut said: BTreeSet<String> = pairs.collect();
    said.extend(words.into_iter().flatten());
    said.extend(tags.iter().chain(categories).map(|name| language::term(name)));
    said
}

/// Whether every word of `term` is said already: "red dress" adds nothing to "dress, red".
fn shares_words(term: &str, said: &BTreeSet<String>) -> bool {
    term.split(' ').all(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Association;

    fn patterns() -> DescriptionPatterns {
        let association = |term: &str, count: u64| Association {
            term: term.into(),
            kind: TermKind::Tag,
            count,
            confidence: count as f32 / 100.0,
            lift: 2.0,
        };
        let beach = DescriptionPattern {
            count: 100,
            associated: vec![
                association("sunset", 60),
                association("night", 50),
                association("rare", 10),
                association("sandy beach", 90),
            ],
            rarely_with: Vec::new(),
        };
        let day = DescriptionPattern {
            count: 100,
            associated: vec![association("sunset", 20)],
            rarely_with: vec!["Night".into()],
        };
        [("beach".to_owned(), beach), ("day".to_owned(), day)].into()
    }

    fn terms(description: &str, tags: &[&str], declined: &[&str]) -> Vec<String> {
        let own = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let found = associate(description, &own(tags), &[], &own(declined), &patterns());
        found.into_iter().map(|found| found.term).collect()
    }

    #[test]
    fn only_what_is_common_new_and_not_contradicted() {
        assert_eq!(terms("two beaches", &[], &[]), ["sandy beach", "sunset", "night"]);
        assert_eq!(terms("a sandy beach", &[], &[]), ["sunset", "night"]);
        assert_eq!(terms("a sandy beach", &["Day"], &[]), ["sunset"]);
        assert_eq!(terms("a sandy beach", &["sunset"], &["night"]), Vec::<String>::new());
        assert_eq!(terms("", &[], &[]), Vec::<String>::new());
    }

    #[test]
    fn what_a_wrong_tag_brings_with_it_is_outvoted() {
        let found = |certain_share, speakers| Associated {
            term: "sea".to_owned(),
            kind: TermKind::Tag,
            certain_share,
            strength: 1.0,
            speakers,
        };
        assert!((found(0.6, 3).likely_share(3, 1.0) - 0.6).abs() < 1e-9);
        assert!((found(0.6, 1).likely_share(3, 1.0) - 0.2).abs() < 1e-9);
        assert!((found(0.4, 3).likely_share(3, 0.5) - 0.8).abs() < 1e-9, "the models miss half");
        assert!((found(0.9, 3).likely_share(3, 0.5) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_sentence_can_be_taken_off_again() {
        let patterns = patterns();
        let found = associate("a beach.", &[], &[], &[], &patterns);
        let text = enriched_text("a beach.", &found).unwrap();
        assert_eq!(text, "a beach, commonly associated with sandy beach, sunset, night");
        assert_eq!(own_words(&text), "a beach");
        assert_eq!(own_words("a beach."), "a beach.");
        assert_eq!(enriched_text("a beach", &[]), None);
        assert_eq!(enriched_text("", &found), None);
    }
}
