//! Who writes detailed descriptions: there, and with its model. Nothing waits for it, so that it is away
//! is worth a look and no problem.

use super::{Check, Subject};
use crate::config::Config;

pub(super) async fn examine(config: &Config) -> Vec<Check> {
    let Some(ollama) = config.ollama() else { return Vec::new() };
    let name = "ollama";
    vec![match ollama.look().await {
        Ok(()) => {
            let found = format!("{} at {}", ollama.model(), ollama.address());
            Check::ok(Subject::Models, name, found)
        }
        Err(error) => {
            let mend = "as it says; photos wait for their details meanwhile, and for nothing else";
            Check::warning(Subject::Models, name, error.to_string(), mend)
        }
    }]
}
