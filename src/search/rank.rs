//! The pure rule that orders candidates: similarity, plus what common words add. The owner's word
//! on a picture stands in the place of the models'.

use std::collections::HashMap;

use super::Hit;
use crate::catalog::{ImageText, Tag};
use crate::names::ImageId;

/// What the words of a query add to the score of a picture whose texts hold all of them. About
/// the distance between a right and a wrong picture's cosine in the starter pack's space, so words
/// decide between pictures that look alike and cannot lift one that looks like something else.
const WORDS_WEIGHT: f32 = 0.15;
/// Share of the query's words that alone makes a picture a hit.
const WORDS_ALONE: f32 = 0.5;

/// A picture and how near it is to the query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub image: ImageId,
    pub similarity: f32,
}

/// The texts of candidates; an image without an entry was removed meanwhile.
pub(super) struct Texts(HashMap<ImageId, ImageText>);

impl Texts {
    pub fn new(texts: Vec<ImageText>) -> Self {
        let entry = |text: ImageText| (text.image.clone(), corrected(text));
        Self(texts.into_iter().map(entry).collect())
    }
}

/// The text with the owner's corrections in the place of what they correct, as in a snapshot.
pub(super) fn corrected(mut text: ImageText) -> ImageText {
    for correction in std::mem::take(&mut text.corrections) {
        match correction.field.as_str() {
            "description" => {
                text.description = correction.value.as_str().map(str::to_owned);
                // What was learned was added to the words that the owner took away.
                if let Some(enriched) = &mut text.enriched {
                    enriched.description = None;
                }
            }
            "tags" => {
                let said: Vec<String> =
                    serde_json::from_value(correction.value).unwrap_or_default();
                let tag = |name| Tag { name, group: String::new(), score: 1.0 };
                text.tags = said.into_iter().map(tag).collect();
            }
            _ => {}
        }
    }
    text
}

/// What a query asks for in words: its own, and those that mean the same here, with their weights.
pub(super) struct Asked {
    own: Vec<String>,
    widened: Vec<(String, f32)>,
}

impl Asked {
    pub fn new(query: &str, widened: &[(String, f32)]) -> Self {
        Self { own: words_of(query), widened: widened.to_vec() }
    }

    /// The query without the words that say nothing.
    pub fn own(&self) -> String {
        self.own.join(" ")
    }

    /// The share of the query that a corrected text says, where that makes a picture a hit.
    pub fn is_said_by(&self, text: &ImageText) -> Option<f32> {
        let (share, _) = common_words(self, text);
        (share >= WORDS_ALONE).then_some(share)
    }
}

/// Best first, at most `limit`; nothing below `floor` that has no words in common.
pub(super) fn rank(
    candidates: Vec<Candidate>,
    texts: &Texts,
    asked: &Asked,
    floor: f32,
    limit: usize,
) -> Vec<Hit> {
    let mut hits: Vec<Hit> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let text = texts.0.get(&candidate.image)?;
            let (share, words) = common_words(asked, text);
            let near_enough = candidate.similarity >= floor;
            let says_so = share >= WORDS_ALONE;
            (near_enough || says_so).then(|| Hit {
                score: candidate.similarity + WORDS_WEIGHT * share,
                similarity: candidate.similarity,
                words,
                path: text.path.to_string(),
                description: shown_description(text),
                tags: text.tags.iter().map(|tag| tag.name.clone()).collect(),
                image: candidate.image,
            })
        })
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.image.cmp(&b.image)));
    hits.truncate(limit);
    hits
}

/// The description with what was learned, else the models' own.
fn shown_description(text: &ImageText) -> Option<String> {
    let enriched = text.enriched.as_ref().and_then(|enriched| enriched.description.clone());
    enriched.or_else(|| text.description.clone())
}

/// Words that say nothing in a query.
const EMPTY_WORDS: [&str; 18] = [
    "a", "an", "the", "of", "on", "in", "at", "with", "and", "or", "to", "is", "are", "my", "some",
    "picture", "photo", "image",
];

fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).filter(|word| !EMPTY_WORDS.contains(&word.as_str())).collect()
}

