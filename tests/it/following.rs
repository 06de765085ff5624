//! A process follows what is current, and keeps the old generation where the new one is damaged.

use std::path::Path;

use eyefleet::board::{Board, Version};
use eyefleet::catalog::{Catalog, Published};
use eyefleet::clock::Clock;
use eyefleet::follow::Follower;
use eyefleet::generation::{GenerationStore, files};
use eyefleet::learning::{self, LearnOptions};
use eyefleet::names::{
    Fence, GenerationNumber, ImageId, LibraryId, RelativePath, Revision, SpaceId,
};
use eyefleet::snapshot::{self, Snapshot, SnapshotId, SnapshotImage, SnapshotWriter};
use eyefleet::volume;

use crate::support::{Redis, database_url};

fn space() -> SpaceId {
    SpaceId::new("0123456789abcdef").unwrap()
}

/// A generation of three images, published on the volume and in the catalogue.
async fn publish(catalog: &Catalog, data: &Path, fence: i64) -> Version {
    publish_in(space(), catalog, data, fence).await
}

async fn publish_in(space: SpaceId, catalog: &Catalog, data: &Path, fence: i64) -> Version {
    let main = LibraryId::main();
    let folder = volume::library_dir(data, &main);
    let now = Clock::system().now();
    let id = SnapshotId::new(now, Fence(fence));
    let mut writer =
        SnapshotWriter::create(&folder, id.clone(), main.clone(), space.clone(), 3, now).unwrap();
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        let image = SnapshotImage {
            image: ImageId::new(name).unwrap(),
            path: RelativePath::new(format!("{name}.jpg")).unwrap(),
            filename: format!("{name}.jpg"),
            revision: Revision(1),
            description: Some("a boat on the sea".to_owned()),
            detailed_description: None,
            tags: Vec::new(),
            categories: Vec::new(),
            created_at: now,
            face_count: 0,
            corrected: false,
            vector: None,
            faces: Vec::new(),
        };
        let mut vector = [0.0; 3];
        vector[place] = 1.0;
        writer.push(image, Some(&vector), &[]).unwrap();
    }
    writer.finish(now).unwrap();
    let snapshot = Snapshot::open(&snapshot::path_of(&folder, &id)).unwrap();
    let number = catalog.begin_training(&main, Fence(fence), id.as_str()).await.unwrap().unwrap();
    let store = GenerationStore::new(&folder);
    let build = store.begin(Fence(fence)).unwrap();
    let learned =
        learning::learn(&snapshot, build.path(), &LearnOptions::default(), &mut |_, _| {
            std::ops::ControlFlow::Continue(())
        });
    store.publish(&build, learned.unwrap().publication(number, None, now)).unwrap();
    let report = serde_json::json!({});
    let published =
        catalog.publish_generation(&main, Fence(fence), number, &space, 3, &report).await.unwrap();
    let Published::Published { change } = published else { panic!("{published:?}") };
    Version { change, number }
}

#[tokio::test]
async fn a_damaged_generation_is_refused_and_the_old_one_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let url = database_url(&folder.path().join("catalog.sqlite"));
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let board = Board::open(&redis.url(), "story").unwrap();
    let main = LibraryId::main();
    catalog.ensure_library(&main, folder.path()).await.unwrap();
    let follower =
        || Follower::new(folder.path().to_owned(), space(), catalog.clone(), board.clone());

    // Nothing was learned yet, and that is no error.
    let early = follower();
    assert!(early.generation(&main).await.unwrap().is_none());

    let first = publish(&catalog, folder.path(), 1).await;
    board.announce(&main, first).await.unwrap();
    assert!(early.look().await, "the new generation was not applied");
    assert_eq!(early.serves()[&main], GenerationNumber(1));
    // Asked by many at once for the first time, nobody is told "nothing was learned".
    let late = follower();
    let asked = futures_util::future::join_all((0..20).map(|_| late.generation(&main))).await;
    assert!(asked.into_iter().all(|answer| answer.unwrap().is_some()));

    let second = publish(&catalog, folder.path(), 2).await;
    let store = GenerationStore::new(volume::library_dir(folder.path(), &main));
    let index = store.folder(second.number).join(files::INDEX);
    let mut bytes = std::fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    board.announce(&main, second).await.unwrap();
    assert!(!early.look().await, "a damaged generation was applied");
    assert_eq!(early.behind(), 1);
    assert_eq!(early.serves()[&main], GenerationNumber(1));
    let newest = async |follower: &Follower| {
        follower.newest(&main).await.unwrap().map(|learned| learned.number)
    };
    assert_eq!(newest(&late).await, Some(GenerationNumber(1)), "a damaged one was applied");

    // A process that starts now has no old one in memory: it takes the one that lies there.
    let started = follower();
    let served = started.generation(&main).await.unwrap().map(|learned| learned.number);
    assert_eq!(served, Some(GenerationNumber(1)));

    // A Redis that was emptied says nothing; the catalogue is asked.
    let third = publish(&catalog, folder.path(), 3).await;
    // Who works for the sake of the newest does not wait for the next look.
    assert_eq!(newest(&late).await, Some(GenerationNumber(3)));
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    assert!(early.look().await);
    assert_eq!((early.serves()[&main], early.behind()), (GenerationNumber(3), 0));
    assert!(started.look().await);
    assert_eq!(started.serves()[&main], GenerationNumber(3));
    // What is current may be gone altogether, from the disk or with the key.
    std::fs::remove_dir_all(store.folder(third.number)).unwrap();
    assert!(!early.look().await);
    assert_eq!(early.serves()[&main], GenerationNumber(3));
    let late = follower();
    let served = late.generation(&main).await.unwrap().map(|learned| learned.number);
    assert_eq!(served, Some(GenerationNumber(1)));
    // An older announcement cannot turn the board back.
    board.announce(&main, third).await.unwrap();
    board.announce(&main, first).await.unwrap();
    assert_eq!(board.versions().await.unwrap()[&main], third);
}

#[tokio::test]
async fn a_generation_of_other_vectors_is_not_served_by_those_who_cannot_compare_them() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start();
    let url = database_url(&folder.path().join("catalog.sqlite"));
    let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
    let board = Board::open(&redis.url(), "story").unwrap();
    let main = LibraryId::main();
    catalog.ensure_library(&main, folder.path()).await.unwrap();
    let other = SpaceId::new("fedcba9876543210").unwrap();
    let follower = |space: &SpaceId| {
        Follower::new(folder.path().to_owned(), space.clone(), catalog.clone(), board.clone())
    };
    let first = publish(&catalog, folder.path(), 1).await;
    board.announce(&main, first).await.unwrap();
    let ours = follower(&space());
    assert!(ours.look().await);
    let second = publish_in(other.clone(), &catalog, folder.path(), 2).await;
    board.announce(&main, second).await.unwrap();
    // While the processes of a fleet are started anew with another pack, each serves what it can.
    let theirs = follower(&other);
    for (reader, serves) in [(&ours, 1), (&theirs, 2), (&follower(&space()), 1)] {
        reader.look().await;
        let served = reader.generation(&main).await.unwrap().unwrap();
        assert_eq!(served.number, GenerationNumber(serves));
    }
}
