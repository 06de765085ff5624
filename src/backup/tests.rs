//! A backup of a small volume, and everything that may befall it on its way back.
//!
//! What counts as failure: a changed byte that is believed, a target that is touched before all is
//! verified, a restore that cannot be finished after it was killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::archive;
use super::journal::{self, Journal};
use super::place::{staged_database, unpacked};
use super::restore::prepare;
use super::*;
use crate::board::Board;
use crate::catalog::tests::database;
use crate::catalog::{Catalog, Published, Stored, sqlite_path};
use crate::clock::Clock;
use crate::generation::{GenerationStore, samples as generations};
use crate::names::{Fence, GenerationNumber, LibraryId, SpaceId};
use crate::snapshot::samples as snapshots;
use crate::volume;

/// A data folder with a catalogue, two generations, a snapshot and logs.
struct Volume {
    folder: tempfile::TempDir,
    catalog: Catalog,
}

impl Volume {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let url = database(&data).await;
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        let library = LibraryId::main();
        catalog.ensure_library(&library, &volume::originals_dir(&data, &library)).await.unwrap();
        let home = volume::library_dir(&data, &library);
        fs::create_dir_all(&home).unwrap();
        let snapshot = snapshots::written(&home, 1, snapshots::few());
        let id = snapshot.manifest().id.as_str().to_owned();
        let begun = catalog.begin_export(&library, Fence(1), &id, None).await.unwrap();
        assert_eq!(begun, Stored::Stored);
        let none = BTreeMap::new();
        let done = catalog.finish_export(&library, Fence(1), &id, 3, &none).await.unwrap();
        assert_eq!(done, Stored::Stored);
        generations::published(&home, &[1, 2]);
        let space = SpaceId::new("0123456789abcdef").unwrap();
        for fence in [1, 2] {
            let fence = Fence(fence);
            let number = catalog.begin_training(&library, fence, &id).await.unwrap().unwrap();
            let report = json!({});
            let published =
                catalog.publish_generation(&library, fence, number, &space, 3, &report).await;
            assert!(matches!(published.unwrap(), Published::Published { .. }));
        }
        fs::write(home.join("training.log"), "one\n").unwrap();
        Self { folder, catalog }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn backup(&self) -> (PathBuf, Written) {
        let file = self.folder.path().join("backup.tar");
        let deps = BackupDeps {
            catalog: self.catalog.clone(),
            clock: Clock::system(),
            data: self.data(),
            packs: Vec::new(),
            tell: silent(),
        };
        let written = write(deps, &file).await.unwrap();
        (file, written)
    }
}

fn silent() -> Tell {
    Arc::new(|_, _, _| {})
}

/// An empty target.
struct Target {
    folder: tempfile::TempDir,
    url: String,
}

impl Target {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = database(folder.path()).await;
        Self { folder, url }
    }

    fn request(&self, file: &Path, force: bool) -> RestoreRequest {
        RestoreRequest {
            file: file.to_owned(),
            data: self.folder.path().to_owned(),
            database_url: self.url.clone(),
            board: None::<Board>,
            force,
            tell: silent(),
        }
    }

    fn home(&self) -> PathBuf {
        volume::library_dir(self.folder.path(), &LibraryId::main())
    }

    async fn assert_restored(&self) {
        let store = GenerationStore::new(self.home());
        assert_eq!(store.list().unwrap(), [1, 2].map(GenerationNumber));
        assert_eq!(store.current_link().unwrap(), Some(GenerationNumber(2)));
        store.open(GenerationNumber(2), None).unwrap();
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap();
        assert_eq!(read("training.log"), "one\n");
        assert_eq!(
            serde_json::from_str::<Vec<serde_json::Value>>(&read("images_metadata.json"))
                .unwrap()
                .len(),
            3
        );
        let catalog = Catalog::open(&self.url, Clock::system()).await.unwrap();
        let library = catalog.library(&LibraryId::main()).await.unwrap().unwrap();
        let originals = volume::originals_dir(self.folder.path(), &LibraryId::main());
        assert_eq!((library.current.unwrap().number.0, library.root), (2, originals));
        assert!(!journal::folder(self.folder.path()).exists(), "something was left behind");
        refuse_unfinished(self.folder.path()).unwrap();
        catalog.close().await.unwrap();
    }
}

