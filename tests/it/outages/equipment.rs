//! Models or their runtime are broken: a role does not start, says which file and what to do, and
//! `eyefleet up` hands that on and ends.

use std::path::{Path, PathBuf};

use super::{Fleet, fails_with};
use crate::support::Redis;

/// A copy of the starter pack with one thing done to it.
fn pack(folder: &Path, name: &str, harm: impl FnOnce(&Path)) -> PathBuf {
    let packs = folder.join(name);
    let pack = packs.join("starter");
    std::fs::create_dir_all(&pack).unwrap();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
    for file in ["manifest.json", "image.onnx", "text.onnx", "tokenizer.json", "vocabulary.json"] {
        std::fs::copy(original.join(file), pack.join(file)).unwrap();
    }
    harm(&pack);
    packs
}

#[test]
fn a_broken_pack_is_refused_by_file_and_cause() {
    let redis = Redis::start();
    let fleet = Fleet::new(redis.url());
    let folder = tempfile::tempdir().unwrap();
    let again = "copy the whole pack again";
    let flipped = pack(folder.path(), "flipped", |pack| {
        let path = pack.join("image.onnx");
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    });
    let cut = pack(folder.path(), "cut", |pack| {
        let file = std::fs::File::options().write(true).open(pack.join("text.onnx")).unwrap();
        file.set_len(1000).unwrap();
    });
    let missing = pack(folder.path(), "missing", |pack| {
        std::fs::remove_file(pack.join("vocabulary.json")).unwrap();
    });
    let no_json = pack(folder.path(), "no-json", |pack| {
        std::fs::write(pack.join("manifest.json"), "{ \"id\": ").unwrap();
    });
    let none = folder.path().join("none");
    for (packs, name, words) in [
        (&flipped, "starter", &["image.onnx", "sha256", again][..]),
        (&cut, "starter", &["text.onnx has 1000 bytes, its manifest says", again]),
        (&missing, "starter", &["vocabulary.json", "No such file", again]),
        (&no_json, "starter", &["manifest.json is no valid manifest", again]),
        (&none, "mine", &["no pack \"mine\"", "none/mine", "vision.pack", "paths.packs"]),
    ] {
        let mut role = fleet.member();
        role.env("EYEFLEET_PATHS__PACKS", packs).env("EYEFLEET_VISION__PACK", name);
        fails_with(role.args(["run", "analyze"]), words);
    }
    // An unbroken copy is used: it is the harm that is refused, not the folder.
    let mut whole = fleet.member();
    whole.env("EYEFLEET_PATHS__PACKS", pack(folder.path(), "whole", |_| {}));
    fleet.role_with("analyze", &mut whole).wait_until_it_answers();
}

#[test]
fn a_missing_runtime_is_named_with_the_next_step() {
    let redis = Redis::start();
    let fleet = Fleet::new(redis.url());
    let folder = tempfile::tempdir().unwrap();
    let (gone, text) = (folder.path().join("gone.so"), folder.path().join("text.so"));
    std::fs::write(&text, "this is no library").unwrap();
    for (library, words) in [
        (&gone, &["paths.onnxruntime names", "gone.so", "no file", "run scripts/setup"][..]),
        (&text, &["text.so cannot be opened as ONNX Runtime's library", "run scripts/setup"]),
    ] {
        let mut role = fleet.member();
        role.env("EYEFLEET_PATHS__ONNXRUNTIME", library);
        fails_with(role.args(["run", "analyze"]), words);
    }
}

#[test]
fn up_hands_on_what_a_role_failed_with_and_ends() {
    let redis = Redis::start();
    let fleet = Fleet::new(redis.url());
    let folder = tempfile::tempdir().unwrap();
    let broken = pack(folder.path(), "broken", |pack| {
        std::fs::write(pack.join("text.onnx"), "").unwrap();
    });
    let gone = folder.path().join("gone.so");
    for (setting, value, words) in [
        ("EYEFLEET_PATHS__PACKS", &broken, ["did not come up", "text.onnx has 0 bytes", "copy"]),
        ("EYEFLEET_PATHS__ONNXRUNTIME", &gone, ["did not come up", "gone.so", "run scripts/setup"]),
    ] {
        let mut up = fleet.member();
        up.arg("up").args(["--replicas", "1"]).env("EYEFLEET_SERVE__LISTEN", "127.0.0.1:0");
        fails_with(up.env(setting, value), &words);
    }
}
