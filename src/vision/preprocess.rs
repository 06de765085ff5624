//! A picture to the numbers that a model expects, as its pack's manifest says.
//!
//! Every step is one that the model was trained behind; changing one changes the embedding space,
//! which is why the manifest's preprocessing is part of the space's id.

use image::RgbImage;

use super::pack::manifest::{Color, Crop, Preprocess, Resampling, ResizeMode};
use super::resize::{Filter, resize};

/// One row of the image encoder's input: channels, then rows, then columns; 3 * size * size.
pub(super) fn prepare(picture: &RgbImage, rule: &Preprocess) -> Vec<f32> {
    let sized = bring_to_size(picture, rule);
    let area = (rule.size * rule.size) as usize;
    let tables = [0, 1, 2].map(|channel| table(rule, channel));
    let mut row = vec![0.0; 3 * area];
    for (place, pixel) in sized.pixels().enumerate() {
        for (channel, table) in tables.iter().enumerate() {
            let source = match rule.color {
                Color::Rgb => channel,
                Color::Bgr => 2 - channel,
            };
            row[channel * area + place] = table[usize::from(pixel[source])];
        }
    }
    row
}

fn bring_to_size(picture: &RgbImage, rule: &Preprocess) -> RgbImage {
    let filter = match rule.filter {
        Resampling::Bicubic => Filter::Bicubic,
        Resampling::Bilinear => Filter::Bilinear,
    };
    let size = rule.size;
    let (width, height) = match rule.resize {
        ResizeMode::Squash => (size, size),
        ResizeMode::ShortestEdge => with_shortest_edge(picture.dimensions(), size),
    };
    let sized = resize(picture, width, height, filter);
    match rule.crop {
        Crop::None => sized,
        Crop::Center => {
            let (left, top) = ((width - size) / 2, (height - size) / 2);
            image::imageops::crop_imm(&sized, left, top, size, size).to_image()
        }
    }
}

/// The short side at `size`, the long one in proportion, cut to a whole pixel.
fn with_shortest_edge((width, height): (u32, u32), size: u32) -> (u32, u32) {
    let long = |long: u32, short: u32| {
        (u64::from(size) * u64::from(long) / u64::from(short)).min(u64::from(u32::MAX)) as u32
    };
    if width <= height { (size, long(height, width)) } else { (long(width, height), size) }
}

/// What each of the 256 values becomes in one channel of the output.
fn table(rule: &Preprocess, channel: usize) -> Vec<f32> {
    let normalised = |value: u16| {
        ((f64::from(value) * rule.scale - rule.mean[channel]) / rule.std[channel]) as f32
    };
    (0..256).map(normalised).collect()
}

/// The picture that a pack's self test is made with: 96 x 96, channel c of the pixel at x, y is
/// (7x + 13y + 29c) mod 256.
pub(super) fn self_test_picture() -> RgbImage {
    RgbImage::from_fn(96, 96, |x, y| {
        let value = |channel: u32| ((x * 7 + y * 13 + channel * 29) % 256) as u8;
        image::Rgb([value(0), value(1), value(2)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::trials::tiny_pack;

    #[test]
    fn channels_come_one_after_another_and_normalised() {
        let mut rule = tiny_pack().manifest().preprocess.clone();
        rule.mean = [0.5, 0.0, 0.0];
        rule.std = [0.5, 1.0, 2.0];
        let picture = RgbImage::from_pixel(20, 10, image::Rgb([255, 0, 51]));
        let row = prepare(&picture, &rule);
        assert_eq!(row.len(), 3 * 8 * 8);
        assert!((row[0] - 1.0).abs() < 1e-6);
        assert!(row[64].abs() < 1e-6);
        assert!((row[128] - 0.1).abs() < 1e-6);
        rule.color = Color::Bgr;
        let turned = prepare(&picture, &rule);
        assert!((turned[0] - (0.2 - 0.5) / 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_centre_crop_keeps_the_middle() {
        let mut rule = tiny_pack().manifest().preprocess.clone();
        rule.resize = ResizeMode::ShortestEdge;
        rule.crop = Crop::Center;
        // Thirds: red, green, blue. The middle square is green only.
        let picture = RgbImage::from_fn(48, 16, |x, _| {
            let mut pixel = [0, 0, 0];
            pixel[(x / 16) as usize] = 255;
            image::Rgb(pixel)
        });
        let row = prepare(&picture, &rule);
        let green = &row[64..128];
        assert!(green.iter().all(|value| *value > 0.3), "{green:?}");
        assert_eq!(with_shortest_edge((100, 33), 8), (24, 8));
    }
}
