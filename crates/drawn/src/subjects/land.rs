//! Landscape subjects: what stands on land far from a town.

use crate::brush::Brush;
use crate::curve::{Spot, arc};
use crate::tone::Tone;

pub(crate) fn mountain(b: &mut Brush, _: Tone) {
    let stone = if b.second {
        b.tone((250.0, 330.0), (0.1, 0.3), (0.35, 0.55))
    } else {
        b.tone((200.0, 250.0), (0.08, 0.3), (0.38, 0.56))
    };
    let peaks = b.count(2, 3);
    for peak in 0..peaks {
        let last = peak + 1 == peaks;
        let x = if last { b.r(-0.12, 0.12) } else { b.r(-0.6, 0.6) };
        let top = if last { -1.0 } else { b.r(-0.85, -0.6) };
        let half = b.v((0.42, 0.6), (0.55, 0.8));
        let tone = stone.dark(0.25 * (peaks - peak) as f32 / peaks as f32);
        let lean = b.r(-0.08, 0.08);
        let (left, right) = (x - half, x + half);
        b.poly(
            &[
                (left, 0.02),
                (x - half * 0.45, top * 0.5),
                (x, top),
                (x + half * 0.5, top * 0.45),
                (right, 0.02),
            ],
            tone,
        );
        if b.other {
            let shade = tone.dark(0.35);
            b.plainly(|b| {
                b.poly(
                    &[
                        (x, top),
                        (x + half * 0.5, top * 0.45),
                        (right, 0.02),
                        (x + lean, 0.02),
                        (x + 0.08, top * 0.5),
                    ],
                    shade,
                );
            });
        }
        let snow = b.v((0.28, 0.4), (0.2, 0.3));
        let edge = |side: f32, deep: f32| -> Spot {
            (x + side * half * 0.48 * deep * 1.9, top + (-top) * deep)
        };
        let zig = [
            edge(-1.0, snow),
            (x - 0.1 * half, top * (1.0 - snow * 0.75)),
            (x + 0.02, top * (1.0 - snow * 1.15)),
            (x + 0.16 * half, top * (1.0 - snow * 0.7)),
            edge(1.0, snow),
            (x, top),
        ];
        b.poly(&zig, Tone(0.96, 0.97, 1.0));
    }
}

pub(crate) fn volcano(b: &mut Brush, _: Tone) {
    let rock = if b.second {
        b.tone((330.0, 380.0), (0.15, 0.3), (0.25, 0.36))
    } else {
        b.tone((10.0, 35.0), (0.2, 0.4), (0.24, 0.36))
    };
    let mouth = b.v((0.1, 0.15), (0.16, 0.22));
    let top = -0.68;
    for puff in 0..b.count(4, 7) {
        let lift = puff as f32 * 0.07;
        let (x, y, r) =
            (b.r(-0.1, 0.1) + lift * 0.6, top - 0.06 - lift, b.r(0.07, 0.12) + lift * 0.2);
        let grey = b.tone((0.0, 40.0), (0.0, 0.1), (0.5, 0.72));
        b.disc(x, y, r, grey);
    }
    let lava = b.tone((8.0, 30.0), (0.95, 1.0), (0.5, 0.56));
    b.shining(|b| {
        b.glow(0.0, top, 0.34, lava, 0.8);
        for _ in 0..b.count(4, 8) {
            let (x, y) = (b.r(-0.24, 0.24), top - b.r(0.1, 0.34));
            b.curve(&[(x * 0.2, top), (x * 0.6, y), (x, y + 0.08)], 0.022, lava);
        }
    });
    b.poly(
        &[(-0.6, 0.02), (-0.3, -0.3), (-mouth, top), (mouth, top), (0.28, -0.32), (0.6, 0.02)],
        rock,
    );
    b.shining(|b| {
        b.oval(0.0, top, mouth, 0.035, lava);
        for stream in 0..3 {
            let x = (stream as f32 - 1.0) * mouth * 0.7;
            let end = b.r(-0.42, -0.12);
            let sway = b.r(-0.06, 0.06);
            b.curve(
                &[(x, top), (x * 1.6 + sway, f32::midpoint(top, end)), (x * 2.6, end)],
                0.045,
                lava,
            );
        }
    });
}

