//! `[ollama]`: who writes detailed descriptions.

use serde::Deserialize;

use crate::config::problems::Problems;
use crate::ollama::OllamaAddress;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Ollama {
    pub host: String,
    pub model: String,
    pub timeout_seconds: u64,
    pub at_once: u64,
}

impl Ollama {
    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(why) = self.address().transpose() {
            problems.bad("ollama.host", format_args!("{:?}", self.host), why);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if self.model.is_empty() || self.model.len() > 200 || !self.model.bytes().all(plain) {
            let allowed = "name a model as `ollama list` does, such as llava";
            problems.bad("ollama.model", format_args!("{:?}", self.model), allowed);
        }
        problems.within("ollama.timeout_seconds", self.timeout_seconds, 1, 600);
        problems.within("ollama.at_once", self.at_once, 1, 64);
    }

    /// Where it is; none where none is named.
    pub fn address(&self) -> Option<Result<OllamaAddress, String>> {
        (!self.host.trim().is_empty()).then(|| OllamaAddress::parse(&self.host))
    }
}
