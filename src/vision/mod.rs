//! Vision: bytes of a photo become an oriented, bounded picture, and that becomes an embedding,
//! tags, categories and a description.
//!
//! The way through the room, in reading order:
//! `decode` (bytes to pixels, pure) and `decoder` (its bounded threads), `resize` and `preprocess`
//! (pixels to a tensor), `runtime` (ONNX Runtime's library), `pack` (a model folder, verified),
//! `graph` (one session) and `model` (its owner thread, which forms batches), `text` (queries and
//! prompts), `tags` and `describe` (cosines to words), `look` (all of it together).
//!
//! It must not know jobs, the catalogue, learning, Redis, HTTP or SQL. Slow work never runs on
//! the caller's async thread, every queue is bounded, and a caller that goes away costs nothing
//! that had not begun.

pub mod decode;
mod decoder;
mod describe;
mod error;
mod graph;
mod look;
mod model;
pub mod pack;
mod preprocess;
mod resize;
mod runtime;
mod tags;
mod text;
#[cfg(test)]
mod trials;

pub use decode::{DecodeError, DecodeLimits, Photo};
pub use decoder::{Decoder, DecoderStats};
pub use error::VisionError;
pub use graph::GraphError;
pub use look::{Face, PROVIDER, Seen, Vision, VisionOptions};
pub use model::{ModelError, ModelStats};
pub use pack::{Pack, PackError, PackName};
pub use runtime::{Runtime, RuntimeError};
pub use tags::Tag;
pub use text::TextEncoder;
