//! A sentence from the phrases of the asserted tags: said only when there is something to say it
//! about. A time of day or a colour alone describes nothing.
//!
//! The phrase of a subject is a noun ("a sailboat"), that of every other group follows one ("on
//! the sea", "at night"); a place without a subject is told as a scene.

const SUBJECT: &str = "subject";
const PLACE: &str = "place";

/// Joins the phrases of the groups in `order`. `phrases` holds group and phrase of every asserted
/// tag. `None` when neither a subject nor a place was seen.
pub(super) fn describe(phrases: &[(String, String)], order: &[String]) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let mut seen_groups: Vec<&str> = Vec::new();
    for wanted in order {
        for (group, phrase) in phrases {
            if group == wanted && !phrase.is_empty() {
                parts.push(phrase);
                seen_groups.push(group);
            }
        }
    }
    if seen_groups.contains(&SUBJECT) {
        return Some(parts.join(" "));
    }
    seen_groups.contains(&PLACE).then(|| format!("a scene {}", parts.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(phrases: &[(&str, &str)]) -> Option<String> {
        let own = |text: &str| text.to_owned();
        let phrases: Vec<(String, String)> =
            phrases.iter().map(|(group, phrase)| (own(group), own(phrase))).collect();
        describe(&phrases, &["subject", "place", "time"].map(own))
    }

    #[test]
    fn phrases_follow_the_sentences_order_and_not_the_tags() {
        let seen = [("time", "at night"), ("subject", "a boat"), ("place", "at sea")];
        assert_eq!(said(&seen).unwrap(), "a boat at sea at night");
        assert_eq!(said(&[("place", "on a street")]).unwrap(), "a scene on a street");
    }

    #[test]
    fn nothing_is_said_without_a_subject_or_a_place() {
        assert_eq!(said(&[("time", "at night")]), None);
        assert_eq!(said(&[("colour", "in red"), ("time", "at night")]), None);
        assert_eq!(said(&[("subject", "")]), None);
        assert_eq!(said(&[]), None);
    }
}
