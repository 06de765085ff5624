//! Stories of a whole training: structure planted in a snapshot must be found, chance must not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::enrich::{Analysis, enrich};
use crate::fate::Fate;
use crate::generation::samples::{Dice, to_unit, unit_vectors};
use crate::generation::{Generation, GenerationStore};
use crate::names::{Fence, ImageId};
use crate::snapshot::SnapshotTag;
use crate::snapshot::samples::{self, Row, face, tagged};

const DIM: usize = 16;

/// What a picture can show: subject, words that go with it, tags, category, how it looks.
struct Kind {
    subject: &'static str,
    with: [&'static str; 3],
    category: &'static str,
    look: usize,
}

const KINDS: [Kind; 6] = [
    Kind {
        subject: "saree",
        with: ["traditional", "dress", "jewelry"],
        category: "fashion",
        look: 0,
    },
    Kind {
        subject: "sari",
        with: ["traditional", "dress", "jewelry"],
        category: "fashion",
        look: 0,
    },
    Kind { subject: "dog", with: ["park", "grass", "ball"], category: "animals", look: 1 },
    Kind { subject: "cat", with: ["park", "grass", "ball"], category: "animals", look: 2 },
    Kind { subject: "sailboat", with: ["sea", "wave", "sky"], category: "water", look: 3 },
    Kind { subject: "mountain", with: ["snow", "forest", "sky"], category: "landscape", look: 4 },
];

/// `count` pictures of the kinds in turn. "bright" is said of all of them; day and night never
/// meet; a few noise words are spread by chance.
fn world(count: usize) -> Vec<Row> {
    let looks = unit_vectors(77, 5, DIM);
    let people = unit_vectors(78, 2, 8);
    let mut dice = Dice::new(1);
    let mut rows = Vec::new();
    for number in 0..count {
        let kind = &KINDS[number % KINDS.len()];
        let said: Vec<&str> = kind.with.iter().copied().filter(|_| dice.below(10) < 6).collect();
        let noise = ["apple", "stone", "paper", "chair"][dice.below(4)];
        let text = format!("a bright {} with {} and a {noise}", kind.subject, said.join(" and "));
        let time = if dice.below(2) == 0 { "day" } else { "night" };
        let mut tags = vec![kind.subject, time];
        tags.extend(kind.with.iter().copied().filter(|_| dice.below(10) < 7));
        let mut row = tagged(&format!("img-{number:05}"), &text, &tags, &[kind.category]);
        let look = &looks[kind.look * DIM..][..DIM];
        let mut vector: Vec<f32> = look.iter().map(|x| x + 0.1 * dice.normal()).collect();
        to_unit(&mut vector);
        row.1 = Some(vector);
        if kind.category == "fashion" {
            let person = &people[(number % 2) * 8..][..8];
            let mut vector: Vec<f32> = person.iter().map(|x| x + 0.05 * dice.normal()).collect();
            to_unit(&mut vector);
            row.0.faces = vec![face(number as i64)];
            row.0.face_count = 1;
            row.2 = vec![vector];
        }
        rows.push(row);
    }
    rows
}

fn learned(library: &Path, rows: Vec<Row>) -> Generation {
    let snapshot = samples::written(library, 1, rows);
    let store = GenerationStore::new(library);
    let build = store.begin(Fence(1)).unwrap();
    let options = LearnOptions::default();
    let learned =
        learn(&snapshot, build.path(), &options, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let now = snapshot.manifest().finished_at;
    store.publish(&build, learned.publication(GenerationNumber(1), None, now)).unwrap();
    store.open(GenerationNumber(1), Some(&samples::space())).unwrap()
}

fn tag(name: &str) -> SnapshotTag {
    SnapshotTag { name: name.to_owned(), score: 1.0 }
}

fn words_of<'a>(list: impl IntoIterator<Item = &'a String>) -> BTreeSet<&'a str> {
    list.into_iter().map(String::as_str).collect()
}

