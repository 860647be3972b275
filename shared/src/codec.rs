//! Codec chains, from an array's metadata.
//!
//! The browser decodes in a worker whose code must be small enough to arrive
//! with the first map, so it holds the codecs that published grids use and no
//! JSON. Metadata is read here, on the side that has it already: a chain either
//! becomes a [`Chain`], which fits in one line of text, or the array is refused
//! in words before anything of it is fetched.

use serde_json::Value;

use crate::dtype::DataType;
use crate::zarr::{ArrayMeta, ZarrFormat};

/// One step of decoding, in the order in which it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Checks and drops the four bytes at the end.
    Crc32c,
    Zstd,
    Blosc,
    /// gzip or zlib, told apart by the first bytes.
    Inflate,
    /// numcodecs' LZ4: the decoded length in four bytes, then one block.
    Lz4,
    /// numcodecs' byte shuffle with this element size.
    Shuffle(usize),
    /// numcodecs' delta on integers or floats of the array's own type.
    Delta,
}

/// How the stored bytes of one block become its elements in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    pub dtype: DataType,
    pub big_endian: bool,
    pub steps: Vec<Step>,
    pub shape: Vec<u64>,
    /// Stored axis `i` is axis `order[i]` of the array; empty when they agree.
    pub order: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{array}: the type {dtype} is not a plain number")]
    DataType { array: String, dtype: String },
    #[error(
        "{array}: codec {codec} is not supported; supported are bytes, transpose, crc32c, zstd, blosc, gzip, zlib, lz4, shuffle, delta"
    )]
    Unknown { array: String, codec: String },
    #[error("{array}: transpose order {order} is not a permutation of its dimensions")]
    Order { array: String, order: String },
    #[error(
        "{array}: one chunk holds {bytes} bytes decoded, more than the {limit} that a viewer should load; rechunk the store"
    )]
    TooLarge { array: String, bytes: u64, limit: u64 },
    #[error("not a codec chain: {0:?}")]
    Text(String),
}

/// Decoded size of one block beyond which it is refused.
pub const MAX_BLOCK_BYTES: u64 = 64 << 20;

impl Chain {
    /// # Errors
    /// A type that is no number, a codec that is not known, a block that is too large.
    pub fn new(array: &ArrayMeta, format: ZarrFormat) -> Result<Self, CodecError> {
        let path = || array.path.clone();
        let Some(dtype) = array.dtype else {
            let name = &array.metadata[if format == ZarrFormat::V2 { "dtype" } else { "data_type" }];
            return Err(CodecError::DataType { array: path(), dtype: name.to_string() });
        };
        let shape = array.block_shape().to_vec();
        let mut chain = Self { dtype, big_endian: false, steps: Vec::new(), shape, order: Vec::new() };
        if chain.decoded_len().is_none() {
            let bytes = chain.shape.iter().fold(dtype.size() as u64, |p, n| p.saturating_mul(*n));
            return Err(CodecError::TooLarge { array: path(), bytes, limit: MAX_BLOCK_BYTES });
        }
        match format {
            ZarrFormat::V2 => chain.read_v2(array)?,
            ZarrFormat::V3 => chain.read_v3(array)?,
        }
        Ok(chain)
    }

    /// Bytes of a decoded block; `None` where that is too many.
    pub fn decoded_len(&self) -> Option<usize> {
        let size = self.dtype.size() as u64;
        let bytes = self.shape.iter().try_fold(size, |p, n| p.checked_mul(*n))?;
        (bytes <= MAX_BLOCK_BYTES).then_some(bytes as usize)
    }

