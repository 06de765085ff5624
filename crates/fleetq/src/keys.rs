//! Every key a queue has in Redis, in the order in which the scripts receive them.
//! All share the hash tag `{namespace:queue}`, hence one slot of a cluster. A change of what they
//! hold needs a new [`LAYOUT`]: an older program must refuse what it would misread.

use crate::lane::Lane;

/// The version of the key layout that this crate reads and writes, `major.minor`.
///
/// A program works with every minor version of its own major version: a new minor version only
/// adds what older programs may ignore. It refuses a newer major version, in every call and not
/// only when it opens the queue, and brings an older one to its own when it opens the queue.
pub const LAYOUT: &str = "2.0";

/// The layout before this one, which [`Queue::open`](crate::Queue::open) brings to [`LAYOUT`].
pub(crate) const LAYOUT_BEFORE: &str = "1";
/// The keys of layout 1 that are no more.
pub(crate) const OF_LAYOUT_BEFORE: [&str; 3] = ["scheduled", "claimed", "dead"];

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
pub const KEY_TABLE: [KeyRow; 18] = [
    row(
        "meta",
        "hash",
        "layout version, mode, cap, held lanes, when steered last, last token, turn of the lanes, last reap, until when jobs were put off, pace, counters",
        "stays",
    ),
    row("jobs", "hash", "id -> body: a JSON header line, then the payload", "until done"),
    row(
        "state",
        "hash",
        "id -> place, lane, starts, attempts, token, enqueued, ready, worker",
        "until done",
    ),
    row("wake", "list", "at most 16 tokens, each wakes one idle worker", "until nothing is ready"),
    row("ready:interactive", "list", "ids waiting in the first lane", "until claimed"),
    row("ready:upload", "list", "ids waiting in the second lane", "until claimed"),
    row("ready:backfill", "list", "ids waiting in the third lane", "until claimed"),
    row(
        "scheduled:interactive",
        "zset",
        "ids by the time they are due (ms), first lane",
        "until due",
    ),
    row("scheduled:upload", "zset", "ids by the time they are due (ms), second lane", "until due"),
    row("scheduled:backfill", "zset", "ids by the time they are due (ms), third lane", "until due"),
    row(
        "claimed:interactive",
        "zset",
        "ids by the time their lease ends (ms), first lane",
        "until settled or expired",
    ),
    row(
        "claimed:upload",
        "zset",
        "ids by the time their lease ends (ms), second lane",
        "until settled or expired",
    ),
    row(
        "claimed:backfill",
        "zset",
        "ids by the time their lease ends (ms), third lane",
        "until settled or expired",
    ),
    row(
        "dead:interactive",
        "zset",
        "ids by the time they died (ms), first lane",
        "until redriven or flushed",
    ),
    row(
        "dead:upload",
        "zset",
        "ids by the time they died (ms), second lane",
        "until redriven or flushed",
    ),
    row(
        "dead:backfill",
        "zset",
        "ids by the time they died (ms), third lane",
        "until redriven or flushed",
    ),
    row("notes", "hash", "id -> last failure: when, how, worker, cause and chain", "until done"),
    row(
        "history",
        "list",
        "the latest settlements, a few lines each: id, how, when (ms), record before",
        "capped",
    ),
];

/// The key names of one queue.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    names: Vec<String>,
    of_layout_before: [String; 3],
}

impl Keys {
    pub(crate) fn new(namespace: &str, queue: &str) -> Self {
        let name = |suffix: &str| format!("{{{namespace}:{queue}}}:{suffix}");
        let names = KEY_TABLE.iter().map(|row| name(row.suffix)).collect();
        Self { names, of_layout_before: OF_LAYOUT_BEFORE.map(name) }
    }

    /// In the order of [`KEY_TABLE`], as the scripts expect them.
    pub(crate) fn all(&self) -> &[String] {
        &self.names
    }

    /// What layout 1 had and this one has not.
    pub(crate) fn of_layout_before(&self) -> &[String; 3] {
        &self.of_layout_before
    }

    /// Those that belong to no lane and that each new job touches: meta, jobs, state, wake.
    pub(crate) fn first(&self) -> &[String] {
        &self.names[..4]
    }

    /// The list of the jobs of `lane` that are ready.
    pub(crate) fn ready(&self, lane: Lane) -> &str {
        &self.names[4 + lane as usize]
    }

    /// The set of the jobs of `lane` that are not due yet.
    pub(crate) fn scheduled(&self, lane: Lane) -> &str {
        &self.names[7 + lane as usize]
    }

    /// The set of the jobs of `lane` that workers hold.
    pub(crate) fn claimed(&self, lane: Lane) -> &str {
        &self.names[10 + lane as usize]
    }

    /// Where every job is.
    pub(crate) fn state(&self) -> &str {
        &self.names[2]
    }

    /// The list that idle workers block on.
    pub(crate) fn wake(&self) -> &str {
        &self.names[3]
    }

    /// The list of the latest settlements.
    pub(crate) fn history(&self) -> &str {
        &self.names[KEY_TABLE.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_keys_are_the_ones_the_scripts_mean() {
        let keys = Keys::new("eyes", "analyze");
        assert_eq!(keys.wake(), "{eyes:analyze}:wake");
        for lane in Lane::ALL {
            assert_eq!(keys.ready(lane), format!("{{eyes:analyze}}:ready:{lane}"));
            assert_eq!(keys.scheduled(lane), format!("{{eyes:analyze}}:scheduled:{lane}"));
            assert_eq!(keys.claimed(lane), format!("{{eyes:analyze}}:claimed:{lane}"));
        }
        assert_eq!(keys.first()[2], "{eyes:analyze}:state");
        assert_eq!(keys.state(), "{eyes:analyze}:state");
        assert_eq!(keys.history(), "{eyes:analyze}:history");
        assert!(keys.all().iter().all(|key| key.starts_with("{eyes:analyze}:")));
    }
}
