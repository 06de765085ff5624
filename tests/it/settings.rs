//! `eyefleet config show`, and what the documents say of settings.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use eyefleet::config::DEFAULTS;

use crate::support::{eyefleet, run, stderr, stdout};

/// A file of settings with a password, and the command that reads it.
fn show(folder: &Path, text: &str) -> Command {
    let file = folder.join("eyefleet.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = eyefleet(&folder.join("data"));
    // The story is about where settings come from: no variable of another story among them.
    command.env_remove("DATABASE_URL");
    command.arg("--config").arg(file).args(["config", "show"]);
    command
}

fn setting<'json>(shown: &'json serde_json::Value, key: &str) -> &'json serde_json::Value {
    let all = shown["settings"].as_array().unwrap();
    all.iter().find(|one| one["key"] == key).unwrap_or_else(|| panic!("{key} is not shown"))
}

#[test]
fn every_setting_is_shown_with_its_origin_and_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = show(
        folder.path(),
        "[redis]\nurl = \"redis://me:hunter2@redis/0\"\n[queue]\nstarts_max = 7\n",
    );
    command.arg("--json").env("EYEFLEET_RUN__GRACE_SECONDS", "9");
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0));
    assert!(!stdout(&output).contains("hunter2"), "a password was printed");
    let shown: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let defaults: toml::Table = DEFAULTS.parse().unwrap();
    let known = defaults.values().map(|section| section.as_table().unwrap().len()).sum::<usize>();
    assert_eq!(shown["settings"].as_array().unwrap().len(), known);

    let grace = setting(&shown, "run.grace_seconds");
    assert_eq!(
        (&grace["value"], &grace["origin"], &grace["from"]),
        (&9.into(), &"environment".into(), &"EYEFLEET_RUN__GRACE_SECONDS".into())
    );
    let starts = setting(&shown, "queue.starts_max");
    assert_eq!((&starts["value"], &starts["origin"]), (&7.into(), &"file".into()));
    let redis = setting(&shown, "redis.url");
    assert_eq!(
        (&redis["value"], &redis["masked"]),
        (&"redis://me:***@redis/0".into(), &true.into())
    );
    let slots = setting(&shown, "analyze.slots");
    assert_eq!((&slots["value"], &slots["origin"]), (&0.into(), &"default".into()));
    assert!(slots["found"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    let database = setting(&shown, "database.url");
    assert!(database["found"].as_str().unwrap().ends_with("data/catalog.sqlite"), "{database}");
    assert!(setting(&shown, "paths.packs")["found"].as_str().unwrap().ends_with("models"));
}

#[test]
fn what_is_shown_can_be_saved_and_sets_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[database]\nurl = \"postgres://me:hunter2@db/x\"\n\
                [paths]\npacks = [\"/a b\", \"/c\"]\n[watch]\nsettle_seconds = 3\n\
                [log]\nfilter = \"info,\\\"x\\\"=debug\"\n";
    let first = run(&mut show(folder.path(), text));
    assert_eq!(first.status.code(), Some(0));
    let saved = stdout(&first);
    assert!(saved.contains("# url = \"postgres://me:***@db/x\""), "a masked address is live");
    let second = run(show(folder.path(), &saved).env_remove("EYEFLEET_DATA").arg("--json"));
    assert_eq!(second.status.code(), Some(0), "what was shown is no settings file");
    let second: serde_json::Value = serde_json::from_str(&stdout(&second)).unwrap();
    let third = run(show(folder.path(), text).arg("--json"));
    let third: serde_json::Value = serde_json::from_str(&stdout(&third)).unwrap();
    for one in third["settings"].as_array().unwrap() {
        let key = one["key"].as_str().unwrap();
        if key == "database.url" {
            continue;
        }
        assert_eq!(setting(&second, key)["value"], one["value"], "{key}");
    }
}

