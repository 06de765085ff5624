//! What learning is worth, measured: a library whose truth is known is seen by poor models, learns,
//! and is looked at again.
//!
//! The models miss four tags in ten, and one in ten that they name is wrong. Photos that were not
//! learned from are enriched; their tags and twenty searches by words are held against the truth,
//! before and after, and against two simpler ways to guess tags; the words of their descriptions are
//! counted. A second library has tags that have
//! nothing to do with each other: there is nothing to learn, and nothing may be made up.
//!
//! `cargo nextest run -p eyefleet --no-capture measured` prints the figures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;

use super::rank::{Asked, Candidate, Texts, rank};
use crate::catalog::{Enriched, ImageText, Tag};
use crate::enrich::{Analysis, Enrichment, enrich};
use crate::generation::samples::{Dice, to_unit, unit_vectors};
use crate::generation::{Generation, GenerationStore, dot};
use crate::learning::{LearnOptions, learn};
use crate::names::{Fence, GenerationNumber, ImageId, RelativePath};
use crate::snapshot::samples::{self, Row, tagged};

const DIM: usize = 32;
const LEARNED: usize = 2000;
const HELD_OUT: usize = 600;
/// Share of the true tags that the models miss.
const MISSED: usize = 40;
/// Share of the tags they name that are another's.
const WRONG: usize = 10;
const QUERIES: usize = 20;

const SCENES: [&str; 15] = [
    "bar", "del", "fin", "gol", "hem", "jur", "kip", "lor", "mun", "nad", "pel", "rov", "sut",
    "tav", "wex",
];
const THINGS: [&str; 8] = ["ato", "ebi", "imo", "oka", "ula", "ane", "upo", "iru"];
/// How often each thing is in a photo of its scene, of a hundred.
const OFTEN: [usize; 8] = [95, 90, 90, 85, 80, 75, 60, 40];

fn name(scene: usize, thing: usize) -> String {
    format!("{}{}", SCENES[scene], THINGS[thing])
}

struct Photo {
    id: ImageId,
    truth: BTreeSet<String>,
    /// What the models name.
    seen: Vec<String>,
    description: String,
    vector: Vec<f32>,
}

/// A library; `related` or with tags thrown together.
fn library(count: usize, related: bool) -> Vec<Photo> {
    let looks = unit_vectors(5, SCENES.len(), DIM);
    let mut dice = Dice::new(if related { 11 } else { 12 });
    let mut photos = Vec::new();
    for number in 0..count {
        let scene = dice.below(SCENES.len());
        let mut truth = BTreeSet::new();
        for (thing, often) in OFTEN.iter().enumerate() {
            if dice.below(100) < *often {
                let of = if related { scene } else { dice.below(SCENES.len()) };
                truth.insert(name(of, thing));
            }
        }
        let mut seen: Vec<String> = Vec::new();
        for tag in &truth {
            if dice.below(100) < MISSED {
                continue;
            }
            let wrong = dice.below(100) < WRONG;
            let other = name(dice.below(SCENES.len()), dice.below(THINGS.len()));
            seen.push(if wrong { other } else { tag.clone() });
        }
        let mut vector = looks[scene * DIM..][..DIM].to_vec();
        for value in &mut vector {
            *value += 0.15 * dice.normal();
        }
        to_unit(&mut vector);
        // The sentence says no more than the tags do: words must not smuggle the truth in.
        let description = match seen.as_slice() {
            [] => String::new(),
            [first, ..] => format!("a photo of a {first}"),
        };
        let id = ImageId::new(format!("{:08x}-{number}", dice.next() as u32)).unwrap();
        photos.push(Photo { id, truth, seen, description, vector });
    }
    photos
}

