//! Checksums that are checked and taken away.

use crate::{DecodeError, fail};

/// Takes the checksum, little-endian, from the start or the end and compares it with that of the rest.
pub fn drop_sum(
    mut bytes: Vec<u8>,
    start: bool,
    codec: &'static str,
    sum: fn(&[u8]) -> u32,
) -> Result<Vec<u8>, DecodeError> {
    let parts = if start {
        bytes.split_first_chunk::<4>().map(|(stored, body)| (body, stored))
    } else {
        bytes.split_last_chunk::<4>()
    };
    let Some((body, stored)) = parts else {
        return Err(fail(codec, "the chunk is shorter than its checksum"));
    };
    let (stored, found) = (u32::from_le_bytes(*stored), sum(body));
    if stored != found {
        return Err(fail(codec, format!("the checksum is {stored:#010x}, the bytes give {found:#010x}")));
    }
    if start {
        bytes.drain(..4);
    } else {
        bytes.truncate(bytes.len() - 4);
    }
    Ok(bytes)
}

/// RFC 1950, section 9.
pub fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    // The longest run whose sums stay below 2^32.
    for run in bytes.chunks(5552) {
        for byte in run {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}

/// That of gzip and PNG.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// HDF5's `H5_checksum_fletcher32`: words of two bytes, the first byte the higher, an odd byte by
/// itself. Old writers on little-endian machines stored the bytes of both halves swapped: HDF5 takes
/// both, and so does this.
pub fn fletcher32(mut bytes: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    let Some((body, tail)) = bytes.split_last_chunk::<4>() else {
        return Err(fail("fletcher32", "the chunk is shorter than its checksum"));
    };
    let (words, odd) = body.as_chunks::<2>();
    let (mut a, mut b) = (0u32, 0u32);
    for run in words.chunks(360) {
        for [high, low] in run {
            a += u32::from(*high) << 8 | u32::from(*low);
            b += a;
        }
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    if let [last] = odd {
        a += u32::from(*last) << 8;
        b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    let (stored, found) = (u32::from_le_bytes(*tail), b << 16 | a);
    let [w, x, y, z] = found.to_le_bytes();
    if stored != found && stored != u32::from_le_bytes([x, w, z, y]) {
        return Err(fail(
            "fletcher32",
            format!("the checksum is {stored:#010x}, the bytes give {found:#010x}"),
        ));
    }
    bytes.truncate(bytes.len() - 4);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_their_specifications() {
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // numcodecs.Fletcher32().encode(b"abcde") and b"abcdef".
        for (text, sum) in [(&b"abcde"[..], FLETCHER_ABCDE), (b"abcdef", FLETCHER_ABCDEF)] {
            let stored = [text, &sum].concat();
            assert_eq!(fletcher32(stored.clone()).as_deref(), Ok(text));
            let mut damaged = stored;
            damaged[1] ^= 1;
            assert!(fletcher32(damaged).is_err());
        }
    }

    const FLETCHER_ABCDE: [u8; 4] = [199, 41, 240, 79];
    const FLETCHER_ABCDEF: [u8; 4] = [45, 42, 86, 80];

    #[test]
    fn a_sum_is_taken_from_the_end_that_it_is_at() {
        let sum = adler32(b"body").to_le_bytes();
        assert_eq!(
            drop_sum([&sum[..], b"body"].concat(), true, "adler32", adler32).as_deref(),
            Ok(&b"body"[..])
        );
        assert_eq!(
            drop_sum([b"body", &sum[..]].concat(), false, "adler32", adler32).as_deref(),
            Ok(&b"body"[..])
        );
        assert!(drop_sum(b"abc".to_vec(), true, "adler32", adler32).is_err());
    }
}
