//! Puts a scene together: picks what is shown, paints the place, sets the subject into it and gives
//! the whole its finish. What is picked first is the truth; the drawing follows it, never the other
//! way round.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tiny_skia::{Pixmap, Transform};

use crate::brush::{Brush, Manner, Surface};
use crate::subjects::{Anchor, Hours, Subject};
use crate::tone::{self, Tone};
use crate::{Drawing, Generator, Truth, backdrop, backdrop_second};

const SHAPES: [(u32, u32); 6] =
    [(320, 240), (256, 192), (288, 208), (320, 200), (240, 240), (224, 256)];

pub(crate) fn compose(generator: Generator, seed: u64, index: u64, subject: &Subject) -> Drawing {
    let second = generator == Generator::Second;
    let rng = ChaCha8Rng::from_seed(key(second, seed, index, subject.name));
    let mut scratch = Brush {
        map: Pixmap::new(1, 1).expect("one pixel is a valid size"),
        rng,
        second,
        other: false,
        at: Transform::identity(),
        light: Tone::WHITE,
        manner: Manner { surface: Surface::Flat, ink: 0.0, ink_tone: Tone::BLACK, wobble: 0.0 },
        vase: false,
        paper: Tone::WHITE,
    };
    let b = &mut scratch;
    let (width, height) = b.pick(&SHAPES);
    b.map = Pixmap::new(width, height).expect("every shape has sides above zero");
    let truth = choose(b, subject);
    let (place, time) = (truth.place.as_deref(), truth.time.as_deref());
    b.other = b.v((0.0, 1.0), (0.35, 1.35)) > 0.62;
    b.manner = manner(b);
    b.vase = place == Some("table");
    let along = [b.r(0.0, 1.0), b.r(0.0, 1.0), b.r(0.0, 1.0)];
    let paint = truth.colour.as_deref().map_or(Tone::WHITE, |name| tone::named(name, along));
    b.paper = paper(b, paint);
    let light = match time {
        Some("night") => Tone(0.42, 0.46, 0.66),
        Some("sunset") => Tone(0.98, 0.84, 0.76),
        _ => Tone::WHITE,
    };
    b.light = light;
    let stage = if second {
        backdrop_second::paint(b, place, time)
    } else {
        backdrop::paint(b, place, time)
    };
    // The subject keeps more of its own colour than its surroundings do.
    b.light = light.mix(Tone::WHITE, 0.45);
    set(b, subject, stage, paint);
    let rgb = finish(b);
    Drawing { width, height, rgb, truth }
}

/// The generator's key: every part of a picture's name changes all of it.
fn key(second: bool, seed: u64, index: u64, name: &str) -> [u8; 32] {
    let mut name_hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        name_hash = (name_hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&index.to_le_bytes());
    key[16..24].copy_from_slice(&name_hash.to_le_bytes());
    key[24] = u8::from(second);
    key
}

fn choose(b: &mut Brush, subject: &Subject) -> Truth {
    let place = if subject.places.is_empty() { None } else { Some(b.pick(subject.places)) };
    let outdoors = !matches!(place, None | Some("table" | "underwater"));
    let time = if outdoors {
        Some(match subject.hours {
            Hours::Any => b.pick(&["day", "day", "sunset", "night"]),
            Hours::Day => "day",
            Hours::Dark => b.pick(&["sunset", "night", "night"]),
            Hours::Night => "night",
        })
    } else {
        None
    };
    let seen: Vec<&str> = subject
        .colours
        .iter()
        .copied()
        .filter(|colour| !(*colour == "black" && time == Some("night")))
        .filter(|colour| !(*colour == "white" && place == Some("snow")))
        .collect();
    let colour = if seen.is_empty() { None } else { Some(b.pick(&seen)) };
    Truth::of(subject, place, time, colour)
}

fn manner(b: &mut Brush) -> Manner {
    if b.second {
        let surface = b.pick(&[
            Surface::Flat,
            Surface::Dotted,
            Surface::Hatched,
            Surface::Grainy,
            Surface::Grainy,
        ]);
        let ink = if b.chance(0.65) { b.r(1.2, 2.6) } else { 0.0 };
        let ink_tone = b.tone((0.0, 360.0), (0.1, 0.5), (0.08, 0.2));
        let wobble = b.r(0.3, 1.3);
        Manner { surface, ink, ink_tone, wobble }
    } else {
        let surface = b.pick(&[Surface::Flat, Surface::Flat, Surface::Shaded]);
        let ink = if b.chance(0.4) { b.r(0.8, 1.4) } else { 0.0 };
        Manner { surface, ink, ink_tone: Tone(0.16, 0.14, 0.16), wobble: 0.0 }
    }
}

