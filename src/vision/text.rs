//! Words into the space of the pictures: a search query, or a tag's prompt.
//!
//! A text of which the tokenizer knows no word has no place in the space: the answer is `None`,
//! and a search for it finds nothing. Guessing a vector for it would find anything.

use tokenizers::Tokenizer;

use super::error::VisionError;
use super::graph::Graph;
use super::model::{Model, ModelStats};
use super::pack::manifest::{FileRole, TokenizerSpec};
use super::pack::{Pack, PackName};
use super::runtime::Runtime;
use crate::names::SpaceId;

/// More of a text than this is not read; no context is as long.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The text side of a pack, on its own owner thread: what a search needs, without the pictures.
pub struct TextEncoder {
    tokenizer: TextTokenizer,
    model: Model<i64>,
    space: SpaceId,
    pack: PackName,
    search_floor: f32,
}

/// The text side before its thread is started: for encoding many prompts at load.
pub(super) struct TextSide {
    tokenizer: TextTokenizer,
    graph: Graph,
}

struct TextTokenizer {
    tokenizer: Tokenizer,
    spec: TokenizerSpec,
}

impl TextEncoder {
    /// Loads the text encoder of `pack`. Reads files and compiles a graph: call it from a thread
    /// that may block.
    ///
    /// # Errors
    /// `VisionError` names the file and what is wrong with it.
    pub fn load(runtime: &Runtime, pack: &Pack) -> Result<Self, VisionError> {
        TextSide::load(runtime, pack)?.start(pack)
    }

    /// The unit vector of `text`, or `None` when no word of it is known.
    ///
    /// # Errors
    /// `VisionError::Model` when the model fails or has stopped.
    pub async fn embed(&self, text: &str) -> Result<Option<Vec<f32>>, VisionError> {
        let Some(ids) = self.tokenizer.ids(text)? else { return Ok(None) };
        let vector = self.model.run(ids).await?;
        unit(vector).map(Some)
    }

    /// Whether any word of `text` is known. Costs a look into the tokenizer, no run of the model.
    ///
    /// # Errors
    /// `VisionError` when the text cannot be cut into words.
    pub fn knows(&self, text: &str) -> Result<bool, VisionError> {
        Ok(self.tokenizer.ids(text)?.is_some())
    }

    /// The space that the vectors lie in.
    pub fn space(&self) -> &SpaceId {
        &self.space
    }

    /// The pack in use.
    pub fn pack(&self) -> &PackName {
        &self.pack
    }

    /// The cosine below which a text finds nothing.
    pub fn search_floor(&self) -> f32 {
        self.search_floor
    }

    /// What the model has done so far.
    pub fn stats(&self) -> ModelStats {
        self.model.stats()
    }
}

impl TextSide {
    pub(super) fn load(runtime: &Runtime, pack: &Pack) -> Result<Self, VisionError> {
        let manifest = pack.manifest();
        let path = pack.path(FileRole::Tokenizer);
        let tokenizer = TextTokenizer::open(&path, &manifest.tokenizer)
            .map_err(|cause| VisionError::BadFile { path, cause })?;
        let spec = manifest.graph(FileRole::TextEncoder).expect("problems() demands it");
        // A query is one short row: more threads would only wake each other.
        let graph = Graph::open(runtime, &pack.path(FileRole::TextEncoder), spec, 1)?;
        Ok(Self { tokenizer, graph })
    }

