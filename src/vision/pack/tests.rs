//! Packs that must not be used, each for one reason, and the one that may.

use std::path::Path;

use super::*;
use crate::vision::trials::{copy_of_tiny_pack, edit_manifest, tiny_pack, tiny_pack_folder};

/// The refusal of a tiny pack whose manifest was changed.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> PackError {
    let copy = copy_of_tiny_pack();
    edit_manifest(copy.path(), change);
    Pack::open(copy.path()).expect_err("this pack must be refused")
}

#[test]
fn an_intact_pack_is_opened() {
    let pack = tiny_pack();
    assert_eq!(pack.name().to_string(), "tiny@1.0.0");
    assert_eq!(pack.space().as_str().len(), 16);
    assert!(pack.path(FileRole::TextEncoder).ends_with("text.onnx"));
}

#[test]
fn changed_bytes_are_found() {
    let copy = copy_of_tiny_pack();
    let model = copy.path().join("image.onnx");
    let mut bytes = std::fs::read(&model).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&model, bytes).unwrap();
    let error = Pack::open(copy.path()).unwrap_err();
    assert!(matches!(&error, PackError::WrongHash { path, .. } if path == &model), "{error}");
}

#[test]
fn a_shortened_file_is_told_by_its_size() {
    let copy = copy_of_tiny_pack();
    let model = copy.path().join("text.onnx");
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(&model, &bytes[..bytes.len() - 1]).unwrap();
    let error = Pack::open(copy.path()).unwrap_err();
    assert!(matches!(error, PackError::WrongSize { .. }), "{error}");
}

#[test]
fn missing_files_are_named() {
    let copy = copy_of_tiny_pack();
    std::fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
    let error = Pack::open(copy.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    let error = Pack::open(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/manifest.json"), "{error}");
}

#[test]
fn no_path_leaves_the_folder() {
    for path in ["../image.onnx", "/etc/passwd", "a/../../x", "", "./image.onnx", "a\\b"] {
        let error = refused(|manifest| {
            manifest["files"][0]["path"] = path.into();
            manifest["graphs"][0]["file"] = path.into();
        });
        assert!(matches!(error, PackError::Escapes { .. }), "{path:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn no_link_leaves_the_folder() {
    let copy = copy_of_tiny_pack();
    let model = copy.path().join("image.onnx");
    std::fs::remove_file(&model).unwrap();
    std::os::unix::fs::symlink(tiny_pack_folder().join("image.onnx"), &model).unwrap();
    let error = Pack::open(copy.path()).unwrap_err();
    assert!(matches!(error, PackError::Escapes { .. }), "{error}");
}

#[test]
fn a_hash_that_nobody_computed_is_refused() {
    for hash in ["0".repeat(64), String::new(), "later".to_owned(), "A".repeat(64)] {
        let error = refused(|manifest| manifest["files"][1]["sha256"] = hash.clone().into());
        assert!(matches!(error, PackError::NoHash { .. }), "{hash:?}: {error}");
    }
}

#[test]
fn a_newer_schema_is_named_before_its_unknown_keys() {
    let error = refused(|manifest| {
        manifest["schema_version"] = 2.into();
        manifest["quantum"] = true.into();
    });
    assert!(matches!(error, PackError::OtherSchema { found: 2, .. }), "{error}");
    let error = refused(|manifest| {
        manifest.as_object_mut().unwrap().remove("schema_version");
    });
    assert!(error.to_string().contains("schema_version is missing"), "{error}");
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    let error = refused(|manifest| manifest["quantum"] = true.into()).to_string();
    assert!(error.contains("unknown field `quantum`"), "{error}");
    let error = refused(|manifest| manifest["preprocess"]["gamma"] = 2.into()).to_string();
    assert!(error.contains("unknown field `gamma`"), "{error}");
    let error = refused(|manifest| manifest["preprocess"]["resize_engine"] = "fir2".into());
    assert!(error.to_string().contains("fir2"), "{error}");
}

#[test]
fn every_senseless_value_is_reported_at_once() {
    let error = refused(|manifest| {
        manifest["preprocess"]["exif_orient"] = false.into();
        manifest["preprocess"]["std"][1] = 0.into();
        manifest["tokenizer"]["pad_to"] = 3.into();
        manifest["postprocess"]["embedding"]["dim"] = 5.into();
    });
    let message = error.to_string();
    for part in ["exif_orient", ".std", "pad_to", "image_encoder's output"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

#[test]
fn a_pack_is_found_by_name_and_its_absence_lists_the_places() {
    let fixtures = tiny_pack_folder().parent().unwrap().to_path_buf();
    let folders = [PathBuf::from("/nowhere"), fixtures];
    assert_eq!(Pack::find("tiny-pack", &folders).unwrap().name().id, "tiny");
    let error = Pack::find("unheard-of", &folders).unwrap_err().to_string();
    assert!(error.contains("/nowhere/unheard-of"), "{error}");
    assert!(error.contains("models/unheard-of"), "{error}");
    for name in ["../tiny-pack", "", ".", "a/b"] {
        assert!(matches!(Pack::find(name, &folders), Err(PackError::NotFound { .. })), "{name:?}");
    }
}

#[test]
fn the_space_follows_what_moves_vectors_and_nothing_else() {
    let plain = tiny_pack().manifest().clone();
    let base = space::space_id(&plain);
    let mut renamed = plain.clone();
    renamed.display_name = "another name".to_owned();
    renamed.files.reverse();
    assert_eq!(space::space_id(&renamed), base);
    let mut vocabulary = plain.clone();
    vocabulary.files[3].sha256 = "1".repeat(64);
    assert_eq!(space::space_id(&vocabulary), base);
    let mut model = plain.clone();
    model.files[0].sha256 = "1".repeat(64);
    assert_ne!(space::space_id(&model), base);
    let mut picture = plain.clone();
    picture.preprocess.mean[0] += 0.001;
    assert_ne!(space::space_id(&picture), base);
    let mut text = plain;
    text.tokenizer.lowercase = false;
    assert_ne!(space::space_id(&text), base);
}
