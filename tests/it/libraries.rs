//! Libraries never mix, and a purged one is gone from every store.
//!
//! What counts as failure: a word, id, face or name of one library in anything that belongs to
//! another; one of them left anywhere after a purge, but in logs; anything else that changed.

mod purging;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eyefleet::catalog::{
    Assignment, Catalog, ConstraintKind, FaceAssignment, FaceRef, NewAnalysis, NewConstraint,
    NewFace, Outcome, PersonId, Stage, Stored, Tag, Upload,
};
use eyefleet::clock::Clock;
use eyefleet::names::{Fence, ImageId, LibraryId, RelativePath};
use eyefleet::vision::Pack;
use serde_json::{Value, json};

use crate::support::{Up, database_url, eyefleet, get, run, stdout};

/// The other library's name begins with this one's, as that of a careless prefix would.
const KEPT: &str = "quokka";
const PURGED: &str = "quokka-numbat";
/// What the images, words, people and files of each are called, and nothing else.
const KEPT_WORD: &str = "wombatine";
const PURGED_WORD: &str = "numbatine";
/// What no store may hold after the purge.
const PURGED_TRACE: &str = "numbat";
const IMAGES: usize = 30;

fn name(text: &str) -> LibraryId {
    LibraryId::new(text).unwrap()
}

async fn catalog(data: &Path) -> Catalog {
    let url = database_url(&data.join("catalog.sqlite"));
    Catalog::open(&url, Clock::system()).await.unwrap()
}

/// Images, faces, a person, corrections and a word on faces, all of which say `word`.
async fn plant(catalog: &Catalog, library: &LibraryId, word: &str) {
    let pack = Pack::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter")).unwrap();
    let ids: Vec<ImageId> =
        (0..IMAGES).map(|number| ImageId::new(format!("{word}-{number:03}")).unwrap()).collect();
    let upload = |image: &ImageId| Upload {
        image: image.clone(),
        path: RelativePath::new(format!("{word}/{image}.jpg")).unwrap(),
        bytes: Some(1),
        content_hash: Some(format!("hash of {image}")),
        stamp: None,
        source: "story".to_owned(),
    };
    let uploads: Vec<Upload> = ids.iter().map(upload).collect();
    let recorded = catalog.record_uploads(library, &uploads).await.unwrap();
    for (place, known) in recorded.iter().enumerate() {
        let mut embedding = vec![0.01; pack.manifest().postprocess.embedding.dim];
        let dim = embedding.len();
        embedding[place % dim] = 1.0;
        let new = NewAnalysis {
            width: 640,
            height: 480,
            content_hash: None,
            space: pack.space().clone(),
            embedding,
            pack: pack.name().to_string(),
            tags: vec![Tag { name: word.to_owned(), group: "subject".to_owned(), score: 0.9 }],
            categories: vec![format!("{word}-kind")],
            description: Some(format!("a {word} by the river")),
            detailed_description: None,
            enriched: None,
            faces: Some(vec![face(&pack, 1.0), face(&pack, 90.0)]),
            outcomes: Stage::ALL.iter().copied().map(Outcome::done).collect(),
            event: None,
        };
        let fence = Fence(Clock::system().now().as_microsecond());
        let stored = catalog.store_analysis(library, &known.image, known.revision, fence, &new);
        assert_eq!(stored.await.unwrap(), Stored::Stored);
    }
    let said = json!(format!("the owner says {word}"));
    catalog.set_correction(library, &ids[0], "description", &said).await.unwrap();
    let face_of = |image: &ImageId, face| FaceRef { image: image.clone(), face };
    let person = PersonId(format!("{word}-person"));
    let faces = ids.iter().map(|image| FaceAssignment {
        face: face_of(image, 0),
        cluster: Some(1),
        person: Some(person.clone()),
    });
    let assignment = Assignment { faces: faces.collect(), retired: Vec::new() };
    catalog.apply_assignment(library, &assignment).await.unwrap();
    catalog.set_person(library, &person, Some(&format!("Ada {word}")), false).await.unwrap();
    let said = NewConstraint {
        kind: ConstraintKind::CannotLink,
        a: face_of(&ids[0], 0),
        b: face_of(&ids[1], 1),
    };
    catalog.add_constraint(library, &said).await.unwrap();
}

fn face(pack: &Pack, left: f32) -> NewFace {
    NewFace {
        bbox: [left, 2.0, 30.0, 40.0],
        landmarks: vec![[1.0, 2.0], [3.0, 4.0]],
        score: 0.9,
        space: pack.space().clone(),
        embedding: vec![1.0, left, 0.5, 0.25],
    }
}

/// Writes a snapshot of the library and learns from it.
fn learn(data: &Path, library: &str) {
    for word in ["export", "train"] {
        let done = run(eyefleet(data).args([word, "--wait", "--json", "--library", library]));
        assert_eq!(done.status.code(), Some(0), "{word} of {library}");
    }
}

/// Every file below `folder` with its bytes, decompressed where it is compressed. Links are not
/// followed; they stand there with their target.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        let path = entry.path().to_owned();
        let bytes = if entry.file_type().is_symlink() {
            std::fs::read_link(&path).map(|target| target.into_os_string().into_encoded_bytes())
        } else if !entry.file_type().is_file() {
            Ok(Vec::new())
        } else if path.extension().is_some_and(|ending| ending == "zst") {
            std::fs::File::open(&path).and_then(zstd::decode_all)
        } else {
            std::fs::read(&path)
        };
        // One that is replaced at this moment is looked at under its next name.
        if let Ok(bytes) = bytes {
            found.insert(path, bytes);
        }
    }
    found
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part == word.as_bytes())
}