fn learned(folder: &Path, photos: &[Photo]) -> Generation {
    let mut rows: Vec<Row> = Vec::new();
    for photo in photos {
        let tags: Vec<&str> = photo.seen.iter().map(String::as_str).collect();
        let mut row = tagged(photo.id.as_str(), &photo.description, &tags, &[]);
        row.1 = Some(photo.vector.clone());
        rows.push(row);
    }
    rows.sort_by(|a, b| a.0.image.cmp(&b.0.image));
    let snapshot = samples::written(folder, 1, rows);
    let store = GenerationStore::new(folder);
    let build = store.begin(Fence(1)).unwrap();
    let go_on = &mut |_, _| ControlFlow::Continue(());
    let learned = learn(&snapshot, build.path(), &LearnOptions::default(), go_on).unwrap();
    let now = snapshot.manifest().finished_at;
    store.publish(&build, learned.publication(GenerationNumber(1), None, now)).unwrap();
    store.open(GenerationNumber(1), None).unwrap()
}

fn enriched(photo: &Photo, generation: &Generation) -> Enrichment {
    let analysis = Analysis {
        image: &photo.id,
        description: Some(&photo.description),
        tags: &photo.seen,
        categories: &[],
        declined: &[],
        space: &generation.manifest.space,
        embedding: Some(&photo.vector),
    };
    enrich(&analysis, generation)
}

/// F1 over all tags of all photos together.
fn f1<'a>(photos: &'a [Photo], said: impl Fn(&'a Photo) -> BTreeSet<String>) -> f64 {
    let (mut right, mut named, mut true_ones) = (0, 0, 0);
    for photo in photos {
        let said = said(photo);
        right += said.intersection(&photo.truth).count();
        named += said.len();
        true_ones += photo.truth.len();
    }
    2.0 * right as f64 / (named + true_ones) as f64
}

fn seen(photo: &Photo) -> BTreeSet<String> {
    photo.seen.iter().cloned().collect()
}

/// The share of the first ten that truly show what was asked, over all queries. Where fewer are
/// found, the places left empty are wrong ones.
fn precision(photos: &[Photo], generation: Option<&Generation>) -> f64 {
    let truth: HashMap<&str, &BTreeSet<String>> =
        photos.iter().map(|photo| (photo.id.as_str(), &photo.truth)).collect();
    let text = |photo: &Photo| ImageText {
        image: photo.id.clone(),
        path: RelativePath::new(photo.id.as_str()).unwrap(),
        description: Some(photo.description.clone()),
        detailed_description: None,
        tags: photo.seen.iter().map(|name| tag(name, 1.0)).collect(),
        categories: Vec::new(),
        enriched: generation.map(|generation| {
            let found = enriched(photo, generation);
            Enriched {
                generation: generation.number,
                description: found.description,
                tags: found.tags.iter().map(|(name, share)| tag(name, *share)).collect(),
                categories: Vec::new(),
                context: Vec::new(),
                near_duplicates: Vec::new(),
            }
        }),
        corrections: Vec::new(),
        stored_at: Timestamp::UNIX_EPOCH,
    };
    let texts = Texts::new(photos.iter().map(text).collect());
    let mut right = 0;
    for query in 0..QUERIES {
        // Frequent things and rare ones, of all scenes.
        let query = name(query % SCENES.len(), (query * 3 + 1) % THINGS.len());
        let widened = generation.map(|learned| learned.words.expand(&query)).unwrap_or_default();
        let asked = Asked::new(&query, &widened);
        let unlike = |photo: &Photo| Candidate { image: photo.id.clone(), similarity: 0.0 };
        let hits = rank(photos.iter().map(unlike).collect(), &texts, &asked, 0.5, 10);
        right += hits.iter().filter(|hit| truth[hit.image.as_str()].contains(&query)).count();
    }
    right as f64 / (QUERIES * 10) as f64
}

fn tag(name: &str, score: f32) -> Tag {
    Tag { name: name.to_owned(), group: String::new(), score }
}

/// As many of the library's most frequent tags as learning adds.
fn by_frequency(learned: &[Photo], held_out: &[Photo], added: usize) -> f64 {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in learned.iter().flat_map(|photo| &photo.seen) {
        *counts.entry(name).or_default() += 1;
    }
    let mut most: Vec<(&str, usize)> = counts.into_iter().collect();
    most.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    f1(held_out, |photo| {
        let mut said = seen(photo);
        said.extend(most.iter().take(added).map(|(name, _)| (*name).to_owned()));
        said
    })
}

