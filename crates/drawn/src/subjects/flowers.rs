//! Flower subjects: one to three stems, or a bunch in a vase on a table.

use crate::brush::Brush;
use crate::tone::Tone;
use tiny_skia::Transform;

/// Stems with a head each; the head is drawn about the origin with radius 1.
fn stems(b: &mut Brush, radius: f32, head: fn(&mut Brush, Tone), paint: Tone) {
    let flowers = b.pick(&[1, 1, 2, 3]);
    let green = if b.second {
        b.tone((80.0, 170.0), (0.3, 0.5), (0.28, 0.42))
    } else {
        b.tone((95.0, 135.0), (0.5, 0.7), (0.28, 0.4))
    };
    let vase = b.vase;
    for flower in 0..flowers {
        let x = if flowers == 1 {
            b.r(-0.05, 0.05)
        } else {
            (flower as f32 / (flowers - 1) as f32 - 0.5) * 0.85
        };
        let radius = if flowers == 1 { radius } else { radius * 0.72 };
        let y = -1.0 + radius + if flower == 1 { 0.0 } else { b.r(0.0, 0.14) };
        let foot = if vase { x * 0.2 } else { x * 0.8 };
        let bend = b.r(-0.06, 0.06);
        b.curve(&[(foot, 0.0), (f32::midpoint(foot, x) + bend, y / 2.0), (x, y)], 0.035, green);
        if !vase {
            let side = b.pick(&[-1.0, 1.0]);
            let leaf_y = y * 0.4;
            b.blob(
                &[
                    (foot, leaf_y),
                    (foot + side * 0.12, leaf_y - 0.12),
                    (foot + side * 0.26, leaf_y - 0.12),
                    (foot + side * 0.14, leaf_y - 0.01),
                ],
                green,
            );
        }
        let tilt = b.r(-14.0, 14.0);
        let put = Transform::from_translate(x, y).pre_rotate(tilt).pre_scale(radius, radius);
        b.within(put, |b| head(b, paint));
    }
    if vase {
        let glaze = b.tone((0.0, 360.0), (0.1, 0.5), (0.45, 0.85));
        if b.other {
            b.poly(&[(-0.13, -0.4), (0.13, -0.4), (0.2, 0.0), (-0.2, 0.0)], glaze);
        } else {
            b.blob(
                &[
                    (-0.1, -0.38),
                    (-0.22, -0.18),
                    (-0.12, 0.0),
                    (0.12, 0.0),
                    (0.22, -0.18),
                    (0.1, -0.38),
                ],
                glaze,
            );
        }
    }
}

fn ring(b: &mut Brush, petals: usize, from: f32, to: f32, half: f32, tone: Tone) {
    let pointed = b.second;
    for petal in 0..petals {
        let turn = Transform::from_rotate(360.0 * petal as f32 / petals as f32);
        b.within(turn, |b| {
            let middle = f32::midpoint(from, to);
            if pointed {
                b.poly(&[(0.0, -from), (half, -middle), (0.0, -to), (-half, -middle)], tone);
            } else {
                b.oval(0.0, -middle, half, (to - from) / 2.0, tone);
            }
        });
    }
}

pub(crate) fn sunflower(b: &mut Brush, _: Tone) {
    stems(
        b,
        0.36,
        |b, _| {
            let gold = b.tone((42.0, 52.0), (0.9, 1.0), (0.5, 0.58));
            let seed = b.tone((18.0, 28.0), (0.5, 0.7), (0.16, 0.24));
            let petals = b.count(13, 17);
            ring(b, petals, 0.3, 1.05, 0.17, gold.dark(0.12));
            ring(b, petals - 2, 0.3, 0.95, 0.16, gold);
            let core = b.v((0.46, 0.52), (0.38, 0.45));
            b.disc(0.0, 0.0, core, seed);
            b.plainly(|b| {
                for dot in 0..24 {
                    let (angle, away) =
                        (dot as f32 * 2.4, (dot as f32 / 24.0).sqrt() * core * 0.85);
                    b.disc(angle.cos() * away, angle.sin() * away, 0.035, seed.lite(0.25));
                }
            });
        },
        Tone::WHITE,
    );
}

