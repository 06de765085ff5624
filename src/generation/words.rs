//! Which words lead to which: the shape of `search_index.json` and how a query grows by it.
//!
//! Two lists, kept apart because they mean different things: synonyms replace each other (saree,
//! sari), related words go together (saree, dress). A synonym says nearly the same and weighs
//! more; a related word only hints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::language;

/// A query gains at most this many words.
const EXPANSION_MAX: usize = 12;
const SYNONYM_WEIGHT: f32 = 0.8;
const RELATED_WEIGHT: f32 = 0.5;

/// All words that a library knows something about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Words {
    /// Images that were counted.
    pub images: u64,
    /// Term (reduced as [`language::term`] does) -> what is known of it.
    pub words: BTreeMap<String, WordEntry>,
}

/// What is known of a term.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WordEntry {
    /// Images with it; one that the owner corrected counts twice.
    pub count: u64,
    /// Terms that stand in its place: similar company, rarely together.
    pub synonyms: Vec<Neighbour>,
    /// Terms that come with it.
    pub related: Vec<Neighbour>,
}

/// Another term.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// As people write it.
    pub word: String,
    /// How close, 0 to 1.
    pub weight: f32,
}

impl Words {
    /// Words that should also be looked for, strongest first, with weights under 1 (the query's
    /// own words weigh 1 and are not repeated). Nothing for words that the library does not know.
    pub fn expand(&self, query: &str) -> Vec<(String, f32)> {
        let terms = query_terms(query);
        let mut found: BTreeMap<String, (String, f32)> = BTreeMap::new();
        for term in &terms {
            let Some(entry) = self.words.get(term) else { continue };
            let synonyms = entry.synonyms.iter().map(|other| (other, SYNONYM_WEIGHT));
            let related = entry.related.iter().map(|other| (other, RELATED_WEIGHT));
            for (other, scale) in synonyms.chain(related) {
                let reduced = language::term(&other.word);
                let weight = scale * other.weight.clamp(0.0, 1.0);
                let known = found.get(&reduced).map_or(0.0, |(_, weight)| *weight);
                if !terms.contains(&reduced) && weight > known {
                    found.insert(reduced, (other.word.clone(), weight));
                }
            }
        }
        let mut expanded: Vec<(String, f32)> = found.into_values().collect();
        expanded.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        expanded.truncate(EXPANSION_MAX);
        expanded
    }
}

/// The words of a query and its neighbouring pairs, reduced.
fn query_terms(query: &str) -> Vec<String> {
    let words: Vec<String> = language::content_words(query).into_iter().flatten().collect();
    let pairs: Vec<String> = words.windows(2).map(|pair| pair.join(" ")).collect();
    words.into_iter().chain(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(synonyms: &[(&str, f32)], related: &[(&str, f32)]) -> WordEntry {
        let list = |from: &[(&str, f32)]| {
            from.iter().map(|(w, x)| Neighbour { word: (*w).into(), weight: *x }).collect()
        };
        WordEntry { count: 9, synonyms: list(synonyms), related: list(related) }
    }

    fn words() -> Words {
        let saree = entry(&[("sari", 0.9)], &[("traditional", 0.6), ("dress", 0.5)]);
        let red_car = entry(&[], &[("street", 0.4)]);
        let words = [("saree", saree), ("red car", red_car)];
        Words { images: 90, words: words.map(|(k, v)| (k.to_owned(), v)).into() }
    }

    #[test]
    fn saree_finds_sari_then_what_goes_with_it() {
        let found = words().expand("A woman in Sarees");
        let found: Vec<&str> = found.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(found, ["sari", "traditional", "dress"]);
    }

    #[test]
    fn the_querys_own_words_are_not_repeated_and_unknown_ones_add_nothing() {
        assert!(words().expand("saree dress").iter().all(|(word, _)| word != "dress"));
        assert_eq!(words().expand("quantum"), []);
        assert_eq!(words().expand(""), []);
        assert_eq!(words().expand("the red cars")[0].0, "street");
    }
}
