//! What the owner says of a photo, in the place of what the models and the generation say.
//!
//! What must stay true: pure, and asked wherever a photo's words are shown, told or used, so that what
//! the owner changed or took away is nowhere seen again, whatever was stored since. A tag that the
//! owner took away is compared in its reduced form: "Boats" takes "boat" with it.

use crate::catalog::{Correction, Enriched, Tag};
use crate::enrich::without;
use crate::generation::language;

/// The field of a correction that holds the description; `null` where the owner wants none.
pub const DESCRIPTION: &str = "description";
/// The field that holds all tags of the photo.
pub const TAGS: &str = "tags";
/// The field that holds what was said of the photo when the owner said its tags, and is none of them.
pub const DECLINED: &str = "declined";
/// The row that remembers when the owner took the words back: an older one that comes late must not
/// bring them back. It says nothing of the photo.
pub const UNDONE: &str = "undone";
/// Every field that a person corrects.
pub const FIELDS: [&str; 3] = [DESCRIPTION, TAGS, DECLINED];

/// Most tags of one photo.
const TAGS_MAX: usize = 100;
/// Longest tag, in characters.
const TAG_MAX: usize = 100;
/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 10_000;

/// What an owner says anew of a photo; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// All of its tags.
    pub tags: Option<Vec<String>>,
    /// Its description; an empty one: it is to have none.
    pub description: Option<String>,
}

impl Said {
    /// Brings words that a person or another program wrote into order: trimmed, without blank ones,
    /// each tag once.
    ///
    /// # Errors
    /// What is too long or holds control characters, with what is allowed.
    pub fn checked(tags: Option<&[String]>, description: Option<&str>) -> Result<Self, String> {
        let tags = tags.map(checked_tags).transpose()?;
        let description = description.map(checked_description).transpose()?;
        Ok(Self { tags, description })
    }

    /// Whether nothing is said.
    pub fn is_nothing(&self) -> bool {
        self.tags.is_none() && self.description.is_none()
    }
}

fn checked_tags(tags: &[String]) -> Result<Vec<String>, String> {
    let mut kept: Vec<String> = Vec::new();
    for tag in tags {
        let tag = tag.trim();
        if tag.chars().count() > TAG_MAX {
            return Err(format!("a tag is longer than {TAG_MAX} characters: shorten it"));
        }
        if tag.chars().any(char::is_control) {
            return Err(format!("the tag {tag:?} holds a control character: leave it out"));
        }
        if !tag.is_empty() && !kept.iter().any(|known| known == tag) {
            kept.push(tag.to_owned());
        }
    }
    if kept.len() > TAGS_MAX {
        let count = kept.len();
        return Err(format!("{count} tags are more than the {TAGS_MAX} of one photo: give fewer"));
    }
    Ok(kept)
}

fn checked_description(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().count() > DESCRIPTION_MAX {
        return Err(format!(
            "the description is longer than {DESCRIPTION_MAX} characters: shorten it"
        ));
    }
    Ok(text.to_owned())
}

/// What an owner has said of one photo.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnersWord {
    /// Empty where the owner wants none.
    description: Option<String>,
    tags: Option<Vec<String>>,
    declined: Vec<String>,
}

impl OwnersWord {
    /// Reads it from the photo's corrections; fields of others change nothing.
    pub fn of(corrections: &[Correction]) -> Self {
        let mut word = Self::default();
        for Correction { field, value, .. } in corrections {
            let list = || serde_json::from_value(value.clone()).unwrap_or_default();
            match field.as_str() {
                DESCRIPTION => {
                    word.description = Some(value.as_str().unwrap_or_default().to_owned());
                }
                TAGS => word.tags = Some(list()),
                DECLINED => word.declined = list(),
                _ => {}
            }
        }
        word
    }

