//! Pillow's resampler, to the last bit.
//!
//! Models are trained and published with vectors computed behind Pillow. A resampler that differs
//! by one in a pixel moves every embedding a little and every threshold with it, so this is a port
//! and not an approximation: weights in f64, rounded to 22-bit fixed point, horizontal pass first,
//! 8-bit values in between, no pass where the size stays.

use image::RgbImage;

/// How neighbouring pixels are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Plain averaging of the area: the cheapest, used to bring large photos down.
    Box,
    /// A triangle as wide as two pixels.
    Bilinear,
    /// The cubic with a = -0.5, four pixels wide.
    Bicubic,
}

const PRECISION_BITS: u32 = 22;
const CHANNELS: usize = 3;

/// The weights of one output position: taps `first .. first + weights.len()` of the input.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// `picture` at `width` x `height` pixels, neither of which may be 0.
pub fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    assert!(width > 0 && height > 0, "a picture needs at least one pixel");
    let narrowed =
        if picture.width() == width { None } else { Some(resize_width(picture, width, filter)) };
    let between = narrowed.as_ref().unwrap_or(picture);
    if between.height() == height {
        return narrowed.unwrap_or_else(|| picture.clone());
    }
    resize_height(between, height, filter)
}

fn resize_width(picture: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    let all_taps = taps(picture.width(), width, filter);
    let source_stride = picture.width() as usize * CHANNELS;
    let mut target = RgbImage::new(width, picture.height());
    let target_stride = width as usize * CHANNELS;
    let source_rows = picture.as_raw().chunks_exact(source_stride);
    for (source, row) in source_rows.zip(target.chunks_exact_mut(target_stride)) {
        for (taps, pixel) in all_taps.iter().zip(row.chunks_exact_mut(CHANNELS)) {
            let mut sums = [1i32 << (PRECISION_BITS - 1); CHANNELS];
            let window = &source[taps.first * CHANNELS..];
            for (weight, seen) in taps.weights.iter().zip(window.chunks_exact(CHANNELS)) {
                sums[0] += weight * i32::from(seen[0]);
                sums[1] += weight * i32::from(seen[1]);
                sums[2] += weight * i32::from(seen[2]);
            }
            for (value, sum) in pixel.iter_mut().zip(sums) {
                *value = clip(sum);
            }
        }
    }
    target
}

fn resize_height(picture: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    let all_taps = taps(picture.height(), height, filter);
    let stride = picture.width() as usize * CHANNELS;
    let source = picture.as_raw();
    let mut target = RgbImage::new(picture.width(), height);
    let mut sums = vec![0i32; stride];
    // Whole rows are summed tap by tap: memory is read in order.
    for (taps, row) in all_taps.iter().zip(target.chunks_exact_mut(stride)) {
        sums.fill(1 << (PRECISION_BITS - 1));
        for (step, weight) in taps.weights.iter().enumerate() {
            let start = (taps.first + step) * stride;
            for (sum, value) in sums.iter_mut().zip(&source[start..start + stride]) {
                *sum += weight * i32::from(*value);
            }
        }
        for (value, sum) in row.iter_mut().zip(&sums) {
            *value = clip(*sum);
        }
    }
    target
}

/// One set of weights per output position.
fn taps(input: u32, output: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(input) / f64::from(output);
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let mut all = Vec::with_capacity(output as usize);
    for position in 0..output {
        let centre = (f64::from(position) + 0.5) * scale;
        // The casts cut towards zero as C does: Pillow relies on it.
        let first = ((centre - support + 0.5) as i64).max(0);
        let end = ((centre + support + 0.5) as i64).min(i64::from(input));
        let raw: Vec<f64> = (first..end)
            .map(|tap| filter.weight((tap as f64 - centre + 0.5) * (1.0 / stretch)))
            .collect();
        let total: f64 = raw.iter().sum();
        let weights = raw.iter().map(|weight| to_fixed(*weight, total)).collect();
        all.push(Taps { first: first as usize, weights });
    }
    all
}

/// A share of `total` in fixed point, rounded away from zero at the half.
fn to_fixed(weight: f64, total: f64) -> i32 {
    let share = if total == 0.0 { weight } else { weight / total };
    let scaled = share * f64::from(1u32 << PRECISION_BITS);
    if scaled < 0.0 { (scaled - 0.5) as i32 } else { (scaled + 0.5) as i32 }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

impl Filter {
    /// Half the width of the filter at scale 1, in pixels.
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            // Closed on the right only, as Pillow has it: no pixel is counted twice.
            Self::Box if distance > -0.5 && distance <= 0.5 => 1.0,
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Box | Self::Bilinear | Self::Bicubic => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        pillow: String,
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        filter: String,
        from: [u32; 2],
        to: [u32; 2],
        pixels: Vec<u8>,
    }

    /// The input of every golden case; the generator script draws the same.
    fn pattern(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let value = |c: u32| ((x * x * 31 + y * 57 + x * y * 11 + c * 89) % 256) as u8;
            image::Rgb([value(0), value(1), value(2)])
        })
    }

    #[test]
    fn every_value_equals_pillows() {
        let text = include_str!("../../tests/fixtures/tiny-pack/resize_golden.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert!(golden.cases.len() >= 12, "made by Pillow {}", golden.pillow);
        for case in &golden.cases {
            let filter = match case.filter.as_str() {
                "box" => Filter::Box,
                "bilinear" => Filter::Bilinear,
                "bicubic" => Filter::Bicubic,
                other => panic!("unknown filter {other}"),
            };
            let resized =
                resize(&pattern(case.from[0], case.from[1]), case.to[0], case.to[1], filter);
            let name = format!("{} {:?} -> {:?}", case.filter, case.from, case.to);
            assert_eq!(resized.as_raw(), &case.pixels, "{name}");
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let picture = pattern(5, 4);
        assert_eq!(resize(&picture, 5, 4, Filter::Bicubic), picture);
    }
}
