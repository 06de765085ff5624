//! A large library is exported and backed up in memory that does not grow with it.
//! Failure: the peak comes near the size of what is written.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eyefleet::backup::{self, BackupDeps};
use eyefleet::catalog::Catalog;
use eyefleet::catalog::dump::{DumpRow, Loading, Table, schema_changes};
use eyefleet::clock::Clock;
use eyefleet::jobs::{Attempt, Done, ExportDeps, ExportSnapshot, Job};
use eyefleet::names::{Fence, LibraryId, SpaceId};
use serde_json::{Value, json};

const IMAGES: usize = 100_000;
const DIM: usize = 512;
const SPACE: &str = "00112233aabbccdd";
/// A third of the vectors alone.
const MEMORY_MAX_KIB: u64 = 64 << 10;

/// The rows of one image, by table.
fn row(table: &Table, number: usize) -> Option<DumpRow> {
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
            let vector: Vec<u8> = (0..DIM).flat_map(|at| value(at).to_le_bytes()).collect();
            json!({
                "library": "main", "image": image, "revision": 1, "fence": 1, "space": SPACE,
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

async fn fill(path: &Path) {
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
                (start..start + 2000).filter_map(|number| row(table, number)).collect();
            loading.insert(&table.name, &rows).await.unwrap();
        }
    }
    loading.finish(&std::collections::BTreeMap::new(), ("/x", "/x")).await.unwrap();
}

/// A line of `/proc/self/status` in KiB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// What `work` needed more than there was before it, at its peak.
async fn peak_of<T>(what: &str, work: impl Future<Output = T>) -> T {
    // 5 sets the peak back to what is in use now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    let done = work.await;
    let peak = status("VmHWM").saturating_sub(before);
    println!("{what}: {IMAGES} images, peak {peak} KiB above {before} KiB");
    assert!(peak < MEMORY_MAX_KIB, "{what} needed {peak} KiB");
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_images_are_exported_and_backed_up_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    fill(&file).await;
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