#[test]
fn planted_structure_is_found_and_chance_is_not() {
    let library = tempfile::tempdir().unwrap();
    let generation = learned(library.path(), world(600));

    let animals = &generation.patterns["animals"];
    assert_eq!(animals.count, 200);
    let words = words_of(&animals.common_words);
    assert!(words.is_superset(&["dog", "cat", "park", "grass", "ball"].into()), "{words:?}");
    for stranger in ["bright", "apple", "stone", "paper", "chair", "sea"] {
        assert!(!words.contains(stranger), "{stranger} is no word of animals");
    }
    let tags = words_of(&animals.co_occurring_tags);
    assert_eq!(tags, ["dog", "cat", "park", "grass", "ball"].into());

    let saree = &generation.words.words["saree"];
    let synonyms: Vec<&str> = saree.synonyms.iter().map(|n| n.word.as_str()).collect();
    assert_eq!(synonyms, ["sari"]);
    let related = words_of(saree.related.iter().map(|n| &n.word));
    assert!(related.is_superset(&["traditional", "dress", "jewelry"].into()), "{related:?}");
    assert!(!related.contains("sari") && !related.contains("bright"));
    assert_eq!(generation.words.words["dog"].synonyms, [], "cats look different");
    assert!(generation.words.words.get("day").is_none_or(|day| day.synonyms.is_empty()));
    let expanded = generation.words.expand("Sarees");
    assert_eq!(expanded[0].0, "sari");
    let expanded = words_of(expanded.iter().map(|(word, _)| word));
    assert!(expanded.is_superset(&["traditional", "dress"].into()), "{expanded:?}");

    assert_eq!(generation.description_patterns["day"].rarely_with, ["night"]);

    let clusters = &generation.clusters;
    assert_eq!(clusters.clusters.len(), 2);
    assert_eq!(clusters.clusters[0].image_count, 100);
    assert_eq!(clusters.unclustered_faces, 0);
}

#[test]
fn what_was_learned_is_applied_to_a_new_photo() {
    let library = tempfile::tempdir().unwrap();
    let generation = learned(library.path(), world(300));
    let image = ImageId::new("new").unwrap();
    let tags = ["sailboat".to_owned(), "day".to_owned()];
    let analysis = Analysis {
        image: &image,
        description: Some("a sailboat"),
        tags: &tags,
        categories: &[],
        declined: &[],
        space: &samples::space(),
        embedding: Some(generation.index.vector(4)),
    };
    let enriched = enrich(&analysis, &generation);
    let text = enriched.description.unwrap();
    assert!(text.starts_with("a sailboat, commonly associated with "), "{text}");
    for word in ["water", "sea", "wave"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains("night") && !text.contains("dog"), "{text}");
    assert_eq!(enriched.categories[0].0, "water");
    assert!(enriched.tags.iter().any(|(tag, _)| tag == "sea"));
    assert_eq!(enriched.near_duplicates[0].0.as_str(), "img-00004");
}

