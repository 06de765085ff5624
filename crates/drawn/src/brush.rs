//! The hand that draws: shapes in local units, put on the picture through a transform, in the style
//! of the generator at work. A subject's routine speaks in local units (x from -0.5 to 0.5, y from
//! -1 at the top to 0 at the foot) and never sees pixels.
//!
//! Every random choice comes from the one seeded generator held here, in drawing order: that is what
//! makes a picture a pure function of its seed.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tiny_skia::{
    Color, FillRule, FilterQuality, GradientStop, LineCap, LineJoin, LinearGradient, Paint, Path,
    PathBuilder, Pattern, Pixmap, Point, RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

use crate::curve::{Spot, arc, smooth};
use crate::tone::Tone;

/// How the surface of a shape is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Flat,
    Shaded,
    Dotted,
    Hatched,
    Grainy,
}

/// The manner of one picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub surface: Surface,
    /// Outline width in pixels; 0 draws none.
    pub ink: f32,
    pub ink_tone: Tone,
    /// How far corners stray, in pixels.
    pub wobble: f32,
}

pub(crate) struct Brush {
    pub map: Pixmap,
    pub rng: ChaCha8Rng,
    /// True when the second generator draws.
    pub second: bool,
    /// True when a subject takes the less common of its two forms (a double-decker, a wedge of
    /// melon). Both generators draw both forms, the second mostly the one the first draws less.
    pub other: bool,
    pub at: Transform,
    pub light: Tone,
    pub manner: Manner,
    /// True when the scene is laid on a table, where flowers stand in a vase.
    pub vase: bool,
    /// The background of a picture without a place.
    pub paper: Tone,
}

impl Brush {
    pub fn width(&self) -> f32 {
        self.map.width() as f32
    }

    pub fn height(&self) -> f32 {
        self.map.height() as f32
    }

    /// A number between `low` and `high`.
    pub fn r(&mut self, low: f32, high: f32) -> f32 {
        // 24 bits fit an f32 exactly, so the value does not depend on rounding rules.
        let share = (self.rng.random::<u32>() >> 8) as f32 / 16_777_216.0;
        low + (high - low) * share
    }

    /// A number from the range of the generator at work.
    pub fn v(&mut self, first: (f32, f32), second: (f32, f32)) -> f32 {
        let (low, high) = if self.second { second } else { first };
        self.r(low, high)
    }

    pub fn chance(&mut self, share: f32) -> bool {
        self.r(0.0, 1.0) < share
    }

