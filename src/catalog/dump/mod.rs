//! The whole catalogue row by row, in one form for both databases: what a backup holds of it.
//!
//! What must stay true: tables and columns are those that the schema's changes make, asked of a
//! scratch database, so that a new table is in the backup without a word here; tables come after
//! those that they refer to, rows in the order of their keys; what is read is one moment. A dump is
//! loaded into the schema that it was made with, and the later changes are applied to its rows.

mod load;
mod read;
mod shape;
mod target;

pub use load::Loading;
pub use read::{Dump, DumpedLibrary};
pub use shape::{Table, schema_changes};
pub use target::holds_anything;

/// One row: a value for each column of its table. Bytes are base64, numbers with a fraction are
/// text that reads back exactly.
pub type DumpRow = Vec<serde_json::Value>;
