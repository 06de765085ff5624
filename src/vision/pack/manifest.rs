//! `manifest.json` of a pack: what the files are, and everything needed to use them rightly.
//!
//! Unknown keys are refused: a key that we do not know may change what the numbers mean. The
//! schema version is looked at before anything else, so that a newer pack says so and not "unknown
//! field". What types cannot say is checked in `check`.

use serde::{Deserialize, Serialize};

/// The only version of the schema so far.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything in `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `SCHEMA_VERSION`.
    pub schema_version: u32,
    /// The pack's short name: small letters, digits and dashes.
    pub id: String,
    /// The pack's own version.
    pub version: String,
    /// What the pack can do.
    pub capability: Vec<Capability>,
    /// A name for people.
    pub display_name: String,
    /// What may be done with the weights.
    pub licence: Licence,
    /// Where the files come from.
    pub source: Source,
    /// Every file of the pack but the manifest.
    pub files: Vec<PackFile>,
    /// What the graphs ask of ONNX Runtime.
    pub runtime: RuntimeNeeds,
    /// The inputs and outputs of every model file.
    pub graphs: Vec<GraphSpec>,
    /// Picture to tensor.
    pub preprocess: Preprocess,
    /// Text to ids.
    pub tokenizer: TokenizerSpec,
    /// Output to meaning.
    pub postprocess: Postprocess,
    /// What it costs to run.
    pub resources: Resources,
    /// One known answer, checked at every load.
    pub self_test: SelfTest,
}

/// One thing that a pack can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Vectors for pictures and texts in one space.
    Embed,
    /// Tags from the pack's vocabulary.
    Tags,
    /// A sentence from the tags' phrases.
    Describe,
}

/// What may be done with the weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// SPDX expression.
    pub spdx: String,
    /// Where the text stands; may be empty.
    pub url: String,
    /// Whether commercial use is allowed.
    pub commercial_use: bool,
    /// Whether a person must accept terms before use.
    pub requires_acceptance: bool,
    /// Whom to name; may be empty.
    pub attribution: String,
}

/// Where the files come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Which kind of place.
    pub kind: SourceKind,
    /// Repository or folder.
    pub repo: String,
    /// The exact version in it.
    pub revision: String,
    /// Other places with the same bytes.
    pub mirrors: Vec<String>,
}

/// Kinds of places that files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The Hugging Face hub.
    Hf,
    /// A GitHub repository.
    Github,
    /// They lie beside the manifest.
    File,
}

/// One file of the pack.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackFile {
    /// What it is for.
    pub role: FileRole,
    /// Its path beneath the pack's folder.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in small hex digits.
    pub sha256: String,
}

/// What a file of a pack is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// ONNX graph: picture to vector.
    ImageEncoder,
    /// ONNX graph: ids to vector.
    TextEncoder,
    /// `tokenizer.json`.
    Tokenizer,
    /// Tags, groups and phrases.
    Vocabulary,
}

impl FileRole {
    /// The word used in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageEncoder => "image_encoder",
            Self::TextEncoder => "text_encoder",
            Self::Tokenizer => "tokenizer",
            Self::Vocabulary => "vocabulary",
        }
    }
}

/// What the graphs ask of ONNX Runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeNeeds {
    /// The least minor version: 24 for ONNX Runtime 1.24.
    pub min_ort_minor: u32,
    /// The ONNX operator set.
    pub opset: u32,
    /// Execution providers it was tried on.
    pub providers: Vec<String>,
    /// Number format of the weights.
    pub precision: String,
}

/// Inputs and outputs of one graph.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// The file's role.
    pub role: FileRole,
    /// The file's path, as in `files`.
    pub file: String,
    /// Every input.
    pub inputs: Vec<TensorSpec>,
    /// Every output.
    pub outputs: Vec<TensorSpec>,
    /// How past keys and values are passed.
    pub kv_cache: KvCache,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Its name in the graph.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its dimensions; -1 is open.
    pub shape: Vec<i64>,
}

/// Types of elements that we feed and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 64-bit integer.
    I64,
}

/// How past keys and values are passed. Encoders have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KvCache {
    /// There are none.
    None,
}

/// Picture to tensor. Part of the embedding space.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Upright pictures; always true.
    pub exif_orient: bool,
    /// Order of the channels.
    pub color: Color,
    /// How the sides are brought to size.
    pub resize: ResizeMode,
    /// Side of the square input, in pixels.
    pub size: u32,
    /// Resampling filter.
    pub filter: Resampling,
    /// Whether shrinking averages; always true.
    pub antialias: bool,
    /// Whose resampler.
    pub resize_engine: ResizeEngine,
    /// What is cut off after resizing.
    pub crop: Crop,
    /// Factor on the 8-bit values, before mean and std.
    pub scale: f64,
    /// Subtracted from each channel, in the order of `color`.
    pub mean: [f64; 3],
    /// Each channel is divided by it.
    pub std: [f64; 3],
    /// Order of the axes.
    pub layout: Layout,
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// How the sides are brought to size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// Both sides to `size`, proportions given up.
    Squash,
    /// The short side to `size`, the long one in proportion.
    ShortestEdge,
}

/// Resampling filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resampling {
    /// Cubic, a = -0.5.
    Bicubic,
    /// Triangle.
    Bilinear,
}

/// Whose resampler the model was trained behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeEngine {
    /// Pillow's, to the last bit.
    PilExact,
}

/// What is cut off after resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// Nothing.
    None,
    /// All but the middle square.
    Center,
}

/// Order of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
}

/// Text to ids. Part of the embedding space.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSpec {
    /// Which library reads the file.
    pub kind: TokenizerKind,
    /// The file's path, as in `files`.
    pub file: String,
    /// The most ids of one text.
    pub context: usize,
    /// Id that fills up.
    pub pad: u32,
    /// Id of what is not in the vocabulary.
    pub unk: u32,
    /// Whether the text is made lower case first.
    pub lowercase: bool,
    /// How many ids every text is filled up to.
    pub pad_to: usize,
}

/// Kinds of tokenizer files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// `tokenizer.json` of Hugging Face's tokenizers.
    Tokenizers,
}

/// Output to meaning.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postprocess {
    /// The vectors.
    pub embedding: EmbeddingSpec,
    /// The tags.
    pub tags: TagsSpec,
}

/// What the vectors are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSpec {
    /// Their length.
    pub dim: usize,
    /// Whether they are brought to length 1; always true.
    pub normalize: bool,
    /// Factor on cosines before a softmax.
    pub logit_scale: f32,
    /// A text finds nothing below this cosine.
    pub search_floor: f32,
}

/// Where the tags come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagsSpec {
    /// The vocabulary's path, as in `files`.
    pub vocabulary: String,
}

/// What it costs to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Memory in MiB.
    pub ram_mb: u32,
    /// A good batch size.
    pub default_batch: usize,
    /// The largest batch allowed.
    pub max_batch: usize,
}

/// One known answer: the embedding of `preprocess::self_test_picture`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Kept for generated packs; the picture does not depend on it.
    pub seed: u64,
    /// The first values of the normalised embedding, at most 8.
    pub expected: Vec<f32>,
    /// The largest difference allowed in each.
    pub tolerance: f32,
}

impl Manifest {
    /// The graph of `role`, when there is one.
    pub fn graph(&self, role: FileRole) -> Option<&GraphSpec> {
        self.graphs.iter().find(|graph| graph.role == role)
    }

    /// Whether the pack can do `what`.
    pub fn can(&self, what: Capability) -> bool {
        self.capability.contains(&what)
    }
}
