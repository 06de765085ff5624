//! All of it together: a decoded photo in, everything that was seen out.
//!
//! A `Vision` is loaded once per process, after its pack was verified, its graphs compared with
//! the manifest and a known picture gave the known answer. From then on `look` may be called from
//! any number of tasks; the bounds are in `model` and in the permits for preparing pictures.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::decode::Photo;
use super::describe::describe;
use super::error::VisionError;
use super::graph::Graph;
use super::model::{Model, ModelStats};
use super::pack::manifest::{Capability, FileRole, Preprocess};
use super::pack::{Pack, PackName};
use super::preprocess::{prepare, self_test_picture};
use super::runtime::Runtime;
use super::tags::{Tag, Tagger, Verdict, Vocabulary};
use super::text::{TextEncoder, TextSide, unit};
use crate::names::SpaceId;

/// Where the models run. Only the CPU so far.
pub const PROVIDER: &str = "cpu";

/// The loaded models of one pack.
pub struct Vision {
    image: Model<f32>,
    text: TextEncoder,
    tagger: Option<Tagger>,
    describes: bool,
    preprocess: Arc<Preprocess>,
    /// As many pictures are prepared at once as the model has threads.
    preparing: Arc<Semaphore>,
}

/// How to load a pack.
#[derive(Debug, Clone, Copy)]
pub struct VisionOptions {
    /// Threads within one run of the image encoder; at least 1.
    pub threads: usize,
    /// The most pictures in one batch; the pack's own bound may be lower.
    pub batch_max: usize,
}

impl Default for VisionOptions {
    fn default() -> Self {
        Self { threads: 1, batch_max: 8 }
    }
}

/// Everything seen in one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The space of `embedding`.
    pub space: SpaceId,
    /// Unit vector.
    pub embedding: Vec<f32>,
    /// Asserted tags; empty when the model is not sure of any.
    pub tags: Vec<Tag>,
    /// Distinct categories of the tags.
    pub categories: Vec<String>,
    /// A sentence, when a subject or a place was seen.
    pub description: Option<String>,
    /// Faces; `None` when the pack has no face model.
    pub faces: Option<Vec<Face>>,
}

/// One face in a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// Left, top, width, height as shares of the upright photo's sides, 0 to 1.
    pub bbox: [f32; 4],
    /// Right eye, left eye, nose, right and left corner of the mouth (the person's own right), as
    /// shares of the sides.
    pub landmarks: [[f32; 2]; 5],
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Unit vector in the face model's space.
    pub embedding: Vec<f32>,
}

impl Vision {
    /// Loads `pack`: opens its graphs, compares them with the manifest, runs the self test and
    /// encodes the vocabulary's prompts once. Takes a while: call it from a thread that may block.
    ///
    /// # Errors
    /// `VisionError` names the file or the check that failed.
    pub fn load(
        runtime: &Runtime,
        pack: &Pack,
        options: VisionOptions,
    ) -> Result<Self, VisionError> {
        let manifest = pack.manifest();
        let needed = manifest.runtime.min_ort_minor;
        if runtime.minor() < needed {
            let (pack, found) = (pack.name().clone(), runtime.minor());
            return Err(VisionError::RuntimeTooOld { pack, needed, found });
        }
        let threads = options.threads.max(1);
        let spec = manifest.graph(FileRole::ImageEncoder).expect("problems() demands it");
        let path = pack.path(FileRole::ImageEncoder);
        let mut graph = Graph::open(runtime, &path, spec, threads)?;
        self_test(&mut graph, pack)?;

        let mut text = TextSide::load(runtime, pack)?;
        let tagger = load_tagger(&mut text, pack)?;
        let batch_max =
            options.batch_max.clamp(1, manifest.resources.max_batch).min(graph.rows_max());
        let run = Box::new(move |rows: &[&[f32]]| graph.run(rows));
        let image = Model::start("image encoder", batch_max, run)
            .map_err(|error| VisionError::load_failed(error.to_string()))?;
        tracing::info!(pack = %pack.name(), space = %pack.space(), threads, batch_max, "pack loaded");
        Ok(Self {
            image,
            text: text.start(pack)?,
            tagger,
            describes: manifest.can(Capability::Describe),
            preprocess: Arc::new(manifest.preprocess.clone()),
            preparing: Arc::new(Semaphore::new(threads)),
        })
    }

