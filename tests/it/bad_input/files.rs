//! Pictures that are no pictures, and pictures that only look strange.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb, RgbImage};

/// A file's name and its bytes.
pub type Named = (&'static str, Vec<u8>);

/// Files that can never be analyzed.
pub fn bad() -> Vec<Named> {
    let whole = encoded(&picture(64, 48), ImageFormat::Jpeg);
    let mut wrong_crc = encoded(&picture(64, 48), ImageFormat::Png);
    let header_crc = 8 + 8 + 13;
    wrong_crc[header_crc] ^= 0xFF;
    let mut wrong_data_crc = encoded(&picture(64, 48), ImageFormat::Png);
    let data_crc = wrong_data_crc.len() - 12 - 1;
    wrong_data_crc[data_crc] ^= 0xFF;
    let mut wrong_offset = encoded(&picture(64, 48), ImageFormat::Tiff);
    wrong_offset[4..8].copy_from_slice(&0x7FFF_FFF0_u32.to_le_bytes());
    vec![
        ("empty.jpg", Vec::new()),
        ("text.jpg", b"dear diary, this is no picture".to_vec()),
        ("truncated.jpg", whole[..whole.len() / 2].to_vec()),
        ("lies-about-size.jpg", with_size(&whole, 65_500, 65_500)),
        ("no-width.jpg", with_size(&whole, 0, 48)),
        ("twelve-bits.jpg", flat_jpeg(12, 3)),
        ("wrong-crc.png", wrong_crc),
        ("wrong-data-crc.png", wrong_data_crc),
        ("bomb.png", zero_png(30_000, 30_000, &[])),
        ("wrong-offset.tif", wrong_offset),
    ]
}

/// Files that are strange and all the same pictures.
pub fn strange() -> Vec<Named> {
    let whole = encoded(&picture(64, 48), ImageFormat::Jpeg);
    let deep = ImageBuffer::from_fn(32, 32, |x, y| Rgb([(x * 2000) as u16, (y * 2000) as u16, 0]));
    vec![
        ("animated.gif", animated()),
        ("cmyk.jpg", flat_jpeg(8, 4)),
        ("sixteen-bits.png", encoded(&DynamicImage::ImageRgb16(deep), ImageFormat::Png)),
        ("one-pixel.png", encoded(&picture(1, 1), ImageFormat::Png)),
        ("tall.png", encoded(&picture(1, 20_000), ImageFormat::Png)),
        ("wide.png", encoded(&picture(20_000, 1), ImageFormat::Png)),
        ("garbled-exif.jpg", with_segments(&whole, 0xE1, b"Exif\0\0II*\0\xEE\xEE\xEE\xEE", 1)),
        ("huge-profile.jpg", with_segments(&whole, 0xE2, &[b'x'; 65_000], 64)),
        // A colour profile of 400 MB, in 2 MB of file.
        ("profile-bomb.png", zero_png(64, 48, &chunk(*b"iCCP", &profile(400_000_000)))),
        ("a \u{1F3D6} \"quoted\" 'name'.jpg", whole.clone()),
        ("%2e%2e%2f.jpg", whole),
    ]
}

pub fn picture(width: u32, height: u32) -> DynamicImage {
    let colour = |x: u32, y: u32| Rgb([(x * 37) as u8, (y * 11) as u8, (x ^ y) as u8]);
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, colour))
}

pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn animated() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for frame in [3, 1, 2] {
        encoder.encode_frame(image::Frame::new(picture(24, 8 * frame).into_rgba8())).unwrap();
    }
    drop(encoder);
    bytes
}