    /// A whole number from `low` to `high`, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        low + (self.rng.random::<u32>() as usize) % (high - low + 1)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let last = from.len() - 1;
        from[self.count(0, last)]
    }

    /// Hue, saturation, lightness, each within its range.
    pub fn tone(&mut self, hue: (f32, f32), saturation: (f32, f32), lightness: (f32, f32)) -> Tone {
        let hue = self.r(hue.0, hue.1).rem_euclid(360.0);
        let saturation = self.r(saturation.0, saturation.1);
        let lightness = self.r(lightness.0, lightness.1);
        Tone::hsl(hue, saturation, lightness)
    }

    /// Draw with another transform put before the current one, then return to it.
    pub fn within(&mut self, inner: Transform, draw: impl FnOnce(&mut Brush)) {
        let outer = self.at;
        self.at = outer.pre_concat(inner);
        draw(self);
        self.at = outer;
    }

    /// Draw without outlines, wobble or texture: water, light, small marks.
    pub fn plainly(&mut self, draw: impl FnOnce(&mut Brush)) {
        let manner = self.manner;
        self.manner.ink = 0.0;
        self.manner.wobble = 0.0;
        self.manner.surface = Surface::Flat;
        draw(self);
        self.manner = manner;
    }

    /// Draw things that shine by themselves.
    pub fn shining(&mut self, draw: impl FnOnce(&mut Brush)) {
        let light = self.light;
        self.light = Tone::WHITE;
        draw(self);
        self.light = light;
    }

    pub fn poly(&mut self, spots: &[Spot], tone: Tone) {
        let Some(path) = self.path(spots, true) else { return };
        self.fill(&path, tone);
        self.outline(&path, tone);
    }

    /// A closed smooth curve through the spots.
    pub fn blob(&mut self, spots: &[Spot], tone: Tone) {
        let smooth = smooth(spots, true);
        self.poly(&smooth, tone);
    }

    pub fn oval(&mut self, x: f32, y: f32, rx: f32, ry: f32, tone: Tone) {
        let spots: Vec<Spot> = (0..36)
            .map(|step| {
                let turn = step as f32 / 36.0 * std::f32::consts::TAU;
                (x + rx * turn.cos(), y + ry * turn.sin())
            })
            .collect();
        // A wobbling circle reads as a broken one: stretch it as a whole instead.
        let wobble = std::mem::replace(&mut self.manner.wobble, 0.0);
        self.poly(&spots, tone);
        self.manner.wobble = wobble;
    }

    pub fn disc(&mut self, x: f32, y: f32, radius: f32, tone: Tone) {
        self.oval(x, y, radius, radius, tone);
    }

    /// A part of a disc between two turns (0 is right, 0.25 down, 1 a full turn).
    pub fn slice(&mut self, centre: Spot, radius: Spot, turns: (f32, f32), tone: Tone) {
        let mut spots = arc(centre, radius, turns);
        if (turns.1 - turns.0).abs() < 0.99 {
            spots.push(centre);
        }
        self.poly(&spots, tone);
    }

    pub fn slab(&mut self, x0: f32, y0: f32, x1: f32, y1: f32, tone: Tone) {
        self.poly(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], tone);
    }

    /// A rectangle with round corners.
    pub fn round(&mut self, x0: f32, y0: f32, x1: f32, y1: f32, radius: f32, tone: Tone) {
        let r = radius.min((x1 - x0) / 2.0).min((y1 - y0) / 2.0);
        let mut spots = arc((x1 - r, y1 - r), (r, r), (0.0, 0.25));
        spots.extend(arc((x0 + r, y1 - r), (r, r), (0.25, 0.5)));
        spots.extend(arc((x0 + r, y0 + r), (r, r), (0.5, 0.75)));
        spots.extend(arc((x1 - r, y0 + r), (r, r), (0.75, 1.0)));
        let wobble = std::mem::replace(&mut self.manner.wobble, 0.0);
        self.poly(&spots, tone);
        self.manner.wobble = wobble;
    }

    /// An open line through the spots, `width` in local units.
    pub fn line(&mut self, spots: &[Spot], width: f32, tone: Tone) {
        let Some(path) = self.path(spots, false) else { return };
        let width = (width * scale_of(self.at)).max(0.8);
        if self.manner.ink > 0.0 && width > 3.0 {
            let ink = self.manner.ink_tone.under(self.light);
            self.stroke(&path, width + self.manner.ink, ink);
        }
        self.stroke(&path, width, tone.under(self.light));
    }

    /// An open smooth line.
    pub fn curve(&mut self, spots: &[Spot], width: f32, tone: Tone) {
        let smooth = smooth(spots, false);
        self.line(&smooth, width, tone);
    }

    /// A soft light, `radius` in local units.
    pub fn glow(&mut self, x: f32, y: f32, radius: f32, tone: Tone, strength: f32) {
        let centre = Point::from_xy(x, y);
        let stops = vec![
            GradientStop::new(0.0, color(tone, strength)),
            GradientStop::new(1.0, color(tone, 0.0)),
        ];
        let shader = RadialGradient::new(
            centre,
            0.0,
            centre,
            radius,
            stops,
            SpreadMode::Pad,
            Transform::identity(),
        );
        let Some(shader) = shader else { return };
        let Some(path) = PathBuilder::from_circle(x, y, radius) else { return };
        let paint = Paint { shader, ..Paint::default() };
        // The transform turns the light with the shape: a squashed glow is a shadow on the ground.
        self.map.fill_path(&path, &paint, FillRule::Winding, self.at, None);
    }

    /// Fill the whole picture from one tone at the top to another at `to` (pixels from the top).
    pub fn wash(&mut self, top: Tone, bottom: Tone, to: f32) {
        let stops = vec![
            GradientStop::new(0.0, color(top, 1.0)),
            GradientStop::new(1.0, color(bottom, 1.0)),
        ];
        let shader = LinearGradient::new(
            Point::from_xy(0.0, 0.0),
            Point::from_xy(0.0, to.max(1.0)),
            stops,
            SpreadMode::Pad,
            Transform::identity(),
        );
        self.flood(shader.unwrap_or(Shader::SolidColor(color(top, 1.0))));
    }

    fn flood(&mut self, shader: Shader<'_>) {
        let paint = Paint { shader, ..Paint::default() };
        let whole = tiny_skia::Rect::from_xywh(0.0, 0.0, self.width(), self.height());
        if let Some(whole) = whole {
            self.map.fill_rect(whole, &paint, Transform::identity(), None);
        }
    }

    fn path(&mut self, spots: &[Spot], closed: bool) -> Option<Path> {
        let mut builder = PathBuilder::new();
        for (index, spot) in spots.iter().enumerate() {
            let mut point = Point::from_xy(spot.0, spot.1);
            self.at.map_point(&mut point);
            let wobble = self.manner.wobble;
            if wobble > 0.0 {
                point.x += self.r(-wobble, wobble);
                point.y += self.r(-wobble, wobble);
            }
            if index == 0 {
                builder.move_to(point.x, point.y);
            } else {
                builder.line_to(point.x, point.y);
            }
        }
        if closed {
            builder.close();
        }
        builder.finish()
    }

    fn fill(&mut self, path: &Path, tone: Tone) {
        let tone = tone.under(self.light);
        let bounds = path.bounds();
        let large = bounds.width().min(bounds.height()) > 9.0;
        let surface = if large { self.manner.surface } else { Surface::Flat };
        let tile;
        let shader = match surface {
            Surface::Flat => Shader::SolidColor(color(tone, 1.0)),
            Surface::Shaded => {
                let stops = vec![
                    GradientStop::new(0.0, color(tone.lite(0.2), 1.0)),
                    GradientStop::new(1.0, color(tone.dark(0.2), 1.0)),
                ];
                LinearGradient::new(
                    Point::from_xy(bounds.left(), bounds.top()),
                    Point::from_xy(bounds.right(), bounds.bottom()),
                    stops,
                    SpreadMode::Pad,
                    Transform::identity(),
                )
                .unwrap_or(Shader::SolidColor(color(tone, 1.0)))
            }
            Surface::Dotted | Surface::Hatched | Surface::Grainy => {
                tile = self.tile(surface, tone);
                let (mode, quality) = (SpreadMode::Repeat, FilterQuality::Nearest);
                Pattern::new(tile.as_ref(), mode, quality, 1.0, Transform::identity())
            }
        };
        let paint = Paint { shader, ..Paint::default() };
        self.map.fill_path(path, &paint, FillRule::Winding, Transform::identity(), None);
    }

    fn outline(&mut self, path: &Path, tone: Tone) {
        let bounds = path.bounds();
        if self.manner.ink > 0.0 && bounds.width().max(bounds.height()) > 5.0 {
            let ink = self.manner.ink_tone.mix(tone.dark(0.55), 0.35).under(self.light);
            self.stroke(path, self.manner.ink, ink);
        }
    }

    fn stroke(&mut self, path: &Path, width: f32, tone: Tone) {
        let paint = Paint { shader: Shader::SolidColor(color(tone, 1.0)), ..Paint::default() };
        let stroke = Stroke {
            width,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        self.map.stroke_path(path, &paint, &stroke, Transform::identity(), None);
    }

    /// One tile of a repeated texture.
    fn tile(&mut self, surface: Surface, tone: Tone) -> Pixmap {
        let side: u32 = if surface == Surface::Grainy { 16 } else { 6 };
        let mut tile = Pixmap::new(side, side).expect("a tile has a fixed side above zero");
        let lighter = self.chance(0.5);
        let mark = if lighter { tone.lite(0.22) } else { tone.dark(0.22) };
        for (index, pixel) in tile.pixels_mut().iter_mut().enumerate() {
            let (x, y) = (index as u32 % side, index as u32 / side);
            let tone = match surface {
                Surface::Grainy => {
                    let share = (self.rng.random::<u32>() >> 8) as f32 / 16_777_216.0;
                    tone.mix(mark, share)
                }
                Surface::Hatched if (x + y) % side < 2 => mark,
                Surface::Dotted if (1..=2).contains(&x) && (1..=2).contains(&y) => mark,
                _ => tone,
            };
            *pixel = color(tone, 1.0).premultiply().to_color_u8();
        }
        tile
    }
}

fn scale_of(transform: Transform) -> f32 {
    (transform.sx * transform.sx + transform.ky * transform.ky).sqrt()
}

fn color(tone: Tone, alpha: f32) -> Color {
    let fit = |channel: f32| channel.clamp(0.0, 1.0);
    Color::from_rgba(fit(tone.0), fit(tone.1), fit(tone.2), fit(alpha))
        .expect("every channel was clamped to 0..=1")
}
