//! Where the stored chunks of a variable lie, so that they can be referred to instead of copied.

use std::path::PathBuf;

use serde_json::{Value, json};

/// Chunks of one variable, 5,000,000 at most for one file.
pub const MAX_CHUNKS: u64 = 5_000_000;
/// A piece of values that lie one after the other is cut to at most this.
const PIECE_BYTES: u64 = 4 << 20;
/// What cannot be cut well may be so large, and pieces no smaller than this.
const WHOLE_BYTES: u64 = 32 << 20;
const SMALLEST_PIECE: u64 = 64 << 10;

/// A chunk's bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSpan {
    /// In C order over the grid of chunks.
    pub index: u64,
    /// Into [`StoredChunks::files`].
    pub file: u32,
    pub offset: u64,
    pub length: u64,
}

/// The chunks of a variable as Zarr v3 metadata describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChunks {
    pub chunk_shape: Vec<u64>,
    /// `codecs` of the array's `zarr.json`.
    pub codecs: Value,
    /// Empty where all chunks are in the source's own file.
    pub files: Vec<PathBuf>,
    /// What is not among them and not given inline was never written.
    pub spans: Vec<ChunkSpan>,
    pub inline: Vec<(u64, Vec<u8>)>,
}

/// `bytes`, for elements of this size.
pub(crate) fn bytes_codec(size: usize, big: bool) -> Value {
    if size == 1 {
        json!({"name": "bytes"})
    } else {
        json!({"name": "bytes", "configuration": {"endian": if big { "big" } else { "little" }}})
    }
}

/// Shape of chunks that lie one after the other in `shape`, whose values of `size` bytes are in C
/// order without gaps: none of them reaches past the array's end.
///
/// # Errors
/// In words, where no even cut is small enough.
pub(crate) fn cut(shape: &[u64], size: usize) -> Result<Vec<u64>, String> {
    let mut chunk = vec![1; shape.len()];
    let mut bytes = size as u64;
    for (axis, &n) in shape.iter().enumerate().rev() {
        if bytes.saturating_mul(n) <= PIECE_BYTES {
            chunk[axis] = n.max(1);
            bytes *= n.max(1);
            continue;
        }
        let divisor = (1..=n.min(PIECE_BYTES / bytes)).rev().find(|d| n % d == 0).unwrap_or(1);
        if divisor * bytes >= SMALLEST_PIECE {
            chunk[axis] = divisor;
        } else if bytes.saturating_mul(n) <= WHOLE_BYTES {
            chunk[axis] = n;
        } else {
            return Err(format!(
                "{n} steps of {bytes} bytes, one after the other, have no even part between {SMALLEST_PIECE} and {PIECE_BYTES} bytes"
            ));
        }
        break;
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_a_row_are_cut_evenly() {
        assert_eq!(cut(&[], 8), Ok(vec![]));
        assert_eq!(cut(&[12, 73, 144], 4), Ok(vec![12, 73, 144]));
        assert_eq!(cut(&[365, 720, 1440], 4), Ok(vec![1, 720, 1440]));
        assert_eq!(cut(&[3, 2000, 2000], 8), Ok(vec![1, 250, 2000]));
        assert_eq!(cut(&[4_999_999], 4), Ok(vec![4_999_999]));
        assert!(cut(&[99_999_989], 4).is_err());
    }
}
