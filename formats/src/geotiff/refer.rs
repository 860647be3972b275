//! Tiles and strips in their place, by codecs of Zarr's where it has them.
//!
//! Zarr has none for LZW, PackBits, JPEG in its TIFF form, predictors, bands that lie together, samples of less than
//! a byte or a last strip that is shorter. Such a chunk is decoded as the file's own reader does, from what
//! [`Tile`] keeps of the directory in `zarr.json`.

use serde_json::{Value, json};

use super::codec;
use super::directory::Bytes;
use super::layout::{Coding, Layout};
use crate::FormatError;
use crate::file_codec::{Shape, TIFF};
use crate::stored::{ChunkSpan, MAX_CHUNKS, StoredChunks, bytes_codec};

/// Samples of all bands together that one chunk may hold, decoded.
const MOST_BYTES: u64 = 256 << 20;
/// Of a chunk as stored; what is compressed may be a little longer than what it was.
const LONGEST: u64 = MOST_BYTES + (1 << 20);

/// Where the chunks of a band lie; in words, why they cannot be referred to.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn chunks(
    l: &Layout,
    bytes: &Bytes,
    band: u64,
) -> Result<Result<StoredChunks, String>, FormatError> {
    let per_band = l.across * l.down;
    if per_band > MAX_CHUNKS {
        return Ok(Err("there are too many".to_owned()));
    }
    // Bands that lie together are all in each chunk.
    let plane = if l.coding.interleaved == 1 { band * per_band } else { 0 };
    let mut spans = Vec::new();
    for index in 0..per_band {
        let (offset, length) = l.place(bytes, plane + index)?;
        if length > LONGEST {
            return Ok(Err(format!("number {index} is {length} bytes long; at most {LONGEST} are read")));
        }
        if length > 0 {
            spans.push(ChunkSpan { index, file: 0, offset, length });
        }
    }
    let own = || json!([{"name": TIFF, "configuration": Tile::of(l, bytes.little, band).to_json()}]);
    Ok(Ok(StoredChunks {
        chunk_shape: vec![l.coding.chunk_height as u64, l.coding.chunk_width as u64],
        codecs: codecs(l, bytes.little).unwrap_or_else(own),
        files: Vec::new(),
        spans,
        inline: Vec::new(),
    }))
}

/// Codecs that Zarr has, where they are all that is needed.
fn codecs(l: &Layout, little: bool) -> Option<Value> {
    let c = &l.coding;
    let size = c.dtype.size();
    let even = l.tiled || l.height.is_multiple_of(c.chunk_height as u64);
    if c.interleaved != 1 || c.predictor != 1 || c.bits != 8 * size || !even {
        return None;
    }
    let mut codecs = vec![bytes_codec(size, !little)];
    match c.compression {
        1 => {}
        8 | 32946 => codecs.push(json!({"name": "numcodecs.zlib", "configuration": {"level": 6}})),
        50000 => codecs.push(json!({"name": "zstd", "configuration": {"level": 9, "checksum": false}})),
        _ => return None,
    }
    Some(Value::Array(codecs))
}

/// One band of a tile or strip.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tile {
    coding: Coding,
    little: bool,
    /// Among those that lie together.
    band: usize,
    /// Rows of the last strip, where it has fewer than the others.
    last_rows: Option<usize>,
}

impl Tile {
    fn of(l: &Layout, little: bool, band: u64) -> Self {
        let rest = (l.height % l.coding.chunk_height as u64) as usize;
        Self {
            little,
            band: if l.coding.interleaved == 1 { 0 } else { band as usize },
            last_rows: (!l.tiled && rest > 0).then_some(rest),
            coding: l.coding.clone(),
        }
    }

    fn to_json(&self) -> Value {
        let c = &self.coding;
        json!({"compression": c.compression, "predictor": c.predictor, "bits": c.bits,
            "photometric": c.photometric, "bands": c.interleaved, "band": self.band,
            "endian": if self.little { "little" } else { "big" }, "last_rows": self.last_rows,
            "tables": c.tables.iter().map(|b| format!("{b:02x}")).collect::<String>()})
    }

