//! Loading and looking with the tiny pack: a real runtime, graphs of a few hundred bytes.

use image::{Rgb, RgbImage};

use super::*;
use crate::fate::Fate;
use crate::vision::trials::{copy_of_tiny_pack, edit_manifest, runtime, tiny_pack};

fn vision() -> Vision {
    Vision::load(&runtime(), &tiny_pack(), VisionOptions::default()).unwrap()
}

fn plain(color: [u8; 3]) -> Photo {
    Photo { width: 20, height: 12, pixels: RgbImage::from_pixel(20, 12, Rgb(color)) }
}

/// Why a tiny pack is not loaded after `change` to its manifest.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let copy = copy_of_tiny_pack();
    edit_manifest(copy.path(), change);
    let pack = Pack::open(copy.path()).expect("the files are intact");
    let loaded = Vision::load(&runtime(), &pack, VisionOptions::default());
    loaded.err().expect("this pack must be refused").to_string()
}

#[tokio::test]
async fn a_red_picture_is_red_and_is_found_by_the_word() {
    let vision = vision();
    let seen = vision.look(&plain([230, 20, 20])).await.unwrap();
    let names: Vec<&str> = seen.tags.iter().map(|tag| &tag.name[..]).collect();
    assert_eq!(names, ["red"]);
    assert_eq!(seen.categories, ["colour"]);
    assert_eq!(seen.description.as_deref(), Some("a red thing"));
    assert_eq!(seen.faces, None, "the pack has no face model");
    assert_eq!(&seen.space, vision.space());
    let word = vision.embed_text("red").await.unwrap().unwrap();
    let cosine: f32 = word.iter().zip(&seen.embedding).map(|(a, b)| a * b).sum();
    assert!(cosine > vision.search_floor(), "{cosine}");
    assert_eq!(vision.provider(), "cpu");
}

#[tokio::test]
async fn a_dull_picture_gets_no_tag_and_light_alone_no_description() {
    let vision = vision();
    let seen = vision.look(&plain([60, 60, 60])).await.unwrap();
    assert_eq!((seen.tags.len(), seen.description), (0, None));
    let seen = vision.look(&plain([250, 250, 250])).await.unwrap();
    assert_eq!((&seen.tags[0].name[..], seen.description), ("bright", None));
    assert!((seen.embedding.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_see_what_each_would_see_alone() {
    let vision = Arc::new(vision());
    let colors: Vec<[u8; 3]> =
        (0..40u8).map(|n| [n * 6, 255 - n * 5, n.wrapping_mul(37)]).collect();
    let mut alone = Vec::new();
    for color in &colors {
        alone.push(vision.look(&plain(*color)).await.unwrap());
    }
    let together: Vec<_> = colors
        .iter()
        .map(|color| {
            let (vision, photo) = (Arc::clone(&vision), plain(*color));
            tokio::spawn(async move { vision.look(&photo).await.unwrap() })
        })
        .collect();
    for (task, alone) in together.into_iter().zip(&alone) {
        let seen = task.await.unwrap();
        for (a, b) in seen.embedding.iter().zip(&alone.embedding) {
            assert!((a - b).abs() < 1e-5);
        }
        assert_eq!(seen.description, alone.description);
    }
    assert_eq!(vision.stats().items, 80);
    assert_eq!(vision.stats().waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_disturb_nobody() {
    let vision = Arc::new(vision());
    for round in 0..50u8 {
        let (leaving, staying) = (Arc::clone(&vision), Arc::clone(&vision));
        let leaver = tokio::spawn(async move { leaving.look(&plain([round, 9, 9])).await });
        let stayer = tokio::spawn(async move { staying.look(&plain([9, 240, round])).await });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        leaver.abort();
        assert_eq!(stayer.await.unwrap().unwrap().tags[0].name, "green");
    }
}

#[test]
fn a_graph_that_is_not_the_manifests_is_refused() {
    let message = refused(|manifest| {
        manifest["graphs"][0]["inputs"][0]["name"] = "image".into();
    });
    assert!(message.contains("pixel_values: f32 [-1, 3, 8, 8]"), "{message}");
    assert!(message.contains("image: f32 [-1, 3, 8, 8]"), "{message}");
    let message = refused(|manifest| manifest["graphs"][0]["outputs"][0]["shape"][0] = 1.into());
    assert!(message.contains("image_embeds: f32 [1, 4]"), "{message}");
    let message = refused(|manifest| {
        manifest["preprocess"]["size"] = 16.into();
        manifest["graphs"][0]["inputs"][0]["shape"] = serde_json::json!([-1, 3, 16, 16]);
    });
    assert!(message.contains("16, 16"), "{message}");
}

#[test]
fn swapped_encoders_are_refused() {
    let message = refused(|manifest| {
        for (index, name) in [(0, "text.onnx"), (1, "image.onnx")] {
            manifest["graphs"][index]["file"] = name.into();
        }
        let files = manifest["files"].as_array_mut().unwrap();
        files[0]["role"] = "text_encoder".into();
        files[1]["role"] = "image_encoder".into();
    });
    assert!(message.contains("its manifest says"), "{message}");
}

#[test]
fn another_answer_to_the_known_picture_is_refused() {
    let message = refused(|manifest| manifest["self_test"]["expected"][1] = 0.5.into());
    assert!(message.contains("self test of pack tiny@1.0.0"), "{message}");
    // The channels in the wrong order: exactly what a self test is for.
    let message = refused(|manifest| manifest["preprocess"]["color"] = "bgr".into());
    assert!(message.contains("self test"), "{message}");
}

#[test]
fn a_runtime_older_than_the_pack_needs_is_named() {
    let message = refused(|manifest| manifest["runtime"]["min_ort_minor"] = 999.into());
    assert!(message.contains("needs ONNX Runtime 1.999"), "{message}");
}

#[tokio::test]
async fn a_pack_without_tags_only_embeds() {
    let copy = copy_of_tiny_pack();
    edit_manifest(copy.path(), |manifest| {
        manifest["capability"] = serde_json::json!(["embed"]);
    });
    let pack = Pack::open(copy.path()).unwrap();
    let vision = Vision::load(&runtime(), &pack, VisionOptions::default()).unwrap();
    let seen = vision.look(&plain([230, 20, 20])).await.unwrap();
    assert!(seen.tags.is_empty() && seen.description.is_none() && seen.embedding.len() == 4);
}

#[test]
fn a_file_that_is_no_graph_is_an_error_with_its_name() {
    let copy = copy_of_tiny_pack();
    let text = std::fs::read(copy.path().join("vocabulary.json")).unwrap();
    std::fs::write(copy.path().join("image.onnx"), &text).unwrap();
    edit_manifest(copy.path(), |manifest| {
        let vocabulary = manifest["files"][3].clone();
        manifest["files"][0]["size"] = vocabulary["size"].clone();
        manifest["files"][0]["sha256"] = vocabulary["sha256"].clone();
    });
    let pack = Pack::open(copy.path()).unwrap();
    let error = Vision::load(&runtime(), &pack, VisionOptions::default()).err().unwrap();
    assert!(error.to_string().contains("image.onnx cannot be loaded"), "{error}");
    assert_eq!(error.fate(), Fate::Transient);
}
