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
mod steps;
#[cfg(target_arch = "wasm32")]
mod wasm;

use graticule_shared::codec::{Chain, Step};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("{codec}: {reason}")]
    Codec { codec: &'static str, reason: String },
    #[error("the chunk decodes to {found} bytes, its shape and type need {expected}")]
    Length { found: usize, expected: usize },
}

pub(crate) fn fail(codec: &'static str, reason: impl Into<String>) -> DecodeError {
    DecodeError::Codec { codec, reason: reason.into() }
}

/// Decodes one stored block to its elements in C order, native byte order.
///
/// # Errors
/// Names the codec that could not read its input, or the length that is wrong.
pub fn decode(chain: &Chain, stored: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    let expected = chain.decoded_len().ok_or_else(|| fail("shape", "the block is too large"))?;
    let mut bytes = stored;
    for (i, step) in chain.steps.iter().enumerate() {
        // Later steps may still drop a checksum each.
        let room = expected + 4 * chain.steps[i..].iter().filter(|s| **s == Step::Crc32c).count();
        bytes = match step {
            Step::Crc32c => steps::crc32c(bytes)?,
            Step::Zstd => steps::zstd(&bytes, room)?,
            Step::Blosc => blosc::decompress(&bytes, room)?,
            Step::Inflate => steps::inflate(&bytes, room)?,
            Step::Lz4 => steps::lz4(&bytes, room)?,
            Step::Shuffle(size) => steps::unshuffle(&bytes, *size),
            Step::Delta => steps::undelta(bytes, chain),
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
