//! One tile or strip: from its stored bytes to samples in native byte order.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::layout::Coding;
use crate::jpeg;

/// Name of a compression scheme that is read, or why it is not.
pub(crate) fn known(compression: u64) -> Result<(), String> {
    let name = match compression {
        1 | 5 | 7 | 8 | 32773 | 32946 | 50000 => return Ok(()),
        2..=4 => "CCITT fax",
        6 => "old-style JPEG",
        34712 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        _ => "an unknown scheme",
    };
    Err(format!(
        "the values are compressed with {name} (compression {compression}); none, LZW, deflate, PackBits, Zstandard and JPEG are read"
    ))
}

/// `rows` rows of a tile or strip of `coding`, from its stored bytes: samples of
/// one row after another, pixel by pixel, native-endian.
pub(crate) fn decode(coding: &Coding, stored: &[u8], rows: usize, little: bool) -> Result<Vec<u8>, String> {
    let expected = coding.row_bytes() * rows;
    let mut bytes = match coding.compression {
        1 => stored.get(..expected).map(<[u8]>::to_vec).ok_or_else(|| short(stored.len(), expected))?,
        5 => lzw(stored, expected)?,
        7 => return pictures(coding, stored, rows),
        8 | 32946 => filled(ZlibDecoder::new(stored), expected, "deflate")?,
        50000 => {
            let decoder = zstd::stream::read::Decoder::with_buffer(stored)
                .map_err(|e| format!("its Zstandard stream does not begin: {e}"))?;
            filled(decoder, expected, "Zstandard")?
        }
        _ => packbits(stored, expected)?,
    };
    if coding.bits < 8 {
        return Ok(widen(&bytes, coding));
    }
    let size = coding.bits / 8;
    if coding.predictor == 3 {
        bytes.chunks_exact_mut(coding.row_bytes()).for_each(|row| undo_float(row, coding.interleaved, size));
        return Ok(bytes);
    }
    if little != cfg!(target_endian = "little") {
        crate::slab::swap_elements(&mut bytes, size);
    }
    if coding.predictor == 2 {
        bytes
            .chunks_exact_mut(coding.row_bytes())
            .for_each(|row| undo_differences(row, coding.interleaved, size));
    }
    Ok(bytes)
}

fn short(found: usize, expected: usize) -> String {
    format!("it decodes to {found} bytes; expected {expected}")
}

fn filled(decoder: impl Read, expected: usize, what: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    out.try_reserve_exact(expected).map_err(|_| format!("there is no memory for {expected} bytes"))?;
    decoder
        .take(expected as u64)
        .read_to_end(&mut out)
        .map_err(|e| format!("its {what} stream is damaged after {} bytes: {e}", out.len()))?;
    if out.len() < expected { Err(short(out.len(), expected)) } else { Ok(out) }
}

fn lzw(stored: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    // Before TIFF 6.0 the bits were packed the other way round; a stream begins with
    // the clear code 256, which tells the two apart.
    let mut decoder = match stored {
        [0, second, ..] if second & 1 == 1 => weezl::decode::Decoder::new(weezl::BitOrder::Lsb, 8),
        _ => weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8),
    };
    let mut out = vec![0; expected];
    let (mut from, mut to) = (0, 0);
    while to < expected {
        let step = decoder.decode_bytes(&stored[from..], &mut out[to..]);
        from += step.consumed_in;
        to += step.consumed_out;
        match step.status {
            Ok(weezl::LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(e) => return Err(format!("its LZW stream is damaged after {to} bytes: {e}")),
        }
    }
    if to < expected { Err(short(to, expected)) } else { Ok(out) }
}

/// TIFF 6.0, section 9.
fn packbits(mut stored: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(expected);
    while out.len() < expected {
        let Some((control, rest)) = stored.split_first() else { return Err(short(out.len(), expected)) };
        let n = match control {
            0..=127 => usize::from(*control) + 1,
            128 => {
                stored = rest;
                continue;
            }
            129..=255 => {
                let Some((value, rest)) = rest.split_first() else { return Err(short(out.len(), expected)) };
                out.resize(out.len() + 257 - usize::from(*control), *value);
                stored = rest;
                continue;
            }
        };
        let Some((literal, rest)) = rest.split_at_checked(n) else {
            return Err(short(out.len() + rest.len(), expected));
        };
        out.extend_from_slice(literal);
        stored = rest;
    }
    out.truncate(expected);
    Ok(out)
}

