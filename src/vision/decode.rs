//! Bytes to an upright, bounded RGB picture, or the reason why not.
//!
//! Uploads are hostile until shown otherwise. The order is the protection: size in bytes, format
//! by content (a name proves nothing), dimensions from the header, and only then pixels, under an
//! allocation limit. Orientation is applied and transparency laid on white here, once, so that
//! nothing later has to think of either. This file is pure; `decoder` adds threads and time.

use std::io::Cursor;
use std::time::Duration;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

use super::resize::{Filter, resize};
use crate::fate::Fate;

/// A decoded photo: upright, RGB, no larger than its limits.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Width of the original in pixels, after orientation.
    pub width: u32,
    /// Height of the original in pixels, after orientation.
    pub height: u32,
    /// The picture, upright; its long side is at most `DecodeLimits::long_side`.
    pub pixels: RgbImage,
}

/// What one photo may cost.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// The most bytes a file may have.
    pub bytes_max: u64,
    /// The most pixels a picture may have, read from its header.
    pub pixels_max: u64,
    /// Larger pictures are brought down to this many pixels on their long side; at least 1.
    pub long_side: u32,
    /// Wall-clock time for decoding one photo, waiting not counted.
    pub time_max: Duration,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            bytes_max: 256 * 1024 * 1024,
            pixels_max: 100_000_000,
            // Enough for every embedding model we know; faces and captions will ask for more.
            long_side: 448,
            time_max: Duration::from_secs(30),
        }
    }
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the file is empty; upload it again")]
    Empty,
    /// More bytes than allowed.
    #[error(
        "the file has {bytes} bytes, more than the {bytes_max} allowed; upload a smaller one, or \
         raise vision.original_mib_max"
    )]
    TooManyBytes {
        /// The file's size.
        bytes: u64,
        /// The limit in force.
        bytes_max: u64,
    },
    /// The content is none of the formats.
    #[error(
        "the content is no JPEG, PNG, WebP, GIF, TIFF or BMP picture, whatever its name says; \
         convert it to one of them and upload it again"
    )]
    NotAnImage,
    /// The header promises more pixels than allowed. Nothing was decoded.
    #[error(
        "the picture has {width} x {height} pixels, more than the {pixels_max} allowed; upload a \
         smaller one, or raise vision.megapixels_max"
    )]
    TooManyPixels {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// The limit in force.
        pixels_max: u64,
    },
    /// Decoding would take more memory than the pixel limit justifies.
    #[error(
        "decoding the {format} picture would take more memory than vision.megapixels_max \
         justifies; save it again with an image editor, or raise the setting"
    )]
    TooMuchMemory {
        /// The format found in the content.
        format: &'static str,
    },
    /// A picture of a kind that we do not decode.
    #[error(
        "the {format} picture is of a kind that is not decoded: {cause}; save it as a common \
         JPEG or PNG and upload it again"
    )]
    NotSupported {
        /// The format found in the content.
        format: &'static str,
        /// What the codec said.
        cause: String,
    },
    /// The bytes break the rules of their format, or end too early.
    #[error("the {format} picture is damaged: {cause}; upload it again from an intact copy")]
    Damaged {
        /// The format found in the content.
        format: &'static str,
        /// What the codec said.
        cause: String,
    },
    /// Decoding did not end in time. A thread is still busy with it.
    #[error(
        "the picture was not decoded within {time_max:?}; save it again with an image editor, or \
         raise vision.decode_seconds_max"
    )]
    TimedOut {
        /// The limit in force.
        time_max: Duration,
    },
    /// The codec panicked; the panic was caught.
    #[error(
        "the codec broke on this picture: {cause}; save it again with an image editor, upload \
         that, and report this"
    )]
    Panicked {
        /// The panic's message.
        cause: String,
    },
    /// Every decoding thread is stuck in a picture that does not end.
    #[error("no decoding thread is left: {stuck} are stuck; restart the worker")]
    NoThreadLeft {
        /// How many threads are stuck.
        stuck: usize,
    },
}

impl DecodeError {
    /// What the job that met it should do.
    ///
    /// A caught panic is `Permanent`: it cost nothing and the same bytes will panic again. A
    /// timeout is `Poison`: every further try could cost the worker another thread.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Empty
            | Self::TooManyBytes { .. }
            | Self::NotAnImage
            | Self::TooManyPixels { .. }
            | Self::TooMuchMemory { .. }
            | Self::NotSupported { .. }
            | Self::Damaged { .. }
            | Self::Panicked { .. } => Fate::Permanent,
            Self::TimedOut { .. } => Fate::Poison,
            Self::NoThreadLeft { .. } => Fate::Transient,
        }
    }
}

