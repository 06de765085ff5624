//! What is wrong with the settings, collected, so that all of it is said at once. Every problem
//! names its key, the value, where that comes from, and what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in settings.
    Default,
    /// A settings file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
        }
    }
}

/// By `section.key`, where the values come from that are not the built-in ones.
pub(super) type Origins = BTreeMap<String, Origin>;

/// The problems found so far.
#[derive(Debug)]
pub(super) struct Problems {
    origins: Origins,
    found: Vec<String>,
}

impl Problems {
    pub fn new(origins: Origins, found: Vec<String>) -> Self {
        Self { origins, found }
    }

    /// A problem in words of its own.
    pub fn add(&mut self, problem: impl Into<String>) {
        self.found.push(problem.into());
    }

    /// The value of `key` cannot be used; `allowed` says what could.
    pub fn bad(&mut self, key: &str, value: impl fmt::Display, allowed: impl fmt::Display) {
        let from = self.origins.get(key).map(from).unwrap_or_default();
        self.add(format!("{key} is {value}{from}: {allowed}"));
    }

    /// A number must lie in a range; what is no number at all lies in none.
    pub fn within<N>(&mut self, key: &str, value: N, least: N, most: N)
    where
        N: Copy + PartialOrd + fmt::Display,
    {
        if !(least..=most).contains(&value) {
            self.bad(key, value, format_args!("allowed are {least} to {most}"));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn into_list(self) -> Vec<String> {
        self.found
    }
}

/// The origin as a message names it.
pub(super) fn from(origin: &Origin) -> String {
    match origin {
        Origin::Default => String::new(),
        Origin::File(path) => format!(" (from {})", path.display()),
        Origin::Variable(name) => format!(" (from {name})"),
    }
}
