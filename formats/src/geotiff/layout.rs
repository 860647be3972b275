//! How the samples of an image lie in the file: tiles or strips, chunky or planar.

use graticule_shared::dtype::DataType;

use super::codec;
use super::directory::{Bytes, Directory, Entry};
use crate::{FormatError, Limits, slab};

type Result<T> = std::result::Result<T, FormatError>;

/// Tag numbers (TIFF 6.0 and its supplements).
mod tag {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const PHOTOMETRIC: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const SAMPLES: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_BYTES: u16 = 279;
    pub(super) const PLANAR: u16 = 284;
    pub(super) const PREDICTOR: u16 = 317;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTES: u16 = 325;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const JPEG_TABLES: u16 = 347;
}

/// Chunks whose place is checked when the file is opened; more are checked as they are read.
const CHECKED_CHUNKS: u64 = 1 << 20;

/// How the bytes of one tile or strip become samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Coding {
    pub(crate) dtype: DataType,
    /// Of one sample, as stored: 1, 2, 4, 8, 16, 32 or 64.
    pub(crate) bits: usize,
    /// Bands that lie together in one chunk: all of them, or one where planar.
    pub(crate) interleaved: usize,
    pub(crate) chunk_width: usize,
    pub(crate) chunk_height: usize,
    pub(crate) compression: u64,
    pub(crate) predictor: u64,
    pub(crate) photometric: u64,
    /// Shared by all JPEG streams.
    pub(crate) tables: Vec<u8>,
}

impl Coding {
    /// Stored bytes of one row of a chunk, uncompressed.
    pub(crate) fn row_bytes(&self) -> usize {
        (self.chunk_width * self.interleaved * self.bits).div_ceil(8)
    }

    /// # Errors
    /// In words: a compression, a predictor or a colour space that is not read.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        codec::known(self.compression)?;
        let predictable = match self.predictor {
            1 => true,
            2 => self.bits >= 8,
            3 => matches!(self.dtype, DataType::Float32 | DataType::Float64),
            _ => false,
        };
        if !predictable && self.compression != 7 {
            return Err(format!("predictor {} of samples of {} bits is not read", self.predictor, self.bits));
        }
        if self.compression == 7 && self.bits != 8 {
            return Err(format!("JPEG of {} bits is not read, only of 8", self.bits));
        }
        if self.photometric == 6 && self.compression != 7 {
            return Err("the colours are YCbCr without JPEG, which is not read".into());
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) bands: u64,
    pub(crate) coding: Coding,
    pub(crate) across: u64,
    pub(crate) down: u64,
    pub(crate) tiled: bool,
    offsets: (u16, Entry),
    lengths: (u16, Entry),
}

impl Layout {
    pub(crate) fn read(bytes: &Bytes, directory: &Directory, limits: &Limits) -> Result<Self> {
        let one = |tag, default| bytes.one(directory, tag, default);
        let wrong = |reason: String| FormatError::new(&bytes.file, reason);
        let (width, height) = (one(tag::WIDTH, 0)?, one(tag::HEIGHT, 0)?);
        if width == 0 || height == 0 {
            return Err(wrong(format!("the image is {width} x {height}; expected at least one pixel")));
        }
        let bands = one(tag::SAMPLES, 1)?;
        if bands == 0 || bands as usize > limits.variables {
            return Err(wrong(format!("the image has {bands} bands; 1 to {} are read", limits.variables)));
        }
        let (bits, dtype) = sample_type(bytes, directory, limits)?;
        slab::check_declared(&bytes.file, "band_1", &[height, width], dtype, limits)?;
        let compression = one(tag::COMPRESSION, 1)?;
        codec::known(compression).map_err(wrong)?;
        if one(tag::FILL_ORDER, 1)? != 1 {
            return Err(wrong(
                "the bits of a byte are stored in reverse (FillOrder 2), which is not read".into(),
            ));
        }
        let planar = match one(tag::PLANAR, 1)? {
            1 => false,
            2 => true,
            n => return Err(wrong(format!("PlanarConfiguration is {n}; expected 1 or 2"))),
        };
        let interleaved = if planar { 1 } else { bands as usize };
        let tiled = directory.contains_key(&tag::TILE_WIDTH);
        let (chunk_width, chunk_height) = if tiled {
            (one(tag::TILE_WIDTH, 0)?, one(tag::TILE_HEIGHT, 0)?)
        } else {
            (width, one(tag::ROWS_PER_STRIP, height)?.min(height))
        };
        let chunk_bytes = [chunk_height, dtype.size() as u64, interleaved as u64]
            .iter()
            .try_fold(chunk_width, |n, factor| n.checked_mul(*factor));
        let what = if tiled { "tile" } else { "strip" };
        if chunk_bytes.is_none_or(|n| n == 0 || n > limits.chunk_bytes) {
            return Err(wrong(format!(
                "a {what} of {chunk_width} x {chunk_height} pixels, {interleaved} bands of {dtype}; 1 to {} bytes may be in one",
                limits.chunk_bytes
            )));
        }
        let coding = Coding {
            dtype,
            bits,
            interleaved,
            chunk_width: chunk_width as usize,
            chunk_height: chunk_height as usize,
            compression,
            predictor: one(tag::PREDICTOR, 1)?,
            photometric: one(tag::PHOTOMETRIC, 1)?,
            tables: bytes.bytes(directory, tag::JPEG_TABLES, limits)?,
        };
        coding.check().map_err(wrong)?;
        let (across, down) = (width.div_ceil(chunk_width), height.div_ceil(chunk_height));
        let planes = if planar { bands } else { 1 };
        let chunks = across.saturating_mul(down).saturating_mul(planes);
        let list = |tag: u16| match directory.get(&tag) {
            Some(e) if e.count >= chunks => Ok((tag, *e)),
            Some(e) => Err(bytes.error(format!("tag {tag} places {} of {chunks} {what}s", e.count), e.at)),
            None => Err(wrong(format!("tag {tag}, which places the {what}s, is missing"))),
        };
        let (offsets, lengths) = if tiled {
            (list(tag::TILE_OFFSETS)?, list(tag::TILE_BYTES)?)
        } else {
            (list(tag::STRIP_OFFSETS)?, list(tag::STRIP_BYTES)?)
        };
        let layout = Self { width, height, bands, coding, across, down, tiled, offsets, lengths };
        layout.all_inside(bytes, chunks)?;
        Ok(layout)
    }

