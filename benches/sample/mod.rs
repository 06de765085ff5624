//! What the benches work on: pictures, vectors and libraries that are the same in every run.

pub mod analyzed;
pub mod library;
pub mod pictures;
pub mod vectors;
