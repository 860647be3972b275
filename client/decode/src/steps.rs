//! The codecs that need no file of their own.

use std::io::Read;

use graticule_shared::codec::Chain;
use graticule_shared::dtype::DataType;

use crate::{DecodeError, fail};

const CRC_TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let (mut c, mut bit) = (i as u32, 0);
        while bit < 8 {
            c = (c >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(c & 1));
            bit += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
};

pub fn crc32c(mut bytes: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    let Some((body, tail)) = bytes.split_last_chunk::<4>() else {
        return Err(fail("crc32c", "the chunk is shorter than its checksum"));
    };
    let stored = u32::from_le_bytes(*tail);
    let crc = !body.iter().fold(!0u32, |c, b| (c >> 8) ^ CRC_TABLE[usize::from(c as u8 ^ b)]);
    if crc != stored {
        return Err(fail("crc32c", format!("the checksum is {stored:#010x}, the bytes give {crc:#010x}")));
    }
    bytes.truncate(bytes.len() - 4);
    Ok(bytes)
}

pub fn zstd(bytes: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    zstd::bulk::decompress(bytes, room).map_err(|e| fail("zstd", e.to_string()))
}

pub fn inflate(bytes: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(room);
    let limit = room as u64 + 1;
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut out)
    } else {
        flate2::read::ZlibDecoder::new(bytes).take(limit).read_to_end(&mut out)
    };
    read.map_err(|e| fail("gzip", e.to_string()))?;
    Ok(out)
}

pub fn lz4(bytes: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let Some((head, body)) = bytes.split_first_chunk::<4>() else {
        return Err(fail("lz4", "the chunk is shorter than its header"));
    };
    let len = u32::from_le_bytes(*head) as usize;
    if len > room {
        return Err(fail("lz4", format!("declares {len} bytes, at most {room} expected")));
    }
    let mut out = vec![0; len];
    let n = lz4_flex::block::decompress_into(body, &mut out).map_err(|e| fail("lz4", e.to_string()))?;
    out.truncate(n);
    Ok(out)
}

/// Undoes a byte shuffle; a ragged tail stands as it is.
pub fn unshuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    unshuffle_into(bytes, size, &mut out);
    out
}

/// As [`unshuffle`], into `out` of the same length.
pub fn unshuffle_into(bytes: &[u8], size: usize, out: &mut [u8]) {
    let count = bytes.len() / size.max(1);
    if size < 2 || count < 2 {
        out.copy_from_slice(bytes);
        return;
    }
    // Fixed sizes let the compiler unroll; they are nearly all there is.
    match size {
        2 => interleave::<2>(bytes, count, out),
        4 => interleave::<4>(bytes, count, out),
        8 => interleave::<8>(bytes, count, out),
        _ => {
            for (plane, source) in bytes.chunks_exact(count).take(size).enumerate() {
                for (element, byte) in out.chunks_exact_mut(size).zip(source) {
                    element[plane] = *byte;
                }
            }
        }
    }
    let whole = count * size;
    out[whole..].copy_from_slice(&bytes[whole..]);
}

fn interleave<const N: usize>(bytes: &[u8], count: usize, out: &mut [u8]) {
    let planes: [&[u8]; N] = std::array::from_fn(|p| &bytes[p * count..(p + 1) * count]);
    for (i, element) in out.as_chunks_mut::<N>().0.iter_mut().enumerate().take(count) {
        *element = std::array::from_fn(|p| planes[p][i]);
    }
}

/// Running sums over the flattened chunk, in the type it was encoded in (numcodecs `delta`).
pub fn undelta(mut bytes: Vec<u8>, dtype: DataType, big_endian: bool) -> Vec<u8> {
    macro_rules! sum {
        ($t:ty, $add:expr) => {{
            let mut sum = <$t>::default();
            for e in bytes.chunks_exact_mut(size_of::<$t>()) {
                let Ok(raw) = <[u8; size_of::<$t>()]>::try_from(&*e) else { continue };
                let v = if big_endian { <$t>::from_be_bytes(raw) } else { <$t>::from_le_bytes(raw) };
                sum = $add(sum, v);
                e.copy_from_slice(&if big_endian { sum.to_be_bytes() } else { sum.to_le_bytes() });
            }
        }};
    }
    match dtype {
        DataType::Int8 | DataType::UInt8 => sum!(u8, u8::wrapping_add),
        DataType::Int16 | DataType::UInt16 => sum!(u16, u16::wrapping_add),
        DataType::Int32 | DataType::UInt32 => sum!(u32, u32::wrapping_add),
        DataType::Int64 | DataType::UInt64 => sum!(u64, u64::wrapping_add),
        DataType::Float32 => sum!(f32, |a: f32, b: f32| a + b),
        DataType::Float64 => sum!(f64, |a: f64, b: f64| a + b),
    }
    bytes
}

/// Stored axis `i` is axis `order[i]`: walks the output in C order.
pub fn transpose(bytes: &[u8], chain: &Chain) -> Vec<u8> {
    let size = chain.dtype.size();
    let rank = chain.shape.len();
    // Stride in the stored block of each axis of the array.
    let mut strides = vec![0usize; rank];
    let mut stride = size;
    for axis in chain.order.iter().rev() {
        strides[*axis] = stride;
        stride *= chain.shape[*axis] as usize;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0u64; rank];
    while out.len() < bytes.len() {
        let at: usize = index.iter().zip(&strides).map(|(i, s)| *i as usize * s).sum();
        match bytes.get(at..at + size) {
            Some(element) => out.extend_from_slice(element),
            None => break,
        }
        for axis in (0..rank).rev() {
            index[axis] += 1;
            if index[axis] < chain.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}
