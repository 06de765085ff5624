//! Where a scene is set, in the manner of the first generator: soft skies, round hills, a camera at
//! the height of the eyes. The second generator has its own in `backdrop_second.rs`; the two share
//! only the helpers at the end of this file.

use crate::brush::Brush;
use crate::curve::{Spot, smooth};
use crate::tone::Tone;

/// Where a subject may be put, in pixels from the top.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    pub horizon: f32,
    /// The line a subject on the ground stands on.
    pub foot: f32,
}

/// Paint the place and say where its ground is.
pub(crate) fn paint(b: &mut Brush, place: Option<&str>, time: Option<&str>) -> Stage {
    let (w, h) = (b.width(), b.height());
    let horizon = h * b.r(0.42, 0.66);
    let foot = h * b.r(0.82, 0.93);
    let place = match place {
        None => return plain(b),
        Some("table") => return table(b),
        Some("underwater") => return underwater(b),
        Some(place) => place,
    };
    sky(b, time, horizon);
    match place {
        "sky" => {
            clouds(b, time, h, 5);
            return Stage { horizon: h, foot: h };
        }
        "sea" => {
            let water = b.tone((190.0, 228.0), (0.4, 0.75), (0.36, 0.54));
            sea(b, water, time, horizon, h);
            return Stage { horizon, foot: h * b.r(0.74, 0.86) };
        }
        "beach" => {
            let water = b.tone((190.0, 212.0), (0.5, 0.75), (0.45, 0.58));
            let shore = horizon + (h - horizon) * b.r(0.25, 0.4);
            sea(b, water, time, horizon, shore);
            let sand = b.tone((38.0, 46.0), (0.5, 0.7), (0.68, 0.78));
            ridge(b, shore, 4.0, sand);
        }
        "countryside" => {
            for hill in 0..b.count(1, 3) {
                let green = b.tone((85.0, 130.0), (0.3, 0.5), (0.42, 0.6));
                let y = horizon - h * 0.1 + hill as f32 * h * 0.05;
                ridge(b, y, h * 0.05, green);
            }
            let green = b.tone((85.0, 120.0), (0.4, 0.6), (0.4, 0.54));
            ridge(b, horizon + h * 0.06, h * 0.02, green);
            for _ in 0..b.count(4, 12) {
                let (x, y) = (b.r(0.0, w), b.r(horizon + h * 0.12, h));
                tuft(b, x, y, green.dark(0.25));
            }
        }
        "forest" => {
            let green = b.tone((95.0, 145.0), (0.35, 0.55), (0.2, 0.34));
            ridge(b, horizon, 6.0, green.dark(0.2));
            let trees = b.count(7, 11);
            for tree in 0..trees {
                let x = w * (tree as f32 + b.r(0.1, 0.9)) / trees as f32;
                let base = horizon + h * b.r(0.05, 0.12);
                let tall = h * b.r(0.38, 0.55);
                b.slab(
                    x - w * 0.012,
                    base - tall * 0.5,
                    x + w * 0.012,
                    base,
                    Tone(0.35, 0.24, 0.17),
                );
                let crown = b.tone((90.0, 150.0), (0.35, 0.55), (0.22, 0.38));
                b.oval(x, base - tall * 0.7, w * 0.055, tall * 0.36, crown);
            }
            ridge(b, horizon + h * 0.1, 5.0, green);
        }
        "desert" => {
            let sand = b.tone((32.0, 44.0), (0.5, 0.75), (0.58, 0.72));
            ridge(b, horizon - h * 0.05, h * 0.06, sand.dark(0.15));
            ridge(b, horizon + h * 0.06, h * 0.04, sand);
        }
        "snow" => {
            let snow = b.tone((200.0, 230.0), (0.1, 0.4), (0.92, 0.97));
            ridge(b, horizon - h * 0.03, h * 0.05, snow.mix(Tone(0.7, 0.78, 0.9), 0.5));
            ridge(b, horizon + h * 0.06, h * 0.02, snow);
            flakes(b, 26);
        }
        "city" => {
            let tone = b.tone((210.0, 250.0), (0.08, 0.2), (0.6, 0.72));
            blocks(b, horizon + h * 0.1, h * 0.3, tone, time);
            let pavement = b.tone((210.0, 260.0), (0.02, 0.1), (0.5, 0.62));
            b.slab(-2.0, horizon + h * 0.1, w + 2.0, h + 2.0, pavement);
        }
        _ => {
            // A street: low fronts far away, then the road.
            let tone = b.tone((15.0, 50.0), (0.15, 0.35), (0.66, 0.8));
            blocks(b, horizon + h * 0.06, h * 0.17, tone, time);
            let kerb = b.tone((30.0, 60.0), (0.05, 0.15), (0.68, 0.78));
            b.slab(-2.0, horizon + h * 0.06, w + 2.0, h + 2.0, kerb);
            let road = b.tone((210.0, 260.0), (0.02, 0.1), (0.32, 0.45));
            let top = h * 0.76;
            b.slab(-2.0, top, w + 2.0, h + 2.0, road);
            b.plainly(|b| {
                for dash in 0..7 {
                    let x = w * dash as f32 / 6.5;
                    b.slab(x, h * 0.955, x + w * 0.07, h * 0.975, Tone(0.95, 0.93, 0.85));
                }
            });
        }
    }
    Stage { horizon: horizon + h * 0.05, foot }
}

