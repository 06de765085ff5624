//! Plain shapes in one colour.

use crate::brush::Brush;
use crate::curve::Spot;
use crate::tone::Tone;
use tiny_skia::Transform;

/// Shapes are turned a little about their middle.
fn turned(b: &mut Brush, most: f32, draw: impl FnOnce(&mut Brush)) {
    let turn = b.r(-most, most);
    b.within(Transform::from_rotate_at(turn, 0.0, -0.5), draw);
}

pub(crate) fn circle(b: &mut Brush, paint: Tone) {
    b.disc(0.0, -0.5, 0.5, paint);
}

pub(crate) fn square(b: &mut Brush, paint: Tone) {
    let most = if b.other { 24.0 } else { 12.0 };
    turned(b, most, |b| b.slab(-0.45, -0.95, 0.45, -0.05, paint));
}

pub(crate) fn triangle(b: &mut Brush, paint: Tone) {
    let top = b.v((-0.06, 0.06), (-0.3, 0.3));
    turned(b, 14.0, |b| b.poly(&[(-0.52, -0.06), (top, -0.98), (0.52, -0.06)], paint));
}

pub(crate) fn star(b: &mut Brush, paint: Tone) {
    let inner = b.v((0.2, 0.23), (0.24, 0.28));
    let spots: Vec<Spot> = (0..10)
        .map(|step| {
            let angle = (step as f32 / 10.0 - 0.25) * std::f32::consts::TAU;
            let r = if step % 2 == 0 { 0.54 } else { inner };
            (angle.cos() * r, -0.5 + angle.sin() * r)
        })
        .collect();
    turned(b, 30.0, |b| b.poly(&spots, paint));
}

pub(crate) fn heart(b: &mut Brush, paint: Tone) {
    let wide = b.v((0.48, 0.52), (0.4, 0.46));
    turned(b, 18.0, |b| {
        let spots: Vec<Spot> = (0..48)
            .map(|step| {
                let t = step as f32 / 48.0 * std::f32::consts::TAU;
                let x = t.sin().powi(3);
                let y = 13.0 * t.cos()
                    - 5.0 * (2.0 * t).cos()
                    - 2.0 * (3.0 * t).cos()
                    - (4.0 * t).cos();
                (x * wide, -0.55 - y / 30.0)
            })
            .collect();
        let wobble = std::mem::replace(&mut b.manner.wobble, 0.0);
        b.poly(&spots, paint);
        b.manner.wobble = wobble;
    });
}
