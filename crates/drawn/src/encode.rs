//! A drawing as a file: JPEG for the sample library, PNG where every pixel counts.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::Drawing;

/// A drawing could not be written in the format asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode the drawing of {subject}: {cause}")]
pub struct EncodeError {
    subject: String,
    cause: image::ImageError,
}

impl Drawing {
    /// The picture as a JPEG file of the quality given, 1 to 100.
    ///
    /// # Errors
    /// When the encoder refuses the picture.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        self.encode(JpegEncoder::new_with_quality(&mut bytes, quality))?;
        Ok(bytes)
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// When the encoder refuses the picture.
    pub fn to_png(&self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        self.encode(PngEncoder::new(&mut bytes))?;
        Ok(bytes)
    }

    fn encode(&self, encoder: impl ImageEncoder) -> Result<(), EncodeError> {
        encoder
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .map_err(|cause| EncodeError { subject: self.truth.subject.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Generator, draw};

    #[test]
    fn a_png_keeps_every_byte_and_a_jpeg_the_size() {
        let drawing = draw(Generator::Second, 1, 1);
        let png = image::load_from_memory(&drawing.to_png().expect("a PNG")).expect("our own PNG");
        assert_eq!(png.to_rgb8().as_raw(), &drawing.rgb);
        let jpeg = drawing.to_jpeg(88).expect("a JPEG");
        let jpeg = image::load_from_memory(&jpeg).expect("our own JPEG");
        assert_eq!((jpeg.width(), jpeg.height()), (drawing.width, drawing.height));
    }
}
