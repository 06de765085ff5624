//! Food subjects, as they lie on a table.

use crate::brush::Brush;
use crate::curve::arc;
use crate::tone::Tone;

fn plate(b: &mut Brush, y: f32, rx: f32, ry: f32) {
    let china = b.tone((0.0, 360.0), (0.0, 0.15), (0.88, 0.97));
    b.oval(0.0, y, rx, ry, china);
    b.oval(0.0, y, rx * 0.78, ry * 0.78, china.dark(0.07));
}

pub(crate) fn pizza(b: &mut Brush, _: Tone) {
    let squash = b.v((0.85, 1.0), (0.6, 0.78));
    let crust = b.tone((28.0, 36.0), (0.55, 0.75), (0.55, 0.64));
    let cheese = b.tone((40.0, 50.0), (0.75, 0.95), (0.6, 0.7));
    let sauce = Tone(0.82, 0.28, 0.14);
    let missing = b.chance(if b.other { 0.5 } else { 0.3 });
    let turns = if missing { (0.14, 1.0) } else { (0.0, 1.0) };
    if b.other {
        plate(b, -0.5, 0.6, 0.6 * squash);
    }
    b.slice((0.0, -0.5), (0.5, 0.5 * squash), turns, crust);
    b.slice((0.0, -0.5), (0.43, 0.43 * squash), turns, sauce);
    b.slice((0.0, -0.5), (0.41, 0.41 * squash), turns, cheese);
    let spot = |b: &mut Brush| {
        let (turn, away) = (b.r(turns.0 + 0.03, 0.97) * std::f32::consts::TAU, b.r(0.1, 0.34));
        (turn.cos() * away, -0.5 + turn.sin() * away * squash)
    };
    let size = b.v((0.06, 0.08), (0.045, 0.06));
    for _ in 0..b.count(6, 10) {
        let (x, y) = spot(b);
        b.oval(x, y, size, size * squash, Tone(0.75, 0.2, 0.15));
    }
    for _ in 0..b.count(4, 9) {
        let (x, y) = spot(b);
        let herb = if b.other { Tone(0.2, 0.2, 0.16) } else { Tone(0.25, 0.5, 0.2) };
        b.oval(x, y, 0.03, 0.018, herb);
    }
    b.plainly(|b| {
        for cut in 0..4 {
            let angle = cut as f32 / 8.0 * std::f32::consts::TAU + 0.1;
            let (dx, dy) = (angle.cos() * 0.45, angle.sin() * 0.45 * squash);
            b.line(&[(-dx, -0.5 - dy), (0.0, -0.5)], 0.012, crust.dark(0.3));
            if !missing || cut > 1 {
                b.line(&[(dx, -0.5 + dy), (0.0, -0.5)], 0.012, crust.dark(0.3));
            }
        }
    });
}

pub(crate) fn cake(b: &mut Brush, _: Tone) {
    let cream = b.tone((0.0, 360.0), (0.3, 0.7), (0.8, 0.93));
    let base = if b.second {
        b.tone((15.0, 26.0), (0.4, 0.6), (0.25, 0.38))
    } else {
        b.tone((30.0, 42.0), (0.5, 0.7), (0.6, 0.72))
    };
    plate(b, 0.0, 0.58, 0.1);
    let tiers = if b.other { b.count(2, 3) } else { b.count(1, 2) };
    let high = 0.62 / tiers as f32;
    let mut top = 0.0;
    for tier in 0..tiers {
        let half = 0.45 - 0.11 * tier as f32;
        let (y1, y0) = (top, top - high);
        b.round(-half, y0, half, y1, 0.03, base);
        b.slab(-half, y0 + high * 0.5, half, y0 + high * 0.62, cream);
        b.round(-half, y0 - 0.02, half, y0 + high * 0.25, 0.04, cream);
        let drips = 6;
        for drip in 0..drips {
            let x = -half + (drip as f32 + 0.5) * 2.0 * half / drips as f32;
            let long = b.r(0.25, 0.48);
            b.round(x - half / 9.0, y0, x + half / 9.0, y0 + high * long, 0.05, cream);
        }
        top = y0;
    }
    let candles = b.count(2, 5);
    for candle in 0..candles {
        let x = (candle as f32 - (candles - 1) as f32 / 2.0) * 0.11;
        let wax = b.tone((0.0, 360.0), (0.6, 0.9), (0.5, 0.7));
        b.slab(x - 0.017, top - 0.2, x + 0.017, top, wax);
        b.shining(|b| {
            b.plainly(|b| {
                b.oval(x, top - 0.25, 0.022, 0.045, Tone(1.0, 0.75, 0.2));
            });
        });
    }
    for cherry in [-0.8, 0.8] {
        let half = 0.45 - 0.11 * (tiers - 1) as f32;
        b.disc(cherry * half, top - 0.04, 0.045, Tone(0.85, 0.12, 0.2));
    }
}

