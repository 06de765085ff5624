//! City and night subjects.

use crate::brush::Brush;
use crate::curve::arc;
use crate::tone::Tone;

/// Window panes in a grid; some are lit when it is dark.
fn windows(b: &mut Brush, area: (f32, f32, f32, f32), grid: (usize, usize), lit: f32) {
    let (x0, y0, x1, y1) = area;
    let (columns, rows) = grid;
    for row in 0..rows {
        for column in 0..columns {
            let (w, h) = ((x1 - x0) / columns as f32, (y1 - y0) / rows as f32);
            let (x, y) = (x0 + w * column as f32, y0 + h * row as f32);
            let shines = b.chance(lit);
            b.plainly(|b| {
                let pane = (x + w * 0.22, y + h * 0.22, x + w * 0.78, y + h * 0.78);
                if shines {
                    b.shining(|b| b.slab(pane.0, pane.1, pane.2, pane.3, Tone(1.0, 0.86, 0.45)));
                } else {
                    b.slab(pane.0, pane.1, pane.2, pane.3, Tone(0.32, 0.42, 0.55));
                }
            });
        }
    }
}

fn is_dark(b: &Brush) -> bool {
    b.light.0 < 0.8
}

pub(crate) fn skyscrapers(b: &mut Brush, _: Tone) {
    let towers = b.count(5, 8);
    let lit = if is_dark(b) { 0.65 } else { 0.06 };
    for tower in 0..towers {
        let x = -0.75 + 1.5 * tower as f32 / (towers - 1) as f32;
        let half = b.v((0.09, 0.14), (0.07, 0.11));
        let tall = b.r(0.5, 1.0);
        let tone = if b.second {
            b.tone((10.0, 60.0), (0.1, 0.35), (0.42, 0.66))
        } else {
            b.tone((200.0, 250.0), (0.08, 0.32), (0.4, 0.66))
        };
        b.slab(x - half, -tall, x + half, 0.0, tone);
        match b.count(0, 3) {
            0 => b.poly(&[(x - half, -tall), (x, -tall - 0.12), (x + half, -tall)], tone.dark(0.2)),
            1 => b.line(&[(x, -tall), (x, -tall - 0.15)], 0.015, tone.dark(0.4)),
            2 => b.slab(x - half * 0.6, -tall - 0.06, x + half * 0.6, -tall, tone.dark(0.15)),
            _ => {}
        }
        let rows = (tall * 11.0) as usize;
        windows(b, (x - half, -tall + 0.02, x + half, -0.02), (3, rows), lit);
    }
}

pub(crate) fn house(b: &mut Brush, paint: Tone) {
    let roof = if b.second {
        b.tone((180.0, 280.0), (0.1, 0.3), (0.28, 0.4))
    } else {
        b.tone((5.0, 25.0), (0.4, 0.65), (0.28, 0.4))
    };
    let half = b.v((0.42, 0.5), (0.3, 0.38));
    let eave = b.v((-0.5, -0.44), (-0.64, -0.56));
    let chimney = b.pick(&[-0.22, 0.2]);
    b.slab(chimney - 0.05, -0.92, chimney + 0.05, eave - 0.1, Tone(0.55, 0.3, 0.25));
    b.slab(-half, eave, half, 0.0, paint);
    if b.other {
        b.poly(&[(-half * 1.2, eave), (0.0, -1.0), (half * 1.2, eave)], roof);
    } else {
        b.poly(
            &[(-half * 1.15, eave), (-half * 0.7, -0.86), (half * 0.7, -0.86), (half * 1.15, eave)],
            roof,
        );
    }
    let door = b.tone((0.0, 360.0), (0.3, 0.5), (0.25, 0.35));
    let x = if b.other { b.r(-0.12, 0.0) } else { b.pick(&[-0.08, 0.05]) };
    b.slab(x - 0.065, -0.27, x + 0.065, 0.0, door);
    let shines = is_dark(b);
    let frame = Tone(0.97, 0.96, 0.92);
    for side in [-1.0, 1.0] {
        let wx = side * half * 0.62;
        let wy = eave + 0.17;
        b.slab(wx - 0.085, wy - 0.085, wx + 0.085, wy + 0.085, frame);
        b.plainly(|b| {
            let glass = if shines { Tone(1.0, 0.85, 0.4) } else { Tone(0.45, 0.65, 0.8) };
            let pane =
                |b: &mut Brush| b.slab(wx - 0.065, wy - 0.065, wx + 0.065, wy + 0.065, glass);
            if shines {
                b.shining(pane);
            } else {
                pane(b);
            }
            b.line(&[(wx, wy - 0.07), (wx, wy + 0.07)], 0.014, frame);
            b.line(&[(wx - 0.07, wy), (wx + 0.07, wy)], 0.014, frame);
        });
    }
}

