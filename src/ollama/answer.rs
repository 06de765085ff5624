//! What a language model wrote, as a description: cleaned, bounded, or refused.

use serde::Deserialize;

/// Longest description in characters; the rest is cut at the end of a sentence.
const CHARS_MAX: usize = 2000;
/// A description of fewer letters says nothing.
const LETTERS_MIN: usize = 10;

#[derive(Deserialize)]
struct Answer {
    response: String,
}

/// The description in the body of an answer.
///
/// # Errors
/// Why it is none.
pub(super) fn read(body: &[u8]) -> Result<String, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("its answer is not what its API promises: {error}"))?;
    let text = clean(&answer.response);
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if letters < LETTERS_MIN {
        return Err("its answer holds no description".to_owned());
    }
    Ok(text)
}

/// One line without control characters, cut where it is too long.
fn clean(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let text: String = visible.collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    let cut: String = text.chars().take(CHARS_MAX).collect();
    match cut.rfind(['.', '!', '?']) {
        Some(end) if end > cut.len() / 2 => cut[..=end].to_owned(),
        _ => format!("{}…", cut.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<String, String> {
        read(serde_json::json!({ "response": text, "done": true }).to_string().as_bytes())
    }

    #[test]
    fn a_description_becomes_one_clean_line() {
        let text = answer(" A boat\n\nlies in\tthe \u{0} harbour.\u{1b}[0m ").unwrap();
        assert_eq!(text, "A boat lies in the harbour. [0m");
    }

    #[test]
    fn a_long_one_ends_with_a_sentence() {
        let long = answer(&"A boat lies in the harbour. ".repeat(200)).unwrap();
        assert!(long.len() <= CHARS_MAX && long.ends_with("harbour."), "{long}");
        let endless = answer(&"hafen ".repeat(900)).unwrap();
        assert!(endless.ends_with('…') && endless.chars().count() <= CHARS_MAX + 1);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for nothing in ["", "   ", "!!!", "12 34 56 78 90 12 34", "ok"] {
            assert!(answer(nothing).is_err(), "{nothing:?}");
        }
        for body in [&b"<html>"[..], b"", b"{}", br#"{"response": 7}"#] {
            assert!(read(body).is_err());
        }
    }
}