/// What enough of the ten photos that look most alike were said to show; the number that does best
/// against the truth, which nobody could know.
fn by_neighbours(learned: &[Photo], held_out: &[Photo]) -> f64 {
    let mut votes: HashMap<&ImageId, BTreeMap<&str, usize>> = HashMap::new();
    for photo in held_out {
        let mut near: Vec<(f32, &Photo)> =
            learned.iter().map(|other| (dot(&photo.vector, &other.vector), other)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let counts = votes.entry(&photo.id).or_default();
        for name in near.iter().take(10).flat_map(|(_, other)| &other.seen) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let with = |least: usize| {
        f1(held_out, |photo| {
            let enough = votes[&photo.id].iter().filter(|(_, count)| **count >= least);
            seen(photo).into_iter().chain(enough.map(|(name, _)| (*name).to_owned())).collect()
        })
    };
    (1..=6).map(with).fold(0.0, f64::max)
}

/// Words of a description, in the mean over all photos.
fn words<'a>(photos: &'a [Photo], description: impl Fn(&'a Photo) -> String) -> f64 {
    let words = photos.iter().map(|photo| description(photo).split_whitespace().count());
    words.sum::<usize>() as f64 / photos.len() as f64
}

struct Measured {
    f1: (f64, f64),
    words: (f64, f64),
    precision: (f64, f64),
    added: usize,
    by_frequency: f64,
    by_neighbours: f64,
}

fn measure(related: bool) -> Measured {
    let folder = tempfile::tempdir().unwrap();
    let mut photos = library(LEARNED + HELD_OUT, related);
    let held_out = photos.split_off(LEARNED);
    let generation = learned(folder.path(), &photos);
    let with_learned = |photo: &Photo| -> BTreeSet<String> {
        let found = enriched(photo, &generation).tags;
        seen(photo).into_iter().chain(found.into_iter().map(|(name, _)| name)).collect()
    };
    let said = |photo: &Photo| photo.description.clone();
    let said_with_learned =
        |photo: &Photo| enriched(photo, &generation).description.unwrap_or_else(|| said(photo));
    let added: usize =
        held_out.iter().map(|photo| with_learned(photo).len() - seen(photo).len()).sum();
    Measured {
        f1: (f1(&held_out, seen), f1(&held_out, with_learned)),
        words: (words(&held_out, said), words(&held_out, said_with_learned)),
        precision: (precision(&held_out, None), precision(&held_out, Some(&generation))),
        added,
        by_frequency: by_frequency(&photos, &held_out, added.div_ceil(HELD_OUT)),
        by_neighbours: by_neighbours(&photos, &held_out),
    }
}

#[test]
fn learning_finds_missing_tags_and_photos_and_makes_nothing_up() {
    let found = measure(true);
    eprintln!(
        "tags of {HELD_OUT} photos, F1: {:.2} before, {:.2} after ({:.1} tags added to each); by \
         frequency {:.2}, by the best number of neighbours {:.2}",
        found.f1.0,
        found.f1.1,
        found.added as f64 / HELD_OUT as f64,
        found.by_frequency,
        found.by_neighbours
    );
    eprintln!(
        "{QUERIES} searches, precision at 10: {:.2} before, {:.2} after",
        found.precision.0, found.precision.1
    );
    eprintln!("words of a description: {:.1} before, {:.1} after", found.words.0, found.words.1);
    assert!(found.f1.1 > found.f1.0 + 0.1);
    assert!(found.words.1 > found.words.0 + 1.0);
    assert!(found.f1.1 > found.by_frequency);
    assert!(found.precision.1 > found.precision.0 + 0.05);

    let nothing = measure(false);
    eprintln!(
        "tags that have nothing to do with each other: {} added; F1 {:.2} before, {:.2} after; \
         precision at 10 {:.2} before, {:.2} after",
        nothing.added, nothing.f1.0, nothing.f1.1, nothing.precision.0, nothing.precision.1
    );
    assert_eq!(nothing.added, 0);
    assert!((nothing.words.1 - nothing.words.0).abs() < 1e-9);
    assert!(nothing.precision.1 >= nothing.precision.0 - 0.02);
}
