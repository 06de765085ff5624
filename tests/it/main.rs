//! Stories and contracts: the real binary, a real Redis and a database of its own for each test.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod backup;
mod bad_input;
mod command_line;
mod correcting;
mod demo;
mod deployment;
mod detailed;
mod doctor;
mod drift;
mod fleet;
mod following;
mod learning;
mod libraries;
mod numbers;
mod outages;
mod owner;
mod pausing;
mod postgres;
mod queues;
mod reconciliation;
mod reprocessing;
mod searching;
mod seed_files;
mod settings;
mod slow;
mod small_disk;
mod sqlite;
mod starter_pack;
mod support;
mod swaps;
mod trainers;
mod up;
mod watching;
