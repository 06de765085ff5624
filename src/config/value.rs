//! One value of a setting: read from a variable's text, fitted to the kind of its default, and
//! written so that a person or a settings file can take it.

use toml::Value;

use super::Secret;

/// The one setting that takes a number as well as a word.
const NUMBER_OR_WORD: &str = "export.limit";

/// Addresses, which may hold a password: shown masked.
const SECRETS: [&str; 2] = ["redis.url", "database.url"];

/// A variable's text as the kind of value that the default has; where it cannot become one, it
/// stays text, and `fitted` refuses it.
pub(super) fn from_text(default: &Value, text: &str) -> Value {
    let as_text = Value::String(text.to_owned());
    match default {
        Value::Integer(_) => text.parse().map_or(as_text, Value::Integer),
        Value::Float(_) => text.parse().map_or(as_text, Value::Float),
        Value::Boolean(_) => match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Boolean(true),
            "false" | "0" | "no" | "off" => Value::Boolean(false),
            _ => as_text,
        },
        Value::Array(_) => {
            let parts = text.split(':').filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        _ => as_text,
    }
}

/// `given` as a value of the default's kind.
///
/// # Errors
/// What is needed instead.
pub(super) fn fitted(key: &str, default: &Value, given: Value) -> Result<Value, &'static str> {
    match (default, given) {
        (Value::String(_), Value::Integer(number)) if key == NUMBER_OR_WORD => {
            Ok(Value::String(number.to_string()))
        }
        (Value::Integer(_), Value::Integer(number)) if number >= 0 => Ok(Value::Integer(number)),
        (Value::Float(_), Value::Integer(number)) => Ok(Value::Float(number as f64)),
        (Value::Array(_), Value::Array(parts)) if parts.iter().all(Value::is_str) => {
            Ok(Value::Array(parts))
        }
        (Value::Float(_), given @ Value::Float(_))
        | (Value::Boolean(_), given @ Value::Boolean(_))
        | (Value::String(_), given @ Value::String(_)) => Ok(given),
        (Value::Integer(_), _) => Err("a whole number is needed"),
        (Value::Float(_), _) => Err("a number is needed"),
        (Value::Boolean(_), _) => Err("true or false is needed"),
        (Value::Array(_), _) => Err("a list of texts is needed"),
        (_, _) => Err("a text in quotes is needed"),
    }
}

/// `value` without a password, and whether something had to be hidden.
pub(super) fn shown(key: &str, value: &Value) -> (Value, bool) {
    match value {
        Value::String(text) if SECRETS.contains(&key) => {
            let masked = Secret::new(text.as_str()).masked();
            let hidden = masked != *text;
            (Value::String(masked), hidden)
        }
        other => (other.clone(), false),
    }
}

/// `value` as it stands in a settings file.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        // With its point, so that it is read as a float again.
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(yes) => yes.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(parts) => {
            let parts: Vec<String> = parts.iter().map(written).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::Table(_) => "a table".to_owned(),
    }
}

/// A TOML string. JSON escapes in the same way, but for one letter that TOML wants escaped too.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string().replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let values = [
            Value::String("a \"b\" \\ \t\n\u{7f}\u{1} ü 😀".to_owned()),
            Value::Integer(7),
            Value::Float(2.0),
            Value::Float(1e300),
            Value::Boolean(true),
            Value::Array(vec![Value::String("/a b".to_owned()), Value::String("/c".to_owned())]),
        ];
        for value in values {
            let text = format!("x = {}", written(&value));
            let read: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read["x"], value, "{text}");
        }
    }

    #[test]
    fn a_value_has_the_kind_of_its_default() {
        let (number, float, text) =
            (Value::Integer(1), Value::Float(1.0), Value::String(String::new()));
        assert_eq!(fitted("a.b", &float, Value::Integer(2)), Ok(Value::Float(2.0)));
        assert!(fitted("a.b", &number, Value::Integer(-1)).is_err());
        assert!(fitted("a.b", &number, Value::Float(1.0)).is_err());
        assert!(fitted("a.b", &text, Value::Integer(1)).is_err());
        assert_eq!(
            fitted(NUMBER_OR_WORD, &text, Value::Integer(12)),
            Ok(Value::String("12".to_owned()))
        );
        assert!(fitted("a.b", &Value::Array(Vec::new()), Value::Array(vec![number])).is_err());
    }

    #[test]
    fn a_number_that_is_none_stays_text() {
        let default = Value::Integer(1);
        assert_eq!(from_text(&default, "many"), Value::String("many".to_owned()));
        assert_eq!(from_text(&Value::Boolean(true), "off"), Value::Boolean(false));
    }
}
