//! Raw settings in, usable settings out; every problem reported at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{Limit, Raw};
use super::{Config, ConfigError, LogFormat, Secret};

pub(super) fn check(raw: Raw, environment: &[(String, String)]) -> Result<Config, ConfigError> {
    let mut problems = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let data = data_folder(&raw.paths.data, environment, &mut problems);
    let database_url = if raw.database.url.is_empty() {
        format!("sqlite://{}", data.join("catalog.sqlite").display())
    } else {
        raw.database.url
    };

    within(&mut problems, "queue.lease_seconds", raw.queue.lease_seconds, 1, 3600);
    within(&mut problems, "queue.starts_max", raw.queue.starts_max.into(), 1, 100);
    within(&mut problems, "analyze.slots", raw.analyze.slots as u64, 0, 1024);
    within(&mut problems, "analyze.replicas", raw.analyze.replicas as u64, 1, 256);
    within(&mut problems, "vision.threads", raw.vision.threads as u64, 0, 256);
    within(&mut problems, "vision.batch_max", raw.vision.batch_max as u64, 1, 256);
    within(&mut problems, "vision.original_mib_max", raw.vision.original_mib_max, 1, 4096);
    within(&mut problems, "vision.megapixels_max", raw.vision.megapixels_max, 1, 2000);
    within(&mut problems, "vision.decode_seconds_max", raw.vision.decode_seconds_max, 1, 600);
    within(&mut problems, "train.generations_kept", raw.train.generations_kept as u64, 1, 1000);
    within(&mut problems, "run.grace_seconds", raw.run.grace_seconds, 1, 3600);
    if !(0.05..=5.0).contains(&raw.run.reload_seconds) {
        problems.push(format!(
            "run.reload_seconds is {}: allowed are 0.05 to 5",
            raw.run.reload_seconds
        ));
    }
    let named_well = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
    };
    if !named_well(&raw.redis.namespace) {
        problems.push(format!(
            "redis.namespace is {:?}: use 1 to 64 letters, digits, dashes, dots and underscores",
            raw.redis.namespace
        ));
    }
    if !named_well(&raw.vision.pack) {
        problems.push(format!("vision.pack is {:?}: it must be a pack's name", raw.vision.pack));
    }
    let export_limit = match raw.export.limit {
        Limit::Rows(0) => {
            problems.push("export.limit is 0: give a number from 1, or \"all\"".to_owned());
            None
        }
        Limit::Rows(rows) => Some(rows),
        Limit::Word(word) if word == "all" => None,
        Limit::Word(word) => match word.parse() {
            Ok(rows) if rows > 0 => Some(rows),
            _ => {
                problems
                    .push(format!("export.limit is {word:?}: give a number from 1, or \"all\""));
                None
            }
        },
    };
    let log_format = match raw.log.format.as_str() {
        "pretty" => LogFormat::Pretty,
        "json" => LogFormat::Json,
        "auto" => LogFormat::Auto,
        other => {
            problems.push(format!("log.format is {other:?}: allowed are auto, pretty, json"));
            LogFormat::Auto
        }
    };
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    Ok(Config {
        file: None,
        packs: raw.paths.packs,
        onnxruntime: given(raw.paths.onnxruntime),
        redis_url: (!raw.redis.url.is_empty()).then(|| Secret::new(raw.redis.url)),
        namespace: raw.redis.namespace,
        database_url: Secret::new(database_url),
        lease: Duration::from_secs(raw.queue.lease_seconds),
        starts_max: raw.queue.starts_max,
        slots: if raw.analyze.slots == 0 { 2 * cores } else { raw.analyze.slots },
        replicas: raw.analyze.replicas,
        pack: raw.vision.pack,
        model_threads: match raw.vision.threads {
            0 => (cores / raw.analyze.replicas).max(1),
            threads => threads,
        },
        batch_max: raw.vision.batch_max,
        original_bytes_max: raw.vision.original_mib_max << 20,
        pixels_max: raw.vision.megapixels_max * 1_000_000,
        decode_time_max: Duration::from_secs(raw.vision.decode_seconds_max),
        export_limit,
        auto_train: raw.train.auto,
        train_delay: Duration::from_secs(raw.train.delay_seconds),
        rescan_every: Duration::from_secs(raw.watch.rescan_seconds),
        settle: Duration::from_secs_f64(raw.watch.settle_seconds),
        generations_kept: raw.train.generations_kept,
        exact_search_max: raw.train.exact_search_max,
        serve_listen: raw.serve.listen,
        health_listen: raw.run.health_listen,
        reload_every: Duration::from_secs_f64(raw.run.reload_seconds),
        grace: Duration::from_secs(raw.run.grace_seconds),
        log_filter: raw.log.filter,
        log_format,
        data,
    })
}

