//! Pieces of the second generator's backdrops: the banded sky, angular ground, waves like roof
//! tiles, and what lies about. Only `backdrop_second.rs` uses them.

use crate::brush::Brush;
use crate::curve::Spot;
use crate::tone::Tone;

/// A sky of flat bands.
pub(crate) fn bands(b: &mut Brush, time: Option<&str>, horizon: f32) {
    let (w, h) = (b.width(), b.height());
    let (top, low) = match time {
        Some("night") => (
            b.tone((180.0, 290.0), (0.3, 0.55), (0.05, 0.12)),
            b.tone((180.0, 300.0), (0.25, 0.5), (0.14, 0.26)),
        ),
        Some("sunset") => (
            b.tone((320.0, 380.0), (0.45, 0.7), (0.4, 0.55)),
            b.tone((8.0, 48.0), (0.8, 0.95), (0.58, 0.7)),
        ),
        _ => (
            b.tone((165.0, 235.0), (0.25, 0.6), (0.66, 0.82)),
            b.tone((40.0, 200.0), (0.15, 0.4), (0.85, 0.93)),
        ),
    };
    b.wash(top, low, horizon);
    let count = b.count(4, 7);
    b.plainly(|b| {
        b.shining(|b| {
            for band in 0..count {
                let share = band as f32 / count as f32;
                b.slab(
                    -2.0,
                    horizon * share,
                    w + 2.0,
                    horizon * (share + 1.0 / count as f32) + 1.0,
                    top.mix(low, share),
                );
            }
        });
    });
    match time {
        Some("night") => b.plainly(|b| {
            b.shining(|b| {
                for _ in 0..b.count(10, 30) {
                    let (x, y, r) = (b.r(0.0, w), b.r(0.0, horizon), b.r(1.2, 2.8));
                    b.line(&[(x - r, y), (x + r, y)], 0.9, Tone(0.96, 0.95, 1.0));
                    b.line(&[(x, y - r), (x, y + r)], 0.9, Tone(0.96, 0.95, 1.0));
                }
            });
        }),
        Some("sunset") => {
            let (x, r) = (b.r(0.1, 0.9) * w, h * b.r(0.08, 0.15));
            b.plainly(|b| {
                b.shining(|b| {
                    b.disc(x, horizon, r * 1.5, low.lite(0.2));
                    b.disc(x, horizon, r, Tone(0.99, 0.72, 0.3));
                });
            });
        }
        _ => {
            let tone = b.tone((0.0, 360.0), (0.03, 0.12), (0.9, 0.98));
            for _ in 0..b.count(0, 4) {
                let (x, y, long) = (b.r(0.0, w), b.r(0.08, 0.75) * horizon, w * b.r(0.08, 0.18));
                b.round(x - long, y - 5.0, x + long, y + 5.0, 5.0, tone);
                b.round(x - long * 0.4, y - 11.0, x + long * 0.7, y + 1.0, 5.0, tone);
            }
        }
    }
    if b.chance(0.35) && time != Some("night") {
        b.plainly(|b| {
            for _ in 0..b.count(2, 5) {
                let (x, y) = (b.r(0.0, w), b.r(0.05, 0.6) * horizon);
                b.line(
                    &[(x - 5.0, y - 3.0), (x, y), (x + 5.0, y - 3.0)],
                    1.2,
                    Tone(0.2, 0.2, 0.25),
                );
            }
        });
    }
}

/// Ground with an angular edge.
pub(crate) fn jagged(b: &mut Brush, y: f32, rise: f32, tone: Tone) {
    let (w, h) = (b.width(), b.height());
    let mut spots: Vec<Spot> = Vec::new();
    for step in 0..6 {
        spots.push((-8.0 + (w + 16.0) * step as f32 / 5.0, y + b.r(-rise, rise)));
    }
    spots.push((w + 8.0, h + 8.0));
    spots.push((-8.0, h + 8.0));
    b.poly(&spots, tone);
}

/// A row of waves like roof tiles, filled to the foot of the picture.
pub(crate) fn scallops(b: &mut Brush, y: f32, tone: Tone) {
    let (w, h) = (b.width(), b.height());
    let shift = b.r(0.0, 24.0);
    let mut spots: Vec<Spot> = Vec::new();
    let mut x = -shift - 24.0;
    while x < w + 30.0 {
        spots.extend([(x, y + 3.0), (x + 6.0, y), (x + 12.0, y - 1.0), (x + 18.0, y)]);
        x += 24.0;
    }
    spots.push((w + 30.0, h + 8.0));
    spots.push((-50.0, h + 8.0));
    let wobble = std::mem::replace(&mut b.manner.wobble, 0.0);
    b.poly(&spots, tone);
    b.manner.wobble = wobble;
}

pub(crate) fn fence(b: &mut Brush, y: f32) {
    let w = b.width();
    let wood = b.tone((20.0, 40.0), (0.1, 0.4), (0.4, 0.8));
    for post in 0..11 {
        let x = w * post as f32 / 10.0;
        b.line(&[(x, y + 8.0), (x, y - 10.0)], 2.6, wood);
    }
    b.line(&[(0.0, y - 5.0), (w, y - 5.0)], 2.0, wood);
    b.line(&[(0.0, y + 2.0), (w, y + 2.0)], 2.0, wood);
}

/// Stones and bushes from `top` down.
pub(crate) fn scatter(b: &mut Brush, top: f32) {
    let (w, h) = (b.width(), b.height());
    for _ in 0..b.count(2, 6) {
        let (x, y, r) = (b.r(0.0, w), b.r(top, h), b.r(3.0, 9.0));
        if b.chance(0.5) {
            let stone = b.tone((0.0, 360.0), (0.02, 0.12), (0.45, 0.68));
            b.poly(
                &[(x - r, y), (x - r * 0.5, y - r * 0.8), (x + r * 0.5, y - r * 0.7), (x + r, y)],
                stone,
            );
        } else {
            let bush = b.tone((70.0, 170.0), (0.25, 0.5), (0.28, 0.45));
            b.disc(x, y, r, bush);
            b.disc(x + r, y + 1.0, r * 0.8, bush);
        }
    }
}