fn sky(b: &mut Brush, time: Option<&str>, horizon: f32) {
    let (w, h) = (b.width(), b.height());
    match time {
        Some("night") => {
            let top = b.tone((222.0, 250.0), (0.4, 0.65), (0.08, 0.15));
            let low = b.tone((215.0, 250.0), (0.35, 0.55), (0.2, 0.32));
            b.wash(top, low, horizon);
            b.plainly(|b| {
                for _ in 0..b.count(18, 45) {
                    let (x, y, r) = (b.r(0.0, w), b.r(0.0, horizon), b.r(0.5, 1.5));
                    b.shining(|b| b.disc(x, y, r, Tone(0.98, 0.97, 0.88)));
                }
            });
        }
        Some("sunset") => {
            let top = b.tone((255.0, 300.0), (0.3, 0.5), (0.42, 0.58));
            let low = b.tone((18.0, 38.0), (0.85, 1.0), (0.6, 0.7));
            b.wash(top, low, horizon);
            let (x, y, r) = (b.r(0.1, 0.9) * w, horizon - h * b.r(0.02, 0.12), h * b.r(0.06, 0.1));
            b.plainly(|b| {
                b.shining(|b| {
                    b.glow(x, y, r * 3.5, Tone(1.0, 0.85, 0.5), 0.8);
                    b.disc(x, y, r, Tone(1.0, 0.82, 0.42));
                });
            });
            clouds(b, time, horizon, 2);
        }
        _ => {
            let top = b.tone((198.0, 220.0), (0.5, 0.8), (0.55, 0.7));
            let low = b.tone((190.0, 215.0), (0.4, 0.7), (0.8, 0.9));
            b.wash(top, low, horizon);
            if b.chance(0.5) {
                let (x, y, r) = (b.r(0.08, 0.92) * w, h * b.r(0.08, 0.2), h * b.r(0.05, 0.08));
                b.plainly(|b| {
                    b.glow(x, y, r * 2.2, Tone(1.0, 0.95, 0.7), 0.7);
                    b.disc(x, y, r, Tone(1.0, 0.9, 0.4));
                });
            }
            clouds(b, time, horizon, 3);
        }
    }
}

fn clouds(b: &mut Brush, time: Option<&str>, horizon: f32, most: usize) {
    let (w, h) = (b.width(), b.height());
    let tone = match time {
        Some("night") => Tone(0.3, 0.32, 0.45),
        Some("sunset") => Tone(1.0, 0.76, 0.68),
        _ => Tone(0.98, 0.98, 1.0),
    };
    b.plainly(|b| {
        b.shining(|b| {
            for _ in 0..b.count(0, most) {
                let (x, y, size) = (b.r(0.0, w), b.r(0.05, 0.7) * horizon, h * b.r(0.04, 0.09));
                for puff in -2_i32..=2 {
                    let lift = b.r(0.0, 0.5) * size;
                    b.oval(x + puff as f32 * size * 0.9, y - lift, size, size * 0.62, tone);
                }
            }
        });
    });
}

fn sea(b: &mut Brush, water: Tone, time: Option<&str>, horizon: f32, to: f32) {
    let w = b.width();
    let tint = if time == Some("sunset") { water.mix(Tone(0.95, 0.5, 0.4), 0.3) } else { water };
    b.slab(-2.0, horizon, w + 2.0, to + 2.0, tint);
    b.plainly(|b| {
        for _ in 0..b.count(12, 26) {
            let (x, y) = (b.r(-10.0, w), b.r(horizon + 3.0, to));
            let long = b.r(8.0, 26.0);
            b.curve(&[(x, y), (x + long * 0.5, y - 2.0), (x + long, y)], 1.2, tint.lite(0.35));
        }
    });
}

fn plain(b: &mut Brush) -> Stage {
    let h = b.height();
    let tone = b.paper;
    let (top, low) = if b.chance(0.5) { (tone, tone) } else { (tone.lite(0.15), tone.dark(0.1)) };
    b.wash(top, low, h);
    Stage { horizon: h * 0.5, foot: h * 0.8 }
}

