//! The catalogue's tables as SeaORM sees them: one file per table, columns and nothing else.
//!
//! They stay inside the room. What leaves it are checked types (`LibraryId`, `Timestamp`, lists),
//! made from these rows in the file of their concern; `columns.rs` reads and writes the texts.

pub mod analyses;
pub mod corrections;
pub mod details;
pub mod exports;
pub mod faces;
pub mod generations;
pub mod images;
pub mod libraries;
pub mod outbox;
pub mod pauses;
pub mod person_constraints;
pub mod persons;
pub mod purges;
pub mod stages;
