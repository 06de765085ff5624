//! A query finds what it should, wherever the vectors lie: in the index, or stored since, or left
//! out of it; by meaning, or by words alone. Most pictures here have the vector of their caption,
//! which is quick; where it matters how unlike a text a picture is, they are drawn and looked at.

use std::path::Path;
use std::sync::Arc;

use drawn::Generator;
use eyefleet::board::Board;
use eyefleet::catalog::{Catalog, NewAnalysis, Outcome, Stage, Stored, Tag, Upload};
use eyefleet::clock::Clock;
use eyefleet::follow::Follower;
use eyefleet::jobs::{Attempt, Done, ExportDeps, ExportSnapshot, Job, TrainDeps, TrainGeneration};
use eyefleet::names::{Fence, ImageId, LibraryId, RelativePath};
use eyefleet::search::{Found, SearchError, Searcher};
use eyefleet::snapshot;
use eyefleet::vision::{DecodeLimits, Decoder, Pack, Runtime, TextEncoder, Vision, VisionOptions};
use jiff::SignedDuration;
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use crate::support::{Redis, database_url};

/// Longer than the tail looks back before a snapshot.
const LONG: SignedDuration = SignedDuration::from_mins(10);

struct Story {
    catalog: Catalog,
    board: Board,
    clock: Clock,
    encoder: Arc<TextEncoder>,
    pack: Pack,
    url: String,
    folder: tempfile::TempDir,
    _redis: Redis,
}

async fn story() -> Story {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let clock = Clock::held_at("2026-11-22T13:15:00Z".parse().unwrap());
    let url = database_url(&folder.path().join("catalog.sqlite"));
    let catalog = Catalog::open(&url, clock.clone()).await.unwrap();
    let board = Board::open(&redis.url(), "story").unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let pack = Pack::open(&models).unwrap();
    let encoder = Arc::new(TextEncoder::load(&Runtime::open(None).unwrap(), &pack).unwrap());
    Story { catalog, board, clock, encoder, pack, url, folder, _redis: redis }
}

impl Story {
    /// A searcher that knows nothing yet, as that of a process that was started a moment ago.
    fn searcher(&self) -> Searcher {
        let data = self.folder.path().to_owned();
        let space = self.pack.space().clone();
        let learned = Follower::new(data, space, self.catalog.clone(), self.board.clone());
        Searcher::new(self.catalog.clone(), Arc::clone(&self.encoder), learned)
    }

    /// Stores a picture that shows `caption` and is called `description`, with one tag.
    async fn store(&self, id: &str, caption: &str, description: &str, tag: &str) {
        let vector = self.encoder.embed(caption).await.unwrap().unwrap();
        self.store_vector(id, vector, description, tag).await;
    }

    async fn show(&self, id: &str, caption: &str) {
        self.store(id, caption, caption, "picture").await;
    }

    async fn store_vector(&self, id: &str, vector: Vec<f32>, description: &str, tag: &str) {
        let (library, image) = (LibraryId::main(), ImageId::new(id).unwrap());
        self.catalog.ensure_library(&library, self.folder.path()).await.unwrap();
        let upload = Upload {
            image: image.clone(),
            path: RelativePath::new(format!("{id}.jpg")).unwrap(),
            bytes: Some(1),
            content_hash: Some(description.to_owned()),
            stamp: None,
            source: "story".to_owned(),
        };
        self.catalog.record_uploads(&library, &[upload]).await.unwrap();
        let revision = self.catalog.image(&library, &image).await.unwrap().unwrap().revision;
        let tag = Tag { name: tag.to_owned(), group: String::new(), score: 0.9 };
        let new = NewAnalysis {
            width: 640,
            height: 480,
            content_hash: None,
            space: self.pack.space().clone(),
            embedding: vector,
            pack: self.pack.name().to_string(),
            tags: vec![tag],
            categories: Vec::new(),
            description: Some(description.to_owned()),
            detailed_description: None,
            enriched: None,
            faces: None,
            outcomes: [Stage::Embed, Stage::Tag, Stage::Describe].map(Outcome::done).into(),
            event: None,
        };
        let fence = Fence(revision.0);
        let stored = self.catalog.store_analysis(&library, &image, revision, fence, &new).await;
        assert_eq!(stored.unwrap(), Stored::Stored);
    }

