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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::Command;

    use rustix::process::Signal;

    use super::*;
    use crate::learning::Step;
    use crate::names::LibraryId;
    use crate::snapshot::samples;
    use crate::volume;

    /// What the child is told by.
    const FOLDER: &str = "EYEFLEET_TEST_FOLDER";
    const STEP: &str = "EYEFLEET_TEST_STEP";

    /// A training of the library in `data` from its snapshot `number`, which becomes generation `number`.
    fn building(data: &Path, number: i64, fence: i64) -> Building {
        let library = LibraryId::main();
        Building {
            folder: volume::library_dir(data, &library),
            job: TrainGeneration {
                library: library.clone(),
                snapshot: samples::id(number).0,
                newer_than: None,
                publish_anyway: false,
            },
            options: LearnOptions::default(),
            clock: Clock::system(),
            fence: Fence(fence),
            number: GenerationNumber(number),
            parent: (number > 1).then_some(GenerationNumber(number - 1)),
            space: samples::space(),
            images: 1,
            shrink_max: 0.5,
            _lock: Arc::new(LibraryLock::shared(data, &library).unwrap()),
        }
    }

    /// Two photos with faces and so many others.
    fn write_snapshot(data: &Path, number: i64, others: usize) {
        let mut rows = samples::few();
        for other in 0..others {
            let name = format!("other-{other:02}");
            let mut row = samples::tagged(&name, "a boat at sea", &["boat", "sea"], &["sea"]);
            row.1 = Some(vec![1.0, other as f32, 1.0]);
            rows.push(row);
        }
        rows.sort_by(|a, b| a.0.image.cmp(&b.0.image));
        let folder = volume::library_dir(data, &LibraryId::main());
        samples::written(&folder, number, rows);
    }

    #[test]
    #[ignore = "no test: the process that the test below starts, and that kills itself"]
    fn killed_child() {
        let (Ok(data), Ok(wanted)) = (std::env::var(FOLDER), std::env::var(STEP)) else { return };
        let fence = Step::ALL.iter().position(|step| step.as_str() == wanted).unwrap() as i64;
        let ended = building(Path::new(&data), 2, 10 + fence).build(&mut |step, _| {
            if step.as_str() == wanted {
                let myself = rustix::process::getpid();
                rustix::process::kill_process(myself, Signal::KILL).unwrap();
            }
            ControlFlow::Continue(())
        });
        panic!("it came to its end: {:?}", ended.map(drop));
    }

    #[test]
    fn a_trainer_killed_at_any_step_leaves_what_was_there_and_the_next_one_clears_up() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let go_on = &mut |_, _| ControlFlow::Continue(());
        write_snapshot(data, 1, 9);
        building(data, 1, 1).build(go_on).unwrap();
        write_snapshot(data, 2, 10);
        let store = GenerationStore::new(volume::library_dir(data, &LibraryId::main()));
        let photos_of = |number| {
            store.open(GenerationNumber(number), Some(&samples::space())).unwrap().index.len()
        };
        let photos = photos_of(1);
        for step in Step::ALL {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["jobs::train_generation::building::tests::killed_child", "--exact"])
                .args(["--ignored", "--nocapture"])
                .env(FOLDER, data)
                .env(STEP, step.as_str())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stdout);
            let signal = child.status.signal();
            assert_eq!(signal, Some(Signal::KILL.as_raw()), "{step:?} was not met: {said}");
            assert_eq!(store.list().unwrap(), [GenerationNumber(1)], "killed at {step:?}");
            assert_eq!(photos_of(1), photos, "killed at {step:?}");
        }
        building(data, 2, 99).build(go_on).unwrap();
        assert_eq!((photos_of(1), photos_of(2)), (photos, photos + 1));
        let shelf = std::fs::read_dir(store.folder(GenerationNumber(2)).parent().unwrap()).unwrap();
        assert_eq!(shelf.count(), 2, "what was killed is left behind");
    }
}
