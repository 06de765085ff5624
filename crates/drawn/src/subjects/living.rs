//! People and animals: simple figures.

use crate::brush::Brush;
use crate::tone::Tone;
use tiny_skia::Transform;

const SKINS: [Tone; 5] = [
    Tone(0.98, 0.84, 0.72),
    Tone(0.93, 0.74, 0.58),
    Tone(0.78, 0.57, 0.4),
    Tone(0.55, 0.37, 0.25),
    Tone(0.4, 0.27, 0.19),
];

/// One standing figure, 1 high, feet at the origin. `young` makes the head large.
fn figure(b: &mut Brush, young: bool) {
    let skin = b.pick(&SKINS);
    let shirt = b.tone((0.0, 360.0), (0.4, 0.9), (0.4, 0.65));
    let legs = b.tone((200.0, 260.0), (0.1, 0.5), (0.2, 0.42));
    let hair = b.pick(&[
        Tone(0.15, 0.1, 0.08),
        Tone(0.38, 0.24, 0.13),
        Tone(0.85, 0.68, 0.35),
        Tone(0.6, 0.28, 0.14),
        Tone(0.75, 0.75, 0.76),
    ]);
    let head = match (young, b.second) {
        (true, true) => b.r(0.19, 0.21),
        (true, false) => b.r(0.155, 0.175),
        (false, true) => b.r(0.13, 0.15),
        (false, false) => b.r(0.1, 0.12),
    };
    let neck = -1.0 + head * 2.0;
    let hip = b.v((-0.46, -0.4), (-0.4, -0.34));
    let shoulder = b.v((0.13, 0.17), (0.1, 0.14));
    let dress = b.chance(if b.other { 0.5 } else { 0.35 });
    let stride = b.r(0.03, 0.12);
    let leg_tone = if dress { skin } else { legs };
    for side in [-1.0, 1.0] {
        b.line(&[(side * 0.05, hip), (side * stride, -0.03)], 0.075, leg_tone);
        b.line(
            &[(side * stride, -0.02), (side * stride + 0.05, -0.02)],
            0.05,
            Tone(0.2, 0.15, 0.14),
        );
    }
    let pose = b.count(0, 3);
    for side in [-1.0_f32, 1.0] {
        let hand = match pose {
            0 => (side * (shoulder + 0.09), hip + 0.02),
            1 if side > 0.0 => (shoulder + 0.16, neck - 0.14),
            2 => (side * (shoulder + 0.2), neck + 0.16),
            _ => (side * (shoulder + 0.05), hip - 0.03),
        };
        b.line(&[(side * shoulder * 0.85, neck + 0.07), hand], 0.06, shirt.dark(0.12));
        b.plainly(|b| b.disc(hand.0, hand.1, 0.034, skin));
    }
    if dress {
        b.poly(
            &[
                (-shoulder * 0.8, neck + 0.03),
                (shoulder * 0.8, neck + 0.03),
                (shoulder * 1.5, hip + 0.14),
                (-shoulder * 1.5, hip + 0.14),
            ],
            shirt,
        );
    } else {
        b.round(-shoulder, neck + 0.02, shoulder, hip + 0.03, 0.06, shirt);
    }
    let crown = neck - head;
    let long_hair = dress || b.chance(0.2);
    if long_hair {
        b.round(-head * 1.1, crown - head * 0.6, head * 1.1, neck + 0.08, head * 0.6, hair);
    }
    b.disc(0.0, crown, head, skin);
    b.plainly(|b| {
        b.slice((0.0, crown - head * 0.2), (head * 1.04, head * 0.86), (0.5, 1.0), hair);
        for side in [-1.0, 1.0] {
            b.disc(side * head * 0.38, crown + head * 0.05, head * 0.11, Tone::BLACK);
        }
        b.curve(
            &[
                (-head * 0.32, crown + head * 0.42),
                (0.0, crown + head * 0.58),
                (head * 0.32, crown + head * 0.42),
            ],
            head * 0.1,
            Tone(0.65, 0.25, 0.22),
        );
    });
    if b.chance(if b.other { 0.45 } else { 0.15 }) {
        let hat = b.tone((0.0, 360.0), (0.3, 0.7), (0.3, 0.6));
        b.oval(0.0, crown - head * 0.5, head * 1.5, head * 0.22, hat);
        b.slice((0.0, crown - head * 0.5), (head * 0.85, head * 0.8), (0.5, 1.0), hat);
    }
}

