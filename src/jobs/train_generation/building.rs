//! The blocking half of a training: a snapshot becomes a published generation, if it is no step back.

use std::path::PathBuf;
use std::sync::Arc;

use super::TrainGeneration;
use crate::clock::Clock;
use crate::generation::gate::{self, Bar, Candidate};
use crate::generation::{BuildDir, GenerationError, GenerationStore, Publication};
use crate::jobs::JobError;
use crate::learning::{self, LearnOptions, Learned};
use crate::library_lock::LibraryLock;
use crate::names::{Fence, GenerationNumber, SpaceId};
use crate::snapshot::{self, Snapshot};

/// All that it needs; it may outlive the job that began it.
pub(super) struct Building {
    pub folder: PathBuf,
    pub job: TrainGeneration,
    pub options: LearnOptions,
    pub clock: Clock,
    pub fence: Fence,
    pub number: GenerationNumber,
    pub parent: Option<GenerationNumber>,
    /// Of the models in use.
    pub space: SpaceId,
    /// Analyzed photos that the library has.
    pub images: u64,
    pub shrink_max: f64,
    /// This thread may outlive the job that began it.
    pub _lock: Arc<LibraryLock>,
}

impl Building {
    pub fn build(&self, progress: &mut learning::Progress<'_>) -> Result<Learned, JobError> {
        let snapshot = Snapshot::open(&snapshot::path_of(&self.folder, &self.job.snapshot))?;
        let store = GenerationStore::new(&self.folder);
        let build = store.begin(self.fence)?;
        // The catalogue has just given us this number: what lies there was never current.
        store.discard(self.number, self.fence)?;
        let built = self.fill(&store, &build, &snapshot, progress);
        let is_gone = !build.path().exists() && !store.folder(self.number).exists();
        match built {
            // Any error of the disk may follow from that.
            Err(_) if is_gone => {
                Err(JobError::superseded("a newer training has begun and cleared this one away"))
            }
            built => built,
        }
    }

    fn fill(
        &self,
        store: &GenerationStore,
        build: &BuildDir,
        snapshot: &Snapshot,
        progress: &mut learning::Progress<'_>,
    ) -> Result<Learned, JobError> {
        let learned = learning::learn(snapshot, build.path(), &self.options, progress)?;
        let publication = learned.publication(self.number, self.parent, self.clock.now());
        self.judge(store, &publication)?;
        store.publish(build, publication)?;
        Ok(learned)
    }

    /// Whether it may become current.
    fn judge(
        &self,
        store: &GenerationStore,
        publication: &Publication,
    ) -> Result<(), GenerationError> {
        // One that cannot be read is what a new one mends.
        let current = self.parent.and_then(|parent| store.manifest(parent).ok());
        let (counts, quality) = (&publication.counts, &publication.quality);
        let candidate = Candidate { space: &publication.space, counts, quality };
        let bar = Bar {
            space: &self.space,
            current: current.as_ref().map(|manifest| &manifest.counts),
            images: self.images,
            shrink_max: self.shrink_max,
        };
        let objections = gate::objections(&candidate, &bar);
        if objections.is_empty() {
            return Ok(());
        }
        if self.job.publish_anyway {
            let why = objections.join("; ");
            tracing::warn!(library = %self.job.library, generation = %self.number, why, "published although it is a step back");
            return Ok(());
        }
        Err(GenerationError::HeldBack { number: self.number, objections })
    }
}
