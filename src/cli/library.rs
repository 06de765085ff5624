//! `eyefleet library`: add and list libraries; `purge.rs` deletes them.
//!
//! What must stay true: no photo belongs to two libraries, so no root lies within another's; and a
//! root does not change under photos that are still there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use super::args::{LibraryAddArgs, LibraryCommand};
use super::{Client, Exit, purge};
use crate::catalog::{Catalog, KnownFile, Library};
use crate::library_lock;
use crate::names::LibraryId;
use crate::volume;

/// Photos by which a folder is known to be the one that was renamed.
const SAMPLE: u64 = 200;

pub(super) async fn library(
    client: &Client,
    command: &LibraryCommand,
    json: bool,
) -> anyhow::Result<Exit> {
    match command {
        LibraryCommand::Add(args) => add(client, args, json).await,
        LibraryCommand::List => list(client, json).await,
        LibraryCommand::Purge(args) => purge::purge(client, args, json).await,
    }
}

async fn add(client: &Client, args: &LibraryAddArgs, json: bool) -> anyhow::Result<Exit> {
    let (catalog, data) = (&client.catalog, &client.config.data);
    let library = match &args.photos {
        Some(photos) => {
            let library = attach(catalog, data, &args.name, photos).await?;
            // Whoever says it by hand means the folder as it is now, whatever was mounted before.
            catalog.set_mounts(&args.name, &[]).await?;
            library
        }
        None => own_folder(catalog, data, &args.name).await?,
    };
    if json {
        say!("{}", serde_json::to_string(&row(catalog, &library).await?)?);
    } else if library.watched {
        say!("library {} follows the photos in {}", library.id, library.root.display());
    } else {
        say!("library {}: eyefleet add --library {} PATH fills it", library.id, library.id);
    }
    Ok(Exit::Done)
}

/// Makes `photos` the watched root of a library, which is recorded where it is new. The same folder
/// again changes nothing.
///
/// # Errors
/// A folder that cannot be read, lies within the data folder or in the way of another library; a
/// library whose photos lie elsewhere and are still there; a catalogue that is away.
pub async fn attach(
    catalog: &Catalog,
    data: &Path,
    id: &LibraryId,
    photos: &Path,
) -> anyhow::Result<Library> {
    let root = readable_folder(photos)?;
    apart_from_data(&root, data)?;
    let library = move_root(catalog, id, &root).await?;
    ensure!(catalog.set_watched(id, true).await?, "library {id} was purged meanwhile");
    Ok(Library { watched: true, ..library })
}

/// Records a library that `eyefleet add` alone fills.
async fn own_folder(catalog: &Catalog, data: &Path, id: &LibraryId) -> anyhow::Result<Library> {
    let root = volume::originals_dir(data, id);
    let library = move_root(catalog, id, &root).await?;
    if library.watched {
        catalog.set_watched(id, false).await?;
    }
    let _not_purged_meanwhile = library_lock::hold(catalog, data, id).await?;
    std::fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    Ok(Library { watched: false, ..library })
}

fn readable_folder(photos: &Path) -> anyhow::Result<PathBuf> {
    let shown = photos.display();
    let root = std::fs::canonicalize(photos)
        .with_context(|| format!("cannot use {shown} as a folder of photos"))?;
    ensure!(root.is_dir(), "{shown} is no folder: give the folder that holds the photos");
    std::fs::read_dir(&root)
        .with_context(|| format!("cannot read {shown}: give this user the right to"))?;
    Ok(root)
}

/// What the fleet writes must not be taken for photos, or deleted with a library.
fn apart_from_data(root: &Path, data: &Path) -> anyhow::Result<()> {
    let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let (root_shown, shown) = (root.display(), data.display());
    ensure!(
        !root.starts_with(&data),
        "{root_shown} lies within the data folder {shown}: move the photos out of it, or copy them in with `eyefleet add`"
    );
    // A watcher passes hidden folders by.
    let Ok(below) = data.strip_prefix(root) else { return Ok(()) };
    let is_hidden = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes()[0] == b'.';
    ensure!(
        below.components().any(is_hidden),
        "{root_shown} holds the data folder {shown}: give a folder of photos beside it, or put the data into a hidden folder"
    );
    Ok(())
}