#[test]
fn settings_with_problems_are_shown_and_the_problems_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[analyze]\nslots = \"many\"\nreplica = 3\n[queue]\nstarts_max = 7\n\
                [redis]\nurl = 5\nnamespace = \"a b\"\n";
    let mut command = show(folder.path(), text);
    command.env("EYEFLEET_QUEUE__LEASE_SECONDS", "0");
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("\nlease_seconds = 0  # environment EYEFLEET_QUEUE__LEASE"));
    let said = stderr(&output).replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(said);

    // A role says the same before it does anything.
    let mut role = eyefleet(&folder.path().join("data"));
    role.arg("--config").arg(folder.path().join("eyefleet.toml")).args(["run", "analyze"]);
    let refused = run(role.env("EYEFLEET_QUEUE__LEASE_SECONDS", "0"));
    assert_eq!((refused.status.code(), &stderr(&refused)), (Some(1), &stderr(&output)));
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&mut show(folder.path(), "[redis]\n\nurl = \"redis://:hunter2@h/0\n"));
    let said = stderr(&output);
    assert!(said.contains("eyefleet.toml is not TOML in line 3"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(stdout(&output).contains("[watch]"), "the rest is not shown");
}

#[test]
fn a_variable_that_is_no_text_is_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"/photos/\xff");
    let output = run(eyefleet(folder.path()).args(["config", "show"]).env("EYEFLEET_DATA", bytes));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the variable EYEFLEET_DATA is not UTF-8"));
    let foreign = run(eyefleet(folder.path()).args(["config", "show"]).env("OTHER", bytes));
    assert_eq!(foreign.status.code(), Some(0));
}

// --- what the documents say ------------------------------------------------------------------------

/// Beneath each key's comment stands its value; the comment says the unit where the name does.
#[test]
fn every_setting_is_explained_where_it_stands() {
    let units = [
        ("_seconds", "econds"),
        ("_mib_", "MiB"),
        ("megapixels", "millions of pixels"),
        ("listen", "Port 0"),
        ("url", "address"),
    ];
    let mut comment = String::new();
    let mut seen = 0;
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
            continue;
        }
        if let Some((key, _)) = line.split_once(" = ") {
            seen += 1;
            assert!(
                comment.split_whitespace().count() >= 8,
                "{key} is hardly explained: {comment}"
            );
            for (part, unit) in units {
                assert!(!key.contains(part) || comment.contains(unit), "{key} lacks {unit:?}");
            }
        }
        comment.clear();
    }
    let table: toml::Table = DEFAULTS.parse().unwrap();
    let keys = table.values().map(|section| section.as_table().unwrap().len());
    assert_eq!(seen, keys.sum::<usize>());
}

#[test]
fn the_documents_name_settings_that_exist() {
    let table: toml::Table = DEFAULTS.parse().unwrap();
    let mut named = BTreeSet::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let path = path.display();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            let Some(rest) = word.strip_prefix("EYEFLEET_") else { continue };
            // Variables of the tests are no settings of the program.
            if ["", "DATA", "CONFIG", "MODEL_CACHE"].contains(&rest) || rest.starts_with("TEST_") {
                continue;
            }
            let (section, key) = rest.split_once("__").unwrap_or((rest, ""));
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            assert!(is_setting(&table, &section, &key), "{path}: {word} sets nothing");
            named.insert(format!("{section}.{key}"));
        }
        // `section.key` in backticks, or as a word of its own in the settings' own comments.
        for word in text.split(|c: char| c == '`' || c.is_whitespace() || "(),;".contains(c)) {
            let Some((section, key)) = word.trim_end_matches(['.', ':']).split_once('.') else {
                continue;
            };
            let is_file = ["rs", "toml", "json", "md"].contains(&key);
            let is_key = !is_file && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if is_key && table.contains_key(section) {
                assert!(is_setting(&table, section, key), "{path}: {word} is no setting");
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() > 8, "the documents were not read: {named:?}");
}

fn is_setting(table: &toml::Table, section: &str, key: &str) -> bool {
    table.get(section).is_some_and(|section| section.get(key).is_some())
}

/// What a person reads, and what is shipped to be run.
fn documents() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![
        root.join("config/default.toml"),
        root.join("docker-compose.yml"),
        root.join("Dockerfile"),
        root.join("Makefile"),
        root.join("src/cli/args.rs"),
    ];
    let folders = ["", "docs", "scripts", "models/starter"];
    for folder in folders {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_page = path.extension().is_some_and(|it| it == "md") || folder == "scripts";
            if is_page && path.is_file() {
                found.push(path);
            }
        }
    }
    found
}
