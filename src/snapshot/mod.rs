//! A library's metadata at one moment, as files that training reads.
//!
//! The export job feeds rows in; nothing here knows the catalogue. A snapshot is whole or absent:
//! it is written aside, its manifest last, and renamed into place. Memory stays bounded however
//! many images there are: rows are streamed out and in, ordered by image id.

pub mod durable;
mod error;
mod readable;
mod reader;
mod rows;
mod shelf;
mod writer;

pub use error::SnapshotError;
pub use readable::write_readable;
pub use reader::{Images, Snapshot};
pub use rows::{FileEntry, SnapshotFace, SnapshotId, SnapshotImage, SnapshotManifest, SnapshotTag};
pub use shelf::{collect, list, path_of};
pub use writer::SnapshotWriter;

#[cfg(test)]
pub(crate) mod samples;