#[tokio::test]
async fn everything_comes_back_into_another_folder() {
    let volume = Volume::new().await;
    let (file, written) = volume.backup().await;
    assert_eq!(written.notes, Vec::<String>::new());
    let libraries = fs::read_dir(volume.data().join("libraries")).unwrap().flatten();
    let left = libraries.filter(|it| it.file_name().to_string_lossy().starts_with(".backup-"));
    assert_eq!(left.count(), 0, "the links were left behind");
    let target = Target::new().await;
    let restored = restore(target.request(&file, false)).await.unwrap();
    assert!(!restored.resumed);
    target.assert_restored().await;
    // What is there now is not replaced by accident.
    let error = restore(target.request(&file, false)).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty(_)), "{error}");
    fs::write(target.home().join("mine.txt"), "x").unwrap();
    fs::create_dir_all(target.folder.path().join("redis/appendonlydir")).unwrap();
    restore(target.request(&file, true)).await.unwrap();
    target.assert_restored().await;
    assert!(!target.home().join("mine.txt").exists(), "it was not replaced");
    assert!(!target.folder.path().join("redis/appendonlydir").exists(), "jobs of another state");
}

#[tokio::test]
async fn no_changed_byte_is_believed_and_the_target_is_not_touched() {
    let volume = Volume::new().await;
    let (file, _) = volume.backup().await;
    let whole = fs::read(&file).unwrap();
    let changed = volume.folder.path().join("changed.tar");
    let (tell, end) = (silent(), whole.len());
    archive::verify(&file, &tell).unwrap();
    // Everywhere: headers, content, padding, the manifest, the seal and the zeros after it.
    let positions = (0..end).step_by(211).chain((end - 2100..end).step_by(7)).chain([end - 1]);
    for position in positions {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        fs::write(&changed, &bytes).unwrap();
        let error = archive::verify(&changed, &tell).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "at {position}: {error}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    for bytes in [&whole[..end - 1], &whole[..end / 2], &whole[..100], &[], &longer] {
        fs::write(&changed, bytes).unwrap();
        let target = Target::new().await;
        let before = fs::read_dir(target.folder.path()).unwrap().count();
        let error = restore(target.request(&changed, true)).await.unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
        assert_eq!(fs::read_dir(target.folder.path()).unwrap().count(), before, "it was touched");
    }
}

#[tokio::test]
async fn a_file_that_is_sealed_well_and_means_harm_is_refused() {
    let volume = Volume::new().await;
    let (_, Written { manifest, .. }) = volume.backup().await;
    let file = volume.folder.path().join("hostile.tar");
    let target = Target::new().await;
    let refused = async |change: &dyn Fn(&mut BackupManifest), name: &str, kind: tar::EntryType| {
        let mut writer = archive::Writer::new(fs::File::create(&file).unwrap());
        if !name.is_empty() {
            writer.add_raw(name, kind, b"x").unwrap();
        }
        let mut manifest = manifest.clone();
        change(&mut manifest);
        writer.finish(manifest).unwrap();
        let error = restore(target.request(&file, false)).await.unwrap_err().to_string();
        let names: Vec<_> = fs::read_dir(target.folder.path()).unwrap().flatten().collect();
        let known = |it: &fs::DirEntry| it.file_name() == "run";
        assert!(names.iter().all(known), "something was left: {names:?}");
        error
    };
    let regular = tar::EntryType::Regular;
    let same = |_: &mut BackupManifest| {};
    for name in ["../escaped", "/tmp/escaped", "libraries/main/../../x", "run/fleet.json"] {
        let error = refused(&same, name, regular).await;
        assert!(error.contains("none of its names"), "{error}");
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory] {
        let error = refused(&same, "libraries/main/training.log", kind).await;
        assert!(error.contains("not a plain file"), "{error}");
    }
    // The manifest and the members do not agree.
    let error = refused(&same, "libraries/main/training.log", regular).await;
    assert!(error.contains("not what its manifest says"), "{error}");
    let error = refused(&same, "", regular).await;
    assert!(error.contains("is missing"), "{error}");
    let later = |it: &mut BackupManifest| it.schema.push("m29990101_000001_later".to_owned());
    let error = refused(&later, "", regular).await;
    assert!(error.contains("newer eyefleet") && error.contains("m2999"), "{error}");
    let newer = |it: &mut BackupManifest| it.format += 1;
    assert!(refused(&newer, "", regular).await.contains("newer eyefleet"));
    let blind = |it: &mut BackupManifest| it.libraries[0].generations.clear();
    assert!(refused(&blind, "", regular).await.contains("generation 2 of main is missing"));
}

