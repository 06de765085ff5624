//! Before a queue is used: may the user of the connection do all that its scripts will do?
//! What must stay true: the answer comes before anything is touched, for a script that is refused
//! one of its commands half-way has carried out the others.

use crate::connection::{Effort, Request};
use crate::error::QueueError;
use crate::keys::KEY_TABLE;
use crate::queue::Queue;
use crate::scripts;

impl Queue {
    /// [`QueueError::NoPermission`] names what is missing. A full server or a replica passes: its
    /// calls say so themselves, and looking works there.
    pub(crate) async fn probe(&self) -> Result<(), QueueError> {
        let mut call = self.script(&scripts::PROBE);
        call.key(format!("{{{}}}:probe", self.label()));
        for row in KEY_TABLE {
            call.arg(row.kind);
        }
        let _: i64 = self.run("open the queue", Effort::UntilAnswered, &call).await?;

        // No script may block, so this one is asked for by itself: refused for its negative time,
        // by whoever may run it.
        let mut wait = redis::cmd("BLPOP");
        wait.arg(self.shared.keys.wake()).arg(-1);
        let request = Request::Command(&wait);
        match self.connection.run::<redis::Value>("wait for work", Effort::Once, request).await {
            Err(error @ QueueError::NoPermission { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Every quoted word in capitals that directly follows `opening`.
    fn commands(text: &str, opening: &str) -> BTreeSet<String> {
        let starts = text.match_indices(opening).map(|(at, found)| at + found.len());
        let word = |at: usize| text[at..].split('\'').next().unwrap_or_default().to_owned();
        starts.map(word).collect()
    }

    #[test]
    fn the_probe_asks_for_every_command_of_every_script_and_no_other() {
        let probe = include_str!("lua/probe.lua");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lua");
        let mut used = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if !path.ends_with("probe.lua") {
                let text = std::fs::read_to_string(path).unwrap();
                used.extend(commands(&text, "redis.call('"));
                used.extend(commands(&text, "redis.pcall('"));
            }
        }
        assert!(used.len() > 20, "{used:?}");
        assert_eq!(commands(probe, "try('"), used);
    }
}
