//! Blosc 1, HDF5 filter 32001: blocks, each of one or several compressed streams,
//! then a byte or bit transposition undone (c-blosc README_CHUNK_FORMAT.rst).

use flate2::{Decompress, FlushDecompress};
use hdf5_reader::error::Result;

use super::{failed, lz};

const HEADER: usize = 16;
const SHUFFLED: u8 = 0x01;
const STORED: u8 = 0x02;
const BIT_SHUFFLED: u8 = 0x04;
const NOT_SPLIT: u8 = 0x10;
/// Below these a block was never split, whatever the flag says (c-blosc `blosc_d`).
const MAX_SPLITS: usize = 16;
const MIN_SPLIT_ELEMENTS: usize = 128;

struct Chunk<'a> {
    data: &'a [u8],
    flags: u8,
    item: usize,
    block: usize,
}

pub(super) fn decode(data: &[u8], limit: usize) -> Result<Vec<u8>> {
    let damaged = || failed("Blosc", "the chunk is damaged");
    let flags = *data.get(2).ok_or_else(damaged)?;
    let item = usize::from(*data.get(3).ok_or_else(damaged)?).max(1);
    let size = word(data, 4).ok_or_else(damaged)?;
    let block = word(data, 8).ok_or_else(damaged)?;
    if size > limit {
        return Err(failed(
            "Blosc",
            format!("the chunk decodes to {size} bytes; at most {limit} are decoded"),
        ));
    }
    if size == 0 {
        return Ok(Vec::new());
    }
    if flags & STORED != 0 {
        return data.get(HEADER..HEADER + size).map(<[u8]>::to_vec).ok_or_else(damaged);
    }
    // No codec shrinks beyond 1:1032 (deflate) but zstd, whose blocks still cost three bytes in 128 kB.
    if block == 0 || block > size || size / 65_536 > data.len() {
        return Err(damaged());
    }
    let chunk = Chunk { data, flags, item, block };
    let mut out = Vec::new();
    for index in 0..size.div_ceil(block) {
        let bytes = block.min(size - index * block);
        let decoded = chunk.block(index, bytes)?;
        out.extend_from_slice(&decoded);
    }
    Ok(out)
}

/// Little-endian, 32 bits, not negative.
fn word(data: &[u8], at: usize) -> Option<usize> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    usize::try_from(i32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

impl Chunk<'_> {
    /// Block `index`, which decodes to `bytes`.
    fn block(&self, index: usize, bytes: usize) -> Result<Vec<u8>> {
        let damaged = || failed("Blosc", format!("block {index} is damaged"));
        let split = self.flags & NOT_SPLIT == 0
            && self.item <= MAX_SPLITS
            && self.block / self.item >= MIN_SPLIT_ELEMENTS
            && bytes == self.block;
        let streams = if split { self.item } else { 1 };
        let part = bytes / streams;
        let mut at = word(self.data, HEADER + 4 * index).ok_or_else(damaged)?;
        let mut out = Vec::with_capacity(bytes);
        for _ in 0..streams {
            let stored = word(self.data, at).ok_or_else(damaged)?;
            at += 4;
            let stream = self.data.get(at..at.saturating_add(stored)).ok_or_else(damaged)?;
            at += stored;
            if stored == part {
                out.extend_from_slice(stream);
            } else {
                self.stream(stream, part, &mut out)?.ok_or_else(damaged)?;
            }
        }
        if out.len() != bytes {
            return Err(damaged());
        }
        Ok(if self.flags & SHUFFLED != 0 && self.item > 1 {
            unshuffle(&out, self.item)
        } else if self.flags & BIT_SHUFFLED != 0 && bytes >= self.item {
            bit_unshuffle(out, self.item)
        } else {
            out
        })
    }

    /// Appends exactly `size` bytes; `Ok(None)` where the stream has others.
    fn stream(&self, stream: &[u8], size: usize, out: &mut Vec<u8>) -> Result<Option<()>> {
        let from = out.len();
        match self.flags >> 5 {
            0 => return Ok(lz::blosclz(stream, size, out)),
            1 => {
                out.resize(from + size, 0);
                let slot = out.get_mut(from..).unwrap_or_default();
                let n = lz4_flex::block::decompress_into(stream, slot).map_err(|e| failed("Blosc LZ4", e))?;
                return Ok((n == size).then_some(()));
            }
            3 => {
                let mut inflate = Decompress::new(true);
                out.reserve_exact(size);
                let mut slot = vec![0; size];
                inflate
                    .decompress(stream, &mut slot, FlushDecompress::Finish)
                    .map_err(|e| failed("Blosc zlib", e))?;
                out.extend_from_slice(&slot);
                return Ok((inflate.total_out() == size as u64).then_some(()));
            }
            4 => out.extend(super::zstd_frame(stream, size)?),
            2 => return Err(failed("Blosc", "Snappy streams are not decoded")),
            other => return Err(failed("Blosc", format!("{other} is no known compressor"))),
        }
        Ok((out.len() - from == size).then_some(()))
    }
}

/// Byte planes back to elements; a ragged tail was not moved.
fn unshuffle(planes: &[u8], item: usize) -> Vec<u8> {
    let n = planes.len() / item;
    let mut out = planes.to_vec();
    for (plane, bytes) in planes.chunks_exact(n.max(1)).take(item).enumerate() {
        for (slot, byte) in out.iter_mut().skip(plane).step_by(item).zip(bytes) {
            *slot = *byte;
        }
    }
    out
}

/// Bit planes back to elements, lowest bit first; only where their number is a
/// multiple of 8 were they moved.
fn bit_unshuffle(planes: Vec<u8>, item: usize) -> Vec<u8> {
    let n = planes.len() / item;
    if n == 0 || !n.is_multiple_of(8) {
        return planes;
    }
    let mut out = planes.clone();
    out[..n * item].fill(0);
    for (row, bits) in planes.chunks_exact(n / 8).take(item * 8).enumerate() {
        let (byte, bit) = (row / 8, row % 8);
        for (eight, packed) in out.chunks_exact_mut(item * 8).zip(bits) {
            for (i, slot) in eight.iter_mut().skip(byte).step_by(item).enumerate() {
                *slot |= (packed >> i & 1) << bit;
            }
        }
    }
    out
}
