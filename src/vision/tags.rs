//! Which words of the vocabulary a picture deserves, and the courage to say none.
//!
//! Within a group the tags compete with each other and with backgrounds ("something else"): a
//! softmax over scaled cosines. A tag is asserted when it wins enough of that contest and its own
//! cosine is high enough. Both floors are needed: the contest always has a winner, and a cosine
//! alone does not know what else the picture could have been.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One asserted tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The word.
    pub name: String,
    /// The group it won in.
    pub group: String,
    /// Its share of the group's contest, 0 to 1.
    pub score: f32,
}

/// `vocabulary.json` of a pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vocabulary {
    schema_version: u32,
    /// Sentences with `{}` where the prompt goes.
    templates: Vec<String>,
    /// What a picture may show instead of any tag; whole sentences, put into no template.
    backgrounds: Vec<String>,
    /// Groups whose phrases make the description, in this order.
    pub(super) sentence: Vec<String>,
    groups: Vec<Group>,
    tags: Vec<Entry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    /// At most the best tag is asserted.
    exclusive: bool,
    probability_floor: f32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    tag: String,
    group: String,
    category: String,
    prompt: String,
    phrase: String,
    /// Other words for it; read for the sake of the schema, used by the search.
    #[expect(dead_code, reason = "part of the file's schema; the search reads it, not the tagger")]
    synonyms: Vec<String>,
    cosine_floor: f32,
}

/// The vocabulary with a vector for every prompt.
pub(super) struct Tagger {
    vocabulary: Vocabulary,
    /// One unit vector per entry, in order.
    tag_vectors: Vec<Vec<f32>>,
    background_vectors: Vec<Vec<f32>>,
    logit_scale: f32,
}

/// What the tagger says of one picture.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// Asserted tags: groups in the vocabulary's order, within them the strongest first.
    pub(super) tags: Vec<Tag>,
    /// Distinct categories of these tags, in the same order.
    pub(super) categories: Vec<String>,
    /// Group and phrase of these tags, in the same order.
    pub(super) phrases: Vec<(String, String)>,
}

impl Vocabulary {
    /// Reads and checks the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| error.to_string())?;
        let vocabulary: Self = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let problems = vocabulary.problems();
        if problems.is_empty() { Ok(vocabulary) } else { Err(problems.join("; ")) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.schema_version != 1 {
            problems.push(format!("schema_version {} is not 1", self.schema_version));
        }
        if self.backgrounds.is_empty() {
            problems.push("without backgrounds every picture would win some tag".to_owned());
        }
        if self.templates.is_empty() || self.templates.iter().any(|text| !text.contains("{}")) {
            problems.push("every template needs {} and there must be one".to_owned());
        }
        let groups: BTreeSet<&str> = self.groups.iter().map(|group| &group.name[..]).collect();
        if groups.len() != self.groups.len() {
            problems.push("two groups have the same name".to_owned());
        }
        for group in &self.sentence {
            if !groups.contains(&group[..]) {
                problems.push(format!("sentence names the unknown group {group:?}"));
            }
        }
        let mut seen = BTreeSet::new();
        for entry in &self.tags {
            if !seen.insert((&entry.group, &entry.tag)) {
                problems.push(format!("tag {:?} stands twice in its group", entry.tag));
            }
            if !groups.contains(&entry.group[..]) {
                problems.push(format!("tag {:?} is in no known group", entry.tag));
            }
            if entry.tag.is_empty() || entry.prompt.is_empty() {
                problems.push(format!("tag {:?} needs a name and a prompt", entry.tag));
            }
        }
        problems
    }

    /// Every text that needs a vector: each tag's prompt in every template, then the backgrounds,
    /// which are whole sentences already.
    pub(super) fn prompts(&self) -> Vec<String> {
        let mut prompts = Vec::new();
        for entry in &self.tags {
            let filled = |template: &String| template.replace("{}", &entry.prompt);
            prompts.extend(self.templates.iter().map(filled));
        }
        prompts.extend(self.backgrounds.iter().cloned());
        prompts
    }
}

