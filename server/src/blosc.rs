//! Blosc with Zstandard, written: a stream for each byte of the elements.
//!
//! The library that reads Blosc (c-blosc) packs all shuffled bytes of a block as one stream. Its
//! format also has blocks that are split, a stream for each of an element's bytes, and every reader
//! of the format reads them. Exponents, high and low bytes of a mantissa have little to do with each
//! other: packed apart they need a lower level for the same size, and what does not pack at all is
//! copied. Contexts are kept, which c-blosc makes anew for every block.
//! Source: "Blosc Header Format", README_CHUNK_FORMAT.rst of c-blosc 1.21.

use std::cell::RefCell;

use serde_json::Value;
use zstd::bulk::Compressor;

const HEADER: usize = 16;
/// A reader holds as much again.
const USUAL_BLOCK: usize = 1 << 20;
const SHUFFLE: u8 = 0x1;
const MEMCPYED: u8 = 0x2;
const DONT_SPLIT: u8 = 0x10;
const ZSTD: u8 = 4 << 5;
/// Readers split no elements that are longer ...
const MAX_SPLITS: usize = 16;
/// ... and no streams that are shorter.
const MIN_STREAM: usize = 128;

thread_local! {
    /// The last one used, and its level.
    static CONTEXT: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
}

/// How chunks are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blosc {
    /// Of Zstandard.
    level: i32,
    shuffle: bool,
    typesize: usize,
    /// 0 where it was left to the writer.
    blocksize: usize,
}

impl Blosc {
    /// Of a codec chain that is little-endian numbers in Blosc with Zstandard; `None` of any other.
    pub fn of_chain(codecs: &Value) -> Option<Self> {
        let [bytes, blosc] = codecs.as_array()?.as_slice() else { return None };
        let configuration = &blosc["configuration"];
        let endian = bytes["configuration"]["endian"].as_str().unwrap_or("little");
        let shuffle = configuration["shuffle"].as_str()?;
        let fits = bytes["name"] == "bytes"
            && (endian == "little") == cfg!(target_endian = "little")
            && blosc["name"] == "blosc"
            && configuration["cname"] == "zstd"
            && matches!(shuffle, "shuffle" | "noshuffle");
        let typesize = usize::try_from(configuration["typesize"].as_u64()?).ok()?;
        fits.then_some(Self {
            level: level(configuration["clevel"].as_u64()?)?,
            shuffle: shuffle == "shuffle" && typesize > 1,
            typesize,
            blocksize: usize::try_from(configuration["blocksize"].as_u64()?).ok()?,
        })
        .filter(|b| (1..=255).contains(&b.typesize))
    }

    /// # Errors
    /// In words: more than the format's 2 GiB, or Zstandard's own.
    pub fn encode(&self, values: &[u8]) -> Result<Vec<u8>, String> {
        let most = i32::MAX as usize - HEADER;
        if values.len() > most {
            return Err(format!("{} bytes are too many for Blosc; at most {most} are packed", values.len()));
        }
        let whole = values.len().max(1);
        let block = if self.blocksize == 0 { USUAL_BLOCK } else { self.blocksize }.min(whole);
        // Blocks hold whole elements.
        let block = if block > self.typesize { block / self.typesize * self.typesize } else { block };
        let split = self.shuffle && self.typesize <= MAX_SPLITS && block / self.typesize >= MIN_STREAM;
        let flags = ZSTD | if self.shuffle { SHUFFLE } else { 0 } | if split { 0 } else { DONT_SPLIT };
        let blocks = values.len().div_ceil(block);
        let mut out = Vec::with_capacity(values.len() / 2 + HEADER + 4 * blocks);
        out.resize(HEADER + 4 * blocks, 0);
        let mut planes = vec![0; block];
        for (i, values) in values.chunks(block).enumerate() {
            let start = (out.len() as u32).to_le_bytes();
            out[HEADER + 4 * i..HEADER + 4 * i + 4].copy_from_slice(&start);
            let bytes = if self.shuffle {
                let planes = &mut planes[..values.len()];
                shuffle(values, self.typesize, planes);
                planes
            } else {
                values
            };
            // The last block, where it is shorter, is never split.
            let streams = if split && bytes.len() == block { self.typesize } else { 1 };
            for stream in bytes.chunks((bytes.len() / streams).max(1)) {
                self.stream(stream, &mut out)?;
            }
        }
        if out.len() >= values.len() + HEADER {
            out.truncate(HEADER);
            out.extend_from_slice(values);
            self.head(&mut out, flags | MEMCPYED, values.len(), block);
        } else {
            self.head(&mut out, flags, values.len(), block);
        }
        Ok(out)
    }