pub(crate) fn waterfall(b: &mut Brush, _: Tone) {
    let rock = if b.second {
        b.tone((200.0, 280.0), (0.05, 0.16), (0.36, 0.48))
    } else {
        b.tone((22.0, 50.0), (0.15, 0.32), (0.32, 0.46))
    };
    let water = if b.second {
        b.tone((170.0, 190.0), (0.35, 0.6), (0.72, 0.82))
    } else {
        b.tone((196.0, 212.0), (0.5, 0.8), (0.72, 0.82))
    };
    let half = b.v((0.12, 0.2), (0.2, 0.28));
    let (a, c) = (b.r(0.85, 1.0), b.r(0.85, 1.0));
    b.blob(
        &[
            (-0.72, 0.02),
            (-0.66, -a * 0.7),
            (-0.45, -a),
            (-half, -0.86),
            (0.0, -0.84),
            (half, -0.86),
            (0.45, -c),
            (0.68, -c * 0.65),
            (0.72, 0.02),
        ],
        rock,
    );
    for _ in 0..5 {
        let (x, y) = (b.pick(&[-0.52, -0.4, 0.38, 0.5]), b.r(-0.75, -0.1));
        b.poly(
            &[(x - 0.08, y + 0.06), (x - 0.02, y - 0.05), (x + 0.09, y + 0.02)],
            rock.dark(0.25),
        );
    }
    b.poly(&[(-half, -0.86), (half, -0.86), (half * 1.15, -0.02), (-half * 1.15, -0.02)], water);
    b.plainly(|b| {
        for _ in 0..9 {
            let (x, y) = (b.r(-half * 0.9, half * 0.9), b.r(-0.82, -0.5));
            let long = b.r(0.18, 0.42);
            b.line(&[(x, y), (x, y + long)], 0.02, Tone::WHITE);
        }
    });
    b.oval(0.0, 0.0, 0.6, 0.13, water.dark(0.25));
    for _ in 0..7 {
        let (x, r) = (b.r(-half * 1.6, half * 1.6), b.r(0.04, 0.08));
        b.disc(x, -0.04, r, Tone::WHITE);
    }
    for side in [-1.0, 1.0] {
        let leaf = b.tone((90.0, 140.0), (0.4, 0.6), (0.26, 0.4));
        let y = if side < 0.0 { -a } else { -c };
        b.disc(side * 0.5, y + 0.02, 0.1, leaf);
        b.disc(side * 0.4, y + 0.04, 0.08, leaf.lite(0.1));
    }
}

pub(crate) fn pine(b: &mut Brush, _: Tone) {
    let trees = b.count(1, 4);
    for tree in 0..trees {
        let x = if trees == 1 { 0.0 } else { (tree as f32 / (trees - 1) as f32 - 0.5) * 1.1 };
        let tall = b.r(0.75, 1.0);
        let tone = if b.second {
            b.tone((130.0, 175.0), (0.25, 0.5), (0.2, 0.34))
        } else {
            b.tone((100.0, 150.0), (0.35, 0.6), (0.22, 0.36))
        };
        let bark = b.tone((20.0, 30.0), (0.3, 0.5), (0.2, 0.3));
        let wide = b.v((0.22, 0.3), (0.15, 0.22));
        b.slab(x - 0.035, -0.2, x + 0.035, 0.0, bark);
        if b.other {
            let mut spots = vec![(x, -tall)];
            let teeth = 6;
            let mut left = Vec::new();
            for tooth in 1..=teeth {
                let down = tooth as f32 / teeth as f32;
                let y = -tall + (tall - 0.1) * down;
                spots.push((x + wide * down, y));
                left.push((x - wide * down, y));
                if tooth < teeth {
                    spots.push((x + wide * down * 0.5, y - 0.01));
                    left.push((x - wide * down * 0.5, y - 0.01));
                }
            }
            spots.extend(left.into_iter().rev());
            b.poly(&spots, tone);
        } else {
            let layers = b.count(3, 4);
            for layer in (0..layers).rev() {
                let share = (layer + 1) as f32 / layers as f32;
                let y = -tall + (tall - 0.12) * share;
                let tip = -tall + (tall - 0.12) * (share - 1.0 / layers as f32) - 0.06;
                let half = wide * (0.45 + 0.55 * share);
                b.poly(
                    &[(x - half, y), (x, tip.max(-tall)), (x + half, y)],
                    tone.lite(0.1 * (1.0 - share)),
                );
            }
        }
    }
}

