//! `[serve]`: the HTTP API.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Serve {
    pub listen: String,
}