    /// Everything that the pack's models see in `photo`. Dropping the future skips what has not
    /// begun.
    ///
    /// # Errors
    /// `VisionError` when the model failed on this photo or has stopped.
    pub async fn look(&self, photo: &Photo) -> Result<Seen, VisionError> {
        let row = self.prepare(photo).await?;
        let embedding = unit(self.image.run(row).await?)?;
        let verdict = match &self.tagger {
            Some(tagger) => tagger.judge(&embedding),
            None => Verdict::default(),
        };
        let description = self.describe(&verdict);
        Ok(Seen {
            space: self.space().clone(),
            embedding,
            tags: verdict.tags,
            categories: verdict.categories,
            description,
            faces: None,
        })
    }

    /// The unit vector of `text`, or `None` when no word of it is known.
    ///
    /// # Errors
    /// `VisionError::Model` when the model fails or has stopped.
    pub async fn embed_text(&self, text: &str) -> Result<Option<Vec<f32>>, VisionError> {
        self.text.embed(text).await
    }

    /// The space of every vector made here.
    pub fn space(&self) -> &SpaceId {
        self.text.space()
    }

    /// The pack in use.
    pub fn pack(&self) -> &PackName {
        self.text.pack()
    }

    /// Where the models run.
    pub fn provider(&self) -> &'static str {
        PROVIDER
    }

    /// The cosine below which a text finds nothing.
    pub fn search_floor(&self) -> f32 {
        self.text.search_floor()
    }

    /// What the image encoder has done so far.
    pub fn stats(&self) -> ModelStats {
        self.image.stats()
    }

    /// What the text encoder has done so far.
    pub fn text_stats(&self) -> ModelStats {
        self.text.stats()
    }

    /// Resizes and normalises away from the async threads.
    async fn prepare(&self, photo: &Photo) -> Result<Vec<f32>, VisionError> {
        let permit = Arc::clone(&self.preparing)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let pixels = photo.pixels.clone();
        let rule = Arc::clone(&self.preprocess);
        let work = tokio::task::spawn_blocking(move || {
            // The permit goes along: a caller that leaves does not free a place still in use.
            let _permit = permit;
            prepare(&pixels, &rule)
        });
        work.await.map_err(|error| VisionError::NotPrepared { cause: error.to_string() })
    }

    fn describe(&self, verdict: &Verdict) -> Option<String> {
        let tagger = self.tagger.as_ref().filter(|_| self.describes)?;
        describe(&verdict.phrases, tagger.sentence())
    }
}

fn load_tagger(text: &mut TextSide, pack: &Pack) -> Result<Option<Tagger>, VisionError> {
    let manifest = pack.manifest();
    if !manifest.can(Capability::Tags) {
        return Ok(None);
    }
    let path = pack.path(FileRole::Vocabulary);
    let vocabulary =
        Vocabulary::read(&path).map_err(|cause| VisionError::BadFile { path, cause })?;
    let vectors = text.embed_all(&vocabulary.prompts(), manifest.resources.default_batch)?;
    let logit_scale = manifest.postprocess.embedding.logit_scale;
    Ok(Some(Tagger::new(vocabulary, &vectors, logit_scale)))
}

/// Runs the known picture and compares the beginning of its embedding.
fn self_test(graph: &mut Graph, pack: &Pack) -> Result<(), VisionError> {
    let manifest = pack.manifest();
    let row = prepare(&self_test_picture(), &manifest.preprocess);
    let mut vectors = graph.run(&[&row]).map_err(VisionError::load_failed)?;
    let embedding = unit(vectors.swap_remove(0))?;
    let expected = &manifest.self_test.expected;
    let mut difference = 0.0f32;
    for (found, expected) in embedding.iter().zip(expected) {
        difference = difference.max((found - expected).abs());
    }
    let tolerance = manifest.self_test.tolerance;
    if difference > tolerance {
        return Err(VisionError::SelfTest { pack: pack.name().clone(), difference, tolerance });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