/// The files below `folder` that hold `word` in their name or content.
fn files_with(folder: &Path, word: &str) -> Vec<PathBuf> {
    let named = |path: &Path| path.strip_prefix(folder).unwrap().to_string_lossy().contains(word);
    let all = files(folder).into_iter();
    all.filter(|(path, bytes)| named(path) || holds(bytes, word)).map(|(path, _)| path).collect()
}

fn answer(up: &Up, path: &str) -> (u16, Value) {
    let (code, body) = get(&format!("{}{path}", up.url("serve-1")));
    (code, serde_json::from_str(&body).unwrap())
}

fn found(up: &Up, library: &str, word: &str) -> Vec<String> {
    let (code, answer) = answer(up, &format!("/v1/search?q={word}&library={library}&limit=100"));
    assert_eq!(code, 200, "{answer}");
    let hits = answer["hits"].as_array().unwrap().clone();
    let mut images: Vec<String> =
        hits.iter().map(|hit| hit["image"].as_str().unwrap().to_owned()).collect();
    images.sort();
    images
}

/// Two libraries that learned from their own images, and a fleet that serves them.
async fn two_libraries(folder: &Path) -> (Up, Catalog) {
    let data = folder.join("data");
    let up = Up::start(&data);
    let photos = folder.join("photos");
    std::fs::create_dir_all(&photos).unwrap();
    let with_photos = run(eyefleet(&data).args(["library", "add", KEPT, "--photos"]).arg(&photos));
    assert_eq!(with_photos.status.code(), Some(0));
    let without = run(eyefleet(&data).args(["library", "add", PURGED]));
    assert_eq!(without.status.code(), Some(0));
    let catalog = catalog(&data).await;
    plant(&catalog, &name(KEPT), KEPT_WORD).await;
    plant(&catalog, &name(PURGED), PURGED_WORD).await;
    learn(&data, KEPT);
    learn(&data, PURGED);
    (up, catalog)
}

#[tokio::test(flavor = "multi_thread")]
async fn libraries_never_mix() {
    let folder = tempfile::tempdir().unwrap();
    let (up, catalog) = two_libraries(folder.path()).await;
    let listed = run(eyefleet(&up.data).args(["library", "list", "--json"]));
    let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    let rows = listed["libraries"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{listed}");
    for (row, watched) in rows.iter().zip([true, false]) {
        assert_eq!((&row["images"], &row["generation"]), (&json!(IMAGES), &json!(1)), "{row}");
        assert_eq!(row["watched"], watched, "{row}");
    }

    for (library, own, other) in [(KEPT, KEPT_WORD, PURGED_WORD), (PURGED, PURGED_WORD, KEPT_WORD)]
    {
        // Files: snapshots, generations, readable exports, logs of trainings.
        let files = up.data.join("libraries").join(library);
        assert!(!files_with(&files, own).is_empty(), "{library} has learned nothing");
        assert_eq!(files_with(&files, other), Vec::<PathBuf>::new(), "in files of {library}");

        // Search and HTTP.
        let hits = found(&up, library, own);
        assert_eq!(hits.len(), IMAGES, "{hits:?}");
        assert!(hits.iter().all(|image| image.starts_with(own)), "{hits:?}");
        assert_eq!(found(&up, library, other), Vec::<String>::new());
        let everything = answer(&up, &format!("/v1/search?q=river&library={library}&limit=100"));
        assert!(!holds(everything.1.to_string().as_bytes(), other), "{everything:?}");
        assert_eq!(answer(&up, &format!("/v1/images/{own}-000?library={library}")).0, 200);
        assert_eq!(answer(&up, &format!("/v1/images/{other}-000?library={library}")).0, 404);
        let (_, status) = answer(&up, &format!("/v1/status?library={library}"));
        assert_eq!(status["counts"]["images"], IMAGES);

        // People.
        let library = name(library);
        let persons = catalog.persons(&library).await.unwrap();
        let person = PersonId(format!("{own}-person"));
        assert_eq!(persons.iter().map(|it| &it.person).collect::<Vec<_>>(), [&person]);
        let faces = catalog.faces_of(&library).await.unwrap();
        assert_eq!(faces.len(), IMAGES * 2);
        let is_own = |image: &ImageId| image.as_str().starts_with(own);
        assert!(faces.iter().all(|face| is_own(&face.face.image)));
        assert!(faces.iter().filter_map(|face| face.person.as_ref()).all(|it| *it == person));
        let constraints = catalog.constraints(&library).await.unwrap();
        assert!(constraints.len() == 1 && is_own(&constraints[0].said.a.image));
    }

    // Metrics are for whoever runs the fleet: they name no tenant and nothing of theirs.
    for role in ["analyze-1", "analyze-2", "export-1", "train-1", "intake-1", "serve-1"] {
        let (_, page) = get(&format!("{}/metrics", up.url(role)));
        assert!(page.contains("eyefleet_build_info"), "{role}");
        for word in [KEPT, KEPT_WORD, PURGED_TRACE] {
            assert!(!page.contains(word), "{word} in the metrics of {role}:\n{page}");
        }
    }
    up.stop();
}