/// A background tone for shapes that stands off from their paint.
fn paper(b: &mut Brush, paint: Tone) -> Tone {
    for _ in 0..16 {
        let tone = if b.second {
            b.tone((0.0, 360.0), (0.1, 0.5), (0.3, 0.9))
        } else {
            b.tone((0.0, 360.0), (0.0, 0.35), (0.62, 0.96))
        };
        let away = (tone.0 - paint.0).abs() + (tone.1 - paint.1).abs() + (tone.2 - paint.2).abs();
        if away > 0.75 {
            return tone;
        }
    }
    if paint.1 > 0.5 { Tone(0.25, 0.3, 0.4) } else { Tone(0.93, 0.92, 0.88) }
}

/// Put the subject on its stage.
fn set(b: &mut Brush, subject: &Subject, stage: backdrop::Stage, paint: Tone) {
    let (w, h) = (b.width(), b.height());
    let side = w.min(h * 1.1);
    let (low, high) = subject.size;
    let grow = b.v((0.86, 1.0), (0.85, 1.02));
    let size = side * b.r(low, high) * grow;
    let x = w * b.v((0.37, 0.63), (0.3, 0.7));
    // A bird in its other form flies.
    let flies = subject.anchor == Anchor::Air || (b.other && subject.name == "bird");
    let y = if flies {
        let room = if stage.horizon >= h { h } else { stage.horizon.max(h * 0.72) };
        (room * b.r(0.46, 0.6) + size * 0.5).max(size * 1.02)
    } else {
        match subject.anchor {
            // Under a high horizon it comes nearer, so that its top stays in the picture.
            Anchor::Horizon => (stage.horizon + h * 0.02).max(size * 1.02),
            Anchor::Middle => h * b.v((0.46, 0.54), (0.42, 0.58)) + size * 0.5,
            _ => stage.foot.max(size * 0.96),
        }
    };
    let mirror = if b.chance(0.5) { -1.0 } else { 1.0 };
    let lean =
        if b.second && matches!(subject.anchor, Anchor::Ground) { b.r(-4.0, 4.0) } else { 0.0 };
    if subject.anchor == Anchor::Ground && !flies && b.chance(0.7) {
        // A soft shadow ties it to the ground; on the sea it is a reflection.
        let shade =
            if subject.places == ["sea"] { Tone(0.12, 0.2, 0.32) } else { Tone(0.1, 0.1, 0.12) };
        let squash = Transform::from_translate(x, y).pre_scale(1.0, 0.16);
        b.within(squash, |b| b.glow(0.0, 0.0, size * 0.6, shade, 0.5));
    }
    let put = Transform::from_translate(x, y).pre_rotate(lean).pre_scale(size * mirror, size);
    b.within(put, |b| (subject.draw)(b, paint));
}

/// Turn the canvas into bytes, with the generator's finish.
fn finish(b: &mut Brush) -> Vec<u8> {
    let (w, h) = (b.map.width(), b.map.height());
    let grain = b.v((0.0, 3.0), (2.0, 12.0)) as i32;
    let vignette = if b.second && b.chance(0.5) { b.r(0.15, 0.45) } else { 0.0 };
    let tint = if b.second {
        let tint = b.tone((0.0, 360.0), (0.3, 0.6), (0.6, 0.8));
        Tone::WHITE.mix(tint, b.r(0.0, 0.22))
    } else {
        Tone::WHITE
    };
    let frame =
        if b.second && b.chance(0.2) { (w.min(h) as f32 * b.r(0.02, 0.05)) as u32 } else { 0 };
    let frame_tone = b.tone((20.0, 60.0), (0.05, 0.3), (0.85, 0.97));
    let mut rgb = Vec::with_capacity((w * h * 3) as usize);
    let (half_w, half_h) = (w as f32 / 2.0, h as f32 / 2.0);
    for (index, pixel) in b.map.pixels().iter().enumerate() {
        let (x, y) = (index as u32 % w, index as u32 / w);
        let (dx, dy) = ((x as f32 - half_w) / half_w, (y as f32 - half_h) / half_h);
        let fall = 1.0 - vignette * (dx * dx + dy * dy) * 0.5;
        let mut channels = [
            f32::from(pixel.red()) * tint.0 * fall,
            f32::from(pixel.green()) * tint.1 * fall,
            f32::from(pixel.blue()) * tint.2 * fall,
        ];
        let framed = x < frame || y < frame || x >= w - frame || y >= h - frame;
        if framed {
            channels = [frame_tone.0 * 255.0, frame_tone.1 * 255.0, frame_tone.2 * 255.0];
        }
        let noise = if grain > 0 { b.rng.random_range(-grain..=grain) as f32 } else { 0.0 };
        for channel in channels {
            rgb.push((channel + noise).round().clamp(0.0, 255.0) as u8);
        }
    }
    rgb
}