/// Records the library with this root, where it may have it.
async fn move_root(catalog: &Catalog, id: &LibraryId, root: &Path) -> anyhow::Result<Library> {
    for other in catalog.libraries().await? {
        let overlap = other.root.starts_with(root) || root.starts_with(&other.root);
        ensure!(
            other.id == *id || !overlap,
            "{} overlaps with the folder of library {}, {}: a photo belongs to one library; give another folder",
            root.display(),
            other.id,
            other.root.display()
        );
    }
    if let Some(known) = catalog.library(id).await?
        && known.root != root
    {
        let images = catalog.counts(id).await?.images;
        let (old, new) = (known.root.display(), root.display());
        if images > 0 && known.root.is_dir() {
            bail!(
                "library {id} has {images} photos in {old}: take another name for {new}, or `eyefleet library purge {id}` first"
            );
        }
        // A root that is gone was renamed, or its disk is away.
        if images > 0 && !holds_the_photos(catalog, id, root).await? {
            bail!(
                "library {id} has {images} photos from {old}, which is away, and they are not in {new}: mount their disk, name the folder where they are now, take another name for {new}, or forget them with `eyefleet library purge {id}`"
            );
        }
    }
    Ok(catalog.ensure_library(id, root).await?)
}

/// Whether most of the library's photos, as far as a few hundred tell, lie beneath `root`.
async fn holds_the_photos(catalog: &Catalog, id: &LibraryId, root: &Path) -> anyhow::Result<bool> {
    let known = catalog.files_beneath(id, None, None, SAMPLE).await?;
    let root = root.to_owned();
    let counted = tokio::task::spawn_blocking(move || {
        let is_there = |file: &&KnownFile| {
            let facts = std::fs::symlink_metadata(root.join(file.path.as_str()));
            facts.is_ok_and(|facts| file.bytes.is_none_or(|bytes| bytes == facts.len()))
        };
        known.iter().filter(is_there).count() * 2 >= known.len()
    });
    Ok(counted.await?)
}

/// One library as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    library: LibraryId,
    root: PathBuf,
    watched: bool,
    images: u64,
    waiting: u64,
    failed: u64,
    generation: Option<i64>,
}

async fn row(catalog: &Catalog, library: &Library) -> anyhow::Result<Row> {
    let counts = catalog.counts(&library.id).await?;
    Ok(Row {
        library: library.id.clone(),
        root: library.root.clone(),
        watched: library.watched,
        images: counts.images,
        waiting: counts.waiting,
        failed: counts.failed,
        generation: library.current.map(|current| current.number.0),
    })
}