pub(crate) fn cactus(b: &mut Brush, _: Tone) {
    let green = if b.second {
        b.tone((90.0, 165.0), (0.25, 0.45), (0.38, 0.5))
    } else {
        b.tone((105.0, 145.0), (0.4, 0.7), (0.3, 0.42))
    };
    let thick = b.v((0.13, 0.18), (0.18, 0.24));
    let (la, ra) = (b.r(-0.55, -0.3), b.r(-0.6, -0.35));
    let (lt, rt) = (la - b.r(0.2, 0.34), ra - b.r(0.18, 0.32));
    let reach = b.v((0.26, 0.34), (0.32, 0.4));
    let arm = thick * 0.75;
    b.line(&[(0.0, 0.0), (0.0, -0.9)], thick, green);
    b.line(&[(-reach, lt), (-reach, la), (0.0, la)], arm, green);
    b.line(&[(reach, rt), (reach, ra), (0.0, ra)], arm, green);
    b.plainly(|b| {
        b.line(&[(0.0, -0.02), (0.0, -0.88)], thick * 0.6, green.lite(0.08));
        for (x, low, high) in [(0.0, -0.05, -0.85), (-reach, la, lt), (reach, ra, rt)] {
            b.line(&[(x, low), (x, high)], 0.018, green.dark(0.35));
        }
        if b.other {
            for (x, y) in [(0.0, -0.98), (-reach, lt - 0.07), (reach, rt - 0.07)] {
                b.disc(x, y, 0.05, Tone(0.95, 0.45, 0.6));
            }
        }
    });
}

pub(crate) fn pyramid(b: &mut Brush, _: Tone) {
    let stone = if b.second {
        b.tone((25.0, 38.0), (0.35, 0.5), (0.52, 0.62))
    } else {
        b.tone((38.0, 48.0), (0.5, 0.7), (0.6, 0.7))
    };
    let small = b.chance(0.6);
    if small {
        let x = b.pick(&[-0.55, 0.55]);
        b.poly(&[(x - 0.32, 0.0), (x, -0.5), (x + 0.32, 0.0)], stone.dark(0.15));
        b.plainly(|b| b.poly(&[(x, -0.5), (x + 0.32, 0.0), (x + 0.06, 0.0)], stone.dark(0.4)));
    }
    let split = b.v((0.08, 0.2), (-0.2, 0.0));
    let half = b.v((0.55, 0.62), (0.66, 0.78));
    let top = b.v((-0.8, -0.72), (-0.95, -0.8));
    b.poly(&[(-half, 0.0), (0.0, top), (half, 0.0)], stone);
    b.plainly(|b| {
        b.poly(&[(0.0, top), (half, 0.0), (split, 0.0)], stone.dark(0.32));
        for row in 1..7 {
            let share = row as f32 / 7.0;
            let y = top * (1.0 - share);
            b.line(
                &[(-half * share, y), (split * share, y), (half * share, y)],
                0.008,
                stone.dark(0.5),
            );
        }
    });
}

pub(crate) fn windmill(b: &mut Brush, _: Tone) {
    let wall = if b.second {
        b.tone((5.0, 30.0), (0.35, 0.55), (0.42, 0.58))
    } else {
        b.tone((30.0, 50.0), (0.2, 0.5), (0.82, 0.92))
    };
    let roof = if b.second {
        b.tone((200.0, 260.0), (0.2, 0.4), (0.3, 0.4))
    } else {
        b.tone((5.0, 25.0), (0.5, 0.7), (0.35, 0.45))
    };
    let (low, high) = (b.v((0.17, 0.21), (0.22, 0.27)), b.v((0.11, 0.13), (0.13, 0.15)));
    b.poly(&[(-low, 0.0), (-high, -0.6), (high, -0.6), (low, 0.0)], wall);
    if b.other {
        b.slice((0.0, -0.6), (high * 1.1, 0.13), (0.5, 1.0), roof);
    } else {
        b.poly(&[(-high * 1.25, -0.6), (0.0, -0.78), (high * 1.25, -0.6)], roof);
    }
    b.slab(-0.045, -0.16, 0.045, 0.0, wall.dark(0.6));
    b.slab(-0.03, -0.42, 0.03, -0.34, wall.dark(0.6));
    let turn = b.r(0.0, 90.0);
    let sail = b.v((0.055, 0.07), (0.08, 0.1));
    let cloth = b.tone((30.0, 50.0), (0.1, 0.4), (0.86, 0.95));
    for blade in 0..4 {
        let turned = tiny_skia::Transform::from_translate(0.0, -0.63)
            .pre_concat(tiny_skia::Transform::from_rotate(turn + 90.0 * blade as f32));
        b.within(turned, |b| {
            b.slab(0.0, -0.44, sail * 1.6, -0.09, cloth);
            b.line(&[(0.0, 0.0), (0.0, -0.46)], 0.025, Tone(0.3, 0.2, 0.15));
            b.plainly(|b| {
                for bar in 0..4 {
                    let y = -0.4 + bar as f32 * 0.09;
                    b.line(&[(0.0, y), (sail * 1.6, y)], 0.01, Tone(0.35, 0.25, 0.2));
                }
            });
        });
    }
    b.disc(0.0, -0.63, 0.035, Tone(0.25, 0.18, 0.14));
}