#[tokio::test]
async fn a_restore_that_was_killed_is_finished_by_the_next() {
    let volume = Volume::new().await;
    let (file, _) = volume.backup().await;
    for steps in 0..4 {
        let target = Target::new().await;
        // Something that is replaced.
        generations::published(&target.home(), &[7]);
        // Its locks go at once, as those of a killed process do.
        let mut placing = prepare(target.request(&file, true)).await.unwrap().placing;
        for _ in 0..steps {
            assert!(placing.step().await.unwrap());
        }
        drop(placing); // As a kill would: nobody cleans up.
        let error = refuse_unfinished(target.folder.path()).unwrap_err().to_string();
        assert!(error.contains("eyefleet restore") && error.contains("backup.tar"), "{error}");
        // Another backup must not be mixed into it.
        let other = Volume::new().await;
        let (second, _) = other.backup().await;
        let error = restore(target.request(&second, false)).await.unwrap_err();
        assert!(matches!(error, BackupError::Unfinished { .. }), "{error}");
        let restored = restore(target.request(&file, false)).await.unwrap();
        assert!(restored.resumed, "after {steps} steps");
        target.assert_restored().await;
    }
}

#[tokio::test]
async fn a_restore_in_the_place_of_half_another_leaves_no_half_that_a_fleet_starts_on() {
    let volume = Volume::new().await;
    let (first, _) = volume.backup().await;
    let other = Volume::new().await;
    let (second, _) = other.backup().await;
    let target = Target::new().await;
    let mut placing = prepare(target.request(&first, false)).await.unwrap().placing;
    placing.step().await.unwrap();
    drop(placing);
    let folder = target.folder.path();
    assert!(unpacked(folder).exists());
    // The other one cannot be staged either.
    let blocked = sqlite_path(&target.url).map(|database| staged_database(&database));
    if let Some(blocked) = &blocked {
        fs::create_dir(blocked).unwrap();
        assert!(restore(target.request(&second, true)).await.is_err());
        let error = refuse_unfinished(folder).unwrap_err().to_string();
        assert!(error.contains(second.to_str().unwrap()), "{error}");
        let left = fs::read_dir(journal::folder(folder)).unwrap().count();
        assert_eq!(left, 1, "more than the journal is left");
        fs::remove_dir(blocked).unwrap();
    }
    let force = blocked.is_none();
    restore(target.request(&second, force)).await.unwrap();
    target.assert_restored().await;
}

#[tokio::test]
async fn a_restore_that_was_killed_within_a_step_is_finished_too() {
    let volume = Volume::new().await;
    let (file, _) = volume.backup().await;
    let target = Target::new().await;
    let mut placing = prepare(target.request(&file, false)).await.unwrap().placing;
    placing.step().await.unwrap();
    let journal = Journal::read(target.folder.path()).unwrap();
    // It had moved the library already when it was killed, and written no word of it.
    placing.step().await.unwrap();
    placing.step().await.unwrap();
    let mut earlier = journal.unwrap();
    earlier.next = super::journal::Next::Place;
    earlier.write(target.folder.path()).unwrap();
    drop(placing);
    restore(target.request(&file, false)).await.unwrap();
    target.assert_restored().await;
}

#[tokio::test]
async fn a_damaged_generation_that_is_current_stops_the_backup_and_another_is_left_out() {
    let volume = Volume::new().await;
    let store = GenerationStore::new(volume::library_dir(&volume.data(), &LibraryId::main()));
    fs::write(store.folder(GenerationNumber(1)).join("index.flat"), "x").unwrap();
    let (file, written) = volume.backup().await;
    assert_eq!(written.manifest.libraries[0].generations, [GenerationNumber(2)]);
    assert!(written.notes[0].contains("generation 1 of library main"), "{:?}", written.notes);
    let before = fs::read(&file).unwrap();
    fs::write(store.folder(GenerationNumber(2)).join("index.flat"), "x").unwrap();
    let deps = BackupDeps {
        catalog: volume.catalog.clone(),
        clock: Clock::system(),
        data: volume.data(),
        packs: Vec::new(),
        tell: silent(),
    };
    let error = write(deps, &file).await.unwrap_err();
    assert!(matches!(error, BackupError::Current { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before, "the old backup was touched");
    let beside = fs::read_dir(volume.folder.path()).unwrap().count();
    assert_eq!(beside, 2, "a half file was left");
}

#[tokio::test]
async fn one_backup_of_a_volume_at_a_time() {
    let volume = Volume::new().await;
    let _first = super::files::Kept::begin(&volume.data()).unwrap();
    let error = super::files::Kept::begin(&volume.data()).unwrap_err();
    assert!(matches!(error, BackupError::AnotherBackup(_)), "{error}");
}
