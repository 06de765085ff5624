//! What lies in a folder of photos: found on disk, never followed out of it, never read.

use std::fs::Metadata;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::names::RelativePath;

/// Endings of the formats that can be decoded. Folders are searched for these only.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp"];

/// Folders that programs keep among photos: thumbnails, waste, snapshots of network drives.
const NOT_OF_PEOPLE: [&str; 6] =
    ["@eaDir", "#recycle", "#snapshot", "lost+found", "$RECYCLE.BIN", "System Volume Information"];

/// Finds handed on at once.
const BATCH: usize = 500;

/// A photo as its file lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where, beneath the root.
    pub path: RelativePath,
    /// Its size.
    pub bytes: u64,
    /// Size, time of change and time of the last change of its facts: another one means that the
    /// file has to be looked at again. The last time tells what keeps the first, as `exiftool -P` does.
    pub stamp: String,
    /// When its content was written last.
    pub modified: Timestamp,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A photo.
    File(FoundFile),
    /// Something that would be a photo and cannot be taken, or a folder that cannot be read.
    NotTaken {
        /// Its name, safe to print.
        name: String,
        /// Why, with what to do about it.
        why: String,
    },
}

/// A folder of photos, and what in it is not.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where it begins; canonical.
    pub root: PathBuf,
    /// The fleet's own folder, which may lie beneath.
    pub own: PathBuf,
}

/// What there is at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A photo, or something in its place that cannot be taken.
    File(Found),
    /// A folder to walk.
    Folder,
    /// Nothing any more.
    Gone,
    /// Nothing that concerns us.
    Other,
}

/// Whether a file is a photo by its ending.
pub fn is_photo(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

impl Tree {
    /// Walks everything at `start` and below in the order of names, and hands on what it found in
    /// batches until `each` has enough. Links to folders are not followed. Blocking.
    pub fn walk(&self, start: &Path, each: &mut dyn FnMut(Vec<Found>) -> ControlFlow<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        for entry in self.entries(start, true) {
            let found = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) => match self.at(entry.path()) {
                    Place::File(found) => found,
                    Place::Folder | Place::Gone | Place::Other => continue,
                },
                Err(error) => match unreadable(&error) {
                    Some(found) => found,
                    None => continue,
                },
            };
            batch.push(found);
            if batch.len() == BATCH && each(std::mem::take(&mut batch)).is_break() {
                return;
            }
        }
        if !batch.is_empty() {
            let _nothing_follows = each(batch);
        }
    }

    /// How many files the walk over the whole tree will look at: names only, so it is far ahead of
    /// the walk. Blocking; `None` where `enough` says so first.
    pub fn count(&self, enough: &dyn Fn() -> bool) -> Option<u64> {
        let mut files = 0;
        for (number, entry) in self.entries(&self.root, false).flatten().enumerate() {
            if !entry.file_type().is_dir() && is_photo(entry.path()) {
                files += 1;
            }
            if number % 1000 == 0 && enough() {
                return None;
            }
        }
        Some(files)
    }

    fn entries(
        &self,
        start: &Path,
        sorted: bool,
    ) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> {
        let walk = walkdir::WalkDir::new(start).follow_links(false).follow_root_links(false);
        let walk = if sorted { walk.sort_by_file_name() } else { walk };
        let own = self.own.clone();
        let begin = start.to_owned();
        walk.into_iter().filter_entry(move |entry| {
            let path = entry.path();
            path == begin || !(is_hidden(path) || path == own)
        })
    }

    /// What there is at `path`, which lies beneath the root. Blocking.
    pub fn at(&self, path: &Path) -> Place {
        let Ok(relative) = path.strip_prefix(&self.root) else { return Place::Other };
        let hidden = relative.ancestors().any(|part| part != Path::new("") && is_hidden(part));
        if hidden || path.starts_with(&self.own) {
            return Place::Other;
        }
        let facts = match std::fs::symlink_metadata(path) {
            Ok(facts) => facts,
            Err(error) if is_gone(&error) => return Place::Gone,
            Err(error) => return Place::File(not_taken(relative, &error.to_string())),
        };
        if facts.is_dir() {
            return Place::Folder;
        }
        if facts.is_symlink() {
            return self.link(path, relative, &facts);
        }
        if !is_photo(path) {
            return Place::Other;
        }
        Place::File(found(relative, &facts))
    }

    /// A link to a photo of this tree is that photo, which is found by itself. One that leads
    /// elsewhere, nowhere or in a circle is recorded: its analysis says what is wrong with it.
    fn link(&self, path: &Path, relative: &Path, facts: &Metadata) -> Place {
        let target = std::fs::canonicalize(path);
        if let Ok(target) = &target {
            if target.is_dir() {
                let why = format!(
                    "it is a link to the folder {}, and links are not followed: make that folder a \
                     library with `eyefleet library add NAME --photos`",
                    printable(target)
                );
                return Place::File(not_taken(relative, &why));
            }
            if target.starts_with(&self.root) {
                return Place::Other;
            }
        }
        if is_photo(path) { Place::File(found(relative, facts)) } else { Place::Other }
    }
}