    /// Exports the newest `limit` images, all without it, and learns from them.
    async fn learn(&self, fence: i64, limit: Option<u64>) {
        let attempt = Attempt {
            fence: Fence(fence),
            failed_before: 0,
            request: String::new(),
            traceparent: None,
        };
        let library = LibraryId::main();
        let request = fence.to_string();
        let export = ExportSnapshot { library: library.clone(), limit, since: None, request };
        let deps = ExportDeps {
            catalog: self.catalog.clone(),
            clock: self.clock.clone(),
            data: self.folder.path().to_owned(),
            space: self.pack.space().clone(),
            dim: self.pack.manifest().postprocess.embedding.dim,
            train: None,
            train_limit: None,
            skipped_max_share: 0.2,
        };
        assert_eq!(export.run(&deps, &attempt).await.unwrap(), Done::Finished);
        let folder = eyefleet::volume::library_dir(self.folder.path(), &library);
        let snapshot = snapshot::list(&folder).unwrap().pop().unwrap();
        let deps = TrainDeps {
            catalog: self.catalog.clone(),
            board: self.board.clone(),
            clock: self.clock.clone(),
            data: self.folder.path().to_owned(),
            exact_search_max: 50_000,
            memory_max: None,
            space: self.pack.space().clone(),
            shrink_max: 0.5,
            generations_kept: 3,
        };
        let train = TrainGeneration { library, snapshot, newer_than: None, publish_anyway: false };
        assert_eq!(train.run(&deps, &attempt).await.unwrap(), Done::Finished);
    }

    async fn find(&self, query: &str) -> Found {
        find(&self.searcher(), query).await
    }
}

async fn find(searcher: &Searcher, query: &str) -> Found {
    searcher.search(&LibraryId::main(), query, 10).await.unwrap()
}

fn first(found: &Found) -> Option<&str> {
    found.hits.first().map(|hit| hit.image.as_str())
}

#[tokio::test]
async fn a_picture_is_found_in_the_tail_and_then_through_the_index() {
    let story = story().await;
    let searcher = story.searcher();
    // A fleet that was started a moment ago.
    assert_eq!(find(&searcher, "a sailboat").await.hits, []);
    story.show("boat", "a sailboat on the sea").await;
    story.show("melon", "a slice of watermelon").await;
    let found = find(&searcher, "a sailboat").await;
    assert_eq!((first(&found), found.generation), (Some("boat"), None));

    story.learn(1, None).await;
    story.clock.advance(LONG);
    story.show("snowman", "a snowman in winter").await;
    let found = story.find("a snowman").await;
    assert_eq!((first(&found), found.generation), (Some("snowman"), Some(1)));

    // No vector in the catalogue can be compared any more: what is found, the index has found.
    let database = Database::connect(&story.url).await.unwrap();
    let spoil = "UPDATE analyses SET space = 'ffffffffffffffff'";
    database.execute_unprepared(spoil).await.unwrap();
    assert_eq!(first(&story.find("a sailboat").await), Some("boat"));
    assert_eq!(first(&story.find("a slice of watermelon").await), Some("melon"));
    assert_ne!(first(&story.find("a snowman").await), Some("snowman"));
}

#[tokio::test]
async fn a_picture_that_was_analyzed_again_is_found_as_what_it_shows_now() {
    let story = story().await;
    story.show("1", "a sailboat on the sea").await;
    story.show("2", "a lighthouse on the coast").await;
    story.learn(1, None).await;
    story.clock.advance(LONG);
    let searcher = story.searcher();
    assert_eq!(first(&find(&searcher, "a sailboat").await), Some("1"));
    story.show("1", "a slice of watermelon").await;
    assert_eq!(first(&find(&searcher, "a slice of watermelon").await), Some("1"));
    assert_ne!(first(&find(&searcher, "a sailboat").await), Some("1"));
    // And as it was: the index answers for it again.
    story.show("1", "a sailboat on the sea").await;
    assert_eq!(first(&find(&searcher, "a sailboat").await), Some("1"));
}