pub(crate) fn person(b: &mut Brush, _: Tone) {
    figure(b, false);
}

pub(crate) fn group(b: &mut Brush, _: Tone) {
    let people = b.count(3, 5);
    let gap = b.v((0.36, 0.42), (0.28, 0.36));
    for index in 0..people {
        let x = (index as f32 - (people - 1) as f32 / 2.0) * gap;
        let (size, down) = (b.r(0.78, 1.0), b.v((0.0, 0.02), (-0.06, 0.06)));
        b.within(Transform::from_translate(x, down).pre_scale(size, size), |b| figure(b, false));
    }
}

pub(crate) fn child(b: &mut Brush, _: Tone) {
    figure(b, true);
    let side = b.pick(&[-1.0, 1.0]);
    let ball = b.tone((0.0, 360.0), (0.75, 0.95), (0.48, 0.58));
    let r = b.v((0.14, 0.17), (0.17, 0.21));
    let (x, y) = (side * b.r(0.4, 0.52), -r - b.pick(&[0.0, 0.0, 0.25]));
    b.disc(x, y, r, ball);
    b.plainly(|b| {
        b.curve(
            &[(x - r * 0.9, y - r * 0.2), (x, y + r * 0.1), (x + r * 0.9, y - r * 0.2)],
            r * 0.25,
            Tone::WHITE,
        );
        if b.other {
            b.line(&[(x, y - r * 0.9), (x, y + r * 0.9)], r * 0.2, Tone::WHITE);
        }
    });
}

pub(crate) fn cat(b: &mut Brush, _: Tone) {
    let fur = b.pick(&[
        Tone(0.92, 0.6, 0.28),
        Tone(0.5, 0.5, 0.54),
        Tone(0.2, 0.19, 0.22),
        Tone(0.93, 0.9, 0.85),
        Tone(0.6, 0.45, 0.33),
    ]);
    let dark = fur.dark(0.35);
    let head_r = b.v((0.2, 0.23), (0.24, 0.27));
    let (hx, hy);
    if b.other {
        // Walking, seen from the side, tail up.
        b.curve(&[(-0.36, -0.4), (-0.56, -0.62), (-0.44, -0.9)], 0.075, fur);
        for x in [-0.34, -0.22, 0.16, 0.28] {
            let step = b.r(-0.04, 0.04);
            b.line(&[(x, -0.28), (x + step, -0.04)], 0.09, fur.dark(0.1));
        }
        b.round(-0.44, -0.52, 0.36, -0.2, 0.16, fur);
        (hx, hy) = (0.38, -0.62);
    } else {
        // Sitting, facing us.
        let curl = b.pick(&[-1.0, 1.0]);
        b.curve(&[(curl * 0.16, -0.06), (curl * 0.44, -0.08), (curl * 0.46, -0.4)], 0.08, fur);
        b.blob(
            &[(-0.16, -0.62), (-0.28, -0.2), (-0.2, 0.0), (0.2, 0.0), (0.28, -0.2), (0.16, -0.62)],
            fur,
        );
        b.line(&[(-0.08, -0.3), (-0.09, -0.03)], 0.08, fur.lite(0.12));
        b.line(&[(0.08, -0.3), (0.09, -0.03)], 0.08, fur.lite(0.12));
        (hx, hy) = (0.0, -0.7);
    }
    for side in [-1.0, 1.0] {
        b.poly(
            &[
                (hx + side * head_r * 0.95, hy - head_r * 0.3),
                (hx + side * head_r * 0.85, hy - head_r * 1.45),
                (hx + side * head_r * 0.15, hy - head_r * 0.85),
            ],
            fur,
        );
        b.plainly(|b| {
            b.poly(
                &[
                    (hx + side * head_r * 0.8, hy - head_r * 0.55),
                    (hx + side * head_r * 0.76, hy - head_r * 1.15),
                    (hx + side * head_r * 0.4, hy - head_r * 0.85),
                ],
                Tone(0.95, 0.68, 0.68),
            );
        });
    }
    b.oval(hx, hy, head_r * 1.05, head_r * 0.9, fur);
    b.plainly(|b| {
        for side in [-1.0, 1.0] {
            b.oval(
                hx + side * head_r * 0.42,
                hy - head_r * 0.08,
                head_r * 0.17,
                head_r * 0.2,
                Tone(0.75, 0.85, 0.3),
            );
            b.oval(
                hx + side * head_r * 0.42,
                hy - head_r * 0.08,
                head_r * 0.07,
                head_r * 0.18,
                Tone::BLACK,
            );
            for whisker in [-0.1, 0.1] {
                b.line(
                    &[
                        (hx + side * head_r * 0.3, hy + head_r * 0.35),
                        (hx + side * head_r * 1.35, hy + head_r * (0.35 + whisker * 2.0)),
                    ],
                    0.01,
                    dark.mix(Tone::WHITE, 0.3),
                );
            }
        }
        b.poly(
            &[
                (hx - head_r * 0.12, hy + head_r * 0.2),
                (hx + head_r * 0.12, hy + head_r * 0.2),
                (hx, hy + head_r * 0.36),
            ],
            Tone(0.9, 0.5, 0.5),
        );
        for stripe in [-0.3, 0.0, 0.3] {
            b.line(
                &[
                    (hx + stripe * head_r, hy - head_r * 0.8),
                    (hx + stripe * head_r * 0.8, hy - head_r * 0.5),
                ],
                0.025,
                dark,
            );
        }
    });
}

