//! JPEG 2000 codestreams (ISO/IEC 15444-1, ITU-T T.800) as fields are packed in them:
//! one component, no colours.
//!
//! Nearly all time goes into the arithmetic decoder, and there into branches that the
//! processor guesses wrong. So the decoder itself has none but for a new word of its stream, every
//! 40 decisions or so; and which samples a pass visits comes from bit maps of 64 samples.
//!
//! | step | file |
//! |---|---|
//! | marker segments (annex A) | `codestream.rs`, `parameters.rs` |
//! | tiles, sub-bands, precincts, code-blocks (annex B) | `tile.rs` |
//! | packets: which block has which bytes (annex B) | `packets.rs`, `packet_bits.rs` |
//! | arithmetic decoder (annex C) | `mq.rs` |
//! | code-blocks and their passes (annex D) | `blocks.rs`, `passes.rs`, `contexts.rs` |
//! | wavelets (annex F) | `wavelet.rs` |
//!
//! Read: both wavelets, tiles and tile-parts, the five progression orders, layers, precincts,
//! all styles of code-blocks, resolution levels of any number. Refused by name: several or subsampled
//! components, regions of interest (RGN), changes of the progression order (POC), packed packet
//! headers (PPM, PPT), high throughput (part 15), the JP2 container. Nothing is guessed: a stream
//! that ends early is an error, not a coarser field.

use std::fmt;

mod blocks;
mod codestream;
mod contexts;
mod mq;
mod packet_bits;
mod packets;
mod parameters;
mod passes;
#[cfg(test)]
mod tests;
mod tile;
mod wavelet;

use blocks::Blocks;
use codestream::Codestream;
use parameters::Transform;
use tile::Tile;
use wavelet::{Planes, Sample};

/// Why a codestream is not read.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// Byte of the codestream, from 0.
    pub byte: usize,
    pub reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of the codestream: {}", self.byte, self.reason)
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

fn fault<T>(byte: usize, reason: impl Into<String>) -> Result<T> {
    Err(Error { byte, reason: reason.into() })
}

/// What SIZ says of the one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
    /// Bits of a sample, 1 to [`MOST_BITS`].
    pub bits: u32,
    pub signed: bool,
}

/// More do not fit the 32 bits that a coefficient and its guard bits have.
pub const MOST_BITS: u32 = 28;

/// Reads the main header, up to the first tile-part.
pub fn size(data: &[u8]) -> Result<Size> {
    codestream::main_header(data).map(|(size, _)| size)
}

/// Decodes all samples, row by row.
///
/// `samples` is how many are expected: a picture with more or less of them is refused before
/// anything of its size is allocated.
pub fn decode(data: &[u8], samples: usize) -> Result<Vec<i32>> {
    let (size, _) = codestream::main_header(data)?;
    if u64::from(size.width) * u64::from(size.height) != samples as u64 {
        return fault(
            0,
            format!("the picture has {} by {} samples; {samples} are expected", size.width, size.height),
        );
    }
    let stream = Codestream::read(data)?;
    let mut out = Vec::new();
    let mut blocks = Blocks::new();
    let mut whole = Planes::default();
    let mut real = Planes::default();
    for index in 0..stream.tiles() {
        let tile = Tile::new(&stream, index)?;
        match tile.coding.transform {
            Transform::Reversible => picture::<i32>(&stream, &tile, &mut blocks, &mut whole, &mut out)?,
            Transform::Irreversible => picture::<f32>(&stream, &tile, &mut blocks, &mut real, &mut out)?,
        }
    }
    // From around zero to where they are (G.1), and no farther.
    let (least, most, shift) = match size.signed {
        true => (-(1 << (size.bits - 1)), (1 << (size.bits - 1)) - 1, 0),
        false => (0, (1 << size.bits) - 1, 1 << (size.bits - 1)),
    };
    out.iter_mut().for_each(|s: &mut i32| *s = s.wrapping_add(shift).clamp(least, most));
    Ok(out)
}

/// Decodes one tile and puts it where it lies.
fn picture<S: Sample>(
    stream: &Codestream<'_>,
    tile: &Tile<'_>,
    blocks: &mut Blocks,
    planes: &mut Planes<S>,
    out: &mut Vec<i32>,
) -> Result<()> {
    let contents = packets::read(stream, tile)?;
    planes.prepare(tile);
    for block in &contents.blocks {
        if let Some(band) = tile.bands.get(block.band as usize) {
            blocks.decode(stream, tile, &contents, block, band)?;
            blocks.store(block, band, planes.coefficients(band));
        }
    }
    let samples = planes.synthesize(tile);
    if stream.tiles() == 1 {
        *out = S::all_whole(samples);
        return Ok(());
    }
    let size = stream.size;
    out.resize(size.width as usize * size.height as usize, 0);
    let (left, top) = (tile.area.x0 - stream.area.x0, tile.area.y0 - stream.area.y0);
    let rows = out.chunks_exact_mut(size.width as usize).skip(top as usize);
    for (row, samples) in rows.zip(samples.chunks_exact((tile.area.width() as usize).max(1))) {
        for (out, sample) in row.iter_mut().skip(left as usize).zip(samples) {
            *out = sample.whole();
        }
    }
    Ok(())
}
