//! Compression filters beyond those that `hdf5-reader` brings (deflate, shuffle,
//! fletcher32, szip, nbit, scale-offset, lz4). Blosc is the browser's own decoder.
//!
//! Registered filters get no bound from the library, so each keeps to its own.

mod lz;

use std::io::Read;

use hdf5_reader::FilterRegistry;
use hdf5_reader::error::{Error, Result};

pub(super) const BZIP2: u16 = 307;
const LZF: u16 = 32000;
pub(super) const BLOSC: u16 = 32001;
pub(super) const ZSTD: u16 = 32015;
/// What the library itself decodes.
const BUILT_IN: [u16; 7] = [1, 2, 3, 4, 5, 6, 32004];

/// The filters of this crate. A decoded stage may have `limit` bytes.
pub(super) fn registry(limit: u64) -> FilterRegistry {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut registry = FilterRegistry::new();
    registry.register(ZSTD, Box::new(move |_, data, _| zstd_frame(data, limit)));
    registry.register(BLOSC, Box::new(move |_, data, _| blosc(data, limit)));
    registry.register(BZIP2, Box::new(move |_, data, _| bzip2(data, limit)));
    registry.register(LZF, Box::new(move |_, data, _| lz::lzf(data, limit)));
    registry
}

/// Why a dataset with filter `id` cannot be read, if so.
pub(super) fn unsupported(id: u16) -> Option<String> {
    if [BZIP2, LZF, BLOSC, ZSTD].contains(&id) || BUILT_IN.contains(&id) {
        return None;
    }
    // The HDF Group's list of registered filters.
    let name = match id {
        305 => "LZO",
        32008 => "bitshuffle",
        32013 => "ZFP",
        32016 => "SZ3",
        32017 | 32024 => "SZ",
        32022 => "BitGroom",
        32023 => "Granular BitRound",
        32026 => "Blosc2",
        _ => "unregistered",
    };
    Some(format!(
        "its chunks are compressed with HDF5 filter {id} ({name}), which this reader does not decode"
    ))
}

fn failed(codec: &str, why: impl std::fmt::Display) -> Error {
    Error::DecompressionError(format!("{codec}: {why}"))
}

fn zstd_frame(data: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(data).map_err(|e| failed("zstd", e))?;
    decoder.take((limit as u64).saturating_add(1)).read_to_end(&mut out).map_err(|e| failed("zstd", e))?;
    if out.len() > limit {
        return Err(failed("zstd", format!("the chunk decodes to more than {limit} bytes")));
    }
    Ok(out)
}

fn blosc(data: &[u8], limit: usize) -> Result<Vec<u8>> {
    graticule_decode::blosc::decompress(data, limit).map_err(|e| Error::DecompressionError(e.to_string()))
}

fn bzip2(data: &[u8], limit: usize) -> Result<Vec<u8>> {
    crate::bzip2::decompress(data, limit).map_err(|e| failed("bzip2", e))
}