/// Checks that cost nothing and need no thread.
pub(super) fn check_size(bytes: &[u8], limits: &DecodeLimits) -> Result<(), DecodeError> {
    let size = bytes.len() as u64;
    if size == 0 {
        return Err(DecodeError::Empty);
    }
    if size > limits.bytes_max {
        return Err(DecodeError::TooManyBytes { bytes: size, bytes_max: limits.bytes_max });
    }
    Ok(())
}

/// Decodes one photo on this thread. `time_max` is not looked at: a codec cannot be interrupted,
/// see `Decoder`.
///
/// # Errors
/// `DecodeError` says which limit or rule the bytes break.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Photo, DecodeError> {
    check_size(bytes, limits)?;
    let format = image::guess_format(bytes).map_err(|_| DecodeError::NotAnImage)?;
    let format_name = name_of(format).ok_or(DecodeError::NotAnImage)?;
    let explain = |error: ImageError| explain(format_name, &error);

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(allocation_limits(limits));
    let mut decoder = reader.into_decoder().map_err(explain)?;

    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(damaged(format_name, "it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > limits.pixels_max {
        return Err(DecodeError::TooManyPixels { width, height, pixels_max: limits.pixels_max });
    }
    // The JPEG codec paints what is missing grey; half a photo must not be taken for a whole one.
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(damaged(format_name, "the file ends before its picture does"));
    }

    // Unreadable metadata is no reason to refuse a readable picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let decoded = DynamicImage::from_decoder(decoder).map_err(explain)?;
    let bounded = bring_down(on_white(decoded), limits.long_side);
    let mut upright = DynamicImage::ImageRgb8(bounded);
    upright.apply_orientation(orientation);
    let (width, height) = if swaps_sides(orientation) { (height, width) } else { (width, height) };
    Ok(Photo { width, height, pixels: upright.into_rgb8() })
}

fn name_of(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Jpeg => Some("JPEG"),
        ImageFormat::Png => Some("PNG"),
        ImageFormat::WebP => Some("WebP"),
        ImageFormat::Gif => Some("GIF"),
        ImageFormat::Tiff => Some("TIFF"),
        ImageFormat::Bmp => Some("BMP"),
        _ => None,
    }
}

/// Room for the decoded picture at 16 bits and four channels, and for the codec's own buffers.
fn allocation_limits(limits: &DecodeLimits) -> image::Limits {
    let mut allowed = image::Limits::default();
    allowed.max_alloc = Some(limits.pixels_max.saturating_mul(8).saturating_add(16 << 20));
    allowed
}

fn damaged(format: &'static str, cause: &str) -> DecodeError {
    DecodeError::Damaged { format, cause: cause.trim_end_matches('.').to_owned() }
}

fn explain(format: &'static str, error: &ImageError) -> DecodeError {
    match error {
        ImageError::Limits(_) => DecodeError::TooMuchMemory { format },
        ImageError::Unsupported(_) => {
            DecodeError::NotSupported { format, cause: error.to_string() }
        }
        // The codec's own words; those around them name the format once more.
        _ => match std::error::Error::source(error) {
            Some(cause) => damaged(format, &cause.to_string()),
            None => damaged(format, &error.to_string()),
        },
    }
}

/// Eight bits, three channels, whatever shines through is white.
fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (target, source) in opaque.pixels_mut().zip(picture.pixels()) {
        let alpha = u32::from(source[3]);
        for channel in 0..3 {
            let mixed = u32::from(source[channel]) * alpha + 255 * (255 - alpha);
            target[channel] = ((mixed + 127) / 255) as u8;
        }
    }
    opaque
}

fn bring_down(picture: RgbImage, long_side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let long_now = width.max(height);
    let long_side = long_side.max(1);
    if long_now <= long_side {
        return picture;
    }
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(long_side) + u64::from(long_now) / 2;
        ((side / u64::from(long_now)) as u32).max(1)
    };
    // Averaging whole areas is cheap and clean for strong reductions; nearer to 1 it would double
    // some lines and not others.
    let filter = if long_now / 2 >= long_side { Filter::Box } else { Filter::Bilinear };
    resize(&picture, scaled(width), scaled(height), filter)
}

fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Whether an end-of-image marker follows the first scan. Thumbnails have markers of their own,
/// so the segments before the scan are stepped over and not searched.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let mut at = 2;
    while let Some(&[first, marker]) = bytes.get(at..at + 2) {
        let stands_alone = matches!(marker, 0x00 | 0x01 | 0xD0..=0xD8 | 0xFF);
        if first != 0xFF || stands_alone {
            at += 1;
        } else if marker == END_OF_IMAGE {
            return true;
        } else if marker == START_OF_SCAN {
            // In a scan's data 0xFF is always stuffed, so a marker there is a real one.
            return bytes[at..].windows(2).any(|pair| pair == [0xFF, END_OF_IMAGE]);
        } else {
            let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
        }
    }
    false
}

#[cfg(test)]
mod tests;