fn given(path: PathBuf) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then_some(path)
}

fn within(problems: &mut Vec<String>, key: &str, value: u64, least: u64, most: u64) {
    if !(least..=most).contains(&value) {
        problems.push(format!("{key} is {value}: allowed are {least} to {most}"));
    }
}

/// The data folder, absolute: as set, else where the desktop standards put a program's data.
fn data_folder(
    set: &Path,
    environment: &[(String, String)],
    problems: &mut Vec<String>,
) -> PathBuf {
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, value)| name == wanted && !value.is_empty());
        found.map(|(_, value)| PathBuf::from(value))
    };
    let folder = if set.as_os_str().is_empty() {
        let base =
            variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
        base.map(|base| base.join("eyefleet"))
    } else {
        Some(set.to_owned())
    };
    let Some(folder) = folder else {
        problems.push(
            "paths.data is not set and there is no HOME to put it under: set EYEFLEET_DATA"
                .to_owned(),
        );
        return PathBuf::new();
    };
    match std::path::absolute(&folder) {
        Ok(absolute) => absolute,
        Err(error) => {
            problems.push(format!("paths.data is {}: {error}", folder.display()));
            folder
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let home = ("HOME".to_owned(), "/home/somebody".to_owned());
        let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_sources(None, given.chain([home]))
    }

    #[test]
    fn the_defaults_are_usable() {
        let config = load(&[]).unwrap();
        assert_eq!(config.data, Path::new("/home/somebody/.local/share/eyefleet"));
        assert_eq!(
            config.database_url.expose(),
            "sqlite:///home/somebody/.local/share/eyefleet/catalog.sqlite"
        );
        assert_eq!(config.export_limit, None);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let error = load(&[
            ("EYEFLEET_QUEUE__LEASE_SECONDS", "0"),
            ("EYEFLEET_EXPORT__LIMIT", "some"),
            ("EYEFLEET_LOG__FORMAT", "xml"),
        ])
        .unwrap_err();
        assert_eq!(error.problems.len(), 3, "{error}");
        insta::assert_snapshot!(error);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = load(&[("EYEFLEET_ANALYZE__SLOT", "3")]).unwrap_err();
        assert!(error.to_string().contains("slot"), "{error}");
        assert!(load(&[("EYEFLEET_SLOTS", "3")]).is_err());
    }

    #[test]
    fn two_names_of_one_setting_must_agree() {
        let both = [("DATABASE_URL", "sqlite:///a"), ("EYEFLEET_DATABASE__URL", "sqlite:///b")];
        let error = load(&both).unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL") && !error.contains("sqlite"), "{error}");
        load(&[("DATABASE_URL", "sqlite:///a"), ("EYEFLEET_DATABASE__URL", "sqlite:///a")])
            .unwrap();
    }

    #[test]
    fn what_kubernetes_says_of_services_is_no_setting() {
        load(&[
            ("EYEFLEET_SERVE_SERVICE_HOST", "10.0.0.1"),
            ("EYEFLEET_SERVE_PORT_8484_TCP_ADDR", "x"),
        ])
        .unwrap();
    }

    #[test]
    fn known_short_names_are_honoured() {
        let config = load(&[("AUTO_TRAIN", "false"), ("EYEFLEET_DATA", "/srv/eyefleet")]).unwrap();
        assert!(!config.auto_train);
        assert_eq!(config.data, Path::new("/srv/eyefleet"));
    }

    #[test]
    fn a_file_lies_between_defaults_and_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eyefleet.toml");
        std::fs::write(&path, "[analyze]\nslots = 7\nreplicas = 3\n").unwrap();
        let environment = [("EYEFLEET_ANALYZE__SLOTS", "9"), ("HOME", "/h")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_sources(Some(&path), environment).unwrap();
        assert_eq!((config.slots, config.replicas), (9, 3));
    }
}
