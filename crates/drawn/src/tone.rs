//! A colour as the drawing code thinks of it: three channels from 0 to 1, mixed and shaded by
//! plain arithmetic. Named colours are families, not points: a "red" is drawn from a range, and the
//! ranges of two names never meet, so that a picture's colour word stays true.

/// Red, green, blue from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tone(pub f32, pub f32, pub f32);

impl Tone {
    pub const WHITE: Tone = Tone(1.0, 1.0, 1.0);
    pub const BLACK: Tone = Tone(0.06, 0.06, 0.08);

    /// Hue in degrees, saturation and lightness from 0 to 1.
    pub fn hsl(hue: f32, saturation: f32, lightness: f32) -> Tone {
        let reach = saturation * lightness.min(1.0 - lightness);
        let channel = |offset: f32| {
            let step = (offset + hue / 30.0).rem_euclid(12.0);
            lightness - reach * (step - 3.0).min(9.0 - step).clamp(-1.0, 1.0)
        };
        Tone(channel(0.0), channel(8.0), channel(4.0))
    }

    /// This tone with `share` (0 to 1) of `other` stirred in.
    pub fn mix(self, other: Tone, share: f32) -> Tone {
        let blend = |a: f32, b: f32| a + (b - a) * share;
        Tone(blend(self.0, other.0), blend(self.1, other.1), blend(self.2, other.2))
    }

    pub fn dark(self, share: f32) -> Tone {
        self.mix(Tone(0.05, 0.05, 0.12), share)
    }

    pub fn lite(self, share: f32) -> Tone {
        self.mix(Tone(1.0, 0.99, 0.95), share)
    }

    /// The tone under a coloured light.
    pub fn under(self, light: Tone) -> Tone {
        Tone(
            (self.0 * light.0).clamp(0.0, 1.0),
            (self.1 * light.1).clamp(0.0, 1.0),
            (self.2 * light.2).clamp(0.0, 1.0),
        )
    }
}

/// The hue, saturation and lightness ranges of a colour word.
struct Family {
    name: &'static str,
    hue: (f32, f32),
    saturation: (f32, f32),
    lightness: (f32, f32),
}

const fn family(
    name: &'static str,
    hue: (f32, f32),
    saturation: (f32, f32),
    lightness: (f32, f32),
) -> Family {
    Family { name, hue, saturation, lightness }
}

const FAMILIES: [Family; 10] = [
    family("red", (-6.0, 6.0), (0.7, 0.95), (0.4, 0.53)),
    family("orange", (22.0, 32.0), (0.85, 1.0), (0.48, 0.57)),
    family("yellow", (48.0, 57.0), (0.85, 1.0), (0.5, 0.62)),
    family("green", (100.0, 145.0), (0.45, 0.8), (0.3, 0.48)),
    family("blue", (208.0, 232.0), (0.65, 0.95), (0.38, 0.56)),
    family("purple", (266.0, 286.0), (0.45, 0.75), (0.36, 0.52)),
    family("pink", (325.0, 343.0), (0.7, 0.95), (0.68, 0.78)),
    family("white", (30.0, 220.0), (0.0, 0.15), (0.94, 0.99)),
    family("black", (200.0, 260.0), (0.0, 0.15), (0.07, 0.15)),
    family("brown", (18.0, 28.0), (0.4, 0.6), (0.25, 0.36)),
];

/// Colour words that [`named`] knows.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name)
}

/// A tone of the family called `name`; `along` picks the place in each range, 0 to 1.
pub(crate) fn named(name: &str, along: [f32; 3]) -> Tone {
    let family = FAMILIES
        .iter()
        .find(|family| family.name == name)
        .expect("subjects only list colour words from FAMILIES, which a test checks");
    let within = |range: (f32, f32), share: f32| range.0 + (range.1 - range.0) * share;
    Tone::hsl(
        within(family.hue, along[0]).rem_euclid(360.0),
        within(family.saturation, along[1]),
        within(family.lightness, along[2]),
    )
}