fn table(b: &mut Brush) -> Stage {
    let (w, h) = (b.width(), b.height());
    let wall = b.tone((0.0, 360.0), (0.1, 0.4), (0.7, 0.9));
    b.wash(wall, wall.dark(0.08), h);
    if b.chance(0.3) {
        // Looking down on it: the table is all there is.
        return Stage { horizon: h * 0.3, foot: h * b.r(0.84, 0.92) };
    }
    let edge = h * b.r(0.52, 0.68);
    let wood = b.tone((20.0, 36.0), (0.35, 0.6), (0.42, 0.62));
    b.slab(-2.0, edge, w + 2.0, h + 2.0, wood);
    b.plainly(|b| {
        for _ in 0..5 {
            let y = b.r(edge + 4.0, h);
            b.line(&[(0.0, y), (w, y + b_tilt(y))], 1.0, wood.dark(0.2));
        }
        if b.chance(0.5) {
            let frame = b.tone((0.0, 360.0), (0.2, 0.5), (0.4, 0.7));
            let x = b.r(0.04, 0.7) * w;
            b.slab(x, h * 0.06, x + w * 0.2, h * 0.27, frame);
            b.slab(x + 4.0, h * 0.06 + 4.0, x + w * 0.2 - 4.0, h * 0.27 - 4.0, frame.lite(0.6));
        }
    });
    Stage { horizon: edge, foot: h * b.r(0.86, 0.93) }
}

/// Grain lines lie almost level.
fn b_tilt(y: f32) -> f32 {
    (y * 0.7).sin() * 2.0
}

fn underwater(b: &mut Brush) -> Stage {
    let (w, h) = (b.width(), b.height());
    let top = b.tone((185.0, 205.0), (0.6, 0.85), (0.55, 0.66));
    let low = b.tone((205.0, 225.0), (0.6, 0.8), (0.28, 0.4));
    b.wash(top, low, h);
    let sand = b.tone((38.0, 46.0), (0.3, 0.5), (0.6, 0.7));
    ridge(b, h * 0.88, 5.0, sand);
    for _ in 0..b.count(2, 5) {
        let (x, tall) = (b.r(0.0, w), h * b.r(0.15, 0.35));
        let weed = b.tone((110.0, 160.0), (0.4, 0.6), (0.28, 0.42));
        b.curve(
            &[(x, h), (x + 6.0, h - tall * 0.4), (x - 5.0, h - tall * 0.75), (x + 4.0, h - tall)],
            5.0,
            weed,
        );
    }
    bubbles(b, 10);
    Stage { horizon: h * 0.5, foot: h * 0.8 }
}

/// Rising bubbles.
pub(crate) fn bubbles(b: &mut Brush, most: usize) {
    let (w, h) = (b.width(), b.height());
    b.plainly(|b| {
        for _ in 0..b.count(3, most) {
            let (x, y, r) = (b.r(0.0, w), b.r(0.0, h * 0.8), b.r(2.0, 5.0));
            b.disc(x, y, r, Tone(0.8, 0.93, 0.98));
            b.disc(x + 0.6, y + 0.6, r * 0.7, Tone(0.5, 0.76, 0.9));
        }
    });
}

/// Ground from a wavy line down to the foot of the picture.
pub(crate) fn ridge(b: &mut Brush, y: f32, rise: f32, tone: Tone) {
    let (w, h) = (b.width(), b.height());
    let mut line: Vec<Spot> = Vec::new();
    for step in 0..7 {
        let x = -8.0 + (w + 16.0) * step as f32 / 6.0;
        line.push((x, y + b.r(-rise, rise)));
    }
    let mut spots = smooth(&line, false);
    spots.push((w + 8.0, h + 8.0));
    spots.push((-8.0, h + 8.0));
    let wobble = std::mem::replace(&mut b.manner.wobble, 0.0);
    b.poly(&spots, tone);
    b.manner.wobble = wobble;
}

/// A row of house fronts standing on `base`.
pub(crate) fn blocks(b: &mut Brush, base: f32, most: f32, tone: Tone, time: Option<&str>) {
    let w = b.width();
    let mut x = -6.0;
    while x < w {
        let (wide, tall) = (w * b.r(0.08, 0.16), most * b.r(0.5, 1.0));
        let shade = b.r(0.0, 0.25);
        b.slab(x, base - tall, x + wide, base + 2.0, tone.dark(shade));
        b.plainly(|b| {
            let mut y = base - tall + 6.0;
            while y < base - 8.0 {
                for column in 0..2 {
                    let px = x + wide * (0.2 + 0.4 * column as f32);
                    let lit = time == Some("night") && b.chance(0.6);
                    let pane =
                        |b: &mut Brush, tone: Tone| b.slab(px, y, px + wide * 0.18, y + 6.0, tone);
                    if lit {
                        b.shining(|b| pane(b, Tone(0.98, 0.85, 0.45)));
                    } else {
                        pane(b, tone.dark(0.45));
                    }
                }
                y += 13.0;
            }
        });
        x += wide;
    }
}

pub(crate) fn tuft(b: &mut Brush, x: f32, y: f32, tone: Tone) {
    b.plainly(|b| {
        for blade in -1_i32..=1 {
            b.line(&[(x, y), (x + blade as f32 * 3.0, y - 6.0)], 1.2, tone);
        }
    });
}

pub(crate) fn flakes(b: &mut Brush, most: usize) {
    let (w, h) = (b.width(), b.height());
    b.plainly(|b| {
        for _ in 0..b.count(0, most) {
            let (x, y, r) = (b.r(0.0, w), b.r(0.0, h), b.r(0.8, 2.0));
            b.disc(x, y, r, Tone::WHITE);
        }
    });
}
