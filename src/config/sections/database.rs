//! `[database]`: the catalogue's server or file.

use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Database {
    pub url: String,
}

impl Database {
    /// The address as set, else a file in the data folder.
    pub fn url_or_file_in(&self, data: &Path) -> String {
        if self.url.is_empty() {
            format!("sqlite://{}", data.join("catalog.sqlite").display())
        } else {
            self.url.clone()
        }
    }
}
