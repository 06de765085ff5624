//! Where a scene is set, in the manner of the second generator: banded skies, angular land, other
//! hues, a camera that looks up or down, a table seen from above, and things lying about.
//! It judges what was learned from the first, so nothing here may be copied there. The pieces that
//! several places use are in `second_parts.rs`.

use crate::backdrop::{Stage, blocks, bubbles, flakes};
use crate::brush::Brush;
use crate::curve::Spot;
use crate::second_parts::{bands, fence, jagged, scallops, scatter};
use crate::tone::Tone;

/// Paint the place and say where its ground is.
pub(crate) fn paint(b: &mut Brush, place: Option<&str>, time: Option<&str>) -> Stage {
    let (w, h) = (b.width(), b.height());
    let high_camera = b.chance(0.5);
    let horizon = h * if high_camera { b.r(0.3, 0.42) } else { b.r(0.66, 0.76) };
    let foot = h * b.r(0.86, 0.97);
    let place = match place {
        None => return plain(b),
        Some("table") => return table(b),
        Some("underwater") => return underwater(b),
        Some(place) => place,
    };
    bands(b, time, if place == "sky" { h } else { horizon });
    match place {
        "sky" => {
            let hill = b.tone((60.0, 300.0), (0.1, 0.3), (0.3, 0.5));
            if b.chance(0.5) {
                jagged(b, h * 0.93, h * 0.04, hill);
            }
            return Stage { horizon: h, foot: h };
        }
        "sea" => {
            let water = b.tone((170.0, 240.0), (0.25, 0.5), (0.34, 0.52));
            let rows = b.count(4, 7);
            if b.chance(0.5) {
                let (x, rock) =
                    (b.r(0.05, 0.9) * w, b.tone((120.0, 260.0), (0.1, 0.25), (0.35, 0.5)));
                b.poly(
                    &[
                        (x - w * 0.12, horizon + 3.0),
                        (x - 10.0, horizon - h * 0.07),
                        (x + w * 0.1, horizon + 3.0),
                    ],
                    rock,
                );
            }
            for row in 0..rows {
                let y = horizon + (h - horizon) * row as f32 / rows as f32;
                let tone = if row % 2 == 0 { water } else { water.lite(0.12) };
                scallops(b, y, tone);
            }
            let low = (horizon + h * 0.16).max(h * 0.72);
            return Stage { horizon, foot: b.r(low, low.max(h * 0.92)) };
        }
        "beach" => {
            let sand = b.tone((18.0, 34.0), (0.25, 0.45), (0.72, 0.84));
            let water = b.tone((168.0, 230.0), (0.3, 0.55), (0.4, 0.58));
            b.slab(-3.0, horizon, w + 3.0, h + 3.0, water);
            let (left, right) = (b.r(0.15, 0.6), b.r(0.15, 0.6));
            let y = |share: f32| horizon + (h - horizon) * share;
            b.poly(
                &[(-4.0, y(left)), (w + 4.0, y(right)), (w + 4.0, h + 4.0), (-4.0, h + 4.0)],
                sand,
            );
            for _ in 0..b.count(3, 7) {
                let (x, y) = (b.r(0.0, w), b.r(y(left.max(right)), h));
                let shell = b.tone((0.0, 60.0), (0.2, 0.5), (0.6, 0.85));
                b.slice((x, y), (4.0, 4.0), (0.5, 1.0), shell);
            }
        }
        "countryside" => {
            // Fields like a patchwork.
            let rows = b.count(2, 4);
            for row in 0..rows {
                let y = horizon + (h - horizon) * (row as f32 / rows as f32).powf(1.4) * 0.8;
                let field = b.tone((58.0, 160.0), (0.25, 0.5), (0.38, 0.62));
                jagged(b, y, h * 0.025, field);
                let other = field.dark(0.14);
                b.plainly(|b| {
                    for furrow in 0..9 {
                        let x = w * furrow as f32 / 8.0;
                        b.line(
                            &[(x, y + h * 0.03), ((x - w * 0.5) * 1.5 + w * 0.5, y + h * 0.24)],
                            1.4,
                            other,
                        );
                    }
                });
            }
            if b.chance(0.5) {
                fence(b, horizon + h * 0.06);
            }
            scatter(b, horizon + h * 0.15);
        }
        "forest" => {
            let floor = b.tone((20.0, 150.0), (0.2, 0.35), (0.26, 0.4));
            let back = b.tone((140.0, 200.0), (0.15, 0.35), (0.25, 0.4));
            b.slab(-3.0, 0.0, w + 3.0, horizon + 4.0, back.lite(0.25));
            for tree in 0..b.count(8, 13) {
                let x = b.r(-0.02, 1.02) * w;
                let thick = w * b.r(0.012, 0.04);
                let bark = b.tone((15.0, 40.0), (0.12, 0.35), (0.2, 0.42));
                let foot = horizon + h * 0.04 + tree as f32;
                b.poly(
                    &[
                        (x - thick * 0.6, -4.0),
                        (x + thick * 0.6, -4.0),
                        (x + thick, foot),
                        (x - thick, foot),
                    ],
                    bark,
                );
            }
            let mut leaves: Vec<Spot> = vec![(w + 5.0, -5.0), (-5.0, -5.0)];
            for step in 0..13 {
                leaves.push((w * step as f32 / 12.0, h * if step % 2 == 0 { 0.1 } else { 0.19 }));
            }
            b.poly(&leaves, back.dark(0.1));
            jagged(b, horizon + h * 0.02, 4.0, floor);
            scatter(b, horizon + h * 0.15);
        }
        "desert" => {
            let sand = b.tone((12.0, 36.0), (0.35, 0.6), (0.48, 0.64));
            let rock = b.tone((5.0, 20.0), (0.3, 0.5), (0.36, 0.5));
            for mesa in 0..b.count(1, 3) {
                let x = w * (0.2 + 0.35 * mesa as f32 + b.r(-0.1, 0.1));
                let (half, tall) = (w * b.r(0.06, 0.12), h * b.r(0.06, 0.14));
                b.poly(
                    &[
                        (x - half * 1.3, horizon + 4.0),
                        (x - half, horizon - tall),
                        (x + half, horizon - tall),
                        (x + half * 1.3, horizon + 4.0),
                    ],
                    rock,
                );
            }
            jagged(b, horizon, 3.0, sand);
            b.plainly(|b| {
                for _ in 0..8 {
                    let (x, y) = (b.r(0.0, w), b.r(horizon + 8.0, h));
                    b.curve(&[(x, y), (x + 14.0, y + 3.0), (x + 28.0, y)], 1.2, sand.dark(0.2));
                }
            });
        }
        "snow" => {
            let snow = b.tone((180.0, 280.0), (0.08, 0.3), (0.9, 0.96));
            jagged(b, horizon, h * 0.02, snow.mix(Tone(0.62, 0.66, 0.8), 0.45));
            jagged(b, horizon + h * 0.1, h * 0.015, snow);
            let bark = Tone(0.36, 0.3, 0.32);
            for _ in 0..b.count(1, 4) {
                let (x, tall) = (b.r(0.0, w), h * b.r(0.12, 0.26));
                let y = horizon + h * 0.05;
                b.plainly(|b| {
                    b.line(&[(x, y), (x, y - tall)], 2.2, bark);
                    for (low, reach) in [(0.4, 0.3), (0.55, -0.3), (0.75, 0.2)] {
                        b.line(
                            &[(x, y - tall * low), (x + tall * reach, y - tall * (low + 0.25))],
                            1.5,
                            bark,
                        );
                    }
                });
            }
            flakes(b, 60);
        }
        "city" => {
            let tone = b.tone((10.0, 340.0), (0.08, 0.22), (0.5, 0.66));
            blocks(b, horizon + h * 0.05, h * 0.36, tone, time);
            let ground = b.tone((20.0, 60.0), (0.04, 0.15), (0.58, 0.7));
            b.slab(-3.0, horizon + h * 0.05, w + 3.0, h + 3.0, ground);
            b.plainly(|b| {
                for ray in 0..9 {
                    let x = w * ray as f32 / 8.0;
                    b.line(
                        &[(x, horizon + h * 0.05), ((x - w * 0.5) * 2.2 + w * 0.5, h)],
                        1.2,
                        ground.dark(0.18),
                    );
                }
            });
        }
        _ => {
            // A street seen along its length.
            let pavement = b.tone((0.0, 360.0), (0.03, 0.12), (0.6, 0.74));
            let front = b.tone((0.0, 360.0), (0.15, 0.3), (0.5, 0.68));
            blocks(b, horizon + h * 0.03, h * 0.22, front, time);
            b.slab(-3.0, horizon + h * 0.03, w + 3.0, h + 3.0, pavement);
            let road = b.tone((220.0, 300.0), (0.03, 0.12), (0.25, 0.38));
            let vanish = w * b.r(0.35, 0.65);
            b.poly(
                &[
                    (vanish - 8.0, horizon + h * 0.03),
                    (vanish + 8.0, horizon + h * 0.03),
                    (w * 1.15, h + 4.0),
                    (-w * 0.15, h + 4.0),
                ],
                road,
            );
            b.plainly(|b| {
                for dash in 0..5 {
                    let share = (dash as f32 + 0.3) / 5.0;
                    let y = horizon + h * 0.05 + (h - horizon) * share * share;
                    let x = vanish + (w * 0.5 - vanish) * share * share;
                    let half = 0.8 + 3.0 * share;
                    b.slab(x - half, y, x + half, y + 3.0 + 12.0 * share, Tone(0.93, 0.85, 0.4));
                }
            });
            if b.chance(0.6) {
                let x = b.pick(&[0.06, 0.93]) * w;
                b.line(&[(x, h * 0.95), (x, h * 0.25)], 4.0, Tone(0.22, 0.24, 0.26));
                b.shining(|b| b.disc(x, h * 0.25, 6.0, Tone(0.98, 0.93, 0.7)));
            }
        }
    }
    Stage { horizon: horizon + h * 0.03, foot }
}