/// Share of the wanted words found in the picture's own texts, 0 to 1, and the words found there.
/// A learned neighbour of a missing word counts by its weight.
fn common_words(asked: &Asked, text: &ImageText) -> (f32, Vec<String>) {
    let Asked { own: wanted, widened } = asked;
    if wanted.is_empty() {
        return (0.0, Vec::new());
    }
    let mut own = words_of(text.description.as_deref().unwrap_or_default());
    own.extend(text.tags.iter().flat_map(|tag| words_of(&tag.name)));
    let mut found = Vec::new();
    let mut sum = 0.0;
    for word in wanted {
        if own.contains(word) {
            sum += 1.0;
            found.push(word.clone());
        }
    }
    // Neighbours make up for missing words only, each missing word once.
    let missing = wanted.len() as f32 - sum;
    let mut neighbours = 0.0;
    for (word, weight) in widened {
        if neighbours < missing && own.contains(word) {
            neighbours += weight.min(missing - neighbours);
            found.push(word.clone());
        }
    }
    ((sum + neighbours) / wanted.len() as f32, found)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::catalog::{Correction, Enriched};
    use crate::names::{GenerationNumber, RelativePath};

    fn text(id: &str, description: &str, tags: &[&str]) -> ImageText {
        let tag = |name: &&str| Tag { name: (*name).to_owned(), group: String::new(), score: 0.9 };
        ImageText {
            image: ImageId::new(id).unwrap(),
            path: RelativePath::new(id).unwrap(),
            description: Some(description.to_owned()),
            detailed_description: None,
            tags: tags.iter().map(tag).collect(),
            categories: Vec::new(),
            enriched: None,
            corrections: Vec::new(),
            stored_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn candidate(id: &str, similarity: f32) -> Candidate {
        Candidate { image: ImageId::new(id).unwrap(), similarity }
    }

    fn ranked(query: &str, widened: &[(String, f32)]) -> Vec<String> {
        let texts = Texts::new(vec![
            text("boat", "a sailboat on the sea", &["sailboat"]),
            text("beach", "a beach with a palm", &["beach"]),
            text("dress", "a woman in a sari", &["sari"]),
        ]);
        let candidates =
            vec![candidate("boat", 0.6), candidate("beach", 0.55), candidate("dress", 0.1)];
        let hits = rank(candidates, &texts, &Asked::new(query, widened), 0.5, 10);
        hits.into_iter().map(|hit| hit.image.to_string()).collect()
    }

    #[test]
    fn words_decide_between_pictures_that_look_alike() {
        assert_eq!(ranked("sailboat", &[]), ["boat", "beach"]);
        assert_eq!(ranked("palm beach", &[]), ["beach", "boat"]);
    }

    #[test]
    fn a_query_can_find_nothing() {
        let texts = Texts::new(vec![text("boat", "a sailboat on the sea", &[])]);
        let asked = Asked::new("tax form", &[]);
        let hits = rank(vec![candidate("boat", 0.4)], &texts, &asked, 0.5, 10);
        assert!(hits.is_empty(), "{hits:?}");
    }

    #[test]
    fn a_learned_neighbour_stands_in_for_a_missing_word() {
        assert_eq!(ranked("saree", &[]), ["boat", "beach"]);
        let widened = [("sari".to_owned(), 0.9)];
        assert!(ranked("saree", &widened).contains(&"dress".to_owned()));
    }

    #[test]
    fn an_image_that_was_removed_meanwhile_is_no_hit() {
        let asked = Asked::new("boat", &[]);
        let hits = rank(vec![candidate("gone", 0.9)], &Texts::new(vec![]), &asked, 0.5, 10);
        assert!(hits.is_empty());
    }

    #[test]
    fn the_owners_word_stands_above_the_models() {
        let mut owned = text("1", "a woman on a beach", &["woman", "beach"]);
        owned.enriched = Some(Enriched {
            generation: GenerationNumber(1),
            description: Some("a woman on a beach, commonly associated with sea".to_owned()),
            tags: Vec::new(),
            categories: Vec::new(),
            context: Vec::new(),
            near_duplicates: Vec::new(),
        });
        let correct = |field: &str, value| Correction {
            field: field.to_owned(),
            value,
            created_at: Timestamp::UNIX_EPOCH,
        };
        owned.corrections =
            vec![correct("description", json!("Oma at home")), correct("tags", json!(["oma"]))];
        let texts = Texts::new(vec![owned.clone()]);
        let found =
            |query| rank(vec![candidate("1", 0.0)], &texts, &Asked::new(query, &[]), 0.5, 10);
        let hits = found("oma");
        assert_eq!(hits[0].description.as_deref(), Some("Oma at home"));
        assert_eq!(hits[0].tags, ["oma"]);
        assert_eq!(found("beach"), [], "the models' words were taken away");

        // Nothing is an answer too, and other fields change nothing here.
        owned.corrections = vec![
            correct("description", json!(null)),
            correct("name", json!("oma")),
            correct("tags", json!([])),
        ];
        let said = corrected(owned);
        assert_eq!((said.description, said.tags.len()), (None, 0));
        assert_eq!(said.enriched.unwrap().description, None);
    }

    #[test]
    fn half_of_the_words_make_a_picture_a_hit() {
        let text = text("1", "Oma at home", &["garden"]);
        let share = |query| Asked::new(query, &[]).is_said_by(&text);
        assert_eq!(share("my oma"), Some(1.0));
        assert_eq!(share("oma's garden party"), Some(0.5));
        assert_eq!(share("a birthday party in the garden"), None);
        assert_eq!(share("my"), None, "it says nothing");
        assert_eq!(Asked::new("a picture of my Oma", &[]).own(), "oma");
    }
}
