//! The settings one by one, with the origin of each: what `eyefleet config show` lists. They can be
//! listed also where some of them cannot be used.

use std::path::{Path, PathBuf};

use toml::Value;

use super::overlay::{self, Overlay};
use super::problems::{Origin, Problems};
use super::{Config, ConfigError, DEFAULTS, check, value};

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its section in the settings file.
    pub section: String,
    /// Its key there.
    pub key: String,
    /// Its value, a password in it masked.
    pub value: Value,
    /// Whether the value held something that is masked now.
    pub is_masked: bool,
    /// Where the value comes from.
    pub origin: Origin,
}

impl Setting {
    /// `section.key`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// The value as it stands in a settings file.
    pub fn written(&self) -> String {
        value::written(&self.value)
    }
}

/// All settings of a process, read from its three sources.
#[derive(Debug)]
pub struct Settings {
    /// The settings file that was named, be it readable or not.
    pub file: Option<PathBuf>,
    /// Every setting, in the order of `config/default.toml`.
    pub list: Vec<Setting>,
    /// The same as the program uses them, or what is wrong with them.
    pub config: Result<Config, ConfigError>,
}

impl Settings {
    /// Reads the settings of this process: defaults, `file`, the environment.
    pub fn read(file: Option<&Path>) -> Self {
        let (mut texts, mut problems) = (Vec::new(), Vec::new());
        for (name, value) in std::env::vars_os() {
            // A name that is no text is none of ours, and must not end the program.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => texts.push((name, value)),
                // Passed over, the built-in value would serve: another folder, another database.
                Err(_) if overlay::is_ours(&name) => problems.push(format!(
                    "the variable {name} is not UTF-8: only such values can be read"
                )),
                Err(_) => {}
            }
        }
        Self::new(file, &texts, problems)
    }

    /// The same with a given environment, for tests.
    pub fn from_sources(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let environment: Vec<_> = environment.into_iter().collect();
        Self::new(file, &environment, Vec::new())
    }

    fn new(
        file: Option<&Path>,
        environment: &[(String, String)],
        mut problems: Vec<String>,
    ) -> Self {
        let named = environment.iter().find(|(name, _)| name == "EYEFLEET_CONFIG");
        let file = file.or(named.map(|(_, path)| Path::new(path)));
        let overlay = Overlay::new(file, environment);
        let list = list(&overlay);
        problems.extend(overlay.problems);
        let mut problems = Problems::new(overlay.origins, problems);
        let config = match overlay.table.try_into() {
            Ok(raw) => check::check(raw, environment, &mut problems),
            Err(error) => {
                problems.add(error.message());
                None
            }
        };
        let config = match config {
            Some(config) => Ok(Config { file: file.map(Path::to_owned), ..config }),
            None => Err(ConfigError { problems: problems.into_list() }),
        };
        Self { file: file.map(Path::to_owned), list, config }
    }
}

fn list(overlay: &Overlay) -> Vec<Setting> {
    let mut list = Vec::new();
    for (section, key) in names() {
        let name = format!("{section}.{key}");
        let (value, is_masked) = value::shown(&name, &overlay.table[section][key]);
        let origin = overlay.origins.get(&name).cloned().unwrap_or(Origin::Default);
        let (section, key) = (section.to_owned(), key.to_owned());
        list.push(Setting { section, key, value, is_masked, origin });
    }
    list
}

/// Section and key of every setting, in the order in which the built-in settings explain them. A
/// parsed table has lost it.
fn names() -> Vec<(&'static str, &'static str)> {
    let mut section = "";
    let mut names = Vec::new();
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end().trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            names.push((section, key));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_listed_once_with_its_origin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eyefleet.toml");
        std::fs::write(&path, "[analyze]\nslots = 7\nreplicas = 3\n").unwrap();
        let variables = [
            ("EYEFLEET_ANALYZE__SLOTS", "9"),
            ("REDIS_URL", "redis://:hunter2@redis/0"),
            ("HOME", "/h"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_sources(Some(&path), variables);
        let table: toml::Table = DEFAULTS.parse().unwrap();
        let keys = table.values().map(|section| section.as_table().unwrap().len());
        assert_eq!(settings.list.len(), keys.sum::<usize>());

        let of = |name: &str| settings.list.iter().find(|one| one.name() == name).unwrap();
        let (slots, replicas) = (of("analyze.slots"), of("analyze.replicas"));
        assert_eq!(slots.origin.to_string(), "environment EYEFLEET_ANALYZE__SLOTS");
        assert_eq!(slots.value, Value::Integer(9));
        assert_eq!(replicas.origin, Origin::File(path.clone()));
        assert_eq!(of("queue.starts_max").origin, Origin::Default);
        let redis = of("redis.url");
        assert!(redis.is_masked);
        assert_eq!(redis.written(), "\"redis://:***@redis/0\"");
        assert_eq!(settings.config.unwrap().slots, 9);
    }

    #[test]
    fn the_settings_are_listed_with_their_problems_too() {
        let variables = [("EYEFLEET_QUEUE__LEASE_SECONDS", "0"), ("HOME", "/h")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_sources(Some(Path::new("/nowhere/x.toml")), variables);
        let lease = settings.list.iter().find(|one| one.key == "lease_seconds").unwrap();
        assert_eq!(lease.value, Value::Integer(0));
        assert_eq!(settings.config.unwrap_err().problems.len(), 2);
    }
}
