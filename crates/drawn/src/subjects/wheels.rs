//! Vehicles, on the ground and in the air.

use crate::brush::Brush;
use crate::curve::arc;
use crate::tone::Tone;

const GLASS: Tone = Tone(0.68, 0.84, 0.93);
const TYRE: Tone = Tone(0.14, 0.14, 0.16);

fn wheel(b: &mut Brush, x: f32, r: f32) {
    b.disc(x, -r, r, TYRE);
    let hub = if b.other { Tone(0.9, 0.88, 0.8) } else { Tone(0.72, 0.74, 0.78) };
    b.disc(x, -r, r * 0.5, hub);
    if b.other {
        b.plainly(|b| b.disc(x, -r, r * 0.2, TYRE));
    }
}

fn lamp(b: &mut Brush, x: f32, y: f32) {
    b.shining(|b| b.plainly(|b| b.disc(x, y, 0.03, Tone(1.0, 0.92, 0.55))));
}

pub(crate) fn car(b: &mut Brush, paint: Tone) {
    let r = b.v((0.095, 0.115), (0.115, 0.135));
    let belt = b.v((-0.3, -0.26), (-0.36, -0.32));
    let roof = belt - b.v((0.19, 0.23), (0.2, 0.26));
    if b.other {
        // A round little car.
        b.slice((0.02, belt + 0.03), (0.34, -(roof - belt) * 1.25), (0.5, 1.0), paint);
        b.plainly(|b| {
            b.slice((-0.02, belt), (0.23, -(roof - belt)), (0.5, 0.75), GLASS);
            b.slice((0.06, belt), (0.21, -(roof - belt)), (0.75, 1.0), GLASS);
        });
        b.blob(
            &[
                (-0.5, -0.1),
                (-0.5, belt + 0.06),
                (-0.3, belt - 0.01),
                (0.3, belt - 0.01),
                (0.5, belt + 0.08),
                (0.51, -0.1),
                (0.0, -0.08),
            ],
            paint,
        );
    } else {
        b.poly(&[(-0.32, belt + 0.02), (-0.2, roof), (0.14, roof), (0.3, belt + 0.02)], paint);
        b.plainly(|b| {
            b.poly(
                &[(-0.26, belt), (-0.17, roof + 0.03), (-0.04, roof + 0.03), (-0.04, belt)],
                GLASS,
            );
            b.poly(&[(0.0, belt), (0.0, roof + 0.03), (0.12, roof + 0.03), (0.24, belt)], GLASS);
        });
        b.round(-0.52, belt, 0.52, -0.08, 0.07, paint);
    }
    b.plainly(|b| {
        b.line(&[(-0.02, belt + 0.02), (-0.02, -0.12)], 0.012, paint.dark(0.4));
        b.line(&[(0.04, belt + 0.06), (0.1, belt + 0.06)], 0.018, paint.dark(0.5));
    });
    for x in [-0.29, 0.3] {
        wheel(b, x, r);
    }
    lamp(b, 0.49, belt + 0.08);
    b.plainly(|b| b.disc(-0.49, belt + 0.08, 0.025, Tone(0.8, 0.1, 0.1)));
}

pub(crate) fn truck(b: &mut Brush, paint: Tone) {
    let r = b.v((0.08, 0.095), (0.1, 0.115));
    let box_top = b.v((-0.62, -0.54), (-0.5, -0.44));
    let load = if b.other { paint.lite(0.1) } else { Tone(0.9, 0.9, 0.9) };
    let nose = if b.other { 0.5 } else { 0.46 };
    if b.other {
        // An open bed with crates.
        for crate_number in 0..3 {
            let x = -0.44 + 0.2 * crate_number as f32;
            let high = b.r(0.14, 0.26);
            b.slab(x, box_top + 0.2 - high, x + 0.19, box_top + 0.24, Tone(0.68, 0.5, 0.3));
        }
        b.slab(-0.54, box_top + 0.22, 0.2, -0.12, load);
        b.plainly(|b| {
            for bar in 1..4 {
                let x = -0.54 + 0.185 * bar as f32;
                b.line(&[(x, box_top + 0.24), (x, -0.14)], 0.014, paint.dark(0.4));
            }
        });
    } else {
        b.slab(-0.56, box_top, 0.2, -0.13, load);
        let band = paint;
        b.plainly(|b| b.slab(-0.54, box_top * 0.75, 0.18, box_top * 0.55, band));
    }
    let cab = b.v((-0.46, -0.4), (-0.56, -0.5));
    b.poly(
        &[(0.23, -0.1), (0.23, cab), (nose - 0.1, cab), (nose, cab * 0.6), (nose + 0.04, -0.1)],
        paint,
    );
    b.plainly(|b| {
        b.poly(
            &[
                (0.3, cab * 0.6),
                (0.3, cab + 0.05),
                (nose - 0.11, cab + 0.05),
                (nose - 0.03, cab * 0.6),
            ],
            GLASS,
        );
    });
    b.slab(-0.56, -0.15, nose + 0.05, -0.09, Tone(0.25, 0.25, 0.28));
    for x in [-0.42, -0.2, 0.36] {
        wheel(b, x, r);
    }
    lamp(b, nose + 0.02, -0.18);
}

