//! What is counted and weighed rather than told: each photo is decoded and looked at once in all the
//! fleet, and the thread that runs the tasks of a worker has little to do with either.

mod slow;
#[allow(dead_code, reason = "shared with the bench of the fleet; a story uses a part of it")]
mod watched;

use std::path::Path;
use std::process::Command;

use drawn::Generator;
use eyefleet::board::Board;
use eyefleet::catalog::{Catalog, Upload};
use eyefleet::clock::Clock;
use eyefleet::follow::Follower;
use eyefleet::jobs::{AnalyzeDeps, AnalyzeImage, Attempt, Done, Job};
use eyefleet::names::{Fence, ImageId, LibraryId, RelativePath, Revision};
use eyefleet::vision::decode::decode;
use eyefleet::vision::{DecodeLimits, Decoder, Pack, Runtime, Vision, VisionOptions};
use futures_util::future::join_all;
use image::imageops::{FilterType, resize};

use crate::support::{Redis, Running, eyefleet, get, photos, run, wait_for};

#[test]
fn each_photo_is_decoded_and_looked_at_once_in_all_the_fleet() {
    const PHOTOS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    photos(&folder.path().join("photos"), PHOTOS);
    std::fs::write(folder.path().join("photos/broken.jpg"), "this is no photo").unwrap();
    let redis = Redis::start();
    let member = || -> Command {
        let mut command = eyefleet(&data);
        command.env("REDIS_URL", redis.url());
        command
    };
    let added = run(member().arg("add").arg(folder.path().join("photos")));
    assert_eq!(added.status.code(), Some(0));
    let addresses = ["one", "two"].map(|name| folder.path().join(name));
    let _workers = addresses.each_ref().map(|address| {
        Running::start(member().args(["run", "analyze", "--announce"]).arg(address))
    });
    let urls = addresses.map(|address| {
        wait_for("an address", || {
            std::fs::read_to_string(&address).ok().filter(|it| !it.is_empty())
        })
    });
    let sum = |name: &str| -> u64 { urls.iter().map(|url| number(&get_metrics(url), name)).sum() };
    let finished = r#"eyefleet_jobs_total{kind="analyze-image",outcome="finished"}"#;
    wait_for("the analysis", || (sum(finished) == PHOTOS).then_some(()));
    let failed = r#"eyefleet_job_failures_total{kind="analyze-image",cause="picture"}"#;
    wait_for("the failure of the one that is none", || (sum(failed) == 1).then_some(()));
    assert_eq!(sum("eyefleet_decode_seconds_count"), PHOTOS + 1);
    assert_eq!(sum("eyefleet_look_seconds_count"), PHOTOS);
}

fn get_metrics(url: &str) -> String {
    let (status, page) = get(&format!("{}/metrics", url.trim()));
    assert_eq!(status, 200);
    page
}

/// The value of the metric whose line begins with `name`, or 0 before its first.
fn number(page: &str, name: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse::<f64>().unwrap() as u64)
}

/// Failure: decoding, resizing or a model on the thread of the tasks. Weighed in processor time of
/// that thread, which a busy machine does not change, against that of decoding alone.
#[test]
fn the_thread_of_the_tasks_neither_decodes_nor_looks() {
    const PHOTOS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("originals");
    let picture = three_megapixels();
    std::fs::create_dir_all(&root).unwrap();
    for number in 0..PHOTOS {
        std::fs::write(root.join(format!("{number:02}.jpg")), &picture).unwrap();
    }
    let redis = Redis::start();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (jobs, deps) = tokio.block_on(prepared(folder.path(), &root, &redis, PHOTOS));

    let before = processor_ticks();
    let ended = tokio.block_on(join_all(jobs.iter().map(|job| async {
        let attempt = Attempt {
            fence: Fence(1),
            failed_before: 0,
            request: String::new(),
            traceparent: None,
        };
        job.run(&deps, &attempt).await.unwrap()
    })));
    let spent = processor_ticks() - before;
    assert_eq!(ended, vec![Done::Finished; PHOTOS]);

    let before = processor_ticks();
    tokio.block_on(async {
        for _ in 0..PHOTOS {
            decode(&picture, deps.decoder.limits()).unwrap();
        }
    });
    let decoding = processor_ticks() - before;
    println!("{spent} ticks in the pipeline, {decoding} in decoding alone on the same thread");
    assert!(decoding >= 20, "the pictures are too small to tell: {decoding} ticks");
    assert!(
        spent * 3 < decoding,
        "{spent} ticks on the thread of the tasks, decoding is {decoding}"
    );
}

/// What `workers/analyze.rs` builds, and a job for each picture.
async fn prepared(
    data: &Path,
    root: &Path,
    redis: &Redis,
    photos: usize,
) -> (Vec<AnalyzeImage>, AnalyzeDeps) {
    let url = crate::support::database_url(&data.join("catalog.sqlite"));
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let library = LibraryId::main();
    catalog.ensure_library(&library, root).await.unwrap();
    let upload = |number: usize| Upload {
        image: ImageId::new(format!("{number}")).unwrap(),
        path: RelativePath::new(format!("{number:02}.jpg")).unwrap(),
        bytes: None,
        content_hash: None,
        stamp: None,
        source: "story".to_owned(),
    };
    let uploads: Vec<Upload> = (0..photos).map(upload).collect();
    catalog.record_uploads(&library, &uploads).await.unwrap();
    let mut jobs = Vec::new();
    for upload in uploads {
        let revision = catalog.image(&library, &upload.image).await.unwrap().unwrap().revision;
        jobs.push(job(&library, upload, revision));
    }
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    let pack = Pack::open(&models).unwrap();
    let vision =
        Vision::load(&Runtime::open(None).unwrap(), &pack, VisionOptions::default()).unwrap();
    let board = Board::open(&redis.url(), "story").unwrap();
    let space = vision.space().clone();
    let learned = Follower::new(data.to_owned(), space, catalog.clone(), board);
    let decoder = Decoder::new(1, DecodeLimits::default());
    let original_bytes_max = decoder.limits().bytes_max;
    (jobs, AnalyzeDeps { catalog, decoder, vision, learned, original_bytes_max })
}

fn job(library: &LibraryId, upload: Upload, revision: Revision) -> AnalyzeImage {
    AnalyzeImage { library: library.clone(), image: upload.image, path: upload.path, revision }
}

fn three_megapixels() -> Vec<u8> {
    let drawing = drawn::draw(Generator::Second, 11, 1);
    let small = image::RgbImage::from_raw(drawing.width, drawing.height, drawing.rgb).unwrap();
    let large = resize(&small, 2048, 1536, FilterType::Triangle);
    let mut bytes = std::io::Cursor::new(Vec::new());
    large.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Processor time of this thread in hundredths of a second.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // The name in parentheses may hold anything; the fields after it are numbers.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..=12].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}
