//! Lays a file and the environment over the built-in settings.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::{ConfigError, DEFAULTS};

/// Variables that people and other programs already know, and the key each one sets.
const SHORT_NAMES: [(&str, &str, &str); 4] = [
    ("EYEFLEET_DATA", "paths", "data"),
    ("REDIS_URL", "redis", "url"),
    ("DATABASE_URL", "database", "url"),
    ("AUTO_TRAIN", "train", "auto"),
];

/// Variables that begin like a setting and are not one.
const NOT_SETTINGS: [&str; 1] = ["EYEFLEET_CONFIG"];

/// The three sources as one table; later sources win key by key.
pub(super) fn merged(
    file: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Table, ConfigError> {
    let mut table: Table =
        DEFAULTS.parse().expect("the built-in settings parse: a test reads them");
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::one(format!("cannot read the settings file {}: {error}", path.display()))
        })?;
        let over: Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError::one(format!("{} is not TOML: {}", path.display(), error.message()))
        })?;
        lay_over(&mut table, over);
    }
    let mut problems = Vec::new();
    let mut set_by: BTreeMap<(String, String), (&str, &str)> = BTreeMap::new();
    for (name, text) in environment {
        match key_of(name) {
            Some(Ok((section, key))) => {
                set(&mut table, &section, &key, text);
                let place = (section, key);
                match set_by.insert(place, (name, text)) {
                    // Which one is meant cannot be known, and guessing may hit the wrong database.
                    Some((other, said)) if said != text => problems.push(format!(
                        "the variables {other} and {name} set the same and differ: unset one"
                    )),
                    _ => {}
                }
            }
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }
    if problems.is_empty() { Ok(table) } else { Err(ConfigError { problems }) }
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Section and key that a variable sets; `None` when it is none of ours.
fn key_of(name: &str) -> Option<Result<(String, String), String>> {
    if let Some((_, section, key)) = SHORT_NAMES.iter().find(|(short, _, _)| *short == name) {
        return Some(Ok(((*section).to_owned(), (*key).to_owned())));
    }
    let rest = name.strip_prefix("EYEFLEET_")?;
    // Kubernetes tells every container of services by such names; one may be called `eyefleet`.
    let of_kubernetes = rest.contains("SERVICE_HOST")
        || rest.contains("SERVICE_PORT")
        || rest.ends_with("_PORT")
        || rest.contains("_PORT_");
    if NOT_SETTINGS.contains(&name) || (of_kubernetes && !rest.contains("__")) {
        return None;
    }
    Some(match rest.split_once("__") {
        Some((section, key)) => Ok((section.to_lowercase(), key.to_lowercase())),
        None => Err(format!(
            "the variable {name} sets nothing: write EYEFLEET_<SECTION>__<KEY>, for example \
             EYEFLEET_ANALYZE__SLOTS"
        )),
    })
}

/// A variable's text becomes the kind of value that the default has; where it cannot, it stays
/// text, and reading it into its struct names the key.
fn set(table: &mut Table, section: &str, key: &str, text: &str) {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(section) = section else { return };
    let as_text = Value::String(text.to_owned());
    let value = match section.get(key) {
        Some(Value::Integer(_)) => text.parse().map_or(as_text, Value::Integer),
        Some(Value::Float(_)) => text.parse().map_or(as_text, Value::Float),
        Some(Value::Boolean(_)) => match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Boolean(true),
            "false" | "0" | "no" | "off" => Value::Boolean(false),
            _ => as_text,
        },
        Some(Value::Array(_)) => Value::Array(
            text.split(':')
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
        ),
        _ => as_text,
    };
    section.insert(key.to_owned(), value);
}
