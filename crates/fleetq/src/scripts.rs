//! The Lua scripts, each one atomic move of the queue's state machine.
//! They are called by EVALSHA; a server that does not know a script yet gets it loaded.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use crate::keys::Keys;

macro_rules! queue_script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("lua/common.lua"), include_str!($file)))
        });
    };
}

queue_script!(OPEN, "lua/open.lua");
queue_script!(ENQUEUE, "lua/enqueue.lua");
queue_script!(CLAIM, "lua/claim.lua");
queue_script!(RENEW, "lua/renew.lua");
queue_script!(SETTLE, "lua/settle.lua");
queue_script!(REAP, "lua/reap.lua");
queue_script!(DEPTH, "lua/depth.lua");
queue_script!(LOOK, "lua/look.lua");
queue_script!(REDRIVE, "lua/redrive.lua");
queue_script!(DISCARD, "lua/discard.lua");

/// Stands alone: it has one key and knows nothing of queues.
pub(crate) static LEADER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/leader.lua")));

/// A call of `script` with all the keys of a queue.
pub(crate) fn call<'script>(script: &'script Script, keys: &Keys) -> ScriptInvocation<'script> {
    let mut invocation = script.prepare_invoke();
    for key in keys.all() {
        invocation.key(key.as_str());
    }
    invocation
}
