//! What the tests of this room share: the tiny pack and an opened runtime.

use std::path::{Path, PathBuf};

use super::pack::Pack;
use super::runtime::Runtime;

/// The folder of the tiny pack that `tests/fixtures/tiny-pack/generate.py` made.
pub(super) fn tiny_pack_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-pack")
}

/// The tiny pack, verified.
pub(super) fn tiny_pack() -> Pack {
    Pack::open(&tiny_pack_folder()).expect("the fixture is intact; else run its generate.py")
}

/// ONNX Runtime, which `scripts/setup` puts in place; its absence fails the tests.
pub(super) fn runtime() -> Runtime {
    Runtime::open(None).expect("the tests of models need ONNX Runtime")
}

/// A writable copy of the tiny pack.
pub(super) fn copy_of_tiny_pack() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for name in ["manifest.json", "image.onnx", "text.onnx", "tokenizer.json", "vocabulary.json"] {
        std::fs::copy(tiny_pack_folder().join(name), copy.path().join(name)).expect("a copy");
    }
    copy
}

/// Changes the manifest in `folder` with `change`.
pub(super) fn edit_manifest(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("manifest.json");
    let text = std::fs::read(&path).expect("the manifest");
    let mut manifest = serde_json::from_slice(&text).expect("JSON");
    change(&mut manifest);
    std::fs::write(&path, manifest.to_string()).expect("the manifest written");
}
