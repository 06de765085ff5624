//! The pure rule that orders candidates: similarity, plus what common words add. The owner's word
//! on a picture stands in the place of the models'.

use std::collections::HashMap;

use super::Hit;
use crate::catalog::ImageText;
use crate::names::ImageId;
use crate::owners_word::OwnersWord;

/// What the words of a query add to the score of a picture whose texts hold all of them. About
/// the distance between a right and a wrong picture's cosine in the starter pack's space, so words
/// decide between pictures that look alike and cannot lift one that looks like something else.
const WORDS_WEIGHT: f32 = 0.15;
/// What a picture gains whose texts hold everything that goes with the query here: enough to put the
/// likelier of two first whose texts hold the same words of it, and a wrong tag last.
const COMPANY_WEIGHT: f32 = 0.02;
/// A tag that was only learned counts so much of one that a model or the owner gave.
const LEARNED_TAG: f32 = 0.8;
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
    let owner = OwnersWord::of(&std::mem::take(&mut text.corrections));
    text.enriched = text.enriched.map(|enriched| owner.enriched(enriched, &text.tags));
    text.description = owner.description(text.description);
    text.tags = owner.tags(text.tags);
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

    /// How well a corrected text says the query, where that makes a picture a hit.
    pub fn is_said_by(&self, text: &ImageText) -> Option<f32> {
        let Common { share, company, .. } = common_words(self, text);
        (share >= WORDS_ALONE).then_some(share + COMPANY_WEIGHT / WORDS_WEIGHT * company)
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
            let Common { share, company, words } = common_words(asked, text);
            let near_enough = candidate.similarity >= floor;
            let says_so = share >= WORDS_ALONE;
            (near_enough || says_so).then(|| Hit {
                score: candidate.similarity + WORDS_WEIGHT * share + COMPANY_WEIGHT * company,
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

/// What a query and the texts of a picture have in common.
struct Common {
    /// Share of the query's words that the picture has, 0 to 1.
    share: f32,
    /// Share of what goes with the query here that it has, 0 to 1.
    company: f32,
    /// The words found.
    words: Vec<String>,
}

/// A word that no model gave is made up for by a tag that was learned of the picture, else by the
/// strongest learned neighbour of the query that it has, by its weight.
fn common_words(asked: &Asked, text: &ImageText) -> Common {
    let Asked { own: wanted, widened } = asked;
    let mut common = Common { share: 0.0, company: 0.0, words: Vec::new() };
    if wanted.is_empty() {
        return common;
    }
    let mut own = words_of(text.description.as_deref().unwrap_or_default());
    own.extend(text.tags.iter().flat_map(|tag| words_of(&tag.name)));
    let learned = |word: &String| {
        let tags = text.enriched.iter().flat_map(|enriched| &enriched.tags);
        tags.filter(|tag| words_of(&tag.name).contains(word)).map(|tag| tag.score).reduce(f32::max)
    };
    let (mut sum, mut missing) = (0.0, 0);
    for word in wanted {
        let weight =
            if own.contains(word) { Some(1.0) } else { learned(word).map(|it| it * LEARNED_TAG) };
        match weight {
            Some(weight) => {
                sum += weight;
                common.words.push(word.clone());
            }
            None => missing += 1,
        }
    }
    // Strongest first.
    let neighbours: Vec<&(String, f32)> =
        widened.iter().filter(|(word, _)| own.contains(word)).collect();
    for (word, weight) in neighbours.iter().take(missing) {
        sum += weight;
        common.words.push(word.clone());
    }
    let all: f32 = widened.iter().map(|(_, weight)| weight).sum();
    if all > 0.0 {
        common.company = neighbours.iter().map(|(_, weight)| weight).sum::<f32>() / all;
    }
    common.share = sum / wanted.len() as f32;
    common
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::catalog::{Correction, Enriched, Tag};
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
    fn a_learned_tag_counts_less_than_a_seen_one_and_company_decides_between_equals() {
        let learned = |score| Enriched {
            generation: GenerationNumber(1),
            description: None,
            tags: vec![Tag { name: "harbour".to_owned(), group: String::new(), score }],
            categories: Vec::new(),
            context: Vec::new(),
            near_duplicates: Vec::new(),
        };
        let guessed =
            ImageText { enriched: Some(learned(0.9)), ..text("guessed", "a boat", &["boat"]) };
        let doubtful =
            ImageText { enriched: Some(learned(0.5)), ..text("doubtful", "a boat", &["boat"]) };
        let texts = Texts::new(vec![
            text("wrong", "a cat", &["harbour"]),
            text("seen", "a boat", &["harbour", "boat"]),
            guessed,
            doubtful,
        ]);
        let all = ["wrong", "seen", "guessed", "doubtful"].map(|id| candidate(id, 0.0)).to_vec();
        let ids = |widened: &[(String, f32)]| -> Vec<String> {
            let hits = rank(all.clone(), &texts, &Asked::new("harbour", widened), 0.5, 10);
            hits.into_iter().map(|hit| hit.image.to_string()).collect()
        };
        assert_eq!(ids(&[]), ["seen", "wrong", "guessed"]);
        let boats = [("boat".to_owned(), 0.4), ("sea".to_owned(), 0.3)];
        assert_eq!(ids(&boats), ["seen", "wrong", "guessed"]);
        let wrong_first = text("awrong", "a cat", &["harbour"]);
        let texts = Texts::new(vec![wrong_first, text("seen", "a boat", &["harbour", "boat"])]);
        let pair = ["awrong", "seen"].map(|id| candidate(id, 0.0)).to_vec();
        let hits = rank(pair, &texts, &Asked::new("harbour", &boats), 0.5, 10);
        assert_eq!(hits[0].image.as_str(), "seen");
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