async fn list(client: &Client, json: bool) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for library in client.catalog.libraries().await? {
        rows.push(row(&client.catalog, &library).await?);
    }
    let half_purged = client.catalog.half_purged().await?;
    if json {
        say!("{}", serde_json::json!({ "libraries": rows, "half_purged": half_purged }));
        return Ok(Exit::Done);
    }
    say!("library           images  waiting  failed  generation  photos in");
    for row in &rows {
        let generation = row.generation.map_or("none".to_owned(), |number| number.to_string());
        let watched = if row.watched { " (watched)" } else { "" };
        say!(
            "{:<16} {:>7} {:>8} {:>7} {:>11}  {}{watched}",
            row.library.as_str(),
            row.images,
            row.waiting,
            row.failed,
            generation,
            row.root.display()
        );
    }
    for library in half_purged {
        say!("{library:<16} half purged: `eyefleet library purge {library}` ends it");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Upload;
    use crate::clock::Clock;
    use crate::names::{ImageId, RelativePath};

    async fn story() -> (tempfile::TempDir, PathBuf, Catalog) {
        let folder = tempfile::tempdir().unwrap();
        let home = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir_all(home.join("data")).unwrap();
        let url = format!("sqlite://{}", home.join("data/catalog.sqlite").display());
        let catalog = Catalog::open(&url, Clock::system()).await.unwrap();
        (folder, home, catalog)
    }

    fn name(text: &str) -> LibraryId {
        LibraryId::new(text).unwrap()
    }

    #[tokio::test]
    async fn a_folder_of_photos_is_watched_and_overlaps_with_nobodys() {
        let (_folder, home, catalog) = story().await;
        for path in ["all/photos/2024", "all/photos-b"] {
            std::fs::create_dir_all(home.join(path)).unwrap();
        }
        std::fs::write(home.join("file"), "x").unwrap();
        let data = home.join("data");
        let attach = async |id: &str, photos: &str| {
            let attached = attach(&catalog, &data, &name(id), &home.join(photos)).await;
            attached.map_err(|error| format!("{error:#}"))
        };
        let a = attach("a", "all/photos").await.unwrap();
        assert_eq!((a.root.clone(), a.watched), (home.join("all/photos"), true));
        // Again, by another way to the same folder.
        assert_eq!(attach("a", "all/photos/2024/..").await.unwrap(), a);
        assert_eq!(catalog.library(&name("a")).await.unwrap().unwrap(), a);
        attach("b", "all/photos-b").await.unwrap();
        for (photos, said) in [
            ("all/photos", "library a"),
            ("all/photos/2024", "library a"),
            ("none", "none"),
            ("file", "no folder"),
            ("data", "within the data folder"),
            ("all", "overlaps"),
        ] {
            let error = attach("c", photos).await.unwrap_err();
            assert!(error.contains(said), "{photos}: {error}");
        }
        assert_eq!(catalog.library(&name("c")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_folder_that_holds_the_data_is_refused_unless_that_is_hidden() {
        let (_folder, home, _) = story().await;
        let refused = apart_from_data(&home, &home.join("data")).unwrap_err();
        assert!(refused.to_string().contains("hidden"), "{refused}");
        std::fs::create_dir_all(home.join(".eyefleet/data")).unwrap();
        apart_from_data(&home, &home.join(".eyefleet/data")).unwrap();
    }

    #[tokio::test]
    async fn a_root_changes_only_where_no_photo_is_left_behind() {
        let (_folder, home, catalog) = story().await;
        let (data, a) = (home.join("data"), name("a"));
        for path in ["old", "new"] {
            std::fs::create_dir_all(home.join(path)).unwrap();
        }
        attach(&catalog, &data, &a, &home.join("old")).await.unwrap();
        attach(&catalog, &data, &a, &home.join("new")).await.unwrap();
        let upload = Upload {
            image: ImageId::new("1").unwrap(),
            path: RelativePath::new("1.jpg").unwrap(),
            bytes: None,
            content_hash: None,
            stamp: None,
            source: "story".to_owned(),
        };
        catalog.record_uploads(&a, &[upload]).await.unwrap();
        let error = attach(&catalog, &data, &a, &home.join("old")).await.unwrap_err().to_string();
        assert!(error.contains("1 photos") && error.contains("library purge a"), "{error}");
        assert!(own_folder(&catalog, &data, &a).await.is_err());
        // Gone, and another folder that holds none of its photos: the disk may be away.
        std::fs::rename(home.join("new"), home.join("renamed")).unwrap();
        std::fs::create_dir(home.join("other")).unwrap();
        let error = attach(&catalog, &data, &a, &home.join("other")).await.unwrap_err().to_string();
        assert!(error.contains("which is away"), "{error}");
        // The folder was renamed.
        std::fs::write(home.join("renamed/1.jpg"), "x").unwrap();
        let moved = attach(&catalog, &data, &a, &home.join("renamed")).await.unwrap();
        assert_eq!(moved.root, home.join("renamed"));
    }
}
