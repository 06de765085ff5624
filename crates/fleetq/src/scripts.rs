//! The Lua scripts, each one atomic move of the queue's state machine.
//! They are called by EVALSHA; a server that does not know a script yet gets it loaded.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use crate::keys::Keys;
use crate::lane::Lane;

macro_rules! queue_script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("lua/head.lua"),
                include_str!("lua/moves.lua"),
                include_str!($file)
            ))
        });
    };
}

queue_script!(OPEN, "lua/open.lua");
queue_script!(ENQUEUE, "lua/enqueue.lua");
queue_script!(CLAIM, "lua/claim.lua");
queue_script!(RENEW, "lua/renew.lua");
queue_script!(SETTLE, "lua/settle.lua");
queue_script!(BLAME, "lua/blame.lua");
queue_script!(REAP, "lua/reap.lua");
queue_script!(DEPTH, "lua/depth.lua");
queue_script!(LOOK, "lua/look.lua");
queue_script!(DEAD, "lua/dead.lua");
queue_script!(STEER, "lua/steer.lua");
queue_script!(DISCARD, "lua/discard.lua");

/// Stands alone: adding a single job is the most frequent call of all, and each line is paid for.
pub(crate) static ENQUEUE_ONE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/enqueue_one.lua")));

/// Stands alone: it reads a layout that the others refuse.
pub(crate) static MIGRATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/migrate.lua")));

/// Stands alone: it must run where the others could not.
pub(crate) static PROBE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/probe.lua")));

/// Stands alone: it has one key and knows nothing of queues.
pub(crate) static LEADER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/leader.lua")));

/// A call of `script` with all the keys of a queue.
pub(crate) fn call<'script>(script: &'script Script, keys: &Keys) -> ScriptInvocation<'script> {
    with_keys(script, keys.all())
}

/// A call that adds one job, which joins the ready or the scheduled ones of its lane.
pub(crate) fn enqueue_one(keys: &Keys, lane: Lane, scheduled: bool) -> ScriptInvocation<'static> {
    let mut invocation = with_keys(&ENQUEUE_ONE, keys.first());
    invocation.key(if scheduled { keys.scheduled(lane) } else { keys.ready(lane) });
    invocation
}

fn with_keys<'script>(script: &'script Script, keys: &[String]) -> ScriptInvocation<'script> {
    let mut invocation = script.prepare_invoke();
    for key in keys {
        invocation.key(key.as_str());
    }
    invocation
}
