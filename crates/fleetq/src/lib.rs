#![doc = include_str!("../README.md")]

mod backend;
mod claim;
mod connection;
mod discard;
mod error;
mod feeder;
mod hold_off;
mod inspect;
mod job;
mod keeper;
mod keys;
mod leader;
mod queue;
mod scripts;
mod settler;
mod stats;

pub use backend::{FleetBackend, Handle, WorkerOptions};
pub use claim::{Claim, Ended, Lease, Settle, Settled};
pub use connection::{ConnectOptions, Connection, connect};
pub use discard::Discarded;
pub use error::QueueError;
pub use inspect::{DeadJob, Depth, HistoryEntry, LaneDepth, Totals};
pub use job::{Enqueued, Failure, JobState, Lane, NewJob, Place};
pub use keys::{KEY_TABLE, KeyRow, LAYOUT};
pub use leader::{LeaderLease, Term};
pub use queue::{Queue, QueueSettings, Reaped};
pub use stats::Stats;
