//! Writing files so that a crash leaves the old or the new, never a half.
//!
//! Order is what keeps the promise: the content is on disk before the name points to it, and the
//! folder that holds the name is on disk before anybody is told. `generation` writes with the
//! same tools, so that both kinds of folder can be trusted for the same reason.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::rows::FileEntry;

/// A file being written whose size and hash are known when it is finished.
pub struct HashedFile {
    file: BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl HashedFile {
    /// Creates the file; an existing one is an error, so that no two writers share it.
    ///
    /// # Errors
    /// The file exists already, or the disk refuses.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, File::create_new(path)?);
        Ok(Self { file, hash: Sha256::new(), size: 0 })
    }

    /// Brings everything to the disk and answers size and hash.
    ///
    /// # Errors
    /// The disk refuses; the file must then be thrown away.
    pub fn finish(mut self) -> io::Result<FileEntry> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(FileEntry { size: self.size, sha256: hex(&self.hash.finalize()) })
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A reader that remembers the size and hash of what went through it, so that what is checked
/// and what is used are the same bytes.
pub struct HashedReader<R> {
    inner: R,
    hash: Sha256,
    size: u64,
}

impl<R: Read> HashedReader<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    /// Reads whatever is left and answers size and hash of the whole.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> io::Result<FileEntry> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(FileEntry { size: self.size, sha256: hex(&self.hash.finalize()) })
    }
}

impl<R: Read> Read for HashedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

/// Size and hash of a file, read in pieces.
///
/// # Errors
/// The file is missing or the disk refuses.
pub fn measure(path: &Path) -> io::Result<FileEntry> {
    HashedReader::new(File::open(path)?).finish()
}

/// Makes names created, renamed or removed in `folder` survive a power cut.
///
/// # Errors
/// The folder is missing or the disk refuses.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates `path` with what `write` writes, or replaces it in one step; readers see the old file
/// or the new one. `tag` tells this writer's temporary file from another's.
///
/// # Errors
/// What `write` answers, or the disk's refusal; the old file then stays and the temporary one
/// is removed.
pub fn replace_file(
    path: &Path,
    tag: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{tag}"));
    let written = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(folder)
    });
    if written.is_err() {
        // The first error is the one to tell; a leftover temporary file harms nobody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes a folder if it is there.
///
/// # Errors
/// The disk refuses.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Bytes as small hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).expect("four bits are one hex digit"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace_file(&path, "1", |file| file.write_all(b"old")).unwrap();
        let failed = replace_file(&path, "2", |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn written_and_measured_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let mut file = HashedFile::create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        let entry = file.finish().unwrap();
        assert_eq!(entry, measure(&path).unwrap());
        let sha_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(entry.sha256, sha_of_abc);
        assert!(HashedFile::create(&path).is_err());
    }
}