fn plain(b: &mut Brush) -> Stage {
    let (w, h) = (b.width(), b.height());
    let tone = b.paper;
    b.wash(tone, tone, h);
    let mark = if b.chance(0.5) { tone.dark(0.14) } else { tone.lite(0.3) };
    let kind = b.count(0, 3);
    b.plainly(|b| match kind {
        0 => {
            for step in 1..12 {
                let at = step as f32 / 12.0;
                b.line(&[(0.0, h * at), (w, h * at)], 1.0, mark);
                b.line(&[(w * at, 0.0), (w * at, h)], 1.0, mark);
            }
        }
        1 => {
            for _ in 0..26 {
                let (x, y, r) = (b.r(0.0, w), b.r(0.0, h), b.r(2.0, 7.0));
                b.disc(x, y, r, mark);
            }
        }
        2 => {
            for stripe in 0..9 {
                let x = w * (stripe as f32 / 8.0) - w * 0.1;
                b.line(&[(x, -4.0), (x + w * 0.2, h + 4.0)], w * 0.05, mark);
            }
        }
        _ => {
            for _ in 0..9 {
                let (x, y) = (b.r(0.0, w), b.r(0.0, h));
                let (dx, dy) = (b.r(-40.0, 40.0), b.r(-30.0, 30.0));
                b.curve(
                    &[(x, y), (x + dx, y + 10.0), (x + dy, y + dy), (x + dx + dy, y - 8.0)],
                    1.6,
                    mark,
                );
            }
        }
    });
    Stage { horizon: h * 0.5, foot: h * 0.8 }
}

