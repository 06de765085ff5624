//! Pictures: drawn ones as they are, and large ones made of them.

use std::io::Cursor;

use drawn::Generator;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::{FilterType, resize};
use image::{ImageEncoder, RgbImage};

use super::vectors::Dice;

const SEED: u64 = 11;

/// How a picture is stored.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    Jpeg,
    Png,
}

/// The drawing number `index` as a file, 224 to 320 pixels wide.
pub fn small(index: u64, format: Format) -> Vec<u8> {
    let drawing = drawn::draw(Generator::Second, SEED, index);
    match format {
        Format::Jpeg => drawing.to_jpeg(88).unwrap(),
        Format::Png => drawing.to_png().unwrap(),
    }
}

/// The drawing number `index` enlarged to `width` x `height` as a file. Noise as that of a camera
/// lies over it: a smooth picture would be decoded faster than any photo.
pub fn large(index: u64, width: u32, height: u32, format: Format) -> Vec<u8> {
    let drawing = drawn::draw(Generator::Second, SEED, index);
    let small = RgbImage::from_raw(drawing.width, drawing.height, drawing.rgb).unwrap();
    let mut pixels = resize(&small, width, height, FilterType::Triangle);
    let mut dice = Dice::new(SEED + index);
    for value in pixels.iter_mut() {
        let noise = (dice.next() % 13) as i16 - 6;
        *value = (i16::from(*value) + noise).clamp(0, 255) as u8;
    }
    let mut bytes = Cursor::new(Vec::new());
    let colour = image::ExtendedColorType::Rgb8;
    match format {
        Format::Jpeg => JpegEncoder::new_with_quality(&mut bytes, 88)
            .write_image(&pixels, width, height, colour),
        Format::Png => PngEncoder::new(&mut bytes).write_image(&pixels, width, height, colour),
    }
    .unwrap();
    bytes.into_inner()
}
