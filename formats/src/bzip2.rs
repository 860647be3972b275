//! bzip2 streams, of HDF5 filter 307 and of Zarr's `bz2`.

use std::io::Read;

/// Every stream of `data`, one after the other, as at most `limit` bytes.
///
/// # Errors
/// In words: damage, or more than `limit` bytes.
pub(crate) fn decompress(data: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let reader = bzip2_rs::DecoderReader::new(data);
    reader.take((limit as u64).saturating_add(1)).read_to_end(&mut out).map_err(|e| e.to_string())?;
    if out.len() > limit {
        return Err(format!("the chunk decodes to more than {limit} bytes"));
    }
    Ok(out)
}