pub(crate) fn apple(b: &mut Brush, paint: Tone) {
    let wide = b.v((0.4, 0.44), (0.44, 0.5));
    b.blob(
        &[
            (0.0, -0.74),
            (-wide * 0.5, -0.82),
            (-wide, -0.55),
            (-wide * 0.75, -0.14),
            (-0.14, 0.0),
            (0.0, -0.04),
            (0.14, 0.0),
            (wide * 0.75, -0.14),
            (wide, -0.55),
            (wide * 0.5, -0.82),
        ],
        paint,
    );
    let bend = b.r(-0.08, 0.08);
    b.curve(&[(0.0, -0.72), (bend * 0.4, -0.86), (bend, -0.96)], 0.04, Tone(0.35, 0.22, 0.12));
    let leaf = Tone(0.3, 0.58, 0.22);
    let side = if b.other { -1.0 } else { 1.0 };
    b.blob(
        &[(0.02 * side, -0.82), (0.14 * side, -0.96), (0.3 * side, -0.92), (0.16 * side, -0.8)],
        leaf,
    );
    b.plainly(|b| b.oval(-wide * 0.5, -0.56, 0.06, 0.12, paint.lite(0.55)));
}

pub(crate) fn fruit_bowl(b: &mut Brush, _: Tone) {
    let bowl = if b.second {
        b.tone((15.0, 40.0), (0.3, 0.5), (0.35, 0.5))
    } else {
        b.tone((180.0, 260.0), (0.2, 0.6), (0.5, 0.8))
    };
    let banana = Tone(0.97, 0.84, 0.25);
    let lift = b.v((-0.42, -0.36), (-0.36, -0.3));
    let mut bunch = arc((0.16, lift - 0.3), (0.34, 0.3), (0.05, 0.42));
    let inner = arc((0.16, lift - 0.36), (0.3, 0.2), (0.05, 0.42));
    bunch.extend(inner.into_iter().rev());
    let fruits = [(-0.3, 4.0), (0.3, 120.0), (0.0, 28.0), (-0.12, 90.0), (0.2, 350.0)];
    for (index, (x, hue)) in fruits.iter().enumerate() {
        let y = lift - if index % 2 == 0 { 0.06 } else { 0.14 };
        let tone = b.tone((hue - 6.0, hue + 6.0), (0.7, 0.9), (0.46, 0.56));
        let (r, dx) = (b.r(0.13, 0.17), b.r(-0.04, 0.04));
        b.disc(x + dx, y, r, tone);
        b.plainly(|b| b.disc(x + dx - r * 0.35, y - r * 0.35, r * 0.2, tone.lite(0.6)));
    }
    b.poly(&bunch, banana);
    for grape in 0..9 {
        let (x, y) = (-0.38 + 0.055 * (grape % 4) as f32, lift - 0.2 + 0.05 * (grape / 4) as f32);
        b.disc(x, y, 0.045, Tone(0.42, 0.2, 0.5));
    }
    if b.other {
        b.poly(&[(-0.56, lift), (0.56, lift), (0.3, -0.05), (-0.3, -0.05)], bowl);
    } else {
        b.slice((0.0, lift), (0.54, 0.36), (0.0, 0.5), bowl);
    }
    b.slab(-0.2, -0.06, 0.2, 0.0, bowl.dark(0.2));
}