    /// As [`Tile::to_json`] wrote it, for chunks of `shape`.
    ///
    /// # Errors
    /// In words: what of it cannot be.
    pub(crate) fn from_json(v: &Value, shape: &Shape) -> Result<Self, String> {
        let number = |key: &str| {
            v[key].as_u64().ok_or_else(|| format!("{TIFF}: {key} is {}; expected a number", v[key]))
        };
        let Some((&[height, width], outer)) = shape.extent.split_last_chunk::<2>().map(|(o, i)| (i, o))
        else {
            return Err(format!("{TIFF}: chunks of {:?}; expected rows and columns", shape.extent));
        };
        let (bands, band, bits) = (number("bands")?, number("band")?, number("bits")?);
        let whole = bits == 8 * shape.dtype.size() as u64;
        let packed = shape.dtype.size() == 1 && matches!(bits, 1 | 2 | 4);
        let placed = outer.iter().all(|n| *n == 1) && height > 0 && width > 0;
        if !placed || band >= bands || !(whole || packed) {
            return Err(format!(
                "{TIFF}: band {band} of {bands} of {bits} bits, as chunks {:?} of {}",
                shape.extent, shape.dtype
            ));
        }
        if (shape.bytes() as u64).checked_mul(bands).is_none_or(|n| n > MOST_BYTES) {
            return Err(format!(
                "chunks of {height} x {width} pixels and {bands} bands of {} are too large to decode; at most {MOST_BYTES} bytes are",
                shape.dtype
            ));
        }
        let little = match v["endian"].as_str() {
            Some("little") => true,
            Some("big") => false,
            _ => return Err(format!("{TIFF}: endian is {}; expected \"little\" or \"big\"", v["endian"])),
        };
        let last_rows = match &v["last_rows"] {
            Value::Null => None,
            n => Some(n.as_u64().filter(|n| (1..height).contains(n)).ok_or_else(|| {
                format!("{TIFF}: last_rows is {n}; expected fewer than the {height} of a chunk")
            })? as usize),
        };
        let tables = hex(v["tables"].as_str().unwrap_or_default())
            .ok_or_else(|| format!("{TIFF}: tables are no hexadecimal digits"))?;
        let coding = Coding {
            dtype: shape.dtype,
            bits: bits as usize,
            interleaved: bands as usize,
            chunk_width: width as usize,
            chunk_height: height as usize,
            compression: number("compression")?,
            predictor: number("predictor")?,
            photometric: number("photometric")?,
            tables,
        };
        coding.check()?;
        Ok(Self { coding, little, band: band as usize, last_rows })
    }

    /// Samples of the band, native-endian; what a shorter last strip lacks is zero.
    ///
    /// # Errors
    /// In words: bytes that do not decode.
    pub(crate) fn decode(&self, stored: &[u8]) -> Result<Vec<u8>, String> {
        let c = &self.coding;
        let rows = |n| codec::decode(c, stored, n, self.little);
        let all = match (rows(c.chunk_height), self.last_rows) {
            // A strip that is damaged has more rows than that, and is no last one.
            (Err(why), Some(n)) => match rows(n) {
                Ok(short) if n + 1 == c.chunk_height || rows(n + 1).is_err() => short,
                _ => return Err(why),
            },
            (found, _) => found?,
        };
        let size = c.dtype.size();
        let whole = c.chunk_width * c.chunk_height * size;
        let mut out = if c.interleaved == 1 {
            all
        } else {
            let mut out = Vec::with_capacity(whole);
            for pixel in all.chunks_exact(c.interleaved * size) {
                out.extend_from_slice(&pixel[self.band * size..][..size]);
            }
            out
        };
        out.resize(whole, 0);
        Ok(out)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use graticule_shared::dtype::DataType;

    use crate::FileCodec;

    fn codec(configuration: serde_json::Value, shape: &[u64]) -> FileCodec {
        let codecs = serde_json::json!([{"name": super::TIFF, "configuration": configuration}]);
        FileCodec::new(&codecs, shape, DataType::UInt8, 1 << 20).unwrap()
    }

    fn plain(bits: u64, last_rows: Option<u64>) -> serde_json::Value {
        serde_json::json!({"compression": 1, "predictor": 1, "bits": bits, "photometric": 1, "bands": 1, "band": 0,
            "endian": "little", "last_rows": last_rows, "tables": ""})
    }

    #[test]
    fn bits_become_bytes_row_by_row() {
        // Rows begin on a byte: three samples of two bits, and two bits of nothing.
        let found = codec(plain(2, None), &[2, 3]).decode(&[0b0001_1000, 0b1100_1011]).unwrap();
        assert_eq!(found, [0, 1, 2, 3, 0, 2]);
    }

    #[test]
    fn a_strip_with_as_many_rows_as_the_last_is_filled_up_and_any_other_is_short() {
        let strip = codec(plain(8, Some(2)), &[5, 2]);
        assert_eq!(strip.decode(&[1, 2, 3, 4]).unwrap(), [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]);
        assert!(strip.decode(&[1; 6]).unwrap_err().contains("expected 10"));
        assert!(strip.decode(&[1; 3]).is_err());
        assert_eq!(strip.decode(&[1; 10]).unwrap(), [1; 10]);
    }
}
