//! What was learned is exchanged while everybody works.
//! Failure: a search or an analysis that fails, waits or is repeated because of an exchange; a photo
//! that was enriched by neither of the two generations.

mod slow {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use eyefleet::board::Version;
    use eyefleet::catalog::DoneImage;
    use eyefleet::cli::Client;
    use eyefleet::config::Config;
    use eyefleet::names::{GenerationNumber, LibraryId};
    use serde_json::Value;

    use crate::support::{Running, Up, database_url, eyefleet, get, photos, run, stdout, wait_for};

    const SWAPS: u64 = 1000;
    const PHOTOS: usize = 3000;

    fn json(data: &Path, words: &[&str]) -> Value {
        serde_json::from_str(&stdout(&run(eyefleet(data).args(words).arg("--json")))).unwrap()
    }

    /// Ends the loop of the searches, which would hold a failed test for ever.
    struct SetAtEnd<'a>(&'a AtomicBool);

    impl Drop for SetAtEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Copies of the drawings under new names: drawing them all takes longer than looking at them.
    fn many_photos(folder: &Path) {
        let drawn = folder.join("drawn");
        photos(&drawn, 30);
        for number in 0..PHOTOS {
            let copy = folder.join(format!("more/{:02}/{number:04}.jpg", number % 50));
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(drawn.join(format!("{:03}.jpg", number % 30)), copy).unwrap();
        }
    }

    async fn client(data: &Path) -> Client {
        let database = database_url(&data.join("catalog.sqlite"));
        let home = [
            ("EYEFLEET_DATA", data.to_str().unwrap()),
            ("HOME", "/nowhere"),
            ("DATABASE_URL", &database),
        ];
        let home = home.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Client::open(Config::from_sources(None, home).unwrap()).await.unwrap()
    }

    /// How many of the later photos were enriched by each generation.
    async fn enriched_by(data: &Path) -> BTreeMap<Option<i64>, usize> {
        let catalog = client(data).await.catalog;
        let (mut counts, mut after) = (BTreeMap::new(), None);
        loop {
            let main = LibraryId::main();
            let page = catalog.done_page(&main, None, after.as_ref(), 1000).await.unwrap();
            let Some(last) = page.last() else { return counts };
            after = Some(last.image.image.clone());
            // The names of the first ones have three digits.
            let is_later = |it: &&DoneImage| it.image.path.as_str().len() > "added/000.jpg".len();
            for photo in page.iter().filter(is_later) {
                let by = photo.seen.as_ref().and_then(|seen| seen.generation);
                *counts.entry(by.map(|number| number.0)).or_default() += 1;
            }
        }
    }

    /// Makes one of two generations current, then the other, and waits each time until every worker
    /// serves it.
    async fn exchange(data: &Path, work_goes_on: impl Fn() -> bool) -> u64 {
        let client = client(data).await;
        let main = LibraryId::main();
        let mut under_load = 0;
        for swap in 0..SWAPS {
            let number = GenerationNumber(1 + (swap % 2) as i64);
            let now = client.catalog.set_current(&main, number).await.unwrap();
            let version = Version { change: now.change, number };
            client.board.announce(&main, version).await.unwrap();
            loop {
                let workers = client.board.workers().await.unwrap();
                let serving = |role: &str| {
                    let of_role = workers.iter().filter(|it| it.role == role);
                    of_role.map(|it| it.serves.get(&main) == Some(&number)).collect::<Vec<_>>()
                };
                let (analyze, serve) = (serving("analyze"), serving("serve"));
                if !analyze.is_empty() && analyze.iter().chain(&serve).all(|serves| *serves) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            under_load += u64::from(work_goes_on());
        }
        under_load
    }

    #[test]
    fn a_thousand_exchanges_fail_no_job_and_no_search() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut command = eyefleet(&data);
        command
            .arg("up")
            .env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0")
            .env("AUTO_TRAIN", "false")
            .env("EYEFLEET_RUN__RELOAD_SECONDS", "0.05");
        let up = Up { process: Running::start(&mut command), data: data.clone() };
        up.wait_until_ready();
        let first = folder.path().join("first");
        photos(&first, 40);
        assert!(run(eyefleet(&data).args(["add", "--wait"]).arg(&first)).status.success());
        // Two that differ, so that a mix would show.
        for generation in 1..=2 {
            assert!(run(eyefleet(&data).args(["export", "--wait"])).status.success());
            let trained = run(eyefleet(&data).args(["train", "--force", "--wait"]));
            assert!(trained.status.success());
            if generation == 1 {
                photos(&first, 41);
                let added = run(eyefleet(&data).args(["add", "--wait"]).arg(&first));
                assert!(added.status.success());
            }
        }
        let more = folder.path().join("photos");
        many_photos(&more);
        let mut adding = Running::start(eyefleet(&data).args(["add"]).arg(more.join("more")));

        let (over, asked, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let search = format!("{}/v1/search?q=a%20boat%20on%20the%20sea", up.url("serve-1"));
        let under_load = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (status, body) = get(&search);
                    let found: Value = serde_json::from_str(&body).unwrap_or_default();
                    let number = found["generation"].as_i64();
                    let whole = status == 200
                        && found["hits"].as_array().is_some_and(|hits| !hits.is_empty())
                        && matches!(number, Some(1 | 2));
                    asked.fetch_add(1, Ordering::Relaxed);
                    if !whole {
                        eprintln!("{status}: {body}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            let _also_after_a_panic = SetAtEnd(&over);
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let searches = || asked.load(Ordering::Relaxed);
            let last = std::cell::Cell::new(0);
            runtime.block_on(exchange(&data, || {
                let now = searches();
                now > last.replace(now)
            }))
        });
        assert_eq!(failed.load(Ordering::Relaxed), 0);
        println!(
            "{} searches, {under_load} exchanges with a search since the last",
            asked.into_inner()
        );
        assert!(under_load > SWAPS / 2, "{under_load}");

        assert_eq!(adding.end(), Some(0));
        wait_for("the analyses to end", || {
            (json(&data, &["status"])["counts"]["waiting"] == 0).then_some(())
        });
        let status = json(&data, &["status"]);
        assert_eq!(status["counts"]["analyzed"], 41 + PHOTOS);
        assert_eq!(status["counts"]["failed"], 0);
        let queue = &json(&data, &["queue", "status"])["analyze"];
        println!("{queue}");
        for unwanted in ["retried", "waited", "died", "crashed", "quarantined", "returned", "stale"]
        {
            assert_eq!(queue["totals"][unwanted], 0, "{unwanted}: {queue}");
        }
        // Each by one of the two, and some by each: the first ones were there before both.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let by = runtime.block_on(enriched_by(&data));
        println!("photos by the generation that enriched them: {by:?}");
        assert_eq!(by.keys().collect::<Vec<_>>(), [&Some(1), &Some(2)]);
        assert_eq!(by.values().sum::<usize>(), PHOTOS);
        up.stop();
    }
}
