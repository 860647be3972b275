//! Blosc 1 buffers, as c-blosc writes them ("Blosc Header Format",
//! README_CHUNK_FORMAT.rst of c-blosc 1.21): a header, an offset for each block,
//! and for each block one stream or, split by byte of the element, several.

use crate::steps::unshuffle_into;
use crate::{DecodeError, blosclz, fail};

const HEADER: usize = 16;
/// From c-blosc: blocks are split by byte only for elements up to this size ...
const MAX_SPLITS: usize = 16;
/// ... and only if each stream has at least this many bytes.
const MIN_STREAM: usize = 128;

const SHUFFLE: u8 = 0x1;
const MEMCPYED: u8 = 0x2;
const BITSHUFFLE: u8 = 0x4;
const DONT_SPLIT: u8 = 0x10;

fn word(bytes: &[u8], at: usize) -> Result<usize, DecodeError> {
    let raw = bytes.get(at..at.saturating_add(4)).and_then(|b| <[u8; 4]>::try_from(b).ok());
    raw.map(|b| u32::from_le_bytes(b) as usize).ok_or_else(|| {
        fail("blosc", format!("the chunk ends at byte {}, before a word at {at}", bytes.len()))
    })
}

/// # Errors
/// A buffer that is cut short, contradicts itself or declares more than `room` bytes.
pub fn decompress(bytes: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let (nbytes, blocksize, cbytes) = (word(bytes, 4)?, word(bytes, 8)?, word(bytes, 12)?);
    let (flags, typesize) = (bytes[2], usize::from(bytes[3]).max(1));
    if nbytes > room {
        return Err(fail("blosc", format!("declares {nbytes} bytes, at most {room} expected")));
    }
    if cbytes > bytes.len() {
        return Err(fail("blosc", format!("declares {cbytes} stored bytes, {} are there", bytes.len())));
    }
    if nbytes == 0 {
        return Ok(Vec::new());
    }
    if flags & MEMCPYED != 0 {
        let body = bytes.get(HEADER..HEADER + nbytes);
        return body.map(<[u8]>::to_vec).ok_or_else(|| fail("blosc", "the stored copy is cut short"));
    }
    if blocksize == 0 || blocksize > nbytes.max(1) {
        return Err(fail("blosc", format!("block size {blocksize} of {nbytes} bytes")));
    }
    let mut out = vec![0u8; nbytes];
    let mut plain = vec![0u8; blocksize];
    for (i, target) in out.chunks_mut(blocksize).enumerate() {
        let start = word(bytes, HEADER + 4 * i)?;
        let plain = &mut plain[..target.len()];
        let whole = target.len() == blocksize;
        let split =
            flags & DONT_SPLIT == 0 && typesize <= MAX_SPLITS && blocksize / typesize >= MIN_STREAM && whole;
        let shuffled = flags & SHUFFLE != 0 && typesize > 1;
        let bitshuffled = flags & BITSHUFFLE != 0 && target.len() >= typesize;
        if shuffled || bitshuffled {
            streams(bytes, start, if split { typesize } else { 1 }, flags >> 5, plain)?;
            if shuffled {
                unshuffle_into(plain, typesize, target);
            } else {
                bitunshuffle(plain, typesize, target);
            }
        } else {
            streams(bytes, start, if split { typesize } else { 1 }, flags >> 5, target)?;
        }
    }
    Ok(out)
}

/// The compressed streams of one block, end to end.
fn streams(bytes: &[u8], start: usize, count: usize, codec: u8, out: &mut [u8]) -> Result<(), DecodeError> {
    let mut at = start;
    for part in out.chunks_exact_mut((out.len() / count).max(1)).take(count) {
        let length = word(bytes, at)?;
        at += 4;
        let stream = at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or_else(|| {
            fail("blosc", format!("a stream of {length} bytes at {at} passes the end, {}", bytes.len()))
        })?;
        at += length;
        if stream.len() == part.len() {
            part.copy_from_slice(stream);
            continue;
        }
        let n = match codec {
            0 => blosclz::decompress(stream, part),
            1 => lz4_flex::block::decompress_into(stream, part).ok(),
            2 => snap::raw::Decoder::new().decompress(stream, part).ok(),
            3 => zlib(stream, part),
            4 => zstd::bulk::decompress_to_buffer(stream, part).ok(),
            other => return Err(fail("blosc", format!("inner codec {other} is not known"))),
        };
        if n != Some(part.len()) {
            return Err(fail("blosc", format!("the stream at {} is damaged", at - length)));
        }
    }
    Ok(())
}

fn zlib(stream: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut z = flate2::Decompress::new(true);
    z.decompress(stream, out, flate2::FlushDecompress::Finish).ok()?;
    Some(z.total_out() as usize)
}

/// Undoes bitshuffle: bit `b` of byte `k` of eight elements lies in one byte of
/// plane `8 k + b`. c-blosc leaves blocks alone whose count is no multiple of eight.
fn bitunshuffle(bytes: &[u8], typesize: usize, out: &mut [u8]) {
    let count = bytes.len() / typesize;
    out.copy_from_slice(bytes);
    if !count.is_multiple_of(8) {
        return;
    }
    let row = count / 8;
    for byte in 0..typesize {
        for group in 0..row {
            // Eight bytes, one for each bit: an 8x8 transpose of bits.
            let mut x = 0u64;
            for bit in 0..8 {
                x |= u64::from(bytes[(byte * 8 + bit) * row + group]) << (8 * bit);
            }
            let t = (x ^ (x >> 7)) & 0x00AA_00AA_00AA_00AA;
            x ^= t ^ (t << 7);
            let t = (x ^ (x >> 14)) & 0x0000_CCCC_0000_CCCC;
            x ^= t ^ (t << 14);
            let t = (x ^ (x >> 28)) & 0x0000_0000_F0F0_F0F0;
            x ^= t ^ (t << 28);
            for element in 0..8 {
                out[(group * 8 + element) * typesize + byte] = (x >> (8 * element)) as u8;
            }
        }
    }
}