pub(crate) fn bird(b: &mut Brush, _: Tone) {
    let body = b.tone((0.0, 360.0), (0.4, 0.85), (0.42, 0.62));
    let belly = body.lite(0.5);
    let fat = b.v((0.22, 0.26), (0.28, 0.32));
    if b.other {
        // Flying, wings spread.
        b.poly(&[(-0.28, -0.5), (-0.58, -0.62), (-0.56, -0.4)], body.dark(0.3));
        b.blob(&[(0.08, -0.52), (-0.02, -0.98), (-0.3, -1.0), (-0.16, -0.5)], body.dark(0.2));
        b.oval(0.0, -0.46, 0.34, fat * 0.62, body);
        b.plainly(|b| b.oval(0.04, -0.38, 0.24, fat * 0.34, belly));
        b.blob(&[(0.06, -0.46), (-0.1, -0.1), (-0.34, -0.04), (-0.16, -0.46)], body.dark(0.12));
    } else {
        for x in [-0.04, 0.07] {
            b.line(&[(x, -0.2), (x, -0.01), (x + 0.06, 0.0)], 0.024, Tone(0.85, 0.55, 0.15));
        }
        b.poly(&[(-0.24, -0.42), (-0.56, -0.36), (-0.26, -0.28)], body.dark(0.3));
        b.oval(0.0, -0.4, 0.32, fat, body);
        b.plainly(|b| b.oval(0.08, -0.33, 0.2, fat * 0.6, belly));
        b.blob(&[(0.02, -0.48), (-0.3, -0.44), (-0.4, -0.3), (-0.1, -0.28)], body.dark(0.25));
    }
    let (hx, hy) = if b.other { (0.34, -0.6) } else { (0.24, -0.68) };
    b.disc(hx, hy, 0.16, body);
    b.poly(
        &[(hx + 0.13, hy - 0.05), (hx + 0.3, hy + 0.01), (hx + 0.13, hy + 0.06)],
        Tone(0.98, 0.7, 0.15),
    );
    b.plainly(|b| {
        b.disc(hx + 0.05, hy - 0.03, 0.04, Tone::WHITE);
        b.disc(hx + 0.06, hy - 0.03, 0.022, Tone::BLACK);
    });
}