pub(crate) fn bus(b: &mut Brush, paint: Tone) {
    let r = b.v((0.075, 0.09), (0.09, 0.105));
    let top = b.v((-0.5, -0.44), (-0.74, -0.64));
    let half = if b.other { 0.5 } else { 0.6 };
    b.round(-half, top, half, -0.08, 0.06, paint);
    let decks: &[f32] = if b.other { &[0.08, 0.36] } else { &[0.09] };
    for deck in decks {
        let y = top + deck;
        let panes = if b.other { 5 } else { 6 };
        b.plainly(|b| {
            for pane in 0..panes {
                let w = (half * 2.0 - 0.1) / panes as f32;
                let x = -half + 0.06 + w * pane as f32;
                b.round(x, y, x + w * 0.8, y + 0.14, 0.02, GLASS);
            }
        });
    }
    b.plainly(|b| {
        b.slab(-half + 0.01, -0.2, half - 0.01, -0.17, paint.lite(0.6));
        b.slab(half - 0.14, -0.34, half - 0.05, -0.1, GLASS.dark(0.2));
    });
    for x in [-half * 0.62, half * 0.55] {
        wheel(b, x, r);
    }
    lamp(b, half - 0.02, -0.14);
}

pub(crate) fn bicycle(b: &mut Brush, paint: Tone) {
    let r = b.v((0.24, 0.27), (0.2, 0.23));
    let (back, front) = ((-0.33, -r), (0.34, -r));
    let spokes = if b.other { 5 } else { 8 };
    for hub in [back, front] {
        b.line(&arc(hub, (r, r), (0.0, 1.0)), 0.04, TYRE);
        b.plainly(|b| {
            for spoke in 0..spokes {
                let angle = spoke as f32 / spokes as f32 * std::f32::consts::PI;
                let (dx, dy) = (angle.cos() * r, angle.sin() * r);
                b.line(
                    &[(hub.0 - dx, hub.1 - dy), (hub.0 + dx, hub.1 + dy)],
                    0.008,
                    Tone(0.5, 0.5, 0.54),
                );
            }
        });
    }
    let crank = (-0.02, -r * 0.92);
    let seat = (-0.14, b.v((-0.62, -0.58), (-0.56, -0.52)));
    let bar = (0.25, b.v((-0.68, -0.62), (-0.62, -0.56)));
    let tube = b.v((0.035, 0.045), (0.045, 0.055));
    b.line(&[back, seat, bar, crank, back], tube, paint);
    b.line(&[seat, crank], tube, paint);
    b.line(&[front, bar], tube, paint);
    b.line(
        &[(bar.0, bar.1), (bar.0 - 0.02, bar.1 - 0.1), (bar.0 + 0.1, bar.1 - 0.12)],
        0.032,
        TYRE,
    );
    b.line(&[(seat.0 - 0.09, seat.1 - 0.06), (seat.0 + 0.08, seat.1 - 0.06)], 0.055, TYRE);
    b.line(&[seat, (seat.0, seat.1 - 0.05)], 0.03, TYRE);
    b.disc(crank.0, crank.1, 0.05, Tone(0.4, 0.4, 0.44));
    if b.other {
        b.slab(bar.0 + 0.03, bar.1 - 0.02, bar.0 + 0.21, bar.1 + 0.12, Tone(0.72, 0.54, 0.32));
    }
}