pub(crate) fn coffee(b: &mut Brush, _: Tone) {
    let cup = if b.second {
        b.tone((0.0, 360.0), (0.3, 0.6), (0.35, 0.55))
    } else {
        b.tone((0.0, 360.0), (0.1, 0.6), (0.75, 0.95))
    };
    let brew = b.tone((18.0, 26.0), (0.5, 0.7), (0.18, 0.28));
    b.oval(0.0, -0.03, 0.52, 0.1, cup.lite(0.25));
    b.oval(0.0, -0.04, 0.36, 0.06, cup.dark(0.1));
    let rim = b.v((-0.52, -0.46), (-0.66, -0.58));
    let half = b.v((0.34, 0.38), (0.28, 0.31));
    let handle = arc((half, rim * 0.58), (0.14, 0.13), (-0.3, 0.3));
    b.line(&handle, 0.06, cup);
    if b.other {
        b.poly(&[(-half, rim), (half, rim), (half * 0.9, -0.04), (-half * 0.9, -0.04)], cup);
    } else {
        b.blob(
            &[
                (-half, rim),
                (-half * 0.9, rim * 0.45),
                (-half * 0.5, -0.04),
                (half * 0.5, -0.04),
                (half * 0.9, rim * 0.45),
                (half, rim),
                (0.0, rim - 0.02),
            ],
            cup,
        );
    }
    b.oval(0.0, rim, half, 0.085, cup.lite(0.3));
    b.oval(0.0, rim, half * 0.88, 0.062, brew);
    if b.chance(0.5) {
        b.plainly(|b| b.oval(0.03, rim, half * 0.4, 0.03, brew.lite(0.5)));
    }
    b.plainly(|b| {
        for steam in 0..3 {
            let x = (steam as f32 - 1.0) * 0.14;
            let sway = b.r(0.03, 0.06);
            b.curve(
                &[
                    (x, rim - 0.1),
                    (x + sway, rim - 0.2),
                    (x - sway, rim - 0.3),
                    (x + sway, rim - 0.42),
                ],
                0.022,
                Tone(0.97, 0.97, 0.97),
            );
        }
    });
}

pub(crate) fn ice_cream(b: &mut Brush, _: Tone) {
    let waffle = b.tone((28.0, 38.0), (0.55, 0.75), (0.55, 0.65));
    let scoops = b.count(1, 3);
    let half = b.v((0.19, 0.23), (0.16, 0.19));
    let cone_top = -0.5;
    b.poly(&[(-half, cone_top), (half, cone_top), (0.0, 0.0)], waffle);
    b.plainly(|b| {
        for line in 1..4 {
            let share = line as f32 / 4.0;
            b.line(
                &[
                    (-half + 2.0 * half * share, cone_top),
                    (half * (share - 1.0) * 0.6, cone_top * 0.55),
                ],
                0.012,
                waffle.dark(0.35),
            );
            b.line(
                &[
                    (half - 2.0 * half * share, cone_top),
                    (-half * (share - 1.0) * 0.6, cone_top * 0.55),
                ],
                0.012,
                waffle.dark(0.35),
            );
        }
    });
    let spots: &[(f32, f32)] = match scoops {
        1 => &[(0.0, 0.0)],
        2 if b.second => &[(-0.6, 0.0), (0.6, 0.0)],
        2 => &[(0.0, 0.0), (0.0, 1.2)],
        _ => &[(-0.6, 0.0), (0.6, 0.0), (0.0, 1.0)],
    };
    for (x, up) in spots {
        let tone = b.pick(&[
            Tone(0.98, 0.72, 0.8),
            Tone(0.98, 0.93, 0.75),
            Tone(0.5, 0.32, 0.22),
            Tone(0.72, 0.9, 0.7),
            Tone(0.75, 0.65, 0.92),
        ]);
        let (x, y) = (x * half, cone_top - 0.1 - up * 0.2);
        b.disc(x, y, half * 0.95, tone);
        b.plainly(|b| {
            for bump in -2_i32..=2 {
                b.disc(x + bump as f32 * half * 0.4, y + half * 0.62, half * 0.3, tone);
            }
            b.disc(x - half * 0.35, y - half * 0.35, half * 0.18, tone.lite(0.6));
        });
    }
    let top = spots.iter().fold(0.0_f32, |top, spot| top.max(spot.1));
    if b.chance(0.5) {
        b.disc(0.0, cone_top - 0.12 - top * 0.2 - half, 0.05, Tone(0.85, 0.1, 0.18));
    }
}