pub(crate) fn snowman(b: &mut Brush, _: Tone) {
    let snow = if b.second {
        b.tone((200.0, 240.0), (0.2, 0.4), (0.93, 0.97))
    } else {
        b.tone((190.0, 220.0), (0.1, 0.3), (0.95, 0.99))
    };
    let scarf = b.tone((0.0, 360.0), (0.6, 0.9), (0.4, 0.52));
    let edge = Tone(0.62, 0.7, 0.82);
    let ball = |b: &mut Brush, y: f32, r: f32| {
        b.plainly(|b| b.disc(0.0, y, r + 0.012, edge));
        b.disc(0.0, y, r, snow);
    };
    let fat = b.v((0.24, 0.28), (0.3, 0.34));
    ball(b, -fat, fat);
    let head_y = if b.other {
        -fat * 2.0 - 0.13
    } else {
        ball(b, -fat * 2.0 - 0.08, 0.18);
        -fat * 2.0 - 0.3
    };
    let arm = if b.other { -fat * 1.3 } else { -fat * 2.0 - 0.1 };
    let lift = b.r(-0.2, 0.05);
    for side in [-1.0, 1.0] {
        b.line(&[(side * 0.16, arm), (side * 0.46, arm + lift)], 0.025, Tone(0.35, 0.22, 0.14));
    }
    ball(b, head_y, 0.145);
    b.line(&[(-0.12, head_y + 0.13), (0.0, head_y + 0.15), (0.12, head_y + 0.13)], 0.06, scarf);
    b.line(&[(0.08, head_y + 0.14), (0.12, head_y + 0.32)], 0.05, scarf);
    b.plainly(|b| {
        b.disc(-0.05, head_y - 0.03, 0.018, Tone::BLACK);
        b.disc(0.05, head_y - 0.03, 0.018, Tone::BLACK);
        b.poly(
            &[(0.0, head_y), (0.0, head_y + 0.045), (0.17, head_y + 0.035)],
            Tone(0.95, 0.5, 0.1),
        );
        for button in 0..3 {
            b.disc(0.0, arm + 0.02 + 0.09 * button as f32, 0.02, Tone::BLACK);
        }
    });
    let hat = if b.other { scarf.dark(0.2) } else { Tone(0.13, 0.12, 0.15) };
    if b.other {
        b.slice((0.0, head_y - 0.07), (0.14, 0.17), (0.5, 1.0), hat);
        b.disc(0.0, head_y - 0.25, 0.04, Tone::WHITE);
    } else {
        b.slab(-0.18, head_y - 0.14, 0.18, head_y - 0.1, hat);
        b.slab(-0.1, head_y - 0.3, 0.1, head_y - 0.11, hat);
    }
}

pub(crate) fn rainbow(b: &mut Brush, _: Tone) {
    let band = b.v((0.05, 0.062), (0.04, 0.05));
    let flat = b.v((0.9, 1.0), (0.72, 0.85));
    let hues = [0.0, 28.0, 54.0, 125.0, 205.0, 245.0, 285.0];
    let vivid = b.r(0.55, 0.95);
    b.plainly(|b| {
        for (index, hue) in hues.iter().enumerate() {
            let radius = 0.95 - band * index as f32;
            let tone = Tone::hsl(*hue, vivid, 0.58);
            let spots = arc((0.0, 0.02), (radius, radius * flat), (0.5, 1.0));
            b.line(&spots, band * 1.15, tone);
        }
    });
    if b.other {
        for side in [-0.85, 0.85] {
            for puff in [-0.12, 0.0, 0.12] {
                b.disc(side + puff, -0.02, 0.11, Tone(0.97, 0.97, 0.99));
            }
        }
    }
}