    /// Where chunk `index` lies: offset and length. Both are 0 where it was never written.
    pub(crate) fn place(&self, bytes: &Bytes, index: u64) -> Result<(u64, u64)> {
        let at = |(tag, entry): (u16, Entry)| Ok(bytes.uints(tag, entry, index, 1)?[0]);
        Ok((at(self.offsets)?, at(self.lengths)?))
    }

    /// A download that broke off is found now, not in the middle of an ingest.
    fn all_inside(&self, bytes: &Bytes, chunks: u64) -> Result<()> {
        const STEP: u64 = 1 << 14;
        let (end, what) = (bytes.storage.len(), if self.tiled { "tile" } else { "strip" });
        let last = chunks.min(CHECKED_CHUNKS);
        for first in (0..last).step_by(STEP as usize) {
            let n = STEP.min(last - first);
            let offsets = bytes.uints(self.offsets.0, self.offsets.1, first, n)?;
            let lengths = bytes.uints(self.lengths.0, self.lengths.1, first, n)?;
            for (i, (offset, length)) in offsets.iter().zip(&lengths).enumerate() {
                if offset.saturating_add(*length) > end {
                    return Err(bytes.error(
                        format!(
                            "the file is cut short: {what} {} is {length} bytes from byte {offset} on, and the file ends at byte {end}",
                            first + i as u64
                        ),
                        end,
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Bits of a sample and the type it is read as.
fn sample_type(bytes: &Bytes, directory: &Directory, limits: &Limits) -> Result<(usize, DataType)> {
    let common = |tag: u16, default: u64, what: &str| {
        let all = bytes.all_uints(directory, tag, limits)?;
        let first = all.first().copied().unwrap_or(default);
        match all.iter().find(|n| **n != first) {
            Some(other) => Err(FormatError::new(
                &bytes.file,
                format!("the bands differ in {what}: {first} and {other}; one type for all is read"),
            )),
            None => Ok(first),
        }
    };
    let bits = common(tag::BITS, 1, "bits of a sample")?;
    let format = common(tag::SAMPLE_FORMAT, 1, "sample format")?;
    let dtype = match (format, bits) {
        (1 | 4, 1 | 2 | 4 | 8) => DataType::UInt8,
        (1 | 4, 16) => DataType::UInt16,
        (1 | 4, 32) => DataType::UInt32,
        (1 | 4, 64) => DataType::UInt64,
        (2, 8) => DataType::Int8,
        (2, 16) => DataType::Int16,
        (2, 32) => DataType::Int32,
        (2, 64) => DataType::Int64,
        (3, 32) => DataType::Float32,
        (3, 64) => DataType::Float64,
        _ => {
            let what = match format {
                1 | 4 => "unsigned integers",
                2 => "integers",
                3 => "floating-point numbers",
                5 | 6 => "complex numbers",
                _ => "samples of an unknown format",
            };
            return Err(FormatError::new(
                &bytes.file,
                format!(
                    "{what} of {bits} bits are not read; expected integers of 8 to 64 bits, float32 or float64"
                ),
            ));
        }
    };
    Ok((bits as usize, dtype))
}