pub(crate) fn burger(b: &mut Brush, _: Tone) {
    let bun = b.tone((26.0, 36.0), (0.6, 0.8), (0.5, 0.62));
    let half = b.v((0.44, 0.5), (0.36, 0.42));
    let patties = if b.other { 2 } else { 1 };
    b.round(-half, -0.2, half, 0.0, 0.09, bun.dark(0.08));
    let mut y = -0.2;
    for _ in 0..patties {
        b.round(-half * 1.03, y - 0.13, half * 1.03, y + 0.01, 0.06, Tone(0.36, 0.2, 0.12));
        y -= 0.13;
        b.poly(
            &[
                (-half * 1.05, y),
                (half * 1.05, y),
                (half * 0.6, y + 0.1),
                (half * 0.3, y + 0.01),
                (-half * 0.2, y + 0.08),
                (-half * 0.5, y + 0.01),
            ],
            Tone(0.99, 0.78, 0.2),
        );
    }
    b.slab(-half * 0.95, y - 0.06, half * 0.95, y, Tone(0.86, 0.22, 0.16));
    let mut leaf = vec![(half * 1.08, y - 0.05), (-half * 1.08, y - 0.05)];
    for wave in 0..9 {
        let x = -half * 1.08 + 2.16 * half * wave as f32 / 8.0;
        leaf.push((x, y - if wave % 2 == 0 { 0.1 } else { 0.03 }));
    }
    b.blob(&leaf[2..], Tone(0.45, 0.72, 0.26));
    b.slab(-half * 1.04, y - 0.11, half * 1.04, y - 0.06, Tone(0.45, 0.72, 0.26));
    let crown = b.v((0.3, 0.36), (0.22, 0.28));
    b.slice((0.0, y - 0.09), (half * 1.02, crown), (0.5, 1.0), bun);
    b.plainly(|b| {
        for _ in 0..10 {
            let (turn, away) = (b.r(0.56, 0.94) * std::f32::consts::TAU, b.r(0.45, 0.85));
            b.oval(
                turn.cos() * half * away,
                y - 0.1 + turn.sin() * crown * away,
                0.022,
                0.013,
                Tone(0.98, 0.93, 0.75),
            );
        }
    });
}

pub(crate) fn watermelon(b: &mut Brush, _: Tone) {
    let flesh = b.tone((350.0, 362.0), (0.75, 0.9), (0.54, 0.62));
    let rind = b.tone((110.0, 135.0), (0.5, 0.7), (0.24, 0.34));
    let seeds = if b.other {
        // A wedge with its point upwards.
        b.poly(&[(-0.5, -0.06), (0.0, -0.95), (0.5, -0.06)], flesh);
        b.slice((0.0, -0.13), (0.54, 0.14), (0.0, 0.5), rind);
        b.slice((0.0, -0.14), (0.52, 0.08), (0.0, 0.5), Tone(0.92, 0.96, 0.8));
        vec![
            (-0.22, -0.22),
            (0.0, -0.24),
            (0.22, -0.22),
            (-0.1, -0.42),
            (0.11, -0.42),
            (0.0, -0.62),
        ]
    } else {
        b.slice((0.0, -0.62), (0.56, 0.56), (0.0, 0.5), rind);
        b.slice((0.0, -0.62), (0.51, 0.5), (0.0, 0.5), Tone(0.92, 0.96, 0.8));
        b.slice((0.0, -0.62), (0.46, 0.45), (0.0, 0.5), flesh);
        vec![
            (-0.3, -0.52),
            (-0.1, -0.5),
            (0.12, -0.5),
            (0.32, -0.53),
            (-0.2, -0.38),
            (0.0, -0.34),
            (0.2, -0.38),
        ]
    };
    b.plainly(|b| {
        for (x, y) in seeds {
            let (dx, dy) = (b.r(-0.03, 0.03), b.r(-0.03, 0.03));
            b.oval(x + dx, y + dy, 0.02, 0.034, Tone(0.15, 0.08, 0.08));
        }
    });
}
