//! Sea subjects: what floats or stands at the shore.

use crate::brush::Brush;
use crate::tone::Tone;

pub(crate) fn sailboat(b: &mut Brush, paint: Tone) {
    let mast = b.v((-0.98, -0.88), (-1.0, -0.92));
    let pole = Tone(0.36, 0.24, 0.16);
    let pale = b.tone((30.0, 60.0), (0.1, 0.4), (0.9, 0.97));
    b.line(&[(0.0, -0.15), (0.0, mast)], 0.025, pole);
    if b.other {
        // A gaff sail that bellies out, and a pale jib.
        let belly = b.r(0.36, 0.46);
        b.poly(
            &[
                (0.03, -0.24),
                (0.03, mast + 0.14),
                (0.18, mast + 0.02),
                (belly, -0.5),
                (belly - 0.03, -0.22),
            ],
            paint,
        );
        b.poly(&[(-0.03, -0.26), (-0.03, mast + 0.1), (-0.2, -0.5), (-0.36, -0.26)], pale);
        b.blob(
            &[
                (-0.46, -0.19),
                (-0.3, -0.02),
                (0.0, 0.02),
                (0.3, -0.02),
                (0.46, -0.2),
                (0.2, -0.16),
                (-0.2, -0.16),
            ],
            paint.dark(0.15),
        );
    } else {
        let wide = b.r(0.34, 0.44);
        b.poly(&[(0.03, -0.24), (0.03, mast + 0.03), (wide, -0.24)], paint);
        let jib = if b.chance(0.5) { paint.lite(0.15) } else { pale };
        b.poly(&[(-0.03, -0.24), (-0.03, mast + 0.12), (-0.3, -0.24)], jib);
        let hull = if b.chance(0.6) {
            paint.dark(0.2)
        } else {
            b.tone((18.0, 30.0), (0.3, 0.6), (0.3, 0.45))
        };
        b.poly(&[(-0.46, -0.18), (0.48, -0.18), (0.32, 0.0), (-0.32, 0.0)], hull);
    }
}

pub(crate) fn ship(b: &mut Brush, paint: Tone) {
    let stacks = b.count(1, 3);
    let house = Tone(0.94, 0.94, 0.93);
    let low = b.v((-0.26, -0.22), (-0.34, -0.28));
    let smoke = b.tone((0.0, 360.0), (0.0, 0.06), (0.55, 0.8));
    for stack in 0..stacks {
        let x = -0.1 + (stack as f32 - (stacks - 1) as f32 / 2.0) * 0.2;
        for puff in 0..3 {
            let away = puff as f32 * 0.09;
            b.disc(x - away, low - 0.5 - away * 0.5, 0.045 + away * 0.25, smoke);
        }
        b.slab(x - 0.05, low - 0.45, x + 0.05, low - 0.1, paint);
        b.slab(x - 0.05, low - 0.45, x + 0.05, low - 0.38, Tone(0.15, 0.14, 0.16));
    }
    b.slab(-0.46, low - 0.14, 0.34, low + 0.02, house);
    if b.other {
        b.slab(-0.34, low - 0.25, 0.2, low - 0.12, house.dark(0.08));
    } else {
        b.slab(0.16, low - 0.26, 0.3, low - 0.1, house);
    }
    b.plainly(|b| {
        for window in 0..8 {
            b.disc(-0.4 + window as f32 * 0.095, low - 0.06, 0.022, Tone(0.25, 0.4, 0.55));
        }
    });
    b.poly(&[(-0.62, low), (0.66, low), (0.54, 0.0), (-0.52, 0.0)], paint.dark(0.05));
    b.plainly(|b| {
        b.poly(&[(-0.55, -0.06), (0.565, -0.06), (0.54, 0.0), (-0.52, 0.0)], paint.dark(0.45));
    });
}

pub(crate) fn lighthouse(b: &mut Brush, _: Tone) {
    let rock = b.tone((20.0, 260.0), (0.03, 0.15), (0.3, 0.45));
    b.blob(
        &[(-0.42, 0.03), (-0.34, -0.1), (-0.1, -0.16), (0.18, -0.13), (0.4, -0.02), (0.36, 0.04)],
        rock,
    );
    let stripe = if b.second {
        b.tone((195.0, 250.0), (0.5, 0.8), (0.32, 0.45))
    } else {
        b.tone((-8.0, 12.0), (0.7, 0.9), (0.42, 0.52))
    };
    let (low, high) = (b.v((0.12, 0.14), (0.15, 0.18)), b.v((0.075, 0.09), (0.1, 0.115)));
    let bands = b.count(4, 6);
    let half = |share: f32| low + (high - low) * share;
    let y = |share: f32| -0.12 - 0.62 * share;
    for band in 0..bands {
        let (a, c) = (band as f32 / bands as f32, (band + 1) as f32 / bands as f32);
        let tone = if band % 2 == 0 { stripe } else { Tone(0.96, 0.95, 0.93) };
        b.poly(&[(-half(a), y(a)), (-half(c), y(c)), (half(c), y(c)), (half(a), y(a))], tone);
    }
    b.slab(-high * 1.5, -0.77, high * 1.5, -0.73, Tone(0.2, 0.2, 0.24));
    let lit = b.chance(0.6);
    b.shining(|b| {
        let lamp = Tone(1.0, 0.9, 0.45);
        if lit {
            for side in [-1.0, 1.0] {
                b.glow(side * 0.12, -0.82, 0.3, lamp, 0.55);
            }
        }
        b.slab(-high * 0.8, -0.88, high * 0.8, -0.77, lamp);
    });
    if b.other {
        b.slice((0.0, -0.88), (high, 0.1), (0.5, 1.0), stripe.dark(0.3));
    } else {
        b.poly(&[(-high * 1.15, -0.88), (0.0, -1.0), (high * 1.15, -0.88)], stripe.dark(0.3));
    }
    b.slab(-0.035, -0.24, 0.035, -0.13, Tone(0.25, 0.2, 0.2));
}

