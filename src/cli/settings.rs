//! `eyefleet config show`: every setting with its value and where that comes from.
//!
//! The human form is a settings file: saved, it sets the same again. What the program found out by
//! itself and where a value comes from stand there as comments; an address with a password is
//! commented out, because it is masked.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::Exit;
use super::args::ConfigCommand;
use crate::config::{Config, Origin, Secret, Setting, Settings};
use crate::supervise::FleetFile;
use crate::vision::{Pack, Runtime};

/// A value longer than this does not push the comments of its section to the right.
const ALIGNED_MAX: usize = 40;

/// Prints the settings, also where some of them cannot be used.
///
/// # Errors
/// The problems of the settings, after they were printed; output that cannot be written.
pub fn config(file: Option<&Path>, command: &ConfigCommand, json: bool) -> anyhow::Result<Exit> {
    let ConfigCommand::Show = command;
    let settings = Settings::read(file);
    let lines = lines(&settings);
    if json {
        say!("{}", serde_json::to_string(&answer(&settings, &lines))?);
    } else {
        say!("{}", text(&settings, &lines).trim_end());
    }
    settings.config?;
    Ok(Exit::Done)
}

/// A setting with what the program found where the setting leaves that to it.
struct Line<'settings> {
    setting: &'settings Setting,
    found: Option<String>,
}

fn lines(settings: &Settings) -> Vec<Line<'_>> {
    let config = settings.config.as_ref().ok();
    let line = |setting| Line { setting, found: config.and_then(|it| found(setting, it)) };
    settings.list.iter().map(line).collect()
}

/// What stands for a value of 0, an empty text or an empty list; `None` where the setting says it.
fn found(setting: &Setting, config: &Config) -> Option<String> {
    let is_automatic = match &setting.value {
        toml::Value::Integer(number) => *number == 0,
        toml::Value::String(text) => text.is_empty(),
        toml::Value::Array(parts) => parts.is_empty(),
        _ => false,
    };
    if !is_automatic {
        return None;
    }
    let missing = "not found: `eyefleet doctor` says more".to_owned();
    Some(match setting.name().as_str() {
        "paths.data" => config.data.display().to_string(),
        "paths.packs" => match Pack::locate(&config.pack, &config.packs) {
            Ok(pack) => pack.parent().unwrap_or(&pack).display().to_string(),
            Err(_) => missing,
        },
        "paths.model_cache" => config.model_cache.display().to_string(),
        "paths.onnxruntime" => match Runtime::locate(None) {
            Ok(library) => library.display().to_string(),
            Err(_) => missing,
        },
        "redis.url" => match FleetFile::find(&config.data) {
            Some(fleet) => Secret::new(fleet.redis_url).masked(),
            None => "the private one of `eyefleet up`, which does not run".to_owned(),
        },
        "database.url" => config.database_url.masked(),
        "analyze.slots" => config.slots.to_string(),
        "vision.threads" => config.model_threads.to_string(),
        _ => return None,
    })
}

fn text(settings: &Settings, lines: &[Line<'_>]) -> String {
    let mut out = String::from("# The settings in effect. Saved as a file, this sets the same.\n");
    // Writing to a string cannot fail.
    if let Some(file) = &settings.file {
        let _ = writeln!(out, "# Settings file: {}", file.display());
    }
    for section in lines.chunk_by(|a, b| a.setting.section == b.setting.section) {
        let _ = writeln!(out, "\n[{}]", section[0].setting.section);
        let keys = section.iter().map(|line| shown_key(line).len()).max().unwrap_or(0);
        let sides: Vec<String> = section.iter().map(|line| left_side(line, keys)).collect();
        let short = sides.iter().map(|side| side.chars().count()).filter(|it| *it <= ALIGNED_MAX);
        let width = short.max().unwrap_or(0);
        for (line, side) in section.iter().zip(sides) {
            let _ = writeln!(out, "{side:<width$}  # {}", origin_and_found(line));
        }
    }
    out
}

/// The part that a settings file is read for.
fn left_side(line: &Line<'_>, width: usize) -> String {
    format!("{:<width$} = {}", shown_key(line), line.setting.written())
}

/// A comment where a password is masked.
fn shown_key(line: &Line<'_>) -> String {
    let hidden = if line.setting.is_masked { "# " } else { "" };
    format!("{hidden}{}", line.setting.key)
}

fn origin_and_found(line: &Line<'_>) -> String {
    let mut said = line.setting.origin.to_string();
    if line.setting.is_masked {
        said.push_str(" (masked: put the password in to use this line)");
    }
    if let Some(found) = &line.found {
        said.push_str(" -> ");
        said.push_str(found);
    }
    // A path may hold a line break, which would end the comment.
    said.replace(|letter: char| letter.is_control(), "?")
}

#[derive(Serialize)]
struct Answer<'settings> {
    file: Option<String>,
    settings: Vec<OneAnswer<'settings>>,
    problems: &'settings [String],
}

#[derive(Serialize)]
struct OneAnswer<'settings> {
    key: String,
    value: &'settings toml::Value,
    masked: bool,
    origin: &'static str,
    /// The file or the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'settings str>,
}

fn answer<'settings>(
    settings: &'settings Settings,
    lines: &'settings [Line<'settings>],
) -> Answer<'settings> {
    let one = |line: &'settings Line<'settings>| {
        let (origin, from) = match &line.setting.origin {
            Origin::Default => ("default", None),
            Origin::File(path) => ("file", Some(path.display().to_string())),
            Origin::Variable(name) => ("environment", Some(name.clone())),
        };
        OneAnswer {
            key: line.setting.name(),
            value: &line.setting.value,
            masked: line.setting.is_masked,
            origin,
            from,
            found: line.found.as_deref(),
        }
    };
    Answer {
        file: settings.file.as_ref().map(|path| path.display().to_string()),
        settings: lines.iter().map(one).collect(),
        problems: settings.config.as_ref().err().map_or(&[], |error| &error.problems),
    }
}
