//! Trainers that get into each other's way, and trainers that die.
//! Failure: a reader that is served nothing although something was learned, or a mix of two
//! generations; a number that is current and cannot be opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use eyefleet::board::Board;
use eyefleet::catalog::{Catalog, NewAnalysis, Outcome, Stage, Stored, Tag, Upload};
use eyefleet::clock::Clock;
use eyefleet::follow::Follower;
use eyefleet::generation::{Generation, GenerationStore};
use eyefleet::jobs::{
    Attempt, Done, ExportDeps, ExportSnapshot, Job, JobError, TrainDeps, TrainGeneration,
};
use eyefleet::names::{Fence, GenerationNumber, ImageId, LibraryId, RelativePath};
use eyefleet::snapshot::{self, SnapshotId};
use eyefleet::vision::Pack;
use eyefleet::{fate::Fate, volume};
use tempfile::TempDir;

use crate::small_disk::SmallDisk;
use crate::support::{Redis, database_url};

const PHOTOS: usize = 60;

/// A library of analyzed photos and snapshots of it, each of one photo more than the one before: a mix of
/// what was learned from two of them shows in the counts.
struct Library {
    _folder: TempDir,
    /// The data folder.
    data: PathBuf,
    redis: Redis,
    catalog: Catalog,
    board: Board,
    pack: Pack,
    /// Photos in each snapshot.
    snapshots: Mutex<BTreeMap<SnapshotId, usize>>,
}

fn attempt(fence: i64) -> Attempt {
    Attempt { fence: Fence(fence), failed_before: 0, request: String::new(), traceparent: None }
}