/// Whether a file that was there is there no more. No permission to look is no such proof.
pub fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn is_hidden(path: &Path) -> bool {
    let Some(name) = path.file_name() else { return false };
    let name = name.as_encoded_bytes();
    name.starts_with(b".") || NOT_OF_PEOPLE.iter().any(|other| other.as_bytes() == name)
}

fn found(relative: &Path, facts: &Metadata) -> Found {
    let Some(text) = relative.to_str() else {
        return not_taken(relative, "its name is not UTF-8: rename it (`convmv` finds them all)");
    };
    let path = match RelativePath::new(text) {
        Ok(path) => path,
        Err(error) => return not_taken(relative, &format!("{error}: rename it")),
    };
    let stamp = format!(
        "{}-{}.{:09}-{}.{:09}",
        facts.len(),
        facts.mtime(),
        facts.mtime_nsec(),
        facts.ctime(),
        facts.ctime_nsec()
    );
    let modified = Timestamp::new(facts.mtime(), facts.mtime_nsec() as i32).unwrap_or_default();
    Found::File(FoundFile { path, bytes: facts.len(), stamp, modified })
}

fn not_taken(relative: &Path, why: &str) -> Found {
    Found::NotTaken { name: printable(relative), why: why.to_owned() }
}

/// A name may hold what a terminal would obey, or bytes that are no text: both are escaped.
fn printable(path: &Path) -> String {
    let mut name = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        name.extend(chunk.valid().escape_debug());
        name.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    name
}

/// A folder that cannot be read; nothing where it has gone since.
fn unreadable(error: &walkdir::Error) -> Option<Found> {
    let cause = error.io_error()?;
    if is_gone(cause) {
        return None;
    }
    let path = error.path().unwrap_or(Path::new("?"));
    Some(not_taken(path, &format!("{cause}: let this user read it")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(folder: &Path) -> Tree {
        let root = std::fs::canonicalize(folder).unwrap();
        Tree { own: root.join("eyefleet"), root }
    }

    fn walked(tree: &Tree) -> (Vec<String>, Vec<(String, String)>) {
        let (mut files, mut not_taken) = (Vec::new(), Vec::new());
        tree.walk(&tree.root, &mut |batch| {
            for found in batch {
                match found {
                    Found::File(file) => files.push(file.path.to_string()),
                    Found::NotTaken { name, why } => not_taken.push((name, why)),
                }
            }
            ControlFlow::Continue(())
        });
        (files, not_taken)
    }

    fn write(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }

    #[test]
    fn photos_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.JPG",
            "a/c.png",
            "a/notes.txt",
            ".thumbnails/d.jpg",
            "a/.hidden.jpg",
            "a/@eaDir/e.jpg",
            "eyefleet/originals/main/f.jpg",
        ] {
            write(&folder.path().join(name));
        }
        let tree = tree(folder.path());
        assert_eq!(walked(&tree).0, ["a/c.png", "b.JPG"]);
        assert_eq!(tree.count(&|| false), Some(2));
        assert_eq!(tree.at(&tree.root.join("a/@eaDir/e.jpg")), Place::Other);
        assert_eq!(tree.at(&tree.root.join("gone.jpg")), Place::Gone);
        assert_eq!(tree.at(&tree.root.join("a")), Place::Folder);
    }

    #[test]
    fn links_are_not_followed_and_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        write(&elsewhere.path().join("far.jpg"));
        write(&folder.path().join("a/near.jpg"));
        symlink("..", folder.path().join("a/up")).unwrap();
        symlink(elsewhere.path(), folder.path().join("far")).unwrap();
        symlink("a/near.jpg", folder.path().join("same.jpg")).unwrap();
        symlink(elsewhere.path().join("far.jpg"), folder.path().join("out.jpg")).unwrap();
        symlink("circle.jpg", folder.path().join("circle.jpg")).unwrap();
        let (files, not_taken) = walked(&tree(folder.path()));
        assert_eq!(files, ["a/near.jpg", "circle.jpg", "out.jpg"]);
        let names: Vec<_> = not_taken.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a/up", "far"]);
        assert!(not_taken[1].1.contains("library add"), "{not_taken:?}");
    }

    #[test]
    fn a_name_that_is_no_text_is_told_and_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join(OsStr::from_bytes(b"caf\xe9.jpg")));
        write(&folder.path().join("line\nbreak.jpg"));
        write(&folder.path().join("größe\r.jpg"));
        let (files, not_taken) = walked(&tree(folder.path()));
        assert!(files.is_empty(), "{files:?}");
        assert!(not_taken[0].1.contains("UTF-8") && not_taken[1].1.contains("rename"));
        assert_eq!(not_taken[0].0, r"caf\xe9.jpg");
        assert_eq!(not_taken[1].0, r"größe\r.jpg");
        assert_eq!(not_taken[2].0, r"line\nbreak.jpg");
    }

    #[test]
    fn another_content_of_the_same_size_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        let tree = tree(folder.path());
        let stamp = || match tree.at(&tree.root.join("a.jpg")) {
            Place::File(Found::File(file)) => file.stamp,
            other => panic!("{other:?}"),
        };
        write(&file);
        let before = stamp();
        assert_eq!(stamp(), before);
        let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
        // The clock of file times ticks every few milliseconds: written until it has.
        while stamp() == before {
            std::fs::write(&file, "y").unwrap();
            std::fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(modified)
                .unwrap();
        }
    }
}
