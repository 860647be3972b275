//! Compression filters beyond those that `hdf5-reader` brings (deflate, shuffle,
//! fletcher32, szip, nbit, scale-offset, lz4).

use std::io::Read;

use hdf5_reader::FilterRegistry;
use hdf5_reader::error::Error;

const ZSTD: u16 = 32015;
/// What the library itself decodes.
const BUILT_IN: [u16; 7] = [1, 2, 3, 4, 5, 6, 32004];

/// The filters of this crate. A decoded stage may have `limit` bytes.
pub(super) fn registry(limit: u64) -> FilterRegistry {
    let mut registry = FilterRegistry::new();
    registry.register(
        ZSTD,
        Box::new(move |_, data, _| {
            let failed = |e: std::io::Error| Error::DecompressionError(format!("zstd: {e}"));
            let mut out = Vec::new();
            let decoder = zstd::stream::read::Decoder::new(data).map_err(failed)?;
            decoder.take(limit + 1).read_to_end(&mut out).map_err(failed)?;
            if out.len() as u64 > limit {
                return Err(Error::ResourceLimit(format!("a zstd chunk decodes to more than {limit} bytes")));
            }
            Ok(out)
        }),
    );
    registry
}

/// Why a dataset with filter `id` cannot be read, if so.
pub(super) fn unsupported(id: u16) -> Option<String> {
    if id == ZSTD || BUILT_IN.contains(&id) {
        return None;
    }
    // The HDF Group's list of registered filters.
    let name = match id {
        305 => "LZO",
        307 => "bzip2",
        32000 => "LZF",
        32001 => "Blosc",
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
