//! The index of a Zarr v3 shard: which bytes of the stored object hold which
//! inner chunk (Zarr extension `sharding_indexed`, section "Binary shard format").

/// Where one inner chunk lies in its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub offset: u64,
    pub length: u64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShardIndexError {
    #[error("shard index has {found} bytes, {expected} expected for {chunks} inner chunks")]
    Length { found: usize, expected: u64, chunks: u64 },
    #[error("shard index checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum { found: u32, computed: u32 },
    #[error("inner chunk {chunk} claims bytes {offset}+{length}, past the end of any shard")]
    Span { chunk: usize, offset: u64, length: u64 },
}

/// Encoded size of the index of `chunks` inner chunks: two little-endian `u64`
/// each, and the CRC-32C where the index codecs end in one.
pub const fn index_len(chunks: u64, crc32c: bool) -> u64 {
    chunks * 16 + if crc32c { 4 } else { 0 }
}

/// Reads the index. `None` marks an inner chunk that was not stored (all fill).
///
/// # Errors
/// A wrong length, a checksum that does not match, a span that overflows.
pub fn parse_index(bytes: &[u8], chunks: u64, crc32c: bool) -> Result<Vec<Option<Span>>, ShardIndexError> {
    let expected = index_len(chunks, crc32c);
    if bytes.len() as u64 != expected {
        return Err(ShardIndexError::Length { found: bytes.len(), expected, chunks });
    }
    let (entries, tail) = bytes.split_at(bytes.len() - if crc32c { 4 } else { 0 });
    if let Ok(stored) = <[u8; 4]>::try_from(tail) {
        let (found, computed) = (u32::from_le_bytes(stored), crc32c_of(entries));
        if found != computed {
            return Err(ShardIndexError::Checksum { found, computed });
        }
    }
    entries
        .chunks_exact(16)
        .enumerate()
        .map(|(chunk, e)| {
            let word = |b: &[u8]| b.iter().rev().fold(0u64, |w, b| (w << 8) | u64::from(*b));
            let (offset, length) = (word(&e[..8]), word(&e[8..]));
            if offset == u64::MAX && length == u64::MAX {
                return Ok(None);
            }
            if offset.checked_add(length).is_none_or(|end| end > 1 << 53) {
                return Err(ShardIndexError::Span { chunk, offset, length });
            }
            Ok(Some(Span { offset, length }))
        })
        .collect()
}

/// Writes the index that [`parse_index`] reads, checksum included.
pub fn encode_index(spans: &[Option<Span>]) -> Vec<u8> {
    let absent = Span { offset: u64::MAX, length: u64::MAX };
    let mut bytes: Vec<u8> = spans
        .iter()
        .map(|s| s.unwrap_or(absent))
        .flat_map(|s| s.offset.to_le_bytes().into_iter().chain(s.length.to_le_bytes()))
        .collect();
    bytes.extend(crc32c_of(&bytes).to_le_bytes());
    bytes
}

/// CRC-32C (Castagnoli), bit by bit: an index is a few kilobytes at most.
fn crc32c_of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| (c >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(c & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(u64, u64)]) -> Vec<u8> {
        let mut b: Vec<u8> =
            entries.iter().flat_map(|(o, l)| [o.to_le_bytes(), l.to_le_bytes()].concat()).collect();
        b.extend(crc32c_of(&b).to_le_bytes());
        b
    }

    #[test]
    fn crc32c_matches_the_rfc_3720_vector() {
        assert_eq!(crc32c_of(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn an_absent_chunk_is_none_and_a_present_one_has_its_span() {
        let b = index(&[(0, 10), (u64::MAX, u64::MAX)]);
        assert_eq!(parse_index(&b, 2, true), Ok(vec![Some(Span { offset: 0, length: 10 }), None]));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let spans = vec![Some(Span { offset: 0, length: 10 }), None, Some(Span { offset: 10, length: 3 })];
        assert_eq!(parse_index(&encode_index(&spans), 3, true), Ok(spans));
    }

    #[test]
    fn a_flipped_bit_and_an_overflowing_span_are_refused() {
        let mut b = index(&[(0, 10)]);
        b[3] ^= 1;
        assert!(matches!(parse_index(&b, 1, true), Err(ShardIndexError::Checksum { .. })));
        let b = index(&[(1 << 62, 1 << 63)]);
        assert!(matches!(parse_index(&b, 1, true), Err(ShardIndexError::Span { chunk: 0, .. })));
        assert!(matches!(parse_index(&b, 2, true), Err(ShardIndexError::Length { .. })));
    }
}
