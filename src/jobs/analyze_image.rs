//! Analyze one image and store what was seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::enriching::{Looked, NOTHING_LEARNED, apply};
use super::{Attempt, Budget, Done, Job, JobError};
use crate::catalog::{
    self, Catalog, Enriched, Event, NewAnalysis, NewFace, Outcome, Stage, Stored,
};
use crate::enrich::Enrichment;
use crate::fate::Fate;
use crate::follow::Follower;
use crate::generation::Generation;
use crate::names::{ImageId, LibraryId, RelativePath, Revision};
use crate::originals;
use crate::owners_word::OwnersWord;
use crate::snapshot::durable::hex;
use crate::telemetry::metrics;
use crate::vision::{Decoder, Photo, Seen, Vision};

/// Pause of a photo that is missing in a watched folder.
const MISSING_PAUSE: Duration = Duration::from_secs(30);
/// Image ids up to this length stand in the job's id as they are.
const IMAGE_IN_ID_MAX: usize = 256;

/// Analyze one image and store what was seen.
/// Safe to repeat: the result is keyed by image, revision and embedding space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyzeImage {
    /// Whose image it is.
    pub library: LibraryId,
    /// Which image.
    pub image: ImageId,
    /// Where its original lies beneath the library's root.
    pub path: RelativePath,
    /// Which content of it.
    pub revision: Revision,
}

impl AnalyzeImage {
    /// The job's id in the queue: the same content of the same image is one job. A long image id
    /// stands there by its hash, because the queue takes 512 bytes in all.
    pub fn id(&self) -> String {
        let image = self.image.as_str();
        let image = if image.len() > IMAGE_IN_ID_MAX {
            format!("sha256-{}", hex(&Sha256::digest(image)))
        } else {
            image.to_owned()
        };
        format!("{}:{}:{}:{image}", Self::NAME, self.library, self.revision)
    }
}

/// What an analysis needs.
pub struct AnalyzeDeps {
    /// Where results go.
    pub catalog: Catalog,
    /// Bytes to pixels.
    pub decoder: Decoder,
    /// Pixels to words and vectors.
    pub vision: Vision,
    /// What was learned.
    pub learned: Follower,
    /// Largest original that is read, in bytes.
    pub original_bytes_max: u64,
}

impl Job for AnalyzeImage {
    const NAME: &'static str = "analyze-image";
    const BUDGET: Budget = Budget { attempts: 6, wall_clock: Duration::from_mins(5) };
    type Deps = AnalyzeDeps;

    async fn run(&self, deps: &AnalyzeDeps, attempt: &Attempt) -> Result<Done, JobError> {
        let Some(library) = deps.catalog.library(&self.library).await? else {
            return Ok(Done::Skipped("the library is gone"));
        };
        // Reconciliation may have offered it while another worker was at its end.
        let (catalog, image) = (&deps.catalog, &self.image);
        let waiting = catalog.waiting_stages(&self.library, image, self.revision).await?;
        if waiting.is_empty() {
            return Ok(Done::Skipped("it does not wait any more"));
        }
        if waiting.iter().eq([&Stage::Enrich])
            && let Some(done) = self.enrich_stored(deps, attempt).await?
        {
            return Ok(done);
        }
        let read = self.read(library.root, deps.original_bytes_max).await?;
        let Some((bytes, hash)) = read else {
            return Err(self.missing(library.watched));
        };
        let photo = timed(metrics::DECODE_SECONDS, deps.decoder.decode(bytes)).await;
        let photo = photo.map_err(|error| JobError::from(error).about(&self.path))?;
        let seen = timed(metrics::LOOK_SECONDS, deps.vision.look(&photo)).await;
        let seen = seen.map_err(|error| JobError::from(error).about(&self.path))?;
        let learned = deps.learned.generation(&self.library).await?;
        let said = catalog.corrections(&self.library, image).await?;
        let owner = OwnersWord::of(&said);
        let (seen, enriched) = self.enrich(seen, &owner, learned).await?;
        let pack = deps.vision.pack().to_string();
        let analysis = self.row(&photo, hash, seen, &owner, enriched, pack);
        let stored = deps
            .catalog
            .store_analysis(&self.library, &self.image, self.revision, attempt.fence, &analysis)
            .await?;
        self.unless_said_meanwhile(deps, &said, stored).await
    }

