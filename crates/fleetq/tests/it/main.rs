//! The guarantees of the queue, each against a Redis of its own. One file per guarantee; its
//! first lines say what counts as failure.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adding;
mod big_bodies;
mod capped;
mod child;
mod cluster;
mod dead_letters;
mod dialling;
mod discarding;
mod full_server;
mod g1_one_place;
mod g2_fenced;
mod g3_starts;
mod g4_renewal;
mod g5_retries;
mod g6_bounded;
mod g8_outage;
mod g9_stop;
mod harness;
mod holding_off;
mod inputs;
mod keys;
mod lanes;
mod layout;
mod leader;
mod leftovers;
mod life;
mod outage_errors;
mod pausing;
mod permissions;
mod poison;
mod readiness;
mod sentinel;
mod servers;
mod settling;
mod simulation;
mod slow;
mod soak;
mod storm;
mod strays;
mod suspects;
mod tls;
mod together;
mod versions;
mod wake;
