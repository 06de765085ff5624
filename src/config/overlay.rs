//! Lays a file and the environment over the built-in settings, and notes where each value comes
//! from.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::problems::{Origin, Origins, from};
use super::{DEFAULTS, value};

/// Variables that people and other programs already know, and the key each one sets.
const SHORT_NAMES: [(&str, &str, &str); 6] = [
    ("EYEFLEET_DATA", "paths", "data"),
    ("EYEFLEET_MODEL_CACHE", "paths", "model_cache"),
    ("REDIS_URL", "redis", "url"),
    ("DATABASE_URL", "database", "url"),
    ("AUTO_TRAIN", "train", "auto"),
    ("OLLAMA_HOST", "ollama", "host"),
];

/// Variables that begin like a setting and are not one.
const NOT_SETTINGS: [&str; 1] = ["EYEFLEET_CONFIG"];

/// The three sources as one table; later sources win key by key. What cannot be laid over it is a
/// problem and leaves the value beneath.
#[derive(Debug)]
pub(super) struct Overlay {
    pub table: Table,
    pub origins: Origins,
    pub problems: Vec<String>,
}

impl Overlay {
    pub fn new(file: Option<&Path>, environment: &[(String, String)]) -> Self {
        let table = DEFAULTS.parse().expect("the built-in settings parse: a test reads them");
        let mut overlay = Self { table, origins: Origins::new(), problems: Vec::new() };
        if let Some(path) = file {
            match read(path) {
                Ok(over) => overlay.lay_file(over, path),
                Err(problem) => overlay.problems.push(problem),
            }
        }
        overlay.lay_environment(environment);
        overlay
    }

    fn lay_file(&mut self, over: Table, path: &Path) {
        let origin = Origin::File(path.to_owned());
        for (section, keys) in over {
            let Value::Table(keys) = keys else {
                self.problems.push(format!(
                    "{section} stands outside of a section{}: write it below a line like [paths]",
                    from(&origin)
                ));
                continue;
            };
            for (key, given) in keys {
                self.lay(&section, &key, origin.clone(), |_| given);
            }
        }
    }

    fn lay_environment(&mut self, environment: &[(String, String)]) {
        let mut set_by: BTreeMap<(String, String), (&str, &str)> = BTreeMap::new();
        for (name, text) in environment {
            match key_of(name) {
                Some(Ok((section, key))) => {
                    let origin = Origin::Variable(name.clone());
                    self.lay(&section, &key, origin, |default| value::from_text(default, text));
                    match set_by.insert((section, key), (name, text)) {
                        // Which one is meant cannot be known, and guessing may hit the wrong
                        // database.
                        Some((other, said)) if said != text => self.problems.push(format!(
                            "the variables {other} and {name} set the same and differ: unset one"
                        )),
                        _ => {}
                    }
                }
                Some(Err(problem)) => self.problems.push(problem),
                None => {}
            }
        }
    }

    /// Lays one value over the one beneath, whose kind it must have.
    fn lay(
        &mut self,
        section: &str,
        key: &str,
        origin: Origin,
        given: impl FnOnce(&Value) -> Value,
    ) {
        let from = from(&origin);
        let place = format!("{section}.{key}");
        let Some(Value::Table(keys)) = self.table.get_mut(section) else {
            let known: Vec<&str> = self.table.keys().map(String::as_str).collect();
            self.problems.push(format!(
                "{place} is no setting{from}: the sections are {}",
                known.join(", ")
            ));
            return;
        };
        let Some(beneath) = keys.get_mut(key) else {
            let known: Vec<&str> = keys.keys().map(String::as_str).collect();
            self.problems
                .push(format!("{place} is no setting{from}: [{section}] has {}", known.join(", ")));
            return;
        };
        let given = given(beneath);
        let shown = value::written(&value::shown(&place, &given).0);
        match value::fitted(&place, beneath, given) {
            Ok(value) => {
                *beneath = value;
                self.origins.insert(place, origin);
            }
            Err(needed) => self.problems.push(format!("{place} is {shown}{from}: {needed}")),
        }
    }
}

fn read(path: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the settings file {}: {error}", path.display()))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The line itself is not quoted: it may hold a password.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("{} is not TOML in line {line}: {}", path.display(), error.message())
    })
}

/// Whether a variable is read by this program.
pub(super) fn is_ours(name: &str) -> bool {
    NOT_SETTINGS.contains(&name) || key_of(name).is_some()
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