    /// The fields that the owner has changed.
    pub fn fields(&self) -> Vec<&'static str> {
        let said = [(DESCRIPTION, self.description.is_some()), (TAGS, self.tags.is_some())];
        said.into_iter().filter(|(_, said)| *said).map(|(field, _)| field).collect()
    }

    /// Whether the description is the owner's: learned words are not put into the owner's mouth.
    pub fn has_described(&self) -> bool {
        self.description.is_some()
    }

    /// The description: the owner's, else the models'.
    pub fn description(&self, of_models: Option<String>) -> Option<String> {
        let Some(own) = &self.description else { return of_models };
        (!own.is_empty()).then(|| own.clone())
    }

    /// The tags: the owner's, of which is nothing surer, else the models'.
    pub fn tags(&self, of_models: Vec<Tag>) -> Vec<Tag> {
        let Some(said) = &self.tags else { return of_models };
        let tag = |name: &String| Tag { name: name.clone(), group: String::new(), score: 1.0 };
        said.iter().map(tag).collect()
    }

    /// What must not come back: what the owner took away, and what the models say that is none of
    /// the owner's tags.
    pub fn declined(&self, tags_of_models: &[Tag]) -> Vec<String> {
        let mut declined = self.declined.clone();
        if self.tags.is_some() {
            declined.extend(tags_of_models.iter().map(|tag| tag.name.clone()));
        }
        declined.retain(|name| !self.says(name));
        declined
    }

    /// What a generation added, without what the owner took away.
    pub fn enriched(&self, mut enriched: Enriched, tags_of_models: &[Tag]) -> Enriched {
        let declined: Vec<String> =
            self.declined(tags_of_models).iter().map(|name| language::term(name)).collect();
        let is_declined = |name: &str| declined.contains(&language::term(name));
        enriched.tags.retain(|tag| !is_declined(&tag.name));
        enriched.categories.retain(|name| !is_declined(name));
        enriched.context.retain(|word| !is_declined(word));
        enriched.description = match enriched.description {
            Some(text) if !self.has_described() => without(&text, &is_declined),
            _ => None,
        };
        enriched
    }

    fn says(&self, name: &str) -> bool {
        let name = language::term(name);
        self.tags.iter().flatten().any(|said| language::term(said) == name)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::names::GenerationNumber;

    fn word(said: &[(&str, serde_json::Value)]) -> OwnersWord {
        let corrections = said.iter().map(|(field, value)| Correction {
            field: (*field).to_owned(),
            value: value.clone(),
            created_at: Timestamp::UNIX_EPOCH,
        });
        OwnersWord::of(&corrections.collect::<Vec<_>>())
    }

    fn tags(names: &[&str]) -> Vec<Tag> {
        let tag = |name: &&str| Tag { name: (*name).to_owned(), group: String::new(), score: 0.7 };
        names.iter().map(tag).collect()
    }

    fn names(tags: &[Tag]) -> Vec<&str> {
        tags.iter().map(|tag| tag.name.as_str()).collect()
    }

    fn enriched() -> Enriched {
        Enriched {
            generation: GenerationNumber(1),
            description: Some("a dog, commonly associated with boats, park".to_owned()),
            tags: tags(&["Boat", "park"]),
            categories: vec!["boats".to_owned()],
            context: vec!["boat".to_owned(), "walk".to_owned()],
            near_duplicates: Vec::new(),
        }
    }

    #[test]
    fn who_said_nothing_changes_nothing() {
        let silent = word(&[("name", json!("x"))]);
        assert_eq!(silent, OwnersWord::default());
        assert_eq!(silent.description(Some("a dog".into())).as_deref(), Some("a dog"));
        assert_eq!(names(&silent.tags(tags(&["dog"]))), ["dog"]);
        assert_eq!(silent.declined(&tags(&["dog"])), Vec::<String>::new());
        assert_eq!(silent.enriched(enriched(), &tags(&["dog"])), enriched());
        assert_eq!(silent.fields(), Vec::<&str>::new());
    }

    #[test]
    fn what_the_owner_took_away_is_nowhere_seen() {
        let said = word(&[(TAGS, json!(["oma"])), (DECLINED, json!(["boat"]))]);
        assert_eq!(names(&said.tags(tags(&["dog"]))), ["oma"]);
        let declined = said.declined(&tags(&["dog", "Oma"]));
        assert_eq!(declined, ["boat", "dog"], "a tag that both say stays");
        let left = said.enriched(enriched(), &tags(&["dog"]));
        assert_eq!(left.description.as_deref(), Some("a dog, commonly associated with park"));
        assert_eq!((names(&left.tags), left.categories.len()), (vec!["park"], 0));
        assert_eq!(left.context, ["walk"]);
        assert_eq!(said.fields(), [TAGS]);
    }

    #[test]
    fn learned_words_are_not_put_into_the_owners_mouth() {
        for said in [json!("Oma at home"), json!(null)] {
            let word = word(&[(DESCRIPTION, said.clone())]);
            assert_eq!(word.description(Some("a dog".into())).as_deref(), said.as_str());
            assert_eq!(word.enriched(enriched(), &[]).description, None);
        }
    }

    #[test]
    fn words_are_brought_into_order_or_refused() {
        let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let given = list(&[" oma ", "", "oma", "garden"]);
        let said = Said::checked(Some(&given), Some("  ")).unwrap();
        assert_eq!(said.tags.unwrap(), ["oma", "garden"]);
        assert_eq!(said.description.as_deref(), Some(""));
        assert!(Said::checked(None, None).unwrap().is_nothing());
        assert!(Said::checked(Some(&vec!["x".to_owned(); 300]), None).is_ok(), "each counts once");
        let distinct: Vec<String> = (0..101).map(|number| number.to_string()).collect();
        for refused in [vec!["x".repeat(101)], distinct, list(&["a\nb"])] {
            assert!(Said::checked(Some(&refused), None).is_err(), "{refused:?}");
        }
        assert!(Said::checked(None, Some(&"x".repeat(10_001))).is_err());
    }
}