#[test]
fn the_same_snapshot_gives_the_same_files() {
    let library = tempfile::tempdir().unwrap();
    let snapshot = samples::written(library.path(), 1, world(240));
    let options = LearnOptions { exact_below: 100, ..LearnOptions::default() };
    let folders = ["one", "two"].map(|name| library.path().join(name));
    for folder in &folders {
        fs::create_dir(folder).unwrap();
        learn(&snapshot, folder, &options, &mut |_, _| ControlFlow::Continue(())).unwrap();
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&folders[0]).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let [one, two] = folders.each_ref().map(|folder| fs::read(folder.join(&name)).unwrap());
        assert!(name == files::TRAINING_REPORT || one == two, "{name} differs");
        names.push(name);
    }
    names.sort();
    let mut expected = vec![
        files::CATEGORY_PATTERNS,
        files::DESCRIPTION_PATTERNS,
        files::SEARCH_INDEX,
        files::FACE_CLUSTERS,
        files::FACE_CLUSTERS_PICKLE,
        files::IMPROVED_DESCRIPTIONS,
        files::TRAINING_REPORT,
        files::INDEX,
        files::FACES,
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn the_report_and_the_improved_descriptions_are_plain_json() {
    let library = tempfile::tempdir().unwrap();
    let mut rows = world(120);
    rows[0].0.corrected = true;
    rows[6].0.detailed_description = Some("a long text".into());
    let corrected = rows[0].0.description.clone().unwrap();
    learned(library.path(), rows);
    let folder = library.path().join("generations/1");
    let read = |name| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let report = read(files::TRAINING_REPORT);
    assert_eq!(report["status"], "completed");
    assert_eq!(report["total_images"], 120);
    assert_eq!(report["images_with_faces"], 40);
    assert_eq!(report["images_with_detailed_desc"], 1);
    assert_eq!(report["top_categories"][0]["count"], 40);
    assert!(report["total_tags"].as_u64().unwrap() > 300);
    for step in Step::ALL {
        assert!(report["durations"][step.as_str()].is_number(), "{step:?}");
    }
    assert_eq!(report["index"]["self_retrieval"], 1.0);
    let improved = read(files::IMPROVED_DESCRIPTIONS);
    assert_eq!(improved.as_object().unwrap().len(), 120);
    assert_eq!(improved["img-00000"], corrected.as_str(), "what the owner wrote was changed");
    assert!(improved["img-00001"].as_str().unwrap().contains(", commonly associated with "));
}

#[test]
fn two_corrected_photos_teach_what_two_others_cannot() {
    let library = tempfile::tempdir().unwrap();
    let rows = |name: &str, corrected: bool| {
        let mut rows = world(60);
        for row in &mut rows[..2] {
            row.0.tags = vec![tag("wilhelmina"), tag("verandah")];
            row.0.corrected = corrected;
        }
        learned(&library.path().join(name), rows)
    };
    let by_models = rows("models", false);
    assert_eq!(by_models.words.words.get("wilhelmina"), None, "two of something are an accident");
    let by_owner = rows("owner", true);
    let known = &by_owner.words.words["wilhelmina"];
    assert_eq!((known.count, known.related[0].word.as_str()), (4, "verandah"));
    assert_eq!(by_owner.patterns["fashion"].count, 20, "people are told of images, not of weights");
}

#[test]
fn learned_words_never_teach() {
    let library = tempfile::tempdir().unwrap();
    let plain = learned(&library.path().join("plain"), world(120));
    let mut rows = world(120);
    for row in &mut rows {
        let text = row.0.description.as_mut().unwrap();
        text.push_str(", commonly associated with zebra, sky");
    }
    let fed_back = learned(&library.path().join("fed-back"), rows);
    assert_eq!(fed_back.words, plain.words);
    assert_eq!(fed_back.description_patterns, plain.description_patterns);
}

#[test]
fn nothing_one_image_and_images_without_anything() {
    let library = tempfile::tempdir().unwrap();
    let snapshot = samples::written(library.path(), 1, Vec::new());
    let build = library.path().join("build");
    fs::create_dir(&build).unwrap();
    let go_on = &mut |_, _| ControlFlow::Continue(());
    let error = learn(&snapshot, &build, &LearnOptions::default(), go_on).unwrap_err();
    assert_eq!(error.fate(), Fate::Permanent);
    assert!(error.to_string().contains("nothing to learn from"), "{error}");

    let one = learned(&library.path().join("one"), world(1));
    assert_eq!(one.patterns["fashion"].count, 1);
    assert_eq!(one.patterns["fashion"].common_words, Vec::<String>::new());
    assert_eq!(one.index.len(), 1);

    let bare = ["a", "b"].map(|id| tagged(id, "", &[], &[])).to_vec();
    let bare = learned(&library.path().join("bare"), bare);
    assert_eq!((bare.index.len(), bare.words.words.len()), (0, 0));
}

#[test]
fn a_stop_is_heard_in_every_step() {
    let library = tempfile::tempdir().unwrap();
    let snapshot = samples::written(library.path(), 1, world(60));
    for stop_at in Step::ALL {
        let build = library.path().join(stop_at.as_str());
        fs::create_dir(&build).unwrap();
        let mut stop = |step, _| {
            if step == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = learn(&snapshot, &build, &LearnOptions::default(), &mut stop).unwrap_err();
        assert_eq!(error.fate(), Fate::Interrupted);
        assert!(!build.join(files::TRAINING_REPORT).exists());
    }
}