pub(crate) fn train(b: &mut Brush, paint: Tone) {
    b.plainly(|b| {
        b.slab(-1.6, -0.015, 1.6, 0.012, Tone(0.45, 0.4, 0.38));
        for tie in -16_i32..=16 {
            b.slab(
                tie as f32 * 0.1 - 0.02,
                0.01,
                tie as f32 * 0.1 + 0.02,
                0.05,
                Tone(0.35, 0.24, 0.18),
            );
        }
    });
    let cars = b.count(1, 2);
    for carriage in 0..cars {
        let x = -0.3 - 0.62 * (carriage as f32 + 1.0);
        b.round(
            x,
            -0.5,
            x + 0.58,
            -0.1,
            0.04,
            if b.other { paint.dark(0.2) } else { paint.lite(0.12) },
        );
        b.plainly(|b| {
            for pane in 0..4 {
                let px = x + 0.05 + 0.13 * pane as f32;
                b.slab(px, -0.42, px + 0.09, -0.27, GLASS);
            }
        });
        for dx in [0.13, 0.45] {
            wheel(b, x + dx, 0.07);
        }
    }
    if b.other {
        // A fast train with a long nose.
        b.blob(
            &[
                (-0.3, -0.1),
                (-0.3, -0.5),
                (0.05, -0.52),
                (0.34, -0.36),
                (0.56, -0.12),
                (0.4, -0.08),
            ],
            paint,
        );
        b.plainly(|b| {
            b.poly(&[(0.14, -0.42), (0.26, -0.37), (0.34, -0.29), (0.14, -0.29)], TYRE);
            for pane in 0..3 {
                let x = -0.26 + 0.12 * pane as f32;
                b.slab(x, -0.42, x + 0.08, -0.29, GLASS);
            }
            b.slab(-0.3, -0.2, 0.46, -0.16, Tone::WHITE);
        });
        for x in [-0.18, 0.16] {
            wheel(b, x, 0.07);
        }
    } else {
        // A steam engine.
        let smoke = b.tone((0.0, 360.0), (0.0, 0.05), (0.75, 0.92));
        for puff in 0..4 {
            let away = puff as f32 * 0.15;
            b.disc(0.36 - away, -0.78 - away * 0.35, 0.07 + away * 0.2, smoke);
        }
        b.slab(0.31, -0.68, 0.41, -0.4, TYRE);
        b.slab(0.28, -0.72, 0.44, -0.66, TYRE);
        b.round(-0.08, -0.46, 0.54, -0.16, 0.1, paint);
        b.slab(-0.3, -0.66, 0.02, -0.14, paint.dark(0.12));
        b.slab(-0.36, -0.72, 0.08, -0.66, paint.dark(0.4));
        b.plainly(|b| b.slab(-0.22, -0.6, -0.06, -0.44, GLASS));
        b.slab(-0.3, -0.2, 0.5, -0.12, TYRE.lite(0.15));
        for (x, r) in [(-0.18, 0.12), (0.08, 0.12), (0.36, 0.08)] {
            wheel(b, x, r);
        }
        b.poly(&[(0.5, -0.16), (0.66, 0.0), (0.46, 0.0)], paint.dark(0.3));
    }
}

pub(crate) fn aeroplane(b: &mut Brush, paint: Tone) {
    let tilt = b.r(-16.0, 10.0);
    let body = if b.other { paint } else { Tone(0.95, 0.95, 0.96) };
    let trim = if b.other { Tone(0.95, 0.94, 0.9) } else { paint };
    let fat = b.v((0.09, 0.11), (0.13, 0.16));
    let turned = tiny_skia::Transform::from_rotate_at(tilt, 0.0, -0.5);
    b.within(turned, |b| {
        b.poly(&[(0.04, -0.52), (-0.2, -0.82), (-0.3, -0.82), (-0.16, -0.52)], trim.dark(0.25));
        b.poly(&[(-0.44, -0.52), (-0.58, -0.82), (-0.46, -0.82), (-0.28, -0.53)], trim);
        b.blob(
            &[
                (-0.56, -0.56),
                (-0.3, -0.5 - fat),
                (0.25, -0.5 - fat),
                (0.52, -0.51),
                (0.48, -0.44),
                (0.2, -0.5 + fat),
                (-0.3, -0.46),
            ],
            body,
        );
        b.plainly(|b| {
            b.slab(-0.4, -0.48, 0.44, -0.455, trim);
            for pane in 0..6 {
                b.disc(-0.24 + pane as f32 * 0.095, -0.535, 0.021, Tone(0.25, 0.4, 0.55));
            }
            b.poly(&[(0.36, -0.575), (0.44, -0.54), (0.37, -0.53)], Tone(0.25, 0.4, 0.55));
        });
        b.poly(&[(0.12, -0.46), (-0.2, -0.1), (-0.34, -0.1), (-0.14, -0.46)], trim);
        if b.other {
            b.line(&[(0.56, -0.66), (0.56, -0.34)], 0.03, TYRE);
            b.disc(0.54, -0.5, 0.035, TYRE);
        } else {
            b.round(-0.1, -0.36, 0.06, -0.29, 0.03, Tone(0.5, 0.52, 0.56));
        }
    });
}

pub(crate) fn balloon(b: &mut Brush, paint: Tone) {
    let wide = b.v((0.36, 0.4), (0.42, 0.48));
    let other = if b.other { Tone(0.97, 0.94, 0.86) } else { paint.lite(0.4) };
    for x in [-0.09, 0.09] {
        b.line(&[(x * 1.6, -0.3), (x, -0.12)], 0.012, Tone(0.3, 0.22, 0.16));
    }
    b.slab(-0.1, -0.13, 0.1, 0.0, Tone(0.55, 0.38, 0.22));
    let outline = |half: f32| {
        [
            (0.0, -1.0),
            (half * 0.7, -0.93),
            (half, -0.66),
            (half * 0.6, -0.38),
            (half * 0.3, -0.27),
            (-half * 0.3, -0.27),
            (-half * 0.6, -0.38),
            (-half, -0.66),
            (-half * 0.7, -0.93),
        ]
    };
    b.blob(&outline(wide), paint);
    b.plainly(|b| {
        if b.other {
            b.blob(
                &[
                    (-wide * 0.96, -0.7),
                    (0.0, -0.64),
                    (wide * 0.96, -0.7),
                    (wide * 0.95, -0.58),
                    (0.0, -0.52),
                    (-wide * 0.95, -0.58),
                ],
                other,
            );
        } else {
            b.blob(&outline(wide * 0.68), other);
            b.blob(&outline(wide * 0.3), paint);
        }
    });
}