impl Tagger {
    /// Joins the vocabulary with `vectors`, the unit vectors of its `prompts()` in order.
    pub(super) fn new(vocabulary: Vocabulary, vectors: &[Vec<f32>], logit_scale: f32) -> Self {
        let templates = vocabulary.templates.len();
        let (of_tags, of_backgrounds) = vectors.split_at(vocabulary.tags.len() * templates);
        // Several templates of one prompt are averaged, as the published zero-shot recipe has it.
        let tag_vectors = of_tags.chunks(templates).map(mean_direction).collect();
        Self { vocabulary, tag_vectors, background_vectors: of_backgrounds.to_vec(), logit_scale }
    }

    /// The vocabulary's order of groups in a sentence.
    pub(super) fn sentence(&self) -> &[String] {
        &self.vocabulary.sentence
    }

    /// The tags that the unit vector `embedding` deserves.
    pub(super) fn judge(&self, embedding: &[f32]) -> Verdict {
        let mut verdict = Verdict::default();
        let backgrounds: Vec<f32> =
            self.background_vectors.iter().map(|vector| cosine(vector, embedding)).collect();
        for group in &self.vocabulary.groups {
            for (entry, probability) in self.winners(group, &backgrounds, embedding) {
                verdict.tags.push(Tag {
                    name: entry.tag.clone(),
                    group: group.name.clone(),
                    score: probability,
                });
                if !verdict.categories.contains(&entry.category) {
                    verdict.categories.push(entry.category.clone());
                }
                verdict.phrases.push((group.name.clone(), entry.phrase.clone()));
            }
        }
        verdict
    }

    /// The tags of `group` that pass both floors, the strongest first.
    fn winners(&self, group: &Group, backgrounds: &[f32], embedding: &[f32]) -> Vec<(&Entry, f32)> {
        let members: Vec<(&Entry, f32)> = self
            .vocabulary
            .tags
            .iter()
            .zip(&self.tag_vectors)
            .filter(|(entry, _)| entry.group == group.name)
            .map(|(entry, vector)| (entry, cosine(vector, embedding)))
            .collect();
        let mut cosines: Vec<f32> = members.iter().map(|(_, cosine)| *cosine).collect();
        cosines.extend(backgrounds);
        let probabilities = softmax(&cosines, self.logit_scale);
        let mut winners: Vec<(&Entry, f32)> = members
            .into_iter()
            .zip(probabilities)
            .filter(|((entry, cosine), probability)| {
                *probability >= group.probability_floor && *cosine >= entry.cosine_floor
            })
            .map(|((entry, _), probability)| (entry, probability))
            .collect();
        winners.sort_by(|left, right| right.1.total_cmp(&left.1));
        if group.exclusive {
            winners.truncate(1);
        }
        winners
    }
}

/// Shares that sum to 1, of `cosines` scaled by `scale`.
fn softmax(cosines: &[f32], scale: f32) -> Vec<f32> {
    let highest = cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let raised: Vec<f32> = cosines.iter().map(|it| ((it - highest) * scale).exp()).collect();
    let total: f32 = raised.iter().sum();
    raised.into_iter().map(|value| value / total).collect()
}