pub(crate) fn bridge(b: &mut Brush, _: Tone) {
    if b.other {
        // A stone bridge of arches.
        let stone = b.tone((15.0, 45.0), (0.1, 0.3), (0.5, 0.66));
        let arches = b.count(3, 4);
        b.slab(-1.1, -0.5, 1.1, -0.34, stone.dark(0.1));
        for pier in 0..=arches {
            let x = -1.0 + 2.0 * pier as f32 / arches as f32;
            b.slab(x - 0.09, -0.4, x + 0.09, 0.06, stone);
        }
        for span in 0..arches {
            let middle = -1.0 + 2.0 * (span as f32 + 0.5) / arches as f32;
            let half = 1.0 / arches as f32 - 0.08;
            let mut spots = vec![(middle - half - 0.02, -0.38)];
            spots.extend(arc((middle, -0.02), (half, 0.32), (0.5, 1.0)));
            spots.push((middle + half + 0.02, -0.38));
            b.poly(&spots, stone);
        }
        b.slab(-1.1, -0.56, 1.1, -0.49, stone.lite(0.2));
    } else {
        // A suspension bridge.
        let steel = b.tone((0.0, 30.0), (0.3, 0.8), (0.35, 0.5));
        let tower = b.r(0.45, 0.58);
        let top = -0.98;
        for x in [-tower, tower] {
            b.slab(x - 0.05, top, x + 0.05, 0.05, steel);
        }
        let sag = |x: f32| -0.36 - 0.6 * (x / tower).powi(2).min(1.0);
        for hanger in -8_i32..=8 {
            let x = hanger as f32 / 9.0 * tower;
            b.line(&[(x, sag(x)), (x, -0.3)], 0.012, steel.dark(0.2));
        }
        let main: Vec<_> = (-10_i32..=10)
            .map(|step| {
                let x = step as f32 / 10.0 * tower;
                (x, sag(x))
            })
            .collect();
        b.line(&main, 0.03, steel);
        b.line(&[(-tower, top), (-1.15, -0.3)], 0.03, steel);
        b.line(&[(tower, top), (1.15, -0.3)], 0.03, steel);
        b.slab(-1.2, -0.32, 1.2, -0.24, steel.dark(0.3));
    }
}

pub(crate) fn church(b: &mut Brush, _: Tone) {
    let wall = if b.second {
        b.tone((15.0, 40.0), (0.2, 0.4), (0.55, 0.68))
    } else {
        b.tone((35.0, 60.0), (0.1, 0.3), (0.86, 0.94))
    };
    let roof = if b.second {
        b.tone((120.0, 190.0), (0.2, 0.4), (0.3, 0.42))
    } else {
        b.tone((0.0, 250.0), (0.1, 0.3), (0.25, 0.36))
    };
    b.slab(-0.12, -0.36, 0.46, 0.0, wall);
    b.poly(&[(-0.14, -0.36), (-0.02, -0.55), (0.4, -0.55), (0.5, -0.36)], roof);
    let (half, top) = (b.v((0.12, 0.14), (0.15, 0.17)), b.v((-0.62, -0.56), (-0.56, -0.5)));
    b.slab(-0.25 - half, top, -0.25 + half, 0.0, wall.lite(0.1));
    if b.other {
        b.blob(
            &[
                (-0.25 - half, top),
                (-0.25 - half * 1.1, top - 0.09),
                (-0.25, top - 0.27),
                (-0.25 + half * 1.1, top - 0.09),
                (-0.25 + half, top),
            ],
            roof,
        );
    } else {
        b.poly(&[(-0.25 - half * 1.1, top), (-0.25, -0.9), (-0.25 + half * 1.1, top)], roof);
    }
    let tip = if b.other { top - 0.24 } else { -0.88 };
    b.line(&[(-0.25, tip), (-0.25, tip - 0.14)], 0.022, Tone(0.25, 0.2, 0.1));
    b.line(&[(-0.3, tip - 0.09), (-0.2, tip - 0.09)], 0.022, Tone(0.25, 0.2, 0.1));
    let glass = if is_dark(b) { Tone(2.0, 1.6, 0.7) } else { Tone(0.3, 0.36, 0.55) };
    for x in [0.02, 0.18, 0.34] {
        b.plainly(|b| b.round(x - 0.03, -0.28, x + 0.035, -0.08, 0.03, glass));
    }
    b.plainly(|b| {
        b.disc(-0.25, top + 0.13, 0.055, Tone(0.97, 0.95, 0.9));
        b.line(
            &[(-0.25, top + 0.09), (-0.25, top + 0.13), (-0.22, top + 0.14)],
            0.014,
            Tone::BLACK,
        );
        b.round(-0.31, -0.2, -0.19, 0.0, 0.06, Tone(0.35, 0.22, 0.15));
    });
}