#[tokio::test]
async fn what_a_limited_export_left_out_is_found() {
    let story = story().await;
    story.show("boat", "a sailboat on the sea").await;
    story.show("melon", "a slice of watermelon").await;
    story.clock.advance(LONG);
    story.show("snowman", "a snowman in winter").await;
    story.learn(1, Some(1)).await;
    let found = story.find("a sailboat").await;
    assert_eq!((first(&found), found.generation), (Some("boat"), Some(1)));
    assert_eq!(first(&story.find("a snowman").await), Some("snowman"));

    // Nothing says any more that it was limited, but the index has too few.
    let database = Database::connect(&story.url).await.unwrap();
    database.execute_unprepared("DELETE FROM exports").await.unwrap();
    assert_eq!(first(&story.find("a slice of watermelon").await), Some("melon"));
}

#[tokio::test]
async fn a_picture_that_waited_during_the_export_is_found() {
    let story = story().await;
    story.show("boat", "a sailboat on the sea").await;
    story.show("melon", "a slice of watermelon").await;
    story.clock.advance(LONG);
    // A new upload of the boat waits; its old analysis is what is known of it.
    let upload = Upload {
        image: ImageId::new("boat").unwrap(),
        path: RelativePath::new("boat.jpg").unwrap(),
        bytes: Some(2),
        content_hash: Some("another".to_owned()),
        stamp: None,
        source: "story".to_owned(),
    };
    story.catalog.record_uploads(&LibraryId::main(), &[upload]).await.unwrap();
    story.learn(1, None).await;
    assert_eq!(first(&story.find("a sailboat").await), Some("boat"));
}

#[tokio::test]
async fn words_that_the_encoder_does_not_know_are_looked_for_in_the_texts() {
    let story = story().await;
    story.store("1", "a sailboat on the sea", "a boat called Wilhelmina", "sailboat").await;
    story.store("2", "a slice of watermelon", "a fruit", "zucchini").await;
    story.store("3", "a snowman in winter", "a snowman", "snowman").await;
    let library = LibraryId::main();
    let image = ImageId::new("3").unwrap();
    let said = json!(["grandma"]);
    story.catalog.set_correction(&library, &image, "tags", &said).await.unwrap();
    for learned in [false, true] {
        if learned {
            story.learn(1, None).await;
        }
        let ids = async |query| {
            let found = story.find(query).await;
            found.hits.into_iter().map(|hit| hit.image.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ids("Wilhelmina").await, ["1"], "by its description");
        assert_eq!(ids("a picture of zucchini").await, ["2"], "by its tag");
        assert_eq!(ids("my grandma").await, ["3"], "by the owner's tag");
        assert_eq!(ids("quarterly bookkeeping").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_query_about_nothing_in_the_library_finds_nothing() {
    let story = story().await;
    let options = VisionOptions { threads: 2, batch_max: 8 };
    let vision = Vision::load(&Runtime::open(None).unwrap(), &story.pack, options).unwrap();
    let decoder = Decoder::new(2, DecodeLimits::default());
    for subject in ["sailboat", "watermelon"] {
        let drawing = drawn::draw_subject(Generator::Second, 5, 1, subject);
        let photo = decoder.decode(drawing.to_jpeg(90).unwrap()).await.unwrap();
        let seen = vision.look(&photo).await.unwrap();
        story.store_vector(subject, seen.embedding, &drawing.truth.caption, subject).await;
    }
    for learned in [false, true] {
        if learned {
            story.learn(1, None).await;
        }
        assert_eq!(first(&story.find("a slice of watermelon").await), Some("watermelon"));
        for query in ["fireworks", "a cat", "xyzzy", "my", "?!"] {
            assert_eq!(story.find(query).await.hits, [], "{query}");
        }
    }
}

#[tokio::test]
async fn an_unknown_library_is_an_error_that_says_what_to_do() {
    let story = story().await;
    let searcher = story.searcher();
    let holiday = LibraryId::new("holiday").unwrap();
    let error = searcher.search(&holiday, "a boat", 10).await.unwrap_err();
    assert!(matches!(&error, SearchError::UnknownLibrary(named) if *named == holiday), "{error}");
    assert!(error.to_string().contains("eyefleet add --library holiday"), "{error}");
    assert_eq!(find(&searcher, "a boat").await.hits, [], "nobody has added to `main` yet");
    story.catalog.ensure_library(&holiday, story.folder.path()).await.unwrap();
    assert_eq!(searcher.search(&holiday, "a boat", 10).await.unwrap().hits, []);
}