pub(crate) fn palm(b: &mut Brush, _: Tone) {
    let lean = b.r(0.08, 0.28);
    let bark = if b.second {
        b.tone((15.0, 25.0), (0.2, 0.4), (0.3, 0.4))
    } else {
        b.tone((25.0, 36.0), (0.35, 0.55), (0.38, 0.5))
    };
    let leaf = if b.second {
        b.tone((80.0, 160.0), (0.35, 0.55), (0.25, 0.38))
    } else {
        b.tone((95.0, 140.0), (0.5, 0.7), (0.28, 0.4))
    };
    let thick = b.v((0.05, 0.07), (0.075, 0.095));
    let top = (lean, -0.72);
    b.curve(&[(0.0, 0.0), (lean * 0.25, -0.3), top], thick, bark);
    b.plainly(|b| {
        for ring in 1..8 {
            let share = ring as f32 / 8.0;
            let x = lean * share * share;
            b.line(
                &[(x - thick * 0.45, -0.72 * share), (x + thick * 0.45, -0.72 * share - 0.01)],
                0.012,
                bark.dark(0.4),
            );
        }
    });
    let fronds = b.count(6, 8);
    for frond in 0..fronds {
        let turn = 0.46 + 0.58 * frond as f32 / (fronds - 1) as f32;
        let long = b.v((0.34, 0.44), (0.4, 0.5));
        let angle = turn * std::f32::consts::TAU;
        let (dx, dy) = (angle.cos() * long, angle.sin() * long * 0.75);
        let droop = b.r(0.12, 0.2);
        let tip = (top.0 + dx, top.1 + dy + droop);
        let mid = (top.0 + dx * 0.55, top.1 + dy * 0.75 - 0.02);
        let wide = if b.other { 0.1 } else { 0.07 };
        b.blob(
            &[top, (mid.0, mid.1 - wide * 0.5), tip, (mid.0, mid.1 + wide * 0.6)],
            leaf.lite(b_share(frond)),
        );
    }
    for nut in [(-0.04, 0.02), (0.03, 0.03)] {
        b.disc(top.0 + nut.0, top.1 + nut.1, 0.035, Tone(0.35, 0.22, 0.12));
    }
}

/// Neighbouring fronds differ a little in lightness.
fn b_share(frond: usize) -> f32 {
    if frond.is_multiple_of(2) { 0.0 } else { 0.14 }
}

pub(crate) fn parasol(b: &mut Brush, paint: Tone) {
    let tilt = b.r(-12.0, 12.0);
    let panels = if b.other { 7 } else { 6 };
    let high = b.v((0.3, 0.38), (0.2, 0.28));
    b.within(tiny_skia::Transform::from_rotate(tilt), |b| {
        b.line(&[(0.0, 0.0), (0.0, -0.62)], 0.03, Tone(0.9, 0.88, 0.85));
        let rim = -0.56;
        // The seam at `share` of the rim, from the top to the rim.
        let seam = |share: f32| {
            (0..=8).map(move |step| {
                let (down, along) = (step as f32 / 8.0 * std::f32::consts::FRAC_PI_2).sin_cos();
                (0.5 * (share * 2.0 - 1.0) * down, rim - high * along)
            })
        };
        for panel in 0..panels {
            let (left, right) = (panel as f32 / panels as f32, (panel + 1) as f32 / panels as f32);
            let tone = if panel % 2 == 0 { paint } else { Tone(0.97, 0.96, 0.93) };
            let mut spots: Vec<_> = seam(left).collect();
            spots.push(((left + right - 1.0) * 0.5, rim + if b.other { 0.0 } else { 0.04 }));
            spots.extend(seam(right).collect::<Vec<_>>().into_iter().rev());
            b.poly(&spots, tone);
        }
        b.disc(0.0, rim - high - 0.02, 0.025, paint.dark(0.3));
    });
    let cloth = if b.other { Tone(0.4, 0.55, 0.7) } else { paint.lite(0.45) };
    b.poly(&[(0.08, 0.0), (0.5, 0.0), (0.6, 0.06), (0.15, 0.06)], cloth);
}
