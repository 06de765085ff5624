//! Drawn pictures whose content is known: the sample library of the demo, the training pictures of
//! the starter pack and the pictures that judge it.
//!
//! Two generators draw the same subjects. [`Generator::First`] trains; [`Generator::Second`] judges,
//! with other palettes, proportions, layouts, textures and clutter. A picture is a pure function of
//! its generator, seed, index and subject: no clock, no global state, the same bytes every time.

#![expect(
    clippy::many_single_char_names,
    reason = "x, y, w, h, r and the brush b are the words of drawing; longer ones hide the picture"
)]

mod backdrop;
mod backdrop_second;
mod brush;
mod curve;
mod encode;
mod scene;
mod second_parts;
mod subjects;
mod tone;

use serde::{Deserialize, Serialize};

pub use encode::EncodeError;
use subjects::{SUBJECTS, Subject};

/// Which hand draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// Draws what the starter pack is trained on.
    First,
    /// Draws what judges the pack and what the demo shows; never used for training.
    Second,
}

/// What a picture shows, in the words of the starter pack's vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The one thing the picture is about: "sailboat".
    pub subject: String,
    /// Where it is: "sea". `None` on a plain background.
    pub place: Option<String>,
    /// "day", "sunset" or "night". `None` where there is no sky.
    pub time: Option<String>,
    /// The subject's colour, where it can have several: "red".
    pub colour: Option<String>,
    /// Every tag that is true: subject, place, time and colour, in this order.
    pub tags: Vec<String>,
    /// The subject's category: "sea".
    pub category: String,
    /// One English sentence without a full stop: "a red sailboat on the sea at sunset".
    pub caption: String,
}

/// A picture and its truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// Pixels, 224 to 320.
    pub width: u32,
    /// Pixels, 192 to 256.
    pub height: u32,
    /// `width * height * 3` bytes, row by row.
    pub rgb: Vec<u8>,
    /// What was drawn.
    pub truth: Truth,
}

/// The picture number `index` of a library. Every run of [`subjects`]`().count()` pictures that
/// starts at a multiple of that count shows each subject once, in an order given by the seed.
pub fn draw(generator: Generator, seed: u64, index: u64) -> Drawing {
    let count = SUBJECTS.len() as u64;
    let subject = &SUBJECTS[shuffled(seed, index / count, (index % count) as usize)];
    scene::compose(generator, seed, index, subject)
}

/// A picture of the subject asked for, in a place, light and colour given by seed and index.
///
/// # Panics
/// When `subject` is not one of [`subjects`].
pub fn draw_subject(generator: Generator, seed: u64, index: u64, subject: &str) -> Drawing {
    let found = SUBJECTS.iter().find(|known| known.name == subject);
    let subject = found.unwrap_or_else(|| panic!("no subject is called {subject}"));
    scene::compose(generator, seed, index, subject)
}

/// The names of all subjects.
pub fn subjects() -> impl Iterator<Item = &'static str> {
    SUBJECTS.iter().map(|subject| subject.name)
}

/// The place of `position` in block number `block` of a library, by a seeded shuffle.
fn shuffled(seed: u64, block: u64, position: usize) -> usize {
    use rand::{Rng, SeedableRng};
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&block.to_le_bytes());
    key[31] = 1;
    let mut rng = rand_chacha::ChaCha8Rng::from_seed(key);
    let mut order: Vec<usize> = (0..SUBJECTS.len()).collect();
    for last in (1..order.len()).rev() {
        let other = rng.random::<u32>() as usize % (last + 1);
        order.swap(last, other);
    }
    order[position]
}

