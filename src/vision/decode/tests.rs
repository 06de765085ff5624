//! Every way in which bytes fail to be a photo, and that what is decoded stands upright.

use image::{ExtendedColorType, ImageBuffer, ImageEncoder, Luma, Rgb, Rgba};

use super::*;

/// Quadrants red, green, blue, white of an upright 32 x 16 picture, in whole JPEG blocks.
fn upright() -> RgbImage {
    RgbImage::from_fn(32, 16, |x, y| match (x < 16, y < 8) {
        (true, true) => Rgb([220, 20, 20]),
        (false, true) => Rgb([20, 220, 20]),
        (true, false) => Rgb([20, 20, 220]),
        (false, false) => Rgb([230, 230, 230]),
    })
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 100)
        .write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// `jpeg` with an EXIF segment that says `orientation`.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

fn limits() -> DecodeLimits {
    DecodeLimits::default()
}

fn refused(bytes: &[u8]) -> DecodeError {
    let error = decode(bytes, &limits()).expect_err("this is no photo");
    assert_eq!(error.fate(), Fate::Permanent, "{error}");
    error
}

fn assert_alike(found: &RgbImage, expected: &RgbImage, name: &str) {
    assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
    for (place, (found, expected)) in found.iter().zip(expected.iter()).enumerate() {
        assert!(found.abs_diff(*expected) <= 12, "{name}: {found} for {expected} at {place}");
    }
}

#[test]
fn nothing_and_noise_are_no_pictures() {
    assert_eq!(refused(b""), DecodeError::Empty);
    assert_eq!(refused(b"dear diary, this is text named photo.jpg"), DecodeError::NotAnImage);
    assert_eq!(refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), DecodeError::NotAnImage);
    assert_eq!(refused(&[0; 64]), DecodeError::NotAnImage);
}

#[test]
fn a_file_over_the_byte_limit_is_not_looked_into() {
    let limits = DecodeLimits { bytes_max: 10, ..limits() };
    let error = decode(&jpeg(&upright()), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyBytes { bytes_max: 10, .. }), "{error}");
}

#[test]
fn a_header_that_promises_too_much_is_believed_and_refused() {
    // A PNG of 30000 x 30000 pixels: signature, header and an empty data chunk.
    let bytes = [
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
        0x52, 0x00, 0x00, 0x75, 0x30, 0x00, 0x00, 0x75, 0x30, 0x08, 0x02, 0x00, 0x00, 0x00, 0xe9,
        0x45, 0x6f, 0xed, 0x00, 0x00, 0x00, 0x00, 0x49, 0x44, 0x41, 0x54, 0x35, 0xaf, 0x06, 0x1e,
    ];
    assert_eq!(
        refused(&bytes),
        DecodeError::TooManyPixels { width: 30_000, height: 30_000, pixels_max: 100_000_000 }
    );
}

#[test]
fn the_pixel_limit_is_exact() {
    let bytes = encoded(&DynamicImage::ImageRgb8(upright()), ImageFormat::Png);
    let at = DecodeLimits { pixels_max: 512, ..limits() };
    let below = DecodeLimits { pixels_max: 511, ..limits() };
    assert!(decode(&bytes, &at).is_ok());
    assert!(matches!(decode(&bytes, &below), Err(DecodeError::TooManyPixels { .. })));
}

#[test]
fn every_truncated_picture_is_damaged() {
    let noisy =
        RgbImage::from_fn(64, 64, |x, y| Rgb([((x * 37) ^ (y * 91)) as u8, y as u8, x as u8]));
    let picture = DynamicImage::ImageRgb8(noisy);
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
    ] {
        let whole = encoded(&picture, format);
        assert!(decode(&whole, &limits()).is_ok(), "{format:?}");
        let error = refused(&whole[..whole.len() * 6 / 10]);
        assert!(matches!(error, DecodeError::Damaged { .. }), "{format:?}: {error}");
    }
}

#[test]
fn a_picture_cut_anywhere_is_refused_and_harms_nothing() {
    let noisy =
        RgbImage::from_fn(48, 40, |x, y| Rgb([((x * 37) ^ (y * 91)) as u8, y as u8, x as u8]));
    let picture = DynamicImage::ImageRgb8(noisy);
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
    ] {
        let whole = encoded(&picture, format);
        for sixteenths in 0..16 {
            let cut = &whole[..whole.len() * sixteenths / 16];
            let mut codec = std::panic::catch_unwind(|| decode(cut, &limits()));
            // What a TIFF lists at its end may be cut, and nothing of the picture with it.
            if let Ok(Ok(photo)) = &mut codec {
                assert_eq!(photo.pixels, picture.to_rgb8(), "{format:?} at {sixteenths}/16");
                continue;
            }
            let error = codec.expect("a codec panicked").unwrap_err();
            assert_eq!(error.fate(), Fate::Permanent, "{format:?} at {sixteenths}/16: {error}");
        }
        // Single bytes that are wrong may change the picture, never the worker.
        for place in 0..whole.len().min(400) {
            let mut wrong = whole.clone();
            wrong[place] ^= 0xFF;
            let codec = std::panic::catch_unwind(|| decode(&wrong, &limits()).map(drop));
            assert!(codec.is_ok(), "{format:?}: byte {place} made the codec panic");
        }
    }
}