    fn head(&self, out: &mut [u8], flags: u8, bytes: usize, block: usize) {
        let stored = out.len() as u32;
        // Version of the format, and of Zstandard in it.
        out[..4].copy_from_slice(&[2, 1, flags, self.typesize as u8]);
        for (at, word) in [(4, bytes as u32), (8, block as u32), (12, stored)] {
            out[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Its length, then the stream; what would not become shorter is copied.
    fn stream(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let at = out.len();
        out.resize(at + 4 + bytes.len(), 0);
        let packed = CONTEXT.with_borrow_mut(|context| {
            if context.as_ref().is_none_or(|(level, _)| *level != self.level) {
                *context = Some((self.level, Compressor::new(self.level).map_err(|e| e.to_string())?));
            }
            let Some((_, c)) = context else { return Err("there is no context".to_owned()) };
            // No room means that it does not become shorter.
            Ok(c.compress_to_buffer(bytes, &mut out[at + 4..]).ok().filter(|n| *n < bytes.len()))
        })?;
        let length = match packed {
            Some(n) => n,
            None => {
                out[at + 4..].copy_from_slice(bytes);
                bytes.len()
            }
        };
        out.truncate(at + 4 + length);
        out[at..at + 4].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(())
    }
}

/// Level of Zstandard for one of Blosc's. c-blosc takes `2 n - 1`; one less gives split streams
/// the same size.
fn level(clevel: u64) -> Option<i32> {
    Some(match clevel {
        1 => 1,
        n @ 2..=7 => 2 * i32::try_from(n).ok()? - 2,
        8 => 18,
        9 => 22,
        _ => return None,
    })
}

/// Byte 0 of every element, then byte 1 of every element, ...; what is no whole element stays at the end.
fn shuffle(values: &[u8], typesize: usize, planes: &mut [u8]) {
    fn run<const N: usize>(values: &[u8], planes: &mut [u8]) {
        let (elements, rest) = values.as_chunks::<N>();
        let (planes, end) = planes.split_at_mut(N * elements.len());
        // Pieces stay in the nearest cache while each of their bytes is taken in turn.
        const PIECE: usize = 1024;
        for (p, piece) in elements.chunks(PIECE).enumerate() {
            for k in 0..N {
                let from = k * elements.len() + p * PIECE;
                for (to, element) in planes[from..from + piece.len()].iter_mut().zip(piece) {
                    *to = element[k];
                }
            }
        }
        end.copy_from_slice(rest);
    }
    match typesize {
        2 => run::<2>(values, planes),
        4 => run::<4>(values, planes),
        8 => run::<8>(values, planes),
        n => {
            let count = values.len() / n;
            for (i, element) in values.chunks_exact(n).enumerate() {
                for (k, byte) in element.iter().enumerate() {
                    planes[k * count + i] = *byte;
                }
            }
            planes[count * n..].copy_from_slice(&values[count * n..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::Decoder;

    fn chain(typesize: usize, shuffle: &str, clevel: u64, blocksize: usize) -> Value {
        let bytes = if typesize == 1 {
            json!({"name": "bytes"})
        } else {
            json!({"name": "bytes", "configuration": {"endian": "little"}})
        };
        json!([bytes, {"name": "blosc", "configuration": {"cname": "zstd", "clevel": clevel,
            "shuffle": shuffle, "typesize": typesize, "blocksize": blocksize}}])
    }

    /// Noise in the low bytes, something smooth in the high ones.
    fn values(n: usize, typesize: usize) -> Vec<u8> {
        let mut x = 7u64;
        let mut out = Vec::new();
        for i in 0..n {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let element = ((i as u64 / 50) << 40 | x >> 40).to_le_bytes();
            out.extend_from_slice(&element[8 - typesize..]);
        }
        out
    }

    #[test]
    fn what_is_packed_here_c_blosc_and_our_own_decoder_read() {
        let mut split = 0;
        for (dtype, typesize) in [("uint8", 1), ("int16", 2), ("float32", 4), ("float64", 8)] {
            for n in [1, 3, 127, 128, 1000, 65_536, 300_001] {
                for (shuffle, clevel, blocksize) in
                    [("shuffle", 3, 0), ("shuffle", 1, 4096), ("shuffle", 9, 1000), ("noshuffle", 3, 1 << 20)]
                {
                    let codecs = chain(typesize, shuffle, clevel, blocksize);
                    let raw = values(n, typesize);
                    let packed = Blosc::of_chain(&codecs).unwrap().encode(&raw).unwrap();
                    assert!(packed.len() <= raw.len() + HEADER);
                    split += usize::from(packed[2] & DONT_SPLIT == 0);
                    let case = format!("{dtype} {n} {shuffle} {blocksize}");
                    let metadata = json!({"zarr_format": 3, "node_type": "array", "shape": [n], "data_type": dtype,
                        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [n]}},
                        "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": codecs});
                    let decoder = Decoder::new(metadata.clone()).unwrap();
                    assert!(decoder.decode(&packed).unwrap() == raw, "{case}: c-blosc");
                    let array = graticule_shared::zarr::ArrayMeta::from_v3("v", metadata).unwrap();
                    let decoder = Decoder::referred(&array).unwrap();
                    assert!(decoder.decode(&packed).unwrap() == raw, "{case}: our own");
                }
            }
        }
        assert!(split > 20, "{split} were split");
    }

    #[test]
    fn bytes_that_do_not_pack_are_copied_and_those_that_do_become_few() {
        let pack = |raw: &[u8]| Blosc::of_chain(&chain(4, "shuffle", 3, 0)).unwrap().encode(raw).unwrap();
        let mut x = 1u32;
        let noise = std::iter::repeat_with(|| {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            (x >> 24) as u8
        });
        let noise: Vec<u8> = noise.take(4000).collect();
        assert_eq!(pack(&noise).len(), noise.len() + HEADER);
        assert!(pack(&[7; 262_144]).len() < 200);
        assert_eq!(pack(&[]).len(), HEADER);
    }

    #[test]
    fn only_little_endian_numbers_in_zstandard_are_packed_here() {
        assert!(Blosc::of_chain(&chain(4, "shuffle", 3, 0)).is_some());
        assert!(Blosc::of_chain(&chain(4, "bitshuffle", 3, 0)).is_none());
        assert!(Blosc::of_chain(&chain(4, "shuffle", 0, 0)).is_none());
        let mut other = chain(4, "shuffle", 3, 0);
        other[1]["configuration"]["cname"] = json!("lz4");
        assert!(Blosc::of_chain(&other).is_none());
        let mut big = chain(4, "shuffle", 3, 0);
        big[0]["configuration"]["endian"] = json!("big");
        assert!(Blosc::of_chain(&big).is_none());
    }
}