/// The JPEG with another size in its frame header.
fn with_size(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let mut bytes = jpeg.to_vec();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// The JPEG with `count` application segments of this content.
fn with_segments(jpeg: &[u8], marker: u8, content: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = jpeg[..2].to_vec();
    for _ in 0..count {
        bytes.extend([0xFF, marker]);
        bytes.extend((content.len() as u16 + 2).to_be_bytes());
        bytes.extend(content);
    }
    bytes.extend(&jpeg[2..]);
    bytes
}

/// A JPEG of 16 x 16 pixels of one colour, written by hand: every block is two bits.
fn flat_jpeg(bits: u8, channels: u8) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    bytes.extend([1; 64]);
    let frame = if bits == 8 { 0xC0 } else { 0xC1 };
    bytes.extend([0xFF, frame, 0, 8 + 3 * channels, bits, 0, 16, 0, 16, channels]);
    bytes.extend((1..=channels).flat_map(|channel| [channel, 0x11, 0]));
    // One code of one bit for each: no difference of the average, and the end of the block.
    for table in [0x00, 0x10] {
        bytes.extend([0xFF, 0xC4, 0, 20, table, 1]);
        bytes.extend([0; 15]);
        bytes.push(0);
    }
    bytes.extend([0xFF, 0xDA, 0, 6 + 2 * channels, channels]);
    bytes.extend((1..=channels).flat_map(|channel| [channel, 0]));
    bytes.extend([0, 63, 0]);
    bytes.extend(vec![0; usize::from(channels)]);
    bytes.extend([0xFF, 0xD9]);
    bytes
}

/// A whole and valid grey PNG of zeros, with `more` chunks before its data.
fn zero_png(width: u32, height: u32, more: &[u8]) -> Vec<u8> {
    let mut header = width.to_be_bytes().to_vec();
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let zeros = u64::from(height) * (u64::from(width) + 1);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(*b"IHDR", &header));
    bytes.extend(more);
    bytes.extend(chunk(*b"IDAT", &deflated_zeros(zeros)));
    bytes.extend(chunk(*b"IEND", &[]));
    bytes
}

fn profile(zeros: u64) -> Vec<u8> {
    let mut bytes = b"icc\0\0".to_vec();
    bytes.extend(deflated_zeros(zeros));
    bytes
}

fn chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes().to_vec();
    bytes.extend(name);
    bytes.extend(content);
    let checksum = crc(&bytes[4..]);
    bytes.extend(checksum.to_be_bytes());
    bytes
}

fn crc(bytes: &[u8]) -> u32 {
    let mut table = [0_u32; 256];
    for (number, entry) in table.iter_mut().enumerate() {
        *entry = (0..8).fold(number as u32, |value, _| {
            if value & 1 == 1 { 0xEDB8_8320 ^ (value >> 1) } else { value >> 1 }
        });
    }
    !bytes
        .iter()
        .fold(u32::MAX, |sum, byte| table[((sum ^ u32::from(*byte)) & 0xFF) as usize] ^ (sum >> 8))
}

/// A zlib stream of `count` zeros, never held in memory: one zero, then copies of 258 of it, in
/// the fixed code of deflate (RFC 1951, 3.2.6).
fn deflated_zeros(count: u64) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![0x78, 0x01], held: 0, count: 0 };
    let zero = |bits: &mut Bits| bits.code(0b0011_0000, 8);
    bits.number(0b011, 3);
    zero(&mut bits);
    for _ in 0..(count - 1) / 258 {
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    for _ in 0..(count - 1) % 258 {
        zero(&mut bits);
    }
    bits.code(0, 7);
    bits.number(0, 7);
    let mut bytes = bits.bytes;
    // Adler-32 of zeros: the first sum stays 1, the second counts.
    let sum = (((count % 65_521) as u32) << 16) | 1;
    bytes.extend(sum.to_be_bytes());
    bytes
}

struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    /// Lowest bit first.
    fn number(&mut self, value: u32, length: u32) {
        self.held |= value << self.count;
        self.count += length;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes stand highest bit first.
    fn code(&mut self, code: u32, length: u32) {
        self.number(code.reverse_bits() >> (32 - length), length);
    }
}