pub(crate) fn moon(b: &mut Brush, _: Tone) {
    let tone = b.tone((40.0, 56.0), (0.3, 0.8), (0.82, 0.92));
    let full = if b.other { b.chance(0.7) } else { b.chance(0.4) };
    b.shining(|b| {
        b.glow(0.0, -0.5, 0.85, tone, 0.4);
        if full {
            b.disc(0.0, -0.5, 0.4, tone);
            b.plainly(|b| {
                for _ in 0..b.count(4, 7) {
                    let (turn, away, r) =
                        (b.r(0.0, std::f32::consts::TAU), b.r(0.05, 0.28), b.r(0.03, 0.08));
                    b.disc(turn.cos() * away, -0.5 + turn.sin() * away, r, tone.dark(0.16));
                }
            });
        } else {
            let inner = b.v((0.3, 0.36), (0.24, 0.3));
            let mut spots = arc((0.0, -0.5), (0.42, 0.42), (0.25, 0.75));
            let back = arc((0.0, -0.5), (inner * 0.6, 0.42), (0.25, 0.75));
            spots.extend(back.into_iter().rev());
            b.poly(&spots, tone);
        }
    });
}

pub(crate) fn campfire(b: &mut Brush, _: Tone) {
    let wide = b.v((0.2, 0.26), (0.28, 0.34));
    b.shining(|b| b.glow(0.0, -0.3, 0.95, Tone(1.0, 0.62, 0.2), 0.6));
    if b.other {
        for stone in 0..9 {
            let angle = stone as f32 / 9.0 * std::f32::consts::TAU;
            b.oval(angle.cos() * 0.42, angle.sin() * 0.08 + 0.02, 0.08, 0.06, Tone(0.5, 0.48, 0.5));
        }
    }
    for (x0, x1) in [(-0.4, 0.34), (0.4, -0.34)] {
        b.line(&[(x0, 0.02), (x1, -0.12)], 0.1, Tone(0.42, 0.26, 0.15));
    }
    b.shining(|b| {
        let hues: [(f32, f32); 3] = [(12.0, 1.0), (32.0, 0.7), (52.0, 0.42)];
        for (hue, size) in hues {
            let tone = Tone::hsl(hue, 0.98, 0.54);
            let (w, h) = (wide * size, 0.82 * size);
            let sway = b.r(-0.08, 0.08);
            if b.other {
                b.poly(
                    &[
                        (-w, -0.08),
                        (-w * 0.8, -h * 0.6),
                        (-w * 0.4, -h * 0.35),
                        (sway, -h - 0.05),
                        (w * 0.45, -h * 0.4),
                        (w * 0.85, -h * 0.7),
                        (w, -0.08),
                    ],
                    tone,
                );
            } else {
                b.blob(
                    &[
                        (-w, -0.12),
                        (-w * 0.7, -h * 0.5),
                        (sway, -h - 0.08),
                        (w * 0.7, -h * 0.48),
                        (w, -0.12),
                        (0.0, -0.02),
                    ],
                    tone,
                );
            }
        }
        for _ in 0..b.count(3, 8) {
            let (x, y) = (b.r(-0.3, 0.3), b.r(-1.1, -0.7));
            b.disc(x, y, 0.014, Tone(1.0, 0.75, 0.3));
        }
    });
}

pub(crate) fn fireworks(b: &mut Brush, _: Tone) {
    b.shining(|b| {
        b.plainly(|b| {
            for _ in 0..b.count(2, 4) {
                let (x, y) = (b.r(-0.75, 0.75), b.r(-0.9, -0.2));
                let tone = b.tone((0.0, 360.0), (0.85, 1.0), (0.58, 0.72));
                let radius = b.r(0.25, 0.42);
                let rays = b.count(10, 18);
                b.glow(x, y, radius * 0.9, tone, 0.3);
                for ray in 0..rays {
                    let angle = ray as f32 / rays as f32 * std::f32::consts::TAU;
                    let tip = (x + angle.cos() * radius, y + angle.sin() * radius);
                    let near = (x + angle.cos() * radius * 0.3, y + angle.sin() * radius * 0.3);
                    if b.other {
                        for bead in 1..6 {
                            let share = bead as f32 / 5.0;
                            let droop = 0.1 * share * share;
                            b.disc(
                                x + angle.cos() * radius * share,
                                y + angle.sin() * radius * share + droop,
                                0.014,
                                tone,
                            );
                        }
                    } else {
                        b.line(&[near, tip], 0.016, tone);
                        b.disc(tip.0, tip.1, 0.02, tone.lite(0.5));
                    }
                }
            }
        });
    });
}