impl Library {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        Self::on(folder, data).await
    }

    async fn on(folder: TempDir, data: PathBuf) -> Self {
        let redis = Redis::start();
        let url = database_url(&folder.path().join("trainers.sqlite"));
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        let board = Board::open(&redis.url(), "eyefleet").unwrap();
        let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
        let pack = Pack::open(&starter).unwrap();
        catalog.ensure_library(&LibraryId::main(), folder.path()).await.unwrap();
        let snapshots = Mutex::default();
        let library = Self { _folder: folder, data, redis, catalog, board, pack, snapshots };
        for number in 0..PHOTOS {
            library.store(number).await;
        }
        library.export(PHOTOS).await;
        library
    }

    /// One photo more, and a snapshot with it.
    async fn grow(&self) {
        let photos = *self.snapshots.lock().unwrap().last_key_value().unwrap().1;
        self.store(photos).await;
        self.export(photos + 1).await;
    }

    fn data(&self) -> PathBuf {
        self.data.clone()
    }

    fn store_of_generations(&self) -> GenerationStore {
        GenerationStore::new(volume::library_dir(&self.data, &LibraryId::main()))
    }

    fn dim(&self) -> usize {
        self.pack.manifest().postprocess.embedding.dim
    }

    async fn store(&self, number: usize) {
        let (library, image) = (LibraryId::main(), ImageId::new(format!("{number:03}")).unwrap());
        let upload = Upload {
            image: image.clone(),
            path: RelativePath::new(format!("{number:03}.jpg")).unwrap(),
            bytes: Some(1),
            content_hash: None,
            stamp: None,
            source: "story".to_owned(),
        };
        let recorded = self.catalog.record_uploads(&library, &[upload]).await.unwrap();
        let mut embedding = vec![0.0; self.dim()];
        embedding[number % self.dim()] = 1.0;
        let (subject, place) = [("dog", "park"), ("boat", "sea")][number % 2];
        let tag = |name: &str| Tag { name: name.to_owned(), group: String::new(), score: 0.9 };
        let new = NewAnalysis {
            width: 640,
            height: 480,
            content_hash: None,
            space: self.pack.space().clone(),
            embedding,
            pack: self.pack.name().to_string(),
            tags: vec![tag(subject), tag(place)],
            categories: vec![place.to_owned()],
            description: Some(format!("a {subject} in the {place}")),
            detailed_description: None,
            enriched: None,
            faces: None,
            outcomes: [Stage::Embed, Stage::Tag, Stage::Describe].map(Outcome::done).into(),
            event: None,
        };
        let (revision, fence) = (recorded[0].revision, Fence(1));
        let stored = self.catalog.store_analysis(&library, &image, revision, fence, &new).await;
        assert_eq!(stored.unwrap(), Stored::Stored);
    }

    async fn export(&self, photos: usize) {
        let deps = ExportDeps {
            catalog: self.catalog.clone(),
            clock: Clock::system(),
            data: self.data(),
            space: self.pack.space().clone(),
            dim: self.dim(),
            train: None,
            train_limit: None,
            skipped_max_share: 0.2,
        };
        let export = ExportSnapshot {
            library: LibraryId::main(),
            limit: None,
            since: None,
            request: "story".into(),
        };
        // Tokens make a difference between two of the same second.
        let done = export.run(&deps, &attempt(photos as i64)).await.unwrap();
        assert_eq!(done, Done::Finished);
        self.snapshots.lock().unwrap().insert(self.newest_snapshot(), photos);
    }

    fn newest_snapshot(&self) -> SnapshotId {
        let folder = volume::library_dir(&self.data, &LibraryId::main());
        snapshot::list(&folder).unwrap().pop().unwrap()
    }

    async fn train(&self, fence: i64, newer_than: i64) -> Result<Done, JobError> {
        let deps = TrainDeps {
            catalog: self.catalog.clone(),
            board: self.board.clone(),
            clock: Clock::system(),
            data: self.data(),
            exact_search_max: 50_000,
            memory_max: None,
            space: self.pack.space().clone(),
            shrink_max: 0.5,
            generations_kept: 3,
        };
        let (library, snapshot) = (LibraryId::main(), self.newest_snapshot());
        let newer_than = Some(GenerationNumber(newer_than));
        let train = TrainGeneration { library, snapshot, newer_than, publish_anyway: false };
        train.run(&deps, &attempt(fence)).await
    }

    fn follower(&self) -> Follower {
        let space = self.pack.space().clone();
        Follower::new(self.data(), space, self.catalog.clone(), self.board.clone())
    }

    /// What is current can be opened, and is what the link on the volume shows.
    async fn assert_current_is_whole(&self) -> Generation {
        let current = self.catalog.current_generation(&LibraryId::main()).await.unwrap().unwrap();
        let opened =
            self.store_of_generations().open(current.number, Some(self.pack.space())).unwrap();
        self.assert_whole(&opened);
        opened
    }

    /// Every file of it was verified when it was opened; that it is of one snapshot shows in the
    /// counts.
    fn assert_whole(&self, generation: &Generation) {
        let photos = self.snapshots.lock().unwrap()[&generation.manifest.snapshot];
        assert_eq!(generation.index.len(), photos);
        assert_eq!(generation.manifest.generation, generation.number);
        assert_eq!(generation.patterns["sea"].count, photos as u64 / 2);
        assert_eq!(generation.patterns["park"].count, photos.div_ceil(2) as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_trainers_at_once_the_newer_one_publishes() {
    let library = Library::new().await;
    assert_eq!(library.train(10, 0).await.unwrap(), Done::Finished);
    let reader = library.follower();
    assert!(reader.look().await);
    for round in 0..5 {
        let (older, newer) = (20 + 2 * round, 21 + 2 * round);
        let before = library.assert_current_is_whole().await.number;
        library.grow().await;
        let looks = async {
            for _ in 0..40 {
                reader.look().await;
                let served = reader.generation(&LibraryId::main()).await.unwrap().unwrap();
                assert!(served.number >= before);
                library.assert_whole(&served);
            }
        };
        let trainings =
            async { tokio::join!(library.train(older, before.0), library.train(newer, before.0)) };
        let ((first, second), ()) = tokio::join!(trainings, looks);
        // The older may have ended before the newer began; then the newer has nothing to do.
        let ended = |answer: &Result<Done, JobError>| match answer {
            Ok(_) => true,
            Err(error) => error.fate == Fate::Superseded,
        };
        assert!(ended(&first), "{first:?}");
        assert!(second.is_ok(), "{second:?}");
        let after = library.assert_current_is_whole().await;
        assert!(after.number > before);
        reader.look().await;
        assert_eq!(reader.serves()[&LibraryId::main()], after.number);
    }
}

#[tokio::test]
async fn a_snapshot_that_was_cut_is_not_learned_from() {
    let library = Library::new().await;
    library.train(10, 0).await.unwrap();
    library.grow().await;
    let reader = library.follower();
    let folder = volume::library_dir(&library.data, &LibraryId::main());
    let snapshot = library.newest_snapshot();
    let files = std::fs::read_dir(snapshot::path_of(&folder, &snapshot)).unwrap();
    let mut whole = Vec::new();
    for file in files.map(|file| file.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap();
        if bytes.is_empty() {
            continue; // No photo of this library has a face.
        }
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let error = library.train(20 + whole.len() as i64, 1).await.unwrap_err();
        assert_eq!(error.fate, Fate::Permanent, "{error}");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(error.message.contains(name), "{name}: {error}");
        assert!(error.message.contains("eyefleet export"), "no next step: {error}");
        std::fs::write(&file, &bytes).unwrap();
        whole.push(file);
        reader.look().await;
        let served = reader.generation(&LibraryId::main()).await.unwrap().unwrap();
        library.assert_whole(&served);
        assert_eq!(library.assert_current_is_whole().await.number, GenerationNumber(1));
    }
    assert!(whole.len() > 2, "{whole:?}");
    library.train(99, 1).await.unwrap();
    assert_eq!(library.assert_current_is_whole().await.number, GenerationNumber(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_that_is_full_at_any_write_of_a_training_leaves_the_old_or_the_new_generation() {
    let folder = tempfile::tempdir().unwrap();
    let place = std::fs::canonicalize(folder.path()).unwrap().join("volume");
    let Some(disk) = SmallDisk::at(&place, 4) else { return };
    let library = Library::on(folder, disk.inside()).await;
    library.train(10, 0).await.unwrap();
    library.grow().await;
    let (reader, store) = (library.follower(), library.store_of_generations());
    assert!(reader.look().await);
    let (mut refused, mut last) = (0, GenerationNumber(1));
    // A page more each time: it is another write that does not fit.
    for pages in 0_u32.. {
        disk.leave(pages.into());
        let ended = library.train(100 + i64::from(pages), last.0).await;
        let (current, link) =
            (library.assert_current_is_whole().await, store.current_link().unwrap().unwrap());
        // The link may be a step behind: the leader sets it again.
        library.assert_whole(&store.open(link, None).unwrap());
        match &ended {
            Ok(_) => assert!(current.number > last, "{pages} pages"),
            Err(error) => {
                assert_eq!((current.number, link), (last, last), "{pages} pages");
                let said = &error.message;
                assert!(said.contains("No space left on device"), "{said}");
                assert!(said.contains("free space"), "{said}");
                refused += 1;
            }
        }
        last = current.number;
        reader.look().await;
        let served = reader.generation(&LibraryId::main()).await.unwrap().unwrap();
        library.assert_whole(&served);
        assert_eq!(served.number, last);
        if ended.is_ok() && link == last {
            break;
        }
    }
    println!("{refused} writes were refused");
    assert!(refused > 10, "the disk was full at {refused} places only");
    let names = std::fs::read_dir(disk.inside().join("libraries/main/generations")).unwrap();
    let names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "what was refused is left behind: {names:?}");
}

mod slow {
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::process::Signal;

    use super::*;
    use crate::support::{Running, eyefleet, run, stdout, wait_for};

    /// Spread over a whole training and a little more.
    const KILLS: u64 = 30;

    impl Library {
        fn member(&self) -> Command {
            let mut command = eyefleet(&self.data());
            command
                .env("REDIS_URL", self.redis.url())
                .env("DATABASE_URL", database_url(&self.data().join("trainers.sqlite")))
                .env("AUTO_TRAIN", "false")
                .env("EYEFLEET_QUEUE__LEASE_SECONDS", "1")
                .env("EYEFLEET_QUEUE__STARTS_MAX", "100");
            command
        }

        fn trainings_begun(&self) -> usize {
            self.logged("Training started")
        }

        fn logged(&self, words: &str) -> usize {
            let log = std::fs::read_to_string(self.data().join("train.log")).unwrap_or_default();
            log.matches(words).count()
        }

        fn trainer(&self) -> Running {
            let log = std::fs::File::options()
                .create(true)
                .append(true)
                .open(self.data().join("train.log"))
                .unwrap();
            let mut command = self.member();
            command.args(["run", "train"]).stdout(log.try_clone().unwrap()).stderr(log);
            Running::start(&mut command)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_trainer_killed_at_any_moment_leaves_the_old_or_the_new_generation() {
        let library = Arc::new(Library::new().await);
        let began = std::time::Instant::now();
        library.train(10, 0).await.unwrap();
        let takes = began.elapsed();
        let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reading = {
            let (library, over, looks) = (library.clone(), over.clone(), looks.clone());
            tokio::spawn(async move {
                let reader = library.follower();
                let mut last = GenerationNumber(1);
                while !over.load(Ordering::Relaxed) {
                    reader.look().await;
                    let served = reader.generation(&LibraryId::main()).await.unwrap().unwrap();
                    library.assert_whole(&served);
                    assert!(served.number >= last);
                    last = served.number;
                    // One that starts at this very moment.
                    let fresh = library.follower();
                    let served = fresh.generation(&LibraryId::main()).await.unwrap().unwrap();
                    library.assert_whole(&served);
                    looks.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        };
        let killing = {
            let (library, runtime) = (library.clone(), tokio::runtime::Handle::current());
            move || {
                for kill in 0..KILLS {
                    runtime.block_on(library.grow());
                    let asked = run(library.member().args(["train", "--force"]));
                    let refused = "is already";
                    let text = stdout(&asked);
                    assert!(asked.status.success() || text.contains(refused), "{text}");
                    let begun = library.trainings_begun();
                    let trainer = library.trainer();
                    wait_for("a training to begin", || {
                        (library.trainings_begun() > begun).then_some(())
                    });
                    #[expect(clippy::disallowed_methods, reason = "the moment of the kill")]
                    std::thread::sleep(takes.mul_f64(1.2 * kill as f64 / KILLS as f64));
                    trainer.signal(Signal::KILL);
                }
                let _trainer = library.trainer();
                wait_for("the last training to end", || {
                    let output =
                        library.member().args(["queue", "status", "train", "--json"]).output();
                    let status: serde_json::Value =
                        serde_json::from_slice(&output.unwrap().stdout).ok()?;
                    (status["train"]["unfinished"] == 0).then_some(())
                });
            }
        };
        tokio::task::spawn_blocking(killing).await.unwrap();
        over.store(true, Ordering::Relaxed);
        reading.await.unwrap();
        let current = library.assert_current_is_whole().await;
        let (begun, ended) =
            (library.trainings_begun(), library.logged("Training finished, patterns published"));
        println!(
            "{KILLS} kills, {begun} trainings begun and {ended} ended, generation {} is current, {} looks",
            current.number,
            looks.load(Ordering::Relaxed)
        );
        assert!(begun - ended >= KILLS as usize / 3, "most were killed after their end");
        assert!(ended > 1, "none came to its end");
        assert!(current.number > GenerationNumber(1));
        let link = library.store_of_generations().current_link().unwrap();
        assert_eq!(link, Some(current.number));
    }
}
