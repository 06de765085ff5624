//! Every key a queue has in Redis, in the order in which the scripts receive them.
//! All share the hash tag `{namespace:queue}`, hence one slot of a cluster. A change of what they
//! hold needs a new [`LAYOUT`]: an older program must refuse what it would misread.

/// The version of the key layout that this crate reads and writes.
pub const LAYOUT: i64 = 1;

/// One line of the table of keys.
#[derive(Debug, Clone, Copy)]
pub struct KeyRow {
    /// What follows `{namespace:queue}:`.
    pub suffix: &'static str,
    /// The Redis type, as `TYPE` says it.
    pub kind: &'static str,
    /// What the key holds.
    pub content: &'static str,
    /// When an entry, and with it the key, goes away.
    pub lifetime: &'static str,
}

const fn row(
    suffix: &'static str,
    kind: &'static str,
    content: &'static str,
    lifetime: &'static str,
) -> KeyRow {
    KeyRow { suffix, kind, content, lifetime }
}

/// All keys of one queue. The README shows this table and a test holds both against a live server.
pub const KEY_TABLE: [KeyRow; 12] = [
    row(
        "meta",
        "hash",
        "layout version, last token, turn of the lanes, last reap, counters",
        "stays",
    ),
    row("ready:interactive", "list", "ids waiting in the first lane", "until claimed"),
    row("ready:upload", "list", "ids waiting in the second lane", "until claimed"),
    row("ready:backfill", "list", "ids waiting in the third lane", "until claimed"),
    row("scheduled", "zset", "ids by the time they are due (ms)", "until due"),
    row("claimed", "zset", "ids by the time their lease ends (ms)", "until settled or expired"),
    row("dead", "zset", "ids by the time they died (ms)", "until redriven"),
    row("jobs", "hash", "id -> body: a JSON header line, then the payload", "until done"),
    row(
        "state",
        "hash",
        "id -> place, lane, starts, attempts, token, enqueued, ready, worker",
        "until done",
    ),
    row("notes", "hash", "id -> last failure: when, how, worker, cause and chain", "until done"),
    row("history", "list", "the latest settlements as JSON", "capped"),
    row("wake", "list", "at most 16 tokens, each wakes one idle worker", "until nothing is ready"),
];

/// The key names of one queue.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    names: Vec<String>,
}

impl Keys {
    pub(crate) fn new(namespace: &str, queue: &str) -> Self {
        let names =
            KEY_TABLE.iter().map(|row| format!("{{{namespace}:{queue}}}:{}", row.suffix)).collect();
        Self { names }
    }

    /// In the order of [`KEY_TABLE`], as the scripts expect them.
    pub(crate) fn all(&self) -> &[String] {
        &self.names
    }

    /// The list that idle workers block on.
    pub(crate) fn wake(&self) -> &str {
        &self.names[KEY_TABLE.len() - 1]
    }

    /// The list of the latest settlements.
    pub(crate) fn history(&self) -> &str {
        &self.names[KEY_TABLE.len() - 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_keys_are_the_ones_the_scripts_mean() {
        let keys = Keys::new("eyes", "analyze");
        assert_eq!(keys.wake(), "{eyes:analyze}:wake");
        assert_eq!(keys.history(), "{eyes:analyze}:history");
        assert!(keys.all().iter().all(|key| key.starts_with("{eyes:analyze}:")));
    }
}
