//! Raw settings in, usable settings out.

use std::time::Duration;

use super::problems::Problems;
use super::sections::Raw;
use super::{Config, Secret};
use crate::quiet::QuietHours;
use crate::schedule::Timetable;

/// The settings as the program uses them; `None` where `problems` has some then.
pub(super) fn check(
    raw: Raw,
    environment: &[(String, String)],
    problems: &mut Problems,
) -> Option<Config> {
    let data = raw.paths.data_folder(environment, problems);
    let model_cache = raw.paths.model_cache(environment);
    raw.check(problems);
    if !problems.is_empty() {
        return None;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let replicas = raw.analyze.replicas as usize;
    Some(Config {
        file: None,
        onnxruntime: raw.paths.onnxruntime().map(Into::into),
        packs: {
            let cache = (!model_cache.as_os_str().is_empty()).then(|| model_cache.clone());
            raw.paths.packs.into_iter().chain(cache).collect()
        },
        model_cache,
        redis_url: (!raw.redis.url.is_empty()).then(|| Secret::new(raw.redis.url)),
        namespace: raw.redis.namespace,
        database_url: Secret::new(raw.database.url_or_file_in(&data)),
        lease: Duration::from_secs(raw.queue.lease_seconds),
        starts_max: raw.queue.starts_max as u32,
        slots: match raw.analyze.slots {
            0 => 2 * cores,
            slots => slots as usize,
        },
        replicas,
        pack: raw.vision.pack,
        model_threads: match raw.vision.threads {
            0 => (cores / replicas).max(1),
            threads => threads as usize,
        },
        batch_max: raw.vision.batch_max as usize,
        original_bytes_max: raw.vision.original_mib_max << 20,
        pixels_max: raw.vision.megapixels_max * 1_000_000,
        decode_time_max: Duration::from_secs(raw.vision.decode_seconds_max),
        ollama_address: raw.ollama.address().and_then(Result::ok),
        ollama_model: raw.ollama.model,
        ollama_time_max: Duration::from_secs(raw.ollama.timeout_seconds),
        ollama_at_once: raw.ollama.at_once as usize,
        rescan_every: Duration::from_secs(raw.watch.rescan_seconds),
        settle: Duration::from_secs_f64(raw.watch.settle_seconds),
        reconcile_every: Duration::from_secs(raw.reconcile.every_seconds),
        export_limit: raw.export.rows(),
        export_schedule: Timetable::parse(&raw.export.schedule).ok(),
        export_skipped_max_share: raw.export.skipped_max_share,
        auto_train: raw.train.auto,
        train_delay: Duration::from_secs(raw.train.delay_seconds),
        train_after_images: raw.train.after_images,
        train_after_share: raw.train.after_share,
        train_schedule: Timetable::parse(&raw.train.schedule).ok(),
        train_shrink_max: raw.train.shrink_max_share,
        generations_kept: raw.train.generations_kept as usize,
        exact_search_max: raw.train.exact_search_max as usize,
        train_memory: (raw.train.memory_mib > 0)
            .then(|| raw.train.memory_mib.saturating_mul(1 << 20)),
        share: raw.fleet.share,
        quiet_hours: QuietHours::parse(&raw.fleet.quiet_hours).unwrap_or_default(),
        serve_listen: raw.serve.listen,
        health_listen: raw.run.health_listen,
        reload_every: Duration::from_secs_f64(raw.run.reload_seconds),
        grace: Duration::from_secs(raw.run.grace_seconds),
        log_format: raw.log.format(),
        log_filter: raw.log.filter,
        data,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::ConfigError;

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
            ("EYEFLEET_TRAIN__SCHEDULE", "sundays"),
        ])
        .unwrap_err();
        assert_eq!(error.problems.len(), 4, "{error}");
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
    fn models_are_kept_where_they_were_kept_before() {
        let cache = |variables: &[(&str, &str)]| {
            let config = load(variables).unwrap();
            assert_eq!(config.packs.last(), Some(&config.model_cache));
            config.model_cache
        };
        assert_eq!(cache(&[]), Path::new("/home/somebody/.cache/eyefleet/models"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/c")]), Path::new("/c/eyefleet/models"));
        let before = [("XDG_CACHE_HOME", "/c"), ("TRANSFORMERS_CACHE", "/models")];
        assert_eq!(cache(&before), Path::new("/models"));
        // Others read that variable as well: the two may differ.
        let both = [("TRANSFORMERS_CACHE", "/models"), ("EYEFLEET_MODEL_CACHE", "/ours")];
        assert_eq!(cache(&both), Path::new("/ours"));
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
