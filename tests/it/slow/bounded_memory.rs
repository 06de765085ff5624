//! A large library is exported and backed up in memory that does not grow with it, and learned from in
//! no more than was said before.
//! Failure: the peak comes near the size of what is written; a training that the system ends for want
//! of memory; one of which nobody can see how far it is.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eyefleet::backup::{self, BackupDeps};
use eyefleet::catalog::Catalog;
use eyefleet::catalog::dump::{DumpRow, Loading, Table, schema_changes};
use eyefleet::clock::Clock;
use eyefleet::jobs::{Attempt, Done, ExportDeps, ExportSnapshot, Job};
use eyefleet::learning::Step;
use eyefleet::names::{Fence, LibraryId, SpaceId};
use eyefleet::vision::Pack;
use serde_json::{Value, json};

use crate::support::{Redis, Running, eyefleet, get, run, stderr, wait_for};

const IMAGES: usize = 100_000;
const DIM: usize = 512;
const SPACE: &str = "00112233aabbccdd";
/// A third of the vectors alone.
const MEMORY_MAX_KIB: u64 = 64 << 10;

/// The rows of one image, by table.
fn row(table: &Table, number: usize, space: &str, dim: usize) -> Option<DumpRow> {
    let (image, now) = (format!("{number:07}"), "2026-11-22T13:15:00.000000Z");
    let values = match table.name.as_str() {
        "images" => json!({
            "library": "main", "image": image, "path": format!("{image}.jpg"), "revision": 1,
            "source": "test", "created_at": now, "updated_at": now,
        }),
        "stages" => json!({
            "library": "main", "image": image, "stage": "embed", "state": "done", "revision": 1,
            "fence": 1, "attempts": 0, "updated_at": now,
        }),
        "analyses" => {
            let value = |at: usize| ((number * 31 + at * 17) % 97) as f32 + 1.0;
            let vector: Vec<u8> = (0..dim).flat_map(|at| value(at).to_le_bytes()).collect();
            json!({
                "library": "main", "image": image, "revision": 1, "fence": 1, "space": space,
                "pack": "p@1", "tags": "[{\"name\":\"boat\",\"group\":\"\",\"score\":0.5}]",
                "categories": "[\"sea\"]", "description": format!("boat number {number} at sea"),
                "stored_at": now, "embedding": STANDARD.encode(vector),
            })
        }
        _ => return None,
    };
    let columns = table.column_names();
    Some(columns.iter().map(|column| values.get(column).cloned().unwrap_or_default()).collect())
}

async fn fill(path: &Path, space: &str, dim: usize) {
    let loading = Loading::into_sqlite(path, schema_changes().len()).await.unwrap();
    let tables = loading.tables().to_vec();
    let library = tables.iter().find(|table| table.name == "libraries").unwrap();
    let values = json!({
        "library": "main", "root": "/photos", "created_at": "2026-11-22T13:15:00.000000Z",
        "mounts": "[]",
    });
    let columns = library.column_names();
    let value = |column: &String| match values.get(column) {
        Some(value) => value.clone(),
        None if ["current_generation", "forced_since"].contains(&column.as_str()) => Value::Null,
        None => json!(0),
    };
    let main: DumpRow = columns.iter().map(value).collect();
    loading.insert("libraries", &[main]).await.unwrap();
    for table in &tables {
        for start in (0..IMAGES).step_by(2000) {
            let rows: Vec<DumpRow> =
                (start..start + 2000).filter_map(|number| row(table, number, space, dim)).collect();
            loading.insert(&table.name, &rows).await.unwrap();
        }
    }
    loading.finish(&std::collections::BTreeMap::new(), ("/x", "/x")).await.unwrap();
}