/// A table seen from above: cloth or planks over the whole picture.
fn table(b: &mut Brush) -> Stage {
    let (w, h) = (b.width(), b.height());
    let cloth = b.tone((0.0, 360.0), (0.15, 0.45), (0.55, 0.86));
    b.wash(cloth, cloth, h);
    let kind = b.count(0, 2);
    b.plainly(|b| match kind {
        0 => {
            let side = w * b.r(0.07, 0.12);
            for row in 0..=(h / side) as usize {
                for column in 0..=(w / side) as usize {
                    if (row + column) % 2 == 0 {
                        let (x, y) = (column as f32 * side, row as f32 * side);
                        b.slab(x, y, x + side, y + side, cloth.lite(0.4));
                    }
                }
            }
        }
        1 => {
            let planks = b.count(4, 7);
            let wood = b.tone((15.0, 40.0), (0.2, 0.4), (0.42, 0.66));
            for plank in 0..planks {
                let (x, shade) = (w * plank as f32 / planks as f32, b.r(0.0, 0.2));
                b.slab(x, -2.0, x + w / planks as f32, h + 2.0, wood.dark(shade));
                b.line(&[(x, 0.0), (x, h)], 1.6, wood.dark(0.5));
            }
        }
        _ => {
            for stripe in 0..7 {
                let y = h * stripe as f32 / 7.0;
                b.slab(-2.0, y, w + 2.0, y + h * 0.06, cloth.lite(0.35));
            }
        }
    });
    // A fork or a spoon and a napkin lie about.
    if b.chance(0.6) {
        let x = b.pick(&[0.07, 0.93]) * w;
        let metal = Tone(0.78, 0.8, 0.83);
        b.line(&[(x, h * 0.35), (x, h * 0.85)], 4.0, metal);
        b.oval(x, h * 0.27, 6.0, 11.0, metal);
    }
    if b.chance(0.4) {
        let napkin = b.tone((0.0, 360.0), (0.2, 0.5), (0.6, 0.85));
        let (x, y) = (b.pick(&[0.0, 0.78]) * w, b.r(0.02, 0.2) * h);
        b.poly(
            &[(x, y + 8.0), (x + w * 0.2, y), (x + w * 0.22, y + h * 0.2), (x + 5.0, y + h * 0.22)],
            napkin,
        );
    }
    Stage { horizon: h * 0.2, foot: h * b.r(0.84, 0.94) }
}

fn underwater(b: &mut Brush) -> Stage {
    let (w, h) = (b.width(), b.height());
    let deep = b.tone((165.0, 255.0), (0.3, 0.6), (0.22, 0.36));
    b.wash(deep.lite(0.35), deep, h);
    b.plainly(|b| {
        for ray in 0..4 {
            let x = w * (0.1 + 0.25 * ray as f32);
            b.poly(
                &[(x, -2.0), (x + w * 0.06, -2.0), (x - w * 0.04, h), (x - w * 0.18, h)],
                deep.lite(0.2),
            );
        }
    });
    for _ in 0..b.count(3, 6) {
        let (x, tall) = (b.r(0.0, w), h * b.r(0.1, 0.26));
        let coral = b.tone((290.0, 400.0), (0.3, 0.55), (0.42, 0.6));
        b.line(&[(x, h + 3.0), (x, h - tall)], 6.0, coral);
        b.line(&[(x, h - tall * 0.4), (x + tall * 0.4, h - tall * 0.9)], 5.0, coral);
        b.line(&[(x, h - tall * 0.3), (x - tall * 0.35, h - tall * 0.7)], 5.0, coral);
    }
    bubbles(b, 22);
    Stage { horizon: h * 0.5, foot: h * 0.8 }
}