fn pictures(coding: &Coding, stored: &[u8], rows: usize) -> Result<Vec<u8>, String> {
    // Tables that all tiles share: without their end mark, before the tile without its
    // start mark (Adobe Photoshop TIFF Technical Note 2).
    let joined;
    let stream = match (coding.tables.strip_suffix(b"\xff\xd9"), stored.strip_prefix(b"\xff\xd8")) {
        (Some(tables), Some(tile)) if tables.starts_with(b"\xff\xd8") => {
            joined = [tables, tile].concat();
            &joined[..]
        }
        _ => stored,
    };
    let mut picture = jpeg::decode(stream, coding.chunk_width, coding.chunk_height)
        .map_err(|e| format!("its JPEG stream is damaged, or of a kind that is not read: {e}"))?;
    let (width, height, bands) = (picture.width, picture.height, picture.planes.len());
    if width != coding.chunk_width || height < rows || bands != coding.interleaved {
        return Err(format!(
            "its JPEG picture is {width} x {height} of {bands} components; expected {} x {rows} of {}",
            coding.chunk_width, coding.interleaved
        ));
    }
    // Only the tag says whether the three are YCbCr.
    if coding.photometric == 6 {
        jpeg::to_rgb(&mut picture.planes);
    }
    let mut out = vec![0; coding.row_bytes() * rows];
    for (band, plane) in picture.planes.iter().enumerate() {
        out.iter_mut().skip(band).step_by(bands).zip(plane).for_each(|(to, sample)| *to = *sample);
    }
    Ok(out)
}

/// One byte a sample out of 1, 2 or 4 bits; rows begin on a byte.
fn widen(bytes: &[u8], coding: &Coding) -> Vec<u8> {
    let (bits, samples) = (coding.bits, coding.chunk_width * coding.interleaved);
    let mask = (1u16 << bits) as u8 - 1;
    let mut out = Vec::with_capacity(bytes.len() * 8 / bits);
    for row in bytes.chunks_exact(coding.row_bytes()) {
        let sample = |i: usize| (row[i * bits / 8] >> (8 - bits - i * bits % 8)) & mask;
        out.extend((0..samples).map(sample));
    }
    out
}

/// Horizontal differencing (TIFF 6.0, section 14): each sample was stored as its
/// difference from the one before in the same band.
fn undo_differences(row: &mut [u8], bands: usize, size: usize) {
    macro_rules! undo {
        ($t:ty) => {{
            let (samples, _) = row.as_chunks_mut::<{ size_of::<$t>() }>();
            for i in bands..samples.len() {
                let sum =
                    <$t>::from_ne_bytes(samples[i]).wrapping_add(<$t>::from_ne_bytes(samples[i - bands]));
                samples[i] = sum.to_ne_bytes();
            }
        }};
    }
    match size {
        1 => undo!(u8),
        2 => undo!(u16),
        4 => undo!(u32),
        _ => undo!(u64),
    }
}

/// Floating-point predictor (Adobe Photoshop TIFF Technical Note 3): bytes of a row
/// were gathered by significance, the highest first, and then differenced.
fn undo_float(row: &mut [u8], bands: usize, size: usize) {
    for i in bands..row.len() {
        row[i] = row[i].wrapping_add(row[i - bands]);
    }
    let planes = row.to_vec();
    let samples = row.len() / size;
    for (i, sample) in row.chunks_exact_mut(size).enumerate() {
        for (k, byte) in sample.iter_mut().enumerate() {
            let significance = if cfg!(target_endian = "little") { size - 1 - k } else { k };
            *byte = planes[significance * samples + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_runs_and_literals_unpack_as_in_the_specification() {
        // The example of TIFF 6.0, section 9.
        let packed =
            [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let plain = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(packbits(&packed, 24).as_deref(), Ok(&plain[..]));
        assert!(packbits(&packed[..8], 24).is_err_and(|e| e.contains("expected 24")));
    }

    #[test]
    fn differences_add_up_within_each_band() {
        let mut row = [1, 10, 1, 10, 255, 0];
        undo_differences(&mut row, 2, 1);
        assert_eq!(row, [1, 10, 2, 20, 1, 20]);
    }
}