/// A line of the `status` of a process in KiB.
fn status(process: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// What `work` needed more than there was before it, at its peak.
async fn peak_of<T>(what: &str, work: impl Future<Output = T>) -> T {
    // 5 sets the peak back to what is in use now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("self", "VmRSS");
    let done = work.await;
    let peak = status("self", "VmHWM").saturating_sub(before);
    println!("{what}: {IMAGES} images, peak {peak} KiB above {before} KiB");
    assert!(peak < MEMORY_MAX_KIB, "{what} needed {peak} KiB");
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_images_are_exported_and_backed_up_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    fill(&file, SPACE, DIM).await;
    let url = format!("sqlite://{}", file.display());
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let library = LibraryId::main();
    let job =
        ExportSnapshot { library: library.clone(), limit: None, since: None, request: "r".into() };
    let deps = ExportDeps {
        catalog: catalog.clone(),
        clock: Clock::system(),
        data: folder.path().to_owned(),
        space: SpaceId::new(SPACE).unwrap(),
        dim: DIM,
        train: None,
        train_limit: None,
        skipped_max_share: 0.0,
    };
    let attempt =
        Attempt { fence: Fence(7), failed_before: 0, request: "r".into(), traceparent: None };
    let done = peak_of("export", job.run(&deps, &attempt)).await;
    assert_eq!(done.unwrap(), Done::Finished);
    let export = catalog.latest_export(&library).await.unwrap().unwrap();
    assert_eq!(export.images, IMAGES as u64);

    let deps = BackupDeps {
        catalog,
        clock: Clock::system(),
        data: folder.path().to_owned(),
        packs: Vec::new(),
        tell: Arc::new(|_, _, _| {}),
    };
    let backup = folder.path().join("backup.tar");
    let written = peak_of("backup", Box::pin(backup::write(deps, &backup))).await.unwrap();
    assert_eq!(written.manifest.libraries[0].snapshots.len(), 1);
    let images = written.manifest.tables.iter().find(|table| table.name == "images").unwrap();
    assert_eq!(images.rows, IMAGES as u64);
}

/// The value of a metric on a page.
fn value(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line?.trim().parse().ok()
}

#[test]
fn a_hundred_thousand_images_are_learned_in_the_memory_that_was_told_and_in_sight_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let pack = Pack::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter")).unwrap();
    let dim = pack.manifest().postprocess.embedding.dim;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(fill(&file, pack.space().as_str(), dim));
    let redis = Redis::start();
    let member = || -> Command {
        let mut command = eyefleet(folder.path());
        command
            .env("REDIS_URL", redis.url())
            .env("DATABASE_URL", format!("sqlite://{}", file.display()))
            .env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0")
            .env("EYEFLEET_TRAIN__EXACT_SEARCH_MAX", "1000000")
            .env("AUTO_TRAIN", "false");
        command
    };
    let role = |name: &str, memory_mib: u64| {
        let announced = folder.path().join(format!("{name}-{memory_mib}"));
        let mut command = member();
        command.args(["run", name, "--announce"]).arg(&announced);
        command.env("EYEFLEET_TRAIN__MEMORY_MIB", memory_mib.to_string());
        let running = Running::start(&mut command);
        let url = wait_for("an address", || {
            std::fs::read_to_string(&announced).ok().filter(|url| !url.is_empty())
        });
        (running, url.trim().to_owned())
    };
    let (_export, _) = role("export", 0);
    let (_serve, serve) = role("serve", 0);
    assert!(run(member().args(["export", "--wait"])).status.success());

    // What it takes is told before any of it is taken.
    let small = role("train", 1);
    let refused = stderr(&run(member().args(["train", "--wait"])));
    drop(small);
    let told = refused.split("takes about ").nth(1).and_then(|rest| rest.split(' ').next());
    let told: u64 = told.unwrap_or_else(|| panic!("{refused}")).parse().unwrap();

    let (trainer, trainer_url) = role("train", told + 1);
    let mut training = Running::start(member().args(["train", "--force", "--wait"]));
    let (mut shares, mut steps, mut metric_steps) = (Vec::new(), Vec::new(), Vec::new());
    let code = wait_for("the training", || {
        let (_, body) = get(&format!("{serve}/v1/status"));
        let status: Value = serde_json::from_str(&body).unwrap();
        if let Some(step) = status["training"]["step"].as_str() {
            shares.push(status["training"]["done"].as_f64().unwrap());
            steps.push(step.to_owned());
            assert!(status["training"]["started_at"].is_string(), "{status}");
        }
        let (_, page) = get(&format!("{trainer_url}/metrics"));
        for step in Step::ALL.map(Step::as_str) {
            let series = format!("eyefleet_training_step{{step=\"{step}\"}}");
            if value(&page, &series) == Some(1.0) {
                metric_steps.push(step);
            }
        }
        training.0.try_wait().unwrap()
    });
    assert!(code.success());
    let peak_mib = status(&trainer.0.id().to_string(), "VmHWM") >> 10;
    steps.dedup();
    metric_steps.dedup();
    println!("told {told} MiB, at its peak {peak_mib} MiB; {steps:?}, in metrics {metric_steps:?}");
    assert!(peak_mib <= told, "{peak_mib} MiB where {told} were told");
    assert!(shares.is_sorted(), "it went back: {shares:?}");
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
    assert!(shares.last() > shares.first(), "it was not seen to go on: {shares:?}");
    assert!(steps.len() > 1 && metric_steps.len() > 1, "one step alone was seen");
    let (_, page) = get(&format!("{trainer_url}/metrics"));
    assert_eq!(value(&page, "eyefleet_training_progress"), Some(0.0), "{page}");
    let failed = r#"eyefleet_job_failures_total{kind="train-generation",cause="learning"}"#;
    assert_eq!(value(&page, failed), None, "another process failed");
}
