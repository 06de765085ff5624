//! How text becomes words: cut, reduced to a base form, stop words known.
//!
//! These rules are part of the file format: patterns learned with one set of rules and asked with
//! another find nothing. Whoever changes a rule raises `RULES`, which the manifest records.
//!
//! The reduction is by rule and for English; it need not find the dictionary's form, only the
//! same form for the same word. Words of other scripts pass unchanged, in small letters.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The version of these rules.
pub const RULES: u32 = 1;

/// Words beyond this many in one text are not read.
const WORDS_MAX: usize = 512;
/// Longer runs of letters are not words.
const LETTERS_MAX: usize = 40;

/// One word or more a line; reduced forms.
static STOP_WORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("stop_words.txt").split_ascii_whitespace().collect());

/// One line each: a form and its base form. A word that only looks like a form is its own base.
static IRREGULAR: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    include_str!("irregular_words.txt").lines().filter_map(|line| line.split_once(' ')).collect()
});

/// The words that carry meaning, reduced; `None` where a stop word or a mark breaks the sequence,
/// so that neighbours in the list were neighbours in the text.
pub fn content_words(text: &str) -> Vec<Option<String>> {
    let mut words: Vec<Option<String>> = Vec::new();
    for token in tokens(text).take(WORDS_MAX) {
        // Asked before and after the reduction: "always" must not become "alway".
        let word = token.filter(|token| !is_stop_word(token));
        let word = word.map(|word| lemma(&word)).filter(|word| !is_stop_word(word));
        if word.is_some() || words.last().is_some_and(Option::is_some) {
            words.push(word);
        }
    }
    if words.last().is_some_and(Option::is_none) {
        words.pop();
    }
    words
}

/// A tag, category or phrase in the form by which it is compared: every word reduced, one space
/// between.
pub fn term(text: &str) -> String {
    let words: Vec<String> =
        tokens(text).take(WORDS_MAX).flatten().map(|word| lemma(&word)).collect();
    words.join(" ")
}

/// Whether a reduced word says nothing about a picture: "there", "many", "stand".
pub fn is_stop_word(word: &str) -> bool {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    let single_letter = word.len() == 1;
    is_number || single_letter || STOP_WORDS.contains(word)
}

/// Words in small letters; `None` for a mark between them.
fn tokens(text: &str) -> impl Iterator<Item = Option<String>> + '_ {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '\'' || c == '’' || c == '-';
    text.split_inclusive(move |c: char| !part_of_word(c)).flat_map(move |piece| {
        let end = piece.chars().next_back().filter(|c| !part_of_word(*c));
        let word = piece.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let word = word.replace('’', "'");
        let word = word.strip_suffix("'s").unwrap_or(&word).replace('\'', "");
        let fits = !word.is_empty() && word.chars().count() <= LETTERS_MAX;
        let is_mark = end.is_some_and(|c| !c.is_whitespace());
        let word = fits.then_some(Some(word));
        word.into_iter().chain(is_mark.then_some(None))
    })
}

/// The base form of a word in small letters: "dresses" -> "dress", "running" -> "run".
pub fn lemma(word: &str) -> String {
    if let Some(base) = IRREGULAR.get(word) {
        return (*base).to_owned();
    }
    if !word.is_ascii() || word.len() < 4 {
        return word.to_owned();
    }
    if let Some(stem) = word.strip_suffix("ing") {
        return verb_base(stem).unwrap_or_else(|| word.to_owned());
    }
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}y");
    }
    if let Some(stem) = word.strip_suffix("ed").filter(|_| !word.ends_with("eed")) {
        return verb_base(stem).unwrap_or_else(|| word.to_owned());
    }
    singular(word)
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    for ending in ["sses", "shes", "ches", "xes", "zzes"] {
        if word.ends_with(ending) {
            return word[..word.len() - 2].to_owned();
        }
    }
    let keeps_its_s = ["ss", "us", "is", "as"].iter().any(|ending| word.ends_with(ending));
    match word.strip_suffix('s') {
        Some(stem) if !keeps_its_s => stem.to_owned(),
        _ => word.to_owned(),
    }
}

/// The base form of a verb whose "-ing" or "-ed" was cut; none if what is left is no verb.
fn verb_base(stem: &str) -> Option<String> {
    let bytes = stem.as_bytes();
    let is_vowel = |byte: u8| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u');
    let has_vowel = bytes.iter().any(|byte| is_vowel(*byte) || *byte == b'y');
    if bytes.len() < 3 || !has_vowel {
        return None;
    }
    let (last, before, third) =
        (bytes[bytes.len() - 1], bytes[bytes.len() - 2], bytes[bytes.len() - 3]);
    let doubled = last == before && !is_vowel(last) && !matches!(last, b'l' | b's' | b'z');
    if doubled {
        return Some(stem[..stem.len() - 1].to_owned());
    }
    // English doubles the consonant of a short verb (run, running): one that is not doubled lost
    // an e (ride, riding), and so did those that end as no English word does (dance, drive).
    let groups = bytes.split(|byte| !is_vowel(*byte)).filter(|group| !group.is_empty()).count();
    let short = groups == 1 && is_vowel(before) && !is_vowel(third) && !is_vowel(last);
    let lost_e = (short && !matches!(last, b'w' | b'x' | b'y'))
        || matches!(last, b'c' | b'v' | b'u')
        || stem.ends_with("dg")
        || last == b'l' && b"bcdfgkpstz".contains(&before)
        || stem.ends_with("at") && groups > 1;
    Some(if lost_e { format!("{stem}e") } else { stem.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_meet() {
        for (form, base) in [
            ("dogs", "dog"),
            ("dresses", "dress"),
            ("beaches", "beach"),
            ("boxes", "box"),
            ("cities", "city"),
            ("women", "woman"),
            ("children", "child"),
            ("leaves", "leaf"),
            ("houses", "house"),
            ("horses", "horse"),
            ("bus", "bus"),
            ("glass", "glass"),
            ("grass", "grass"),
            ("running", "run"),
            ("riding", "ride"),
            ("dancing", "dance"),
            ("driving", "drive"),
            ("jumping", "jump"),
            ("playing", "play"),
            ("eating", "eat"),
            ("decorated", "decorate"),
            ("parked", "park"),
            ("juggling", "juggle"),
            ("curling", "curl"),
            ("building", "building"),
            ("buildings", "building"),
            ("evening", "evening"),
            ("red", "red"),
            ("seed", "seed"),
            ("king", "king"),
            ("größe", "größe"),
            ("日本", "日本"),
        ] {
            assert_eq!(lemma(form), base, "{form}");
        }
    }

    #[test]
    fn words_that_say_nothing_are_stop_words() {
        for word in ["there", "many", "the", "picture", "7", "a"] {
            assert!(is_stop_word(word), "{word}");
        }
        assert!(!is_stop_word("dress"));
        let all: Vec<&str> = STOP_WORDS.iter().copied().collect();
        assert_eq!(content_words(&all.join(" ")), Vec::<Option<String>>::new());
    }

    #[test]
    fn neighbours_in_the_list_were_neighbours_in_the_text() {
        let words = content_words("There is a woman's red dress, blue sky and the SEA.");
        let shown: Vec<&str> = words.iter().map(|w| w.as_deref().unwrap_or("|")).collect();
        assert_eq!(shown, ["woman", "red", "dress", "|", "blue", "sky", "|", "sea"]);
        assert_eq!(content_words("the of and"), Vec::<Option<String>>::new());
        assert_eq!(term("  Sports  Cars "), "sport car");
        assert_eq!(term("T-shirts"), "t-shirt");
    }
}
