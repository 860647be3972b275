//! Numbers that were stored as numbers of another type.

use graticule_shared::dtype::DataType;

use crate::{DecodeError, fail};

/// `x / scale + offset`, in float64 as NumPy has it, for `count` elements of byte order `big`.
pub fn unscale(
    bytes: &[u8],
    (from, to): (DataType, DataType),
    (scale, offset): (f64, f64),
    big: bool,
    count: usize,
) -> Vec<u8> {
    let swap = big != cfg!(target_endian = "big");
    let mut native =
        bytes.get(..bytes.len().min(count.saturating_mul(from.size()))).unwrap_or_default().to_vec();
    if swap {
        native.chunks_exact_mut(from.size()).for_each(<[u8]>::reverse);
    }
    let mut out = Vec::with_capacity(count.saturating_mul(to.size()));
    for x in from.to_f64_vec(&native) {
        let start = out.len();
        push(&mut out, to, x / scale + offset);
        if swap && let Some(element) = out.get_mut(start..) {
            element.reverse();
        }
    }
    out
}

fn push(out: &mut Vec<u8>, dtype: DataType, v: f64) {
    match dtype {
        DataType::Int8 => out.extend((v as i8).to_ne_bytes()),
        DataType::UInt8 => out.extend((v as u8).to_ne_bytes()),
        DataType::Int16 => out.extend((v as i16).to_ne_bytes()),
        DataType::UInt16 => out.extend((v as u16).to_ne_bytes()),
        DataType::Int32 => out.extend((v as i32).to_ne_bytes()),
        DataType::UInt32 => out.extend((v as u32).to_ne_bytes()),
        DataType::Int64 => out.extend((v as i64).to_ne_bytes()),
        DataType::UInt64 => out.extend((v as u64).to_ne_bytes()),
        DataType::Float32 => out.extend((v as f32).to_ne_bytes()),
        DataType::Float64 => out.extend(v.to_ne_bytes()),
    }
}

/// numcodecs `packbits`: the number of padding bits in a byte, then bits, highest first.
pub fn unpack_bits(bytes: &[u8], count: usize) -> Result<Vec<u8>, DecodeError> {
    let body = bytes.get(1..).unwrap_or_default();
    if body.len() != count.div_ceil(8) {
        return Err(fail("packbits", format!("{} bytes for {count} booleans", body.len())));
    }
    Ok((0..count).map(|i| body[i / 8] >> (7 - i % 8) & 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_numbers_come_back_as_numcodecs_has_them() {
        let stored: Vec<u8> = [0i16, 1, -3].iter().flat_map(|n| n.to_be_bytes()).collect();
        let types = (DataType::Int16, DataType::Float32);
        let found = unscale(&stored, types, (10.0, 1000.0), true, 3);
        let expected: Vec<u8> = [1000.0f32, 1000.1, 999.7].iter().flat_map(|n| n.to_be_bytes()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn bits_are_unpacked_from_the_highest() {
        assert_eq!(unpack_bits(&[6, 0b1100_0000, 0b0100_0000], 10).unwrap(), [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!(unpack_bits(&[6, 1], 10).is_err());
    }
}