    fn read_v3(&mut self, array: &ArrayMeta) -> Result<(), CodecError> {
        let codecs = array.sharding.as_ref().map_or(&array.metadata["codecs"], |s| &s.inner_codecs);
        for codec in codecs.as_array().map(Vec::as_slice).unwrap_or_default() {
            let name = codec["name"].as_str().or_else(|| codec.as_str()).unwrap_or_default();
            let configuration = &codec["configuration"];
            match name {
                "bytes" => self.big_endian = configuration["endian"] == "big" && self.dtype.size() > 1,
                "transpose" => self.transpose(array, &configuration["order"])?,
                _ => {
                    let step =
                        step(name.strip_prefix("numcodecs.").unwrap_or(name), configuration, self.dtype)
                            .ok_or_else(|| CodecError::Unknown {
                                array: array.path.clone(),
                                codec: name.into(),
                            })?;
                    self.steps.insert(0, step);
                }
            }
        }
        Ok(())
    }

    fn read_v2(&mut self, array: &ArrayMeta) -> Result<(), CodecError> {
        let meta = &array.metadata;
        self.big_endian = meta["dtype"].as_str().is_some_and(|d| d.starts_with('>')) && self.dtype.size() > 1;
        if meta["order"] == "F" && self.shape.len() > 1 {
            self.order = (0..self.shape.len()).rev().collect();
        }
        let filters = meta["filters"].as_array().map(Vec::as_slice).unwrap_or_default();
        for codec in filters.iter().chain(Some(&meta["compressor"]).filter(|c| !c.is_null())) {
            let id = codec["id"].as_str().unwrap_or_default();
            let step = step(id, codec, self.dtype)
                .ok_or_else(|| CodecError::Unknown { array: array.path.clone(), codec: id.into() })?;
            self.steps.insert(0, step);
        }
        Ok(())
    }

    fn transpose(&mut self, array: &ArrayMeta, order: &Value) -> Result<(), CodecError> {
        let rank = self.shape.len();
        let wrong = || CodecError::Order { array: array.path.clone(), order: order.to_string() };
        let read: Option<Vec<usize>> = match order.as_str() {
            Some("C") => Some((0..rank).collect()),
            Some("F") => Some((0..rank).rev().collect()),
            _ => order.as_array().and_then(|a| a.iter().map(|v| Some(v.as_u64()? as usize)).collect()),
        };
        let read = read.filter(|o| is_permutation(o, rank)).ok_or_else(wrong)?;
        // Two transposes in a row compose.
        let composed: Vec<usize> = if self.order.is_empty() {
            read
        } else {
            read.iter().filter_map(|i| self.order.get(*i).copied()).collect()
        };
        self.order = if composed.iter().enumerate().all(|(i, o)| i == *o) { Vec::new() } else { composed };
        Ok(())
    }

    /// One line, for [`Chain::from_text`].
    pub fn to_text(&self) -> String {
        let list = |v: &mut dyn Iterator<Item = String>| v.collect::<Vec<_>>().join(",");
        let steps = list(&mut self.steps.iter().map(|s| match s {
            Step::Crc32c => "crc32c".to_owned(),
            Step::Zstd => "zstd".to_owned(),
            Step::Blosc => "blosc".to_owned(),
            Step::Inflate => "inflate".to_owned(),
            Step::Lz4 => "lz4".to_owned(),
            Step::Shuffle(size) => format!("shuffle:{size}"),
            Step::Delta => "delta".to_owned(),
        }));
        let shape = list(&mut self.shape.iter().map(u64::to_string));
        let order = list(&mut self.order.iter().map(usize::to_string));
        let endian = if self.big_endian { "big" } else { "little" };
        format!("{};{endian};{shape};{order};{steps}", self.dtype.zarr_name())
    }

