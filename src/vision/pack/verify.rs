//! One file of a pack against its line in the manifest.
//!
//! The manifest is trusted no further than its own folder: a path that leaves it, be it through a
//! link, is refused before the file is opened.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PackError;
use super::manifest::PackFile;

/// Checks path, size and SHA-256 of `file` beneath `folder`.
pub(super) fn verify(folder: &Path, file: &PackFile) -> Result<(), PackError> {
    let expected = usable_hash(folder, file)?;
    let path = inside(folder, &file.path)?;
    let unreadable = |cause| PackError::Unreadable { path: path.clone(), cause };
    let mut opened = File::open(&path).map_err(unreadable)?;
    let found = opened.metadata().map_err(unreadable)?.len();
    // The size is compared first: a download that broke off is then told apart from tampering,
    // and costs no hashing.
    if found != file.size {
        return Err(PackError::WrongSize { path, found, expected: file.size });
    }
    let found = sha256(&mut opened).map_err(unreadable)?;
    if found != expected {
        return Err(PackError::WrongHash { path, found, expected: expected.to_owned() });
    }
    Ok(())
}

/// Reads a file of at most `bytes_max` bytes.
pub(super) fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>, PackError> {
    let unreadable = |cause| PackError::Unreadable { path: path.to_path_buf(), cause };
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(bytes_max + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > bytes_max {
        let cause = format!("it has more than {bytes_max} bytes");
        return Err(PackError::BadManifest { path: path.to_path_buf(), cause });
    }
    Ok(content)
}

/// A hash of 64 small hex digits that somebody has really computed.
fn usable_hash<'a>(folder: &Path, file: &'a PackFile) -> Result<&'a str, PackError> {
    let hash = file.sha256.as_str();
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let well_formed = hash.len() == 64 && hash.bytes().all(hex);
    let placeholder = hash.bytes().all(|byte| byte == b'0');
    if !well_formed || placeholder {
        return Err(PackError::NoHash { folder: folder.to_path_buf(), file: file.path.clone() });
    }
    Ok(hash)
}

fn inside(folder: &Path, path: &str) -> Result<PathBuf, PackError> {
    let escapes = || PackError::Escapes { folder: folder.to_path_buf(), file: path.to_owned() };
    let plain = |component: Component<'_>| matches!(component, Component::Normal(_));
    if path.is_empty() || path.contains(['\\', '\0']) || !Path::new(path).components().all(plain) {
        return Err(escapes());
    }
    let joined = folder.join(path);
    let unreadable = |cause| PackError::Unreadable { path: joined.clone(), cause };
    let real_folder = folder.canonicalize().map_err(unreadable)?;
    let real = joined.canonicalize().map_err(unreadable)?;
    if !real.starts_with(&real_folder) {
        return Err(escapes());
    }
    Ok(joined)
}

fn sha256(file: &mut File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// Small hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}