    /// The unit vectors of `texts`, run on this thread in batches of at most `batch`.
    pub(super) fn embed_all(
        &mut self,
        texts: &[String],
        batch: usize,
    ) -> Result<Vec<Vec<f32>>, VisionError> {
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            let ids = self.tokenizer.ids(text)?;
            rows.push(ids.ok_or_else(|| VisionError::UnknownPrompt { prompt: text.clone() })?);
        }
        let mut vectors = Vec::with_capacity(rows.len());
        for some in rows.chunks(batch.clamp(1, self.graph.rows_max())) {
            let some: Vec<&[i64]> = some.iter().map(Vec::as_slice).collect();
            let found = self.graph.run(&some).map_err(VisionError::load_failed)?;
            for vector in found {
                vectors.push(unit(vector)?);
            }
        }
        Ok(vectors)
    }

    /// Hands the graph to its owner thread.
    pub(super) fn start(mut self, pack: &Pack) -> Result<TextEncoder, VisionError> {
        let manifest = pack.manifest();
        let batch_max = manifest.resources.default_batch.min(self.graph.rows_max());
        let run = Box::new(move |rows: &[&[i64]]| self.graph.run(rows));
        let model = Model::start("text encoder", batch_max, run)
            .map_err(|error| VisionError::load_failed(error.to_string()))?;
        Ok(TextEncoder {
            tokenizer: self.tokenizer,
            model,
            space: pack.space().clone(),
            pack: pack.name().clone(),
            search_floor: manifest.postprocess.embedding.search_floor,
        })
    }
}

impl TextTokenizer {
    fn open(path: &std::path::Path, spec: &TokenizerSpec) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|error| error.to_string())?;
        // Cutting and filling up are the manifest's; a second opinion in the file would be
        // applied before we see the ids.
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer, spec: spec.clone() })
    }

    /// Exactly `pad_to` ids, or `None` when no word is known.
    fn ids(&self, text: &str) -> Result<Option<Vec<i64>>, VisionError> {
        let text = beginning(text, TEXT_BYTES_MAX);
        let lowered = self.spec.lowercase.then(|| text.to_lowercase());
        let encoding = self
            .tokenizer
            .encode_fast(lowered.as_deref().unwrap_or(text), true)
            .map_err(|error| VisionError::BadText { cause: error.to_string() })?;
        let known = |id: &u32| *id != self.spec.unk && *id != self.spec.pad;
        if !encoding.get_ids().iter().any(known) {
            return Ok(None);
        }
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|id| i64::from(*id)).collect();
        ids.resize(self.spec.pad_to, i64::from(self.spec.pad));
        Ok(Some(ids))
    }
}

/// At most `bytes_max` bytes of `text`, cut between characters.
fn beginning(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `vector` at length 1. A vector that has no direction is an error: every cosine with it would
/// be nonsense, and a stored one would spoil an index.
pub(super) fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, VisionError> {
    let squares: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let length = squares.sqrt();
    if !length.is_finite() || length < 1e-12 {
        return Err(VisionError::NoDirection);
    }
    for value in &mut vector {
        *value = (f64::from(*value) / length) as f32;
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::trials::{runtime, tiny_pack};

    #[tokio::test]
    async fn a_word_lies_where_its_pictures_lie() {
        let encoder = TextEncoder::load(&runtime(), &tiny_pack()).unwrap();
        let red = encoder.embed("RED").await.unwrap().unwrap();
        assert!(red[0] > 0.9, "{red:?}");
        let length: f32 = red.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5);
        assert!((encoder.search_floor() - 0.3).abs() < 1e-6);
        assert_eq!(encoder.pack().to_string(), "tiny@1.0.0");
    }

    #[tokio::test]
    async fn unknown_words_have_no_vector() {
        let encoder = TextEncoder::load(&runtime(), &tiny_pack()).unwrap();
        for text in ["", "   ", "xyzzy", "Größe 日本 🦀", "\u{0}\u{1}"] {
            assert_eq!(encoder.embed(text).await.unwrap(), None, "{text:?}");
        }
        assert!(encoder.embed("xyzzy red").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_text_of_any_length_is_cut_and_not_refused() {
        let encoder = TextEncoder::load(&runtime(), &tiny_pack()).unwrap();
        let long = "red ".repeat(100_000);
        assert!(encoder.embed(&long).await.unwrap().is_some());
        assert_eq!(beginning("aé", 2), "a");
    }

    #[test]
    fn a_vector_without_direction_is_refused() {
        assert!(unit(vec![0.0, 0.0]).is_err());
        assert!(unit(vec![f32::NAN, 1.0]).is_err());
        assert!(unit(vec![f32::INFINITY, 1.0]).is_err());
        assert_eq!(unit(vec![3.0, 4.0]).unwrap(), vec![0.6, 0.8]);
    }
}