    /// # Errors
    /// Text that [`Chain::to_text`] did not write.
    pub fn from_text(text: &str) -> Result<Self, CodecError> {
        Self::parse(text).ok_or_else(|| CodecError::Text(text.chars().take(80).collect()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let mut list = || Some(parts.next()?.split(',').filter(|p| !p.is_empty()));
        let dtype = DataType::from_zarr_name(list()?.next()?)?;
        let big_endian = list()?.next()? == "big";
        let shape = list()?.map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>()?;
        let order = list()?.map(|n| n.parse().ok()).collect::<Option<Vec<usize>>>()?;
        let steps = list()?
            .map(|s| {
                Some(match s {
                    "crc32c" => Step::Crc32c,
                    "zstd" => Step::Zstd,
                    "blosc" => Step::Blosc,
                    "inflate" => Step::Inflate,
                    "lz4" => Step::Lz4,
                    "delta" => Step::Delta,
                    other => Step::Shuffle(other.strip_prefix("shuffle:")?.parse().ok().filter(|n| *n > 0)?),
                })
            })
            .collect::<Option<Vec<Step>>>()?;
        let usable = order.is_empty() || is_permutation(&order, shape.len());
        let chain = Self { dtype, big_endian, steps, shape, order };
        (usable && chain.decoded_len().is_some()).then_some(chain)
    }
}

fn is_permutation(order: &[usize], rank: usize) -> bool {
    order.len() == rank && (0..rank).all(|i| order.contains(&i))
}

fn step(name: &str, configuration: &Value, dtype: DataType) -> Option<Step> {
    Some(match name {
        "crc32c" => Step::Crc32c,
        "zstd" => Step::Zstd,
        "blosc" => Step::Blosc,
        "gzip" | "zlib" => Step::Inflate,
        "lz4" => Step::Lz4,
        "shuffle" => Step::Shuffle(configuration["elementsize"].as_u64().unwrap_or(4).clamp(1, 64) as usize),
        // A delta into another type changes the element size half way: not read.
        "delta" => {
            let own = |key: &str| configuration[key].as_str().and_then(DataType::from_v2);
            let same = own("dtype") == Some(dtype)
                && (configuration["astype"].is_null() || own("astype") == Some(dtype));
            return same.then_some(Step::Delta);
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zarr::Hierarchy;

    fn v3(codecs: &str, chunk: &str) -> Result<Chain, CodecError> {
        let text = format!(
            r#"{{"zarr_format":3,"node_type":"array","shape":[8,8],"data_type":"int16","fill_value":0,
            "chunk_grid":{{"name":"regular","configuration":{{"chunk_shape":{chunk}}}}},
            "chunk_key_encoding":{{"name":"default"}},"codecs":{codecs}}}"#
        );
        let h = Hierarchy::from_v3(text.as_bytes()).unwrap();
        Chain::new(h.arrays.values().next().unwrap(), h.format)
    }

    #[test]
    fn a_chain_goes_through_text_and_back() {
        let c = v3(
            r#"[{"name":"transpose","configuration":{"order":[1,0]}},{"name":"bytes","configuration":{"endian":"big"}},
            {"name":"numcodecs.shuffle","configuration":{"elementsize":2}},{"name":"zstd"},"crc32c"]"#,
            "[4,8]",
        )
        .unwrap();
        assert_eq!(c.steps, [Step::Crc32c, Step::Zstd, Step::Shuffle(2)]);
        assert_eq!((c.big_endian, c.order.as_slice()), (true, [1, 0].as_slice()));
        assert_eq!(Chain::from_text(&c.to_text()), Ok(c));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_before_a_request() {
        let unknown = v3(r#"[{"name":"bytes"},{"name":"zfpy"}]"#, "[4,8]");
        assert!(matches!(unknown, Err(CodecError::Unknown { codec, .. }) if codec == "zfpy"));
        let order = v3(r#"[{"name":"transpose","configuration":{"order":[0,0]}}]"#, "[4,8]");
        assert!(matches!(order, Err(CodecError::Order { .. })));
        let large = v3(r#"[{"name":"bytes"}]"#, "[65536,65536]");
        assert!(matches!(large, Err(CodecError::TooLarge { .. })));
        assert!(Chain::from_text("int16;little;4,8;9;zstd").is_err());
        assert!(Chain::from_text("").is_err());
    }
}