    async fn give_up(
        &self,
        deps: &AnalyzeDeps,
        attempt: &Attempt,
        reason: &str,
    ) -> Result<(), JobError> {
        let (catalog, library, image) = (&deps.catalog, &self.library, &self.image);
        // What was done before stands: a photo whose enrichment fails is analyzed all the same.
        let waiting = catalog.waiting_stages(library, image, self.revision).await?;
        let stages: Vec<Stage> = waiting.into_iter().collect();
        if stages.is_empty() {
            return Ok(());
        }
        let fence = attempt.fence;
        let stored =
            catalog.fail_image(library, image, self.revision, fence, reason, &stages).await?;
        done(stored).map(|_| ())
    }
}

impl AnalyzeImage {
    /// In a watched folder the watcher decides what is gone, and removes the image: the file may have
    /// moved, or lie on a drive that is away.
    fn missing(&self, watched: bool) -> JobError {
        let why = format!("{} is gone: no file of that name is left; upload it again", self.path);
        if !watched {
            return JobError::new(Fate::Permanent, why).of("photo");
        }
        let retry_after = Some(MISSING_PAUSE);
        JobError { retry_after, ..JobError::new(Fate::Away, why).of("photo") }
    }

    /// The original with its sha256. Reading waits for disks: it must not hold up the tasks of
    /// other photos.
    async fn read(
        &self,
        root: PathBuf,
        bytes_max: u64,
    ) -> Result<Option<(Vec<u8>, String)>, JobError> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let bytes = originals::read(&root, &path, bytes_max)?;
            Ok::<_, originals::OriginalError>(bytes.map(|bytes| {
                let hash = hex(&Sha256::digest(&bytes));
                (bytes, hash)
            }))
        });
        match read.await {
            Ok(result) => Ok(result?),
            Err(panic) => {
                let why = format!("reading it broke: {panic}");
                Err(JobError::new(Fate::Poison, why).about(&self.path))
            }
        }
    }

    /// Looking for near-duplicates compares with up to 50,000 vectors: away from the async threads.
    async fn enrich(
        &self,
        seen: Seen,
        owner: &OwnersWord,
        learned: Option<Arc<Generation>>,
    ) -> Result<(Seen, Option<Enrichment>), JobError> {
        let Some(generation) = learned else { return Ok((seen, None)) };
        let (image, owner) = (self.image.clone(), owner.clone());
        let work = tokio::task::spawn_blocking(move || {
            let looked = Looked {
                description: seen.description.as_deref(),
                tags: seen.tags.iter().cloned().map(tag).collect(),
                categories: &seen.categories,
                space: &seen.space,
                embedding: &seen.embedding,
            };
            let enriched = apply(&image, looked, &owner, &generation);
            (seen, Some(enriched))
        });
        work.await.map_err(|panic| {
            let why = format!("enriching it broke: {panic}");
            JobError::new(Fate::Poison, why).about(&self.path)
        })
    }
}

async fn timed<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = work.await;
    metrics::observe(name, started.elapsed());
    result
}

pub(super) fn done(stored: Stored) -> Result<Done, JobError> {
    match stored {
        Stored::Stored => Ok(Done::Finished),
        Stored::Superseded(why) => Err(JobError::superseded(why)),
    }
}

