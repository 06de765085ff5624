//! The tar of a backup: written with the hash of every member and a seal over all of it, verified
//! before anything is believed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::BackupError;
use super::manifest::BackupManifest;
use super::members::{self, Member};
use super::{Step, Tell};
use crate::snapshot::FileEntry;
use crate::snapshot::durable::{HashedReader, hex};

/// A manifest of more bytes is none.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Header, content and end of the archive with the seal in it.
const SEAL_BYTES: u64 = 2048;

/// Counts and hashes what goes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A backup that is being written.
pub struct Writer<W: Write> {
    tar: tar::Builder<Hashing<W>>,
    members: BTreeMap<String, FileEntry>,
}

impl<W: Write> Writer<W> {
    /// Begins it on `file`.
    pub fn new(file: W) -> Self {
        let tar = tar::Builder::new(Hashing { inner: file, hash: Sha256::new() });
        Self { tar, members: BTreeMap::new() }
    }

    /// Adds a member of exactly `size` bytes and answers its hash.
    ///
    /// # Errors
    /// The content is shorter, or the disk refuses; the file is to be thrown away then.
    pub fn add(&mut self, path: &str, size: u64, content: impl Read) -> io::Result<FileEntry> {
        let mut content = HashedReader::new(content.take(size));
        self.tar.append_data(&mut header(size), path, &mut content)?;
        let entry = content.finish()?;
        if entry.size != size {
            return Err(io::Error::other(format!("{path} was cut while it was read")));
        }
        self.members.insert(path.to_owned(), entry.clone());
        Ok(entry)
    }

    /// Adds a member as somebody might who means harm: whatever name and kind.
    #[cfg(test)]
    pub fn add_raw(&mut self, path: &str, kind: tar::EntryType, content: &[u8]) -> io::Result<()> {
        let mut header = header(content.len() as u64);
        header.as_gnu_mut().expect("it is made so").name[..path.len()]
            .copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_cksum();
        self.tar.append(&header, content)
    }

    /// Adds the manifest, with what is known of the members, and the seal. Answers the manifest as it
    /// was written and the hash of all before the seal.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(
        mut self,
        mut manifest: BackupManifest,
    ) -> io::Result<(W, BackupManifest, String)> {
        manifest.members.append(&mut self.members);
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.tar.append_data(&mut header(text.len() as u64), members::MANIFEST, text.as_slice())?;
        let digest = hex(&self.tar.get_ref().hash.clone().finalize());
        let seal = format!("{digest}\n");
        self.tar.append_data(&mut header(seal.len() as u64), members::SEAL, seal.as_bytes())?;
        let mut file = self.tar.into_inner()?.inner;
        file.flush()?;
        Ok((file, manifest, digest))
    }
}

/// The same for every member, so that the seal can be made anew byte for byte.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header
}

/// Reads all of `file` and compares it with its seal. Answers the hash of all before the seal.
///
/// # Errors
/// Any byte of it was changed, it is cut, it is no backup, or it cannot be read.
pub fn verify(file: &Path, tell: &Tell) -> Result<String, BackupError> {
    let io = |error| BackupError::io("read", file)(error);
    let mut opened = File::open(file).map_err(io)?;
    let total = opened.metadata().map_err(io)?.len();
    let short = || BackupError::damaged(file, format!("it has {total} bytes only"));
    let before = total.checked_sub(SEAL_BYTES).ok_or_else(short)?;
    let (mut hash, mut done) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    while done < before {
        let wanted = buffer.len().min((before - done) as usize);
        let read = opened.read(&mut buffer[..wanted]).map_err(io)?;
        if read == 0 {
            return Err(BackupError::damaged(file, "it was cut while it was read"));
        }
        hash.update(&buffer[..read]);
        done += read as u64;
        tell(Step::Verify, done, total);
    }
    let mut end = Vec::new();
    opened.take(SEAL_BYTES + 1).read_to_end(&mut end).map_err(io)?;
    tell(Step::Verify, total, total);
    let digest = hex(&hash.finalize());
    if end == seal(&digest).map_err(io)? {
        return Ok(digest);
    }
    let there = members::SEAL.as_bytes();
    let why = if end.starts_with(there) {
        "its bytes are not those that its seal was made of"
    } else {
        "it does not end in a seal: it was cut, or is something else"
    };
    Err(BackupError::damaged(file, why))
}

/// The end of a backup whose other bytes have this hash.
fn seal(digest: &str) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let text = format!("{digest}\n");
    tar.append_data(&mut header(text.len() as u64), members::SEAL, text.as_bytes())?;
    tar.into_inner()
}

/// Reads the manifest of a verified file.
///
/// # Errors
/// It has none that can be read, or the disk refuses.
pub fn manifest(file: &Path) -> Result<BackupManifest, BackupError> {
    let io = |error| BackupError::io("read", file)(error);
    let mut found = None;
    each_member(file, |member, _, content| {
        if member == Member::Manifest {
            let mut text = Vec::new();
            content.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(io)?;
            found = Some(text);
        }
        Ok(())
    })?;
    let text = found.ok_or_else(|| BackupError::damaged(file, "it has no manifest"))?;
    serde_json::from_slice(&text)
        .map_err(|error| BackupError::damaged(file, format!("its manifest does not read: {error}")))
}

/// Calls `visit` with every member in the order of the file, and its path and content.
///
/// # Errors
/// A member that a backup does not have, what `visit` answers, or the disk refuses.
pub fn each_member(
    file: &Path,
    mut visit: impl FnMut(Member, &str, &mut dyn Read) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let io = |error| BackupError::io("read", file)(error);
    let mut opened = BufReader::with_capacity(1 << 20, File::open(file).map_err(io)?);
    opened.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut archive = tar::Archive::new(opened);
    for entry in archive.entries_with_seek().map_err(io)? {
        let broken = |error: io::Error| BackupError::damaged(file, error.to_string());
        let mut entry = entry.map_err(broken)?;
        let path = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&path).into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(BackupError::damaged(file, format!("{shown:?} is not a plain file")));
        }
        let member = members::parse(&shown)
            .ok_or_else(|| BackupError::damaged(file, format!("{shown:?} is none of its names")))?;
        visit(member, &shown, &mut entry)?;
    }
    Ok(())
}