pub(crate) fn daisy(b: &mut Brush, _: Tone) {
    stems(
        b,
        0.32,
        |b, _| {
            let white = b.tone((0.0, 360.0), (0.0, 0.2), (0.94, 0.99));
            let petals = b.count(9, 12);
            b.plainly(|b| ring(b, petals, 0.12, 1.06, 0.21, Tone(0.62, 0.66, 0.74)));
            ring(b, petals, 0.15, 1.0, 0.17, white);
            let core = b.v((0.26, 0.32), (0.32, 0.4));
            b.disc(0.0, 0.0, core, Tone(0.98, 0.78, 0.15));
        },
        Tone::WHITE,
    );
}

pub(crate) fn rose(b: &mut Brush, paint: Tone) {
    stems(
        b,
        0.3,
        |b, paint| {
            if b.other {
                for (size, shade) in [(1.0, 0.25), (0.78, 0.1), (0.55, 0.22), (0.34, 0.0)] {
                    let turn = b.r(0.0, 360.0);
                    b.within(Transform::from_rotate(turn).pre_scale(size, size), |b| {
                        let spots: Vec<_> = (0..10)
                            .map(|step| {
                                let angle = step as f32 / 10.0 * std::f32::consts::TAU;
                                let r = if step % 2 == 0 { 1.0 } else { 0.84 };
                                (angle.cos() * r, angle.sin() * r)
                            })
                            .collect();
                        b.blob(&spots, paint.dark(shade));
                    });
                }
            } else {
                for petal in 0..6 {
                    let angle = petal as f32 / 6.0 * std::f32::consts::TAU;
                    b.disc(
                        angle.cos() * 0.48,
                        angle.sin() * 0.48,
                        0.5,
                        paint.dark(0.12 + 0.08 * (petal % 2) as f32),
                    );
                }
                b.disc(0.0, 0.0, 0.6, paint);
            }
            b.plainly(|b| {
                let spiral: Vec<_> = (0..26)
                    .map(|step| {
                        let (angle, r) = (step as f32 * 0.5, 0.06 + 0.019 * step as f32);
                        (angle.cos() * r, angle.sin() * r)
                    })
                    .collect();
                b.line(&spiral, 0.07, paint.dark(0.5));
            });
        },
        paint,
    );
}

pub(crate) fn tulip(b: &mut Brush, paint: Tone) {
    stems(
        b,
        0.27,
        |b, paint| {
            let wide = b.v((0.62, 0.75), (0.8, 0.95));
            if b.other {
                b.blob(
                    &[
                        (0.0, 1.0),
                        (-wide, 0.5),
                        (-wide, -0.5),
                        (-wide * 0.75, -1.0),
                        (-0.25, -0.55),
                        (0.0, -1.0),
                        (0.25, -0.55),
                        (wide * 0.75, -1.0),
                        (wide, -0.5),
                        (wide, 0.5),
                    ],
                    paint,
                );
            } else {
                b.poly(
                    &[
                        (0.0, 0.9),
                        (-wide * 0.7, 0.7),
                        (-wide, 0.1),
                        (-wide, -1.0),
                        (-wide * 0.4, -0.45),
                        (0.0, -1.1),
                        (wide * 0.4, -0.45),
                        (wide, -1.0),
                        (wide, 0.1),
                        (wide * 0.7, 0.7),
                    ],
                    paint,
                );
            }
            b.plainly(|b| {
                b.curve(&[(-0.25, -0.4), (-0.32, 0.2), (0.0, 0.85)], 0.06, paint.dark(0.3));
                b.curve(&[(0.25, -0.4), (0.32, 0.2), (0.0, 0.85)], 0.06, paint.dark(0.3));
            });
        },
        paint,
    );
}