impl AnalyzeImage {
    /// What was seen and learned, as the catalogue keeps it: every stage with its state and reason.
    fn row(
        &self,
        photo: &Photo,
        content_hash: String,
        seen: Seen,
        owner: &OwnersWord,
        enrichment: Option<Enrichment>,
        pack: String,
    ) -> NewAnalysis {
        let described = match seen.description {
            Some(_) => Outcome::done(Stage::Describe),
            None => Outcome::skipped(Stage::Describe, "the models are sure of nothing here"),
        };
        let faces = match seen.faces {
            Some(_) => Outcome::done(Stage::Faces),
            None => Outcome::skipped(Stage::Faces, "the pack in use has no face models"),
        };
        let enriched = match enrichment {
            Some(_) => Outcome::done(Stage::Enrich),
            None => Outcome::skipped(Stage::Enrich, NOTHING_LEARNED),
        };
        let tags: Vec<_> = seen.tags.into_iter().map(tag).collect();
        let told = owner.tags(tags.clone());
        let event = Event {
            kind: "image-analyzed".to_owned(),
            payload: serde_json::json!({
                "image": self.image,
                "revision": self.revision,
                "description": owner.description(seen.description.clone()),
                "tags": told.iter().map(|tag| &tag.name).collect::<Vec<_>>(),
                "generation": enrichment.as_ref().and_then(|enrichment| enrichment.generation),
            }),
        };
        let face_space = seen.space.clone();
        NewAnalysis {
            width: photo.width,
            height: photo.height,
            content_hash: Some(content_hash),
            space: seen.space,
            embedding: seen.embedding,
            pack,
            tags,
            categories: seen.categories,
            description: seen.description,
            detailed_description: None,
            enriched: enrichment.and_then(enriched_row),
            faces: seen.faces.map(|faces| {
                faces.into_iter().map(|face| face_row(face, face_space.clone())).collect()
            }),
            outcomes: vec![
                Outcome::done(Stage::Embed),
                Outcome::done(Stage::Tag),
                described,
                faces,
                enriched,
            ],
            event: Some(event),
        }
    }
}

fn tag(tag: crate::vision::Tag) -> catalog::Tag {
    catalog::Tag { name: tag.name, group: tag.group, score: tag.score }
}

/// What was learned as the catalogue keeps it; nothing where no generation said it.
pub(super) fn enriched_row(enrichment: Enrichment) -> Option<Enriched> {
    let related = enrichment.tags.into_iter().map(|(name, score)| catalog::Tag {
        name,
        group: String::new(),
        score,
    });
    Some(Enriched {
        generation: enrichment.generation?,
        description: enrichment.description,
        tags: related.collect(),
        categories: enrichment.categories.into_iter().map(|(name, _)| name).collect(),
        context: enrichment.context,
        near_duplicates: enrichment.near_duplicates.into_iter().map(|(image, _)| image).collect(),
    })
}

fn face_row(face: crate::vision::Face, space: crate::names::SpaceId) -> NewFace {
    NewFace {
        bbox: face.bbox,
        landmarks: face.landmarks.to_vec(),
        score: face.score,
        space,
        embedding: face.embedding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(image: &str) -> AnalyzeImage {
        AnalyzeImage {
            library: LibraryId::main(),
            image: ImageId::new(image).unwrap(),
            path: RelativePath::new("2024/a.jpg").unwrap(),
            revision: Revision(3),
        }
    }

    #[test]
    fn the_payload_is_as_agreed() {
        let text = r#"{"library":"main","image":"4711","path":"2024/a.jpg","revision":3}"#;
        assert_eq!(serde_json::to_string(&job("4711")).unwrap(), text);
        assert_eq!(serde_json::from_str::<AnalyzeImage>(text).unwrap(), job("4711"));
    }

    #[test]
    fn every_image_id_gives_an_id_that_the_queue_takes() {
        assert_eq!(job("4711").id(), "analyze-image:main:3:4711");
        let (long, other) = ("x".repeat(512), format!("{}y", "x".repeat(511)));
        assert!(job(&long).id().len() <= 400, "{}", job(&long).id());
        assert_ne!(job(&long).id(), job(&other).id());
    }
}
