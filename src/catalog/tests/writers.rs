//! Six processes start on one empty database and write into it without pause.
//!
//! What counts as failure: any error of any of them, `database is locked` above all, and any
//! image whose result is missing. A process is this test binary once more, with `one_writer` as
//! its only test.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const URL: &str = "EYEFLEET_TEST_WRITER_URL";
const NAME: &str = "EYEFLEET_TEST_WRITER_NAME";
const SECONDS: &str = "EYEFLEET_TEST_WRITER_SECONDS";
const WRITERS: usize = 6;

/// How long one writes: 3 seconds, or as many as the environment asks for.
fn writing_time() -> Duration {
    let asked = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(3))
}

/// Starts this test binary as a process that does nothing but `one_writer`.
fn start_writer(url: &str, name: &str, seconds: Option<u32>) -> Child {
    let mut writer = Command::new(std::env::current_exe().unwrap());
    writer
        .args(["--exact", "catalog::tests::writers::one_writer", "--nocapture"])
        .env(URL, url)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(seconds) = seconds {
        writer.env(SECONDS, seconds.to_string());
    }
    writer.spawn().unwrap()
}

#[tokio::test]
async fn six_processes_write_without_being_locked_out() {
    six_processes_write(None).await;
}

mod slow {
    #[tokio::test]
    async fn six_processes_write_for_half_a_minute_without_being_locked_out() {
        super::six_processes_write(Some(30)).await;
    }
}

async fn six_processes_write(seconds: Option<u32>) {
    let folder = tempfile::tempdir().unwrap();
    let url = database(folder.path()).await;
    let writers: Vec<_> =
        (0..WRITERS).map(|number| start_writer(&url, &format!("w{number}"), seconds)).collect();
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "a writer failed: {said}");
        eprint!("{said}");
    }
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let counts = catalog.counts(&LibraryId::main()).await.unwrap();
    assert!(counts.images >= 6, "every writer wrote: {counts:?}");
    assert_eq!((counts.analyzed, counts.waiting), (counts.images, 0));
    let told = catalog.undelivered(u64::MAX >> 1).await.unwrap().len();
    assert_eq!(told as u64, counts.images);
    eprintln!("{WRITERS} processes stored {} analyses", counts.images);
}

#[tokio::test]
async fn a_killed_writer_leaves_no_half_result() {
    let story = story().await;
    let (catalog, library) = (&story.catalog, &story.library);
    for round in 0..3 {
        let before = catalog.counts(library).await.unwrap().analyzed;
        let mut writer = start_writer(&story.url, &format!("k{round}"), Some(60));
        while catalog.counts(library).await.unwrap().analyzed < before + 5 {
            assert_eq!(writer.try_wait().unwrap(), None, "the writer ended by itself");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    let counts = catalog.counts(library).await.unwrap();
    assert_eq!(counts.analyzed + counts.waiting, counts.images);
    let exported = catalog.export_page(library, &ExportScope::default(), None, 10_000).await;
    let exported = exported.unwrap().rows.len();
    let told = catalog.undelivered(10_000).await.unwrap().len();
    assert_eq!((exported as u64, told as u64), (counts.analyzed, counts.analyzed));
    // And the next writer is not locked out by the dead.
    story.upload("7", "a").await;
    assert_eq!(story.store("7", 1, 1, &analysis("x")).await, Stored::Stored);
}

#[tokio::test]
async fn one_writer() {
    let (Ok(url), Ok(name)) = (std::env::var(URL), std::env::var(NAME)) else {
        return; // The test above starts it as a process of its own.
    };
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let library = LibraryId::main();
    catalog.ensure_library(&library, Path::new("/photos")).await.unwrap();
    let (started, time) = (Instant::now(), writing_time());
    let mut round = 0_i64;
    let mut longest = Duration::ZERO;
    while round == 0 || started.elapsed() < time {
        let asked = Instant::now();
        let uploads: Vec<_> = (0..4).map(|n| upload(&format!("{name}-{round}-{n}"), "a")).collect();
        catalog.record_uploads(&library, &uploads).await.unwrap();
        let seen = analysis("x");
        for upload in &uploads {
            let stored = catalog
                .store_analysis(&library, &upload.image, Revision(1), Fence(round), &seen)
                .await
                .unwrap();
            assert_eq!(stored, Stored::Stored);
        }
        catalog.words_page(&library, None, 10).await.unwrap();
        longest = longest.max(asked.elapsed());
        round += 1;
    }
    eprintln!("{name}: {round} rounds, the longest {longest:?}");
}

/// Not a story but a figure: `cargo test -- store_rate --nocapture`.
#[tokio::test]
async fn store_rate() {
    let story = story().await;
    let ids: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let uploads: Vec<_> = ids.iter().map(|id| upload(id, "a")).collect();
    let started = Instant::now();
    story.catalog.record_uploads(&story.library, &uploads).await.unwrap();
    let recorded = started.elapsed();
    let mut seen = analysis("a boat on the water");
    seen.embedding = vec![0.1; 128];
    let started = Instant::now();
    for id in &ids {
        assert_eq!(story.store(id, 1, 1, &seen).await, Stored::Stored);
    }
    let stored = started.elapsed();
    let rate = ids.len() as f64 / stored.as_secs_f64();
    eprintln!("200 uploads in one batch {recorded:?}; store_analysis {rate:.0} a second");
}