/// The cosine of two unit vectors.
fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn mean_direction(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vectors[0].clone();
    for vector in &vectors[1..] {
        for (total, value) in sum.iter_mut().zip(vector) {
            *total += value;
        }
    }
    let length = cosine(&sum, &sum).sqrt().max(f32::MIN_POSITIVE);
    sum.iter().map(|value| value / length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: &str, group: &str, cosine_floor: f32) -> Entry {
        Entry {
            tag: tag.to_owned(),
            group: group.to_owned(),
            category: group.to_owned(),
            prompt: tag.to_owned(),
            phrase: format!("a {tag}"),
            synonyms: Vec::new(),
            cosine_floor,
        }
    }

    /// Three tags on three axes and a background on the fourth.
    fn tagger(exclusive: bool, probability_floor: f32, logit_scale: f32) -> Tagger {
        let group = |name: &str| Group { name: name.to_owned(), exclusive, probability_floor };
        let vocabulary = Vocabulary {
            schema_version: 1,
            templates: vec!["{}".to_owned()],
            backgrounds: vec!["else".to_owned()],
            sentence: vec!["subject".to_owned()],
            groups: vec![group("subject"), group("time")],
            tags: vec![
                entry("boat", "subject", 0.3),
                entry("car", "subject", 0.3),
                entry("night", "time", 0.3),
            ],
        };
        assert_eq!(vocabulary.problems(), Vec::<String>::new());
        let axis = |at: usize| (0..4).map(|place| f32::from(u8::from(place == at))).collect();
        let vectors: Vec<Vec<f32>> = (0..4).map(axis).collect();
        Tagger::new(vocabulary, &vectors, logit_scale)
    }

    fn names(verdict: &Verdict) -> Vec<&str> {
        verdict.tags.iter().map(|tag| &tag.name[..]).collect()
    }

    #[test]
    fn a_clear_picture_gets_one_tag_of_each_group() {
        let verdict = tagger(true, 0.5, 20.0).judge(&[0.8, 0.1, 0.59, 0.0]);
        assert_eq!(names(&verdict), ["boat", "night"]);
        assert_eq!(verdict.categories, ["subject", "time"]);
        assert!(verdict.tags[0].score > 0.9);
    }

    #[test]
    fn a_picture_of_something_else_gets_none() {
        let verdict = tagger(true, 0.5, 20.0).judge(&[0.1, 0.1, 0.1, 0.98]);
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn winning_the_contest_is_not_enough_below_the_cosine_floor() {
        // Every cosine is tiny, one is the largest: the softmax alone would be convinced.
        let verdict = tagger(true, 0.5, 1000.0).judge(&[0.05, 0.0, 0.0, 0.0]);
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn groups_that_are_not_exclusive_may_give_several() {
        let embedding = [0.7, 0.69, 0.0, 0.0];
        assert_eq!(names(&tagger(false, 0.3, 10.0).judge(&embedding)), ["boat", "car"]);
        assert_eq!(names(&tagger(true, 0.3, 10.0).judge(&embedding)), ["boat"]);
    }

    #[test]
    fn a_vocabulary_says_everything_that_is_wrong_with_it() {
        let mut vocabulary = tagger(true, 0.5, 1.0).vocabulary;
        vocabulary.backgrounds.clear();
        vocabulary.templates = vec!["no place".to_owned()];
        vocabulary.sentence = vec!["mood".to_owned()];
        vocabulary.tags.push(entry("boat", "subject", 0.3));
        vocabulary.tags.push(entry("x", "nowhere", 0.3));
        assert_eq!(vocabulary.problems().len(), 5, "{:?}", vocabulary.problems());
    }

    #[test]
    fn prompts_fill_every_template_and_backgrounds_none() {
        let mut vocabulary = tagger(true, 0.5, 1.0).vocabulary;
        vocabulary.tags.truncate(1);
        vocabulary.templates = vec!["a {}".to_owned(), "one {} here".to_owned()];
        assert_eq!(vocabulary.prompts(), ["a boat", "one boat here", "else"]);
        let vectors = [vec![1.0, 0.0], vec![0.0, 1.0], vec![-1.0, 0.0]];
        let tagger = Tagger::new(vocabulary, &vectors, 1.0);
        assert!((tagger.tag_vectors[0][0] - tagger.tag_vectors[0][1]).abs() < 1e-6);
        assert_eq!(tagger.background_vectors, [[-1.0, 0.0]]);
    }

    #[test]
    fn several_templates_are_averaged() {
        let mean = mean_direction(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
        assert!((mean[0] - mean[1]).abs() < 1e-6 && (cosine(&mean, &mean) - 1.0).abs() < 1e-6);
    }
}
