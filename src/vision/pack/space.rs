//! The name of an embedding space: two vectors may be compared only when they carry the same.
//!
//! It hashes everything that decides where a picture or a text lands: the bytes of the encoders
//! and of the tokenizer, the preprocessing, the tokenizer's settings. The vocabulary is not part
//! of it: other tags leave every vector where it was.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::manifest::{FileRole, Manifest, Preprocess, TokenizerSpec};
use super::verify::hex;
use crate::names::SpaceId;

#[derive(Serialize)]
struct Parts<'a> {
    files: Vec<&'a str>,
    preprocess: &'a Preprocess,
    tokenizer: &'a TokenizerSpec,
}

/// The first 16 hex digits of the hash over all parts.
pub(super) fn space_id(manifest: &Manifest) -> SpaceId {
    let mut files = Vec::new();
    for role in [FileRole::ImageEncoder, FileRole::TextEncoder, FileRole::Tokenizer] {
        let of_role = manifest.files.iter().filter(|file| file.role == role);
        files.extend(of_role.map(|file| file.sha256.as_str()));
    }
    let parts = Parts { files, preprocess: &manifest.preprocess, tokenizer: &manifest.tokenizer };
    // Written from our own structs, so that the order of keys is theirs and not the manifest's.
    let canonical = serde_json::to_vec(&parts).expect("plain structs always become JSON");
    let hash = hex(&Sha256::digest(&canonical));
    SpaceId::new(&hash[..16]).expect("16 hex digits are a space id")
}