impl Truth {
    pub(crate) fn of(
        subject: &Subject,
        place: Option<&str>,
        time: Option<&str>,
        colour: Option<&str>,
    ) -> Truth {
        let tags = [Some(subject.name), place, time, colour];
        let tags = tags.into_iter().flatten().map(String::from).collect();
        let mut caption = coloured(subject.phrase, colour);
        for phrase in [place.map(place_phrase), time.map(time_phrase)].into_iter().flatten() {
            caption.push(' ');
            caption.push_str(phrase);
        }
        Truth {
            subject: subject.name.to_owned(),
            place: place.map(String::from),
            time: time.map(String::from),
            colour: colour.map(String::from),
            tags,
            category: subject.category.to_owned(),
            caption,
        }
    }
}

/// "a sailboat" and "orange" make "an orange sailboat".
fn coloured(phrase: &str, colour: Option<&str>) -> String {
    let Some(colour) = colour else { return phrase.to_owned() };
    let noun = phrase.split_once(' ').map_or(phrase, |(_, noun)| noun);
    let article = if colour == "orange" { "an" } else { "a" };
    format!("{article} {colour} {noun}")
}

fn place_phrase(place: &str) -> &'static str {
    match place {
        "sea" => "on the sea",
        "beach" => "on a beach",
        "countryside" => "in the countryside",
        "forest" => "in a forest",
        "desert" => "in the desert",
        "snow" => "in the snow",
        "city" => "in the city",
        "street" => "on a street",
        "table" => "on a table",
        "sky" => "in the sky",
        _ => "under water",
    }
}

fn time_phrase(time: &str) -> &'static str {
    match time {
        "night" => "at night",
        "sunset" => "at sunset",
        _ => "in daylight",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a, enough to notice a changed byte.
    fn hash(drawing: &Drawing) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in drawing.rgb.iter().chain(drawing.truth.caption.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash
    }

    #[test]
    fn the_same_seed_draws_the_same_bytes() {
        for generator in [Generator::First, Generator::Second] {
            assert_eq!(draw(generator, 7, 3), draw(generator, 7, 3));
            assert_ne!(draw(generator, 7, 3), draw(generator, 8, 3));
            assert_ne!(hash(&draw(generator, 7, 3)), hash(&draw(generator, 7, 4)));
        }
    }

    /// A change of any drawing changes these: then train the starter pack again, and judge it again.
    #[test]
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn drawings_stay_as_they_were() {
        let fold = |generator| {
            (0..subjects().count() as u64)
                .fold(0_u64, |sum, index| sum.rotate_left(1) ^ hash(&draw(generator, 1, index)))
        };
        let both = (fold(Generator::First), fold(Generator::Second));
        assert_eq!(both, (15_532_386_244_509_619_447, 12_563_595_692_017_844_302));
    }

    #[test]
    fn every_subject_is_drawn_by_both_generators_and_differently() {
        for subject in subjects() {
            let first = draw_subject(Generator::First, 1, 0, subject);
            let second = draw_subject(Generator::Second, 1, 0, subject);
            for drawing in [&first, &second] {
                assert_eq!(drawing.truth.subject, subject);
                assert!((224..=320).contains(&drawing.width), "{subject}");
                assert!((192..=256).contains(&drawing.height), "{subject}");
                let bytes = (drawing.width * drawing.height * 3) as usize;
                assert_eq!(drawing.rgb.len(), bytes);
                assert_eq!(drawing.truth.tags[0], subject);
            }
            assert_ne!(hash(&first), hash(&second), "{subject}");
        }
    }

    #[test]
    fn a_block_shows_each_subject_once() {
        let count = subjects().count() as u64;
        let mut seen: Vec<usize> = (0..count).map(|at| shuffled(5, 2, at as usize)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..count as usize).collect::<Vec<_>>());
    }

    #[test]
    fn colour_words_are_known_and_captions_read_well() {
        let known: Vec<&str> = tone::names().collect();
        for subject in SUBJECTS {
            assert!(subject.colours.iter().all(|colour| known.contains(colour)));
        }
        let ship = SUBJECTS.iter().find(|subject| subject.name == "ship").expect("ships exist");
        let truth = Truth::of(ship, Some("sea"), Some("sunset"), Some("orange"));
        assert_eq!(truth.caption, "an orange ship on the sea at sunset");
    }
}
