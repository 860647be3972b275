//! Zarr chunks to numbers, in a worker of the browser's.
//!
//! The decoder is most of what a first map downloads, and it must be compiled
//! before a chunk can be read. A general Zarr library brings its whole registry
//! of codecs along (679 kB compressed, measured); this crate holds the codecs
//! that published grids use and nothing else: no JSON, no store, no async. The
//! chain arrives as one line that the main thread made from the metadata
//! ([`graticule_shared::codec::Chain`]).
//!
//! **Invariant:** whatever the bytes say, nothing is allocated beyond the size
//! that the chain declares, and nothing panics.

pub mod blosc;
mod blosclz;
mod scale;
mod steps;
mod sums;
#[cfg(all(target_arch = "wasm32", feature = "worker"))]
mod wasm;

use graticule_shared::codec::{Chain, Step};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("{codec}: {reason}")]
    Codec { codec: &'static str, reason: String },
    #[error("the chunk decodes to {found} bytes, its shape and type need {expected}")]
    Length { found: usize, expected: usize },
}

/// A refusal by the codec that refuses.
pub fn fail(codec: &'static str, reason: impl Into<String>) -> DecodeError {
    DecodeError::Codec { codec, reason: reason.into() }
}

/// Decodes one stored block to its elements in C order, native byte order.
///
/// # Errors
/// Names the codec that could not read its input, or the length that is wrong.
pub fn decode(chain: &Chain, stored: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    decode_with(chain, stored, |step, _, _| Err(fail("chain", format!("{step:?} is not decoded here"))))
}

/// As [`decode`]; what this crate has not, `heavy` decodes from its bytes into at most as many as it is told.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(
    chain: &Chain,
    stored: Vec<u8>,
    heavy: impl Fn(&Step, &[u8], usize) -> Result<Vec<u8>, DecodeError>,
) -> Result<Vec<u8>, DecodeError> {
    let expected = chain.decoded_len().ok_or_else(|| fail("shape", "the block is too large"))?;
    let elements = expected / chain.dtype.size();
    let mut bytes = stored;
    for (i, step) in chain.steps.iter().enumerate() {
        let rest = chain.steps.get(i..).unwrap_or_default();
        // Later steps may still take a checksum each, and take numbers of another size.
        let wide = rest.iter().find_map(|s| match s {
            Step::Scale { from, .. } => Some(elements * from.size()),
            Step::Bits => Some(elements.div_ceil(8) + 1),
            _ => None,
        });
        let room = wide.unwrap_or(expected) + rest.iter().map(Step::dropped).sum::<usize>();
        bytes = match step {
            Step::Crc32c => steps::crc32c(bytes)?,
            Step::Zstd => steps::zstd(&bytes, room)?,
            Step::Blosc => blosc::decompress(&bytes, room)?,
            Step::Inflate => steps::inflate(&bytes, room)?,
            Step::Lz4 => steps::lz4(&bytes, room)?,
            Step::Shuffle(size) => steps::unshuffle(&bytes, *size),
            Step::Delta(dtype) => steps::undelta(bytes, *dtype, chain.big_endian),
            Step::Fletcher32 => sums::fletcher32(bytes)?,
            Step::Adler32(start) => sums::drop_sum(bytes, *start, "adler32", sums::adler32)?,
            Step::Crc32(start) => sums::drop_sum(bytes, *start, "crc32", sums::crc32)?,
            Step::Scale { from, to, scale, offset } => {
                scale::unscale(&bytes, (*from, *to), (*scale, *offset), chain.big_endian, elements)
            }
            Step::Bits => scale::unpack_bits(&bytes, elements)?,
            heavier => heavy(heavier, &bytes, room)?,
        };
    }
    if bytes.len() != expected {
        return Err(DecodeError::Length { found: bytes.len(), expected });
    }
    if chain.big_endian != cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(chain.dtype.size()).for_each(<[u8]>::reverse);
    }
    Ok(if chain.order.is_empty() { bytes } else { steps::transpose(&bytes, chain) })
}
