//! Stories and contracts: the real binary, a real Redis and a database of its own for each test.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod command_line;
mod demo;
mod deployment;
mod fleet;
mod following;
mod reconciliation;
mod searching;
mod slow;
mod starter_pack;
mod support;
mod up;