#[test]
fn a_thumbnail_in_the_metadata_does_not_complete_a_truncated_jpeg() {
    let whole = jpeg(&upright());
    // An application segment that holds a whole JPEG, end marker included.
    let mut bytes = whole[..2].to_vec();
    bytes.extend([0xFF, 0xE5]);
    bytes.extend((whole.len() as u16 + 2).to_be_bytes());
    bytes.extend(&whole);
    bytes.extend(&whole[2..]);
    assert!(decode(&bytes, &limits()).is_ok());
    let error = refused(&bytes[..bytes.len() - 40]);
    assert!(error.to_string().contains("ends before"), "{error}");
}

#[test]
fn what_follows_the_picture_does_not_matter() {
    let mut bytes = jpeg(&upright());
    bytes.extend(b"a video or the maker's notes");
    assert!(decode(&bytes, &limits()).is_ok());
}

#[test]
fn a_name_proves_nothing_and_content_everything() {
    // "photo.jpg" that is a PNG: nobody asks for the name.
    let png = encoded(&DynamicImage::ImageRgb8(upright()), ImageFormat::Png);
    assert_eq!(decode(&png, &limits()).unwrap().pixels, upright());
}

#[test]
fn all_eight_orientations_give_the_same_upright_picture() {
    for number in 1..=8 {
        let orientation = Orientation::from_exif(number).unwrap();
        // Quarter turns are undone by the other quarter turn, all else by itself.
        let undo = match orientation {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            other => other,
        };
        let mut stored = DynamicImage::ImageRgb8(upright());
        stored.apply_orientation(undo);
        let bytes = with_exif(&jpeg(&stored.into_rgb8()), number);
        let photo = decode(&bytes, &limits()).unwrap();
        assert_eq!((photo.width, photo.height), (32, 16), "orientation {number}");
        assert_alike(&photo.pixels, &upright(), &format!("orientation {number}"));
    }
}

#[test]
fn broken_metadata_is_no_reason_to_refuse_a_picture() {
    let mut bytes = with_exif(&jpeg(&upright()), 6);
    bytes[12..20].fill(0xEE);
    let photo = decode(&bytes, &limits()).unwrap();
    assert_alike(&photo.pixels, &upright(), "without orientation");
}

#[test]
fn transparency_lies_on_white() {
    let picture = ImageBuffer::from_fn(3, 1, |x, _| match x {
        0 => Rgba([10u8, 20, 30, 255]),
        1 => Rgba([10, 20, 30, 0]),
        _ => Rgba([0, 0, 0, 51]),
    });
    let bytes = encoded(&DynamicImage::ImageRgba8(picture), ImageFormat::Png);
    let pixels = decode(&bytes, &limits()).unwrap().pixels;
    assert_eq!(pixels.as_raw(), &[10, 20, 30, 255, 255, 255, 204, 204, 204]);
}

#[test]
fn grey_of_any_depth_becomes_rgb_of_eight_bits() {
    let deep = ImageBuffer::from_fn(3, 1, |x, _| Luma([[0u16, 0x8080, 0xFFFF][x as usize]]));
    let bytes = encoded(&DynamicImage::ImageLuma16(deep), ImageFormat::Png);
    let pixels = decode(&bytes, &limits()).unwrap().pixels;
    assert_eq!(pixels.as_raw(), &[0, 0, 0, 128, 128, 128, 255, 255, 255]);
    let flat = ImageBuffer::from_pixel(2, 2, Luma([77u8]));
    let bytes = encoded(&DynamicImage::ImageLuma8(flat), ImageFormat::Jpeg);
    assert_eq!(decode(&bytes, &limits()).unwrap().pixels.get_pixel(0, 0), &Rgb([77, 77, 77]));
}

#[test]
fn large_pictures_come_down_and_remember_their_size() {
    let picture = RgbImage::from_pixel(300, 100, Rgb([9, 8, 7]));
    let bytes = with_exif(&jpeg(&picture), 6);
    let limits = DecodeLimits { long_side: 60, ..limits() };
    let photo = decode(&bytes, &limits).unwrap();
    assert_eq!((photo.width, photo.height), (100, 300));
    assert_eq!(photo.pixels.dimensions(), (20, 60));
    let line = RgbImage::from_pixel(1000, 1, Rgb([9, 8, 7]));
    assert_eq!(bring_down(line, 60).dimensions(), (60, 1));
}

#[test]
fn only_a_timeout_harms_the_worker() {
    let time_max = Duration::from_secs(1);
    assert_eq!(DecodeError::TimedOut { time_max }.fate(), Fate::Poison);
    assert_eq!(DecodeError::Panicked { cause: String::new() }.fate(), Fate::Permanent);
    assert_eq!(DecodeError::NoThreadLeft { stuck: 2 }.fate(), Fate::Transient);
}