pub(crate) fn fish(b: &mut Brush, paint: Tone) {
    let deep = b.v((0.2, 0.26), (0.28, 0.36));
    let fin = paint.dark(0.2);
    let y = -0.5;
    if b.other {
        b.blob(&[(-0.3, y), (-0.6, y - 0.3), (-0.5, y), (-0.6, y + 0.3)], fin);
        b.poly(&[(-0.1, y - deep * 0.8), (-0.2, y - deep - 0.2), (0.16, y - deep * 0.9)], fin);
    } else {
        b.poly(&[(-0.32, y), (-0.58, y - 0.24), (-0.58, y + 0.24)], fin);
        b.blob(&[(-0.16, y - deep * 0.75), (0.0, y - deep - 0.12), (0.16, y - deep * 0.75)], fin);
    }
    b.blob(
        &[
            (0.46, y),
            (0.28, y - deep * 0.8),
            (0.0, y - deep),
            (-0.26, y - deep * 0.5),
            (-0.36, y),
            (-0.26, y + deep * 0.5),
            (0.0, y + deep),
            (0.28, y + deep * 0.8),
        ],
        paint,
    );
    b.plainly(|b| {
        let band = if b.other { paint.lite(0.7) } else { paint.lite(0.45) };
        if b.chance(0.6) {
            for x in [-0.14, 0.06] {
                b.curve(&[(x, y - deep * 0.75), (x + 0.05, y), (x, y + deep * 0.75)], 0.05, band);
            }
        }
        b.curve(&[(0.2, y - 0.12), (0.16, y), (0.2, y + 0.12)], 0.018, fin.dark(0.3));
        b.disc(0.31, y - 0.06, 0.05, Tone::WHITE);
        b.disc(0.32, y - 0.06, 0.026, Tone::BLACK);
    });
    b.poly(&[(0.02, y + 0.06), (-0.14, y + 0.18), (0.08, y + 0.16)], fin);
}

pub(crate) fn butterfly(b: &mut Brush, paint: Tone) {
    let spot = paint.lite(0.6);
    let (wide, tall) = (b.v((0.4, 0.46), (0.44, 0.52)), b.v((0.42, 0.46), (0.34, 0.4)));
    for side in [-1.0, 1.0] {
        if b.other {
            b.poly(
                &[
                    (0.0, -0.5),
                    (side * wide, -0.5 - tall),
                    (side * wide * 1.05, -0.52),
                    (side * 0.1, -0.46),
                ],
                paint,
            );
            b.poly(
                &[
                    (0.0, -0.46),
                    (side * wide * 0.85, -0.42),
                    (side * wide * 0.6, -0.08),
                    (side * 0.2, -0.14),
                ],
                paint.dark(0.2),
            );
        } else {
            b.blob(
                &[
                    (0.0, -0.52),
                    (side * wide * 0.6, -0.52 - tall),
                    (side * wide, -0.5 - tall * 0.7),
                    (side * wide * 0.85, -0.48),
                ],
                paint,
            );
            b.blob(
                &[
                    (0.0, -0.48),
                    (side * wide * 0.75, -0.42),
                    (side * wide * 0.6, -0.12),
                    (side * 0.14, -0.2),
                ],
                paint.dark(0.15),
            );
        }
        b.plainly(|b| {
            b.disc(side * wide * 0.68, -0.5 - tall * 0.5, 0.07, spot);
            b.disc(side * wide * 0.5, -0.28, 0.05, spot);
        });
    }
    b.line(&[(0.0, -0.72), (0.0, -0.22)], 0.06, Tone(0.16, 0.12, 0.12));
    b.plainly(|b| {
        for side in [-1.0, 1.0] {
            b.curve(
                &[(0.0, -0.74), (side * 0.06, -0.86), (side * 0.14, -0.92)],
                0.016,
                Tone(0.16, 0.12, 0.12),
            );
        }
    });
}
