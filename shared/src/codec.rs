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
#[derive(Debug, Clone, PartialEq)]
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
    /// numcodecs' delta: running sums in this type.
    Delta(DataType),
    /// HDF5's and numcodecs' checksum, in the last four bytes.
    Fletcher32,
    /// Checked and dropped: the first four bytes where true, else the last.
    Adler32(bool),
    Crc32(bool),
    /// Numbers of `from` become `x / scale + offset` of `to` (numcodecs `fixedscaleoffset`, `astype`).
    Scale {
        from: DataType,
        to: DataType,
        scale: f64,
        offset: f64,
    },
    /// numcodecs' bits of booleans, highest first, after a byte that counts the padding.
    Bits,
    /// The browser's decoder has it not.
    Bzip2,
    /// The browser's decoder has it not.
    Pcodec(DataType),
}

impl Step {
    /// Whether the browser's decoder has it.
    pub fn is_light(&self) -> bool {
        !matches!(self, Self::Bzip2 | Self::Pcodec(_))
    }

    /// Bytes that it takes away from what it is given.
    pub fn dropped(&self) -> usize {
        match self {
            Self::Crc32c | Self::Fletcher32 | Self::Adler32(_) | Self::Crc32(_) => 4,
            _ => 0,
        }
    }
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
    /// Bytes that a decoded block may have.
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{array}: the type {dtype} is not a plain number")]
    DataType { array: String, dtype: String },
    #[error(
        "{array}: codec {codec} is not supported here; supported are bytes, transpose, crc32c, zstd, blosc, gzip, zlib, lz4, shuffle, delta, fixedscaleoffset, fletcher32"
    )]
    Unknown { array: String, codec: String },
    #[error("{array}: transpose order {order} is not a permutation of its dimensions")]
    Order { array: String, order: String },
    #[error(
        "{array}: one chunk holds {bytes} bytes decoded, more than the {limit} that are loaded at once; rechunk the store"
    )]
    TooLarge { array: String, bytes: u64, limit: u64 },
    #[error("not a codec chain: {0:?}")]
    Text(String),
}

/// Decoded size of one block beyond which it is refused.
pub const MAX_BLOCK_BYTES: u64 = 64 << 20;

impl Chain {
    /// The chain of an array that the browser's decoder reads.
    ///
    /// # Errors
    /// A type that is no number, a codec that the browser has not, a block that is too large.
    pub fn new(array: &ArrayMeta, format: ZarrFormat) -> Result<Self, CodecError> {
        let chain = Self::any(array, format, MAX_BLOCK_BYTES)?;
        match chain.steps.iter().find(|s| !s.is_light()) {
            Some(step) => Err(CodecError::Unknown { array: array.path.clone(), codec: step.to_text() }),
            None => Ok(chain),
        }
    }

    /// As [`Chain::new`], of every known codec and of blocks up to `limit` bytes.
    ///
    /// # Errors
    /// A type that is no number, a codec that is not known, a block that is too large.
    pub fn any(array: &ArrayMeta, format: ZarrFormat, limit: u64) -> Result<Self, CodecError> {
        let path = || array.path.clone();
        let Some(dtype) = array.dtype else {
            let name = &array.metadata[if format == ZarrFormat::V2 { "dtype" } else { "data_type" }];
            return Err(CodecError::DataType { array: path(), dtype: name.to_string() });
        };
        let shape = array.block_shape().to_vec();
        let mut chain = Self { dtype, big_endian: false, steps: Vec::new(), shape, order: Vec::new(), limit };
        if chain.decoded_len().is_none() {
            let bytes = chain.shape.iter().fold(dtype.size() as u64, |p, n| p.saturating_mul(*n));
            return Err(CodecError::TooLarge { array: path(), bytes, limit });
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
        if bytes <= self.limit { usize::try_from(bytes).ok() } else { None }
    }

    fn read_v3(&mut self, array: &ArrayMeta) -> Result<(), CodecError> {
        let codecs = array.sharding.as_ref().map_or(&array.metadata["codecs"], |s| &s.inner_codecs);
        for codec in codecs.as_array().map(Vec::as_slice).unwrap_or_default() {
            let name = codec["name"].as_str().or_else(|| codec.as_str()).unwrap_or_default();
            let configuration = &codec["configuration"];
            let unknown = || CodecError::Unknown { array: array.path.clone(), codec: name.into() };
            match name {
                "bytes" => self.big_endian = configuration["endian"] == "big" && self.dtype.size() > 1,
                // Running sums over another order of elements are other sums.
                "transpose" if self.steps.iter().any(|s| matches!(s, Step::Delta(_))) => {
                    return Err(unknown());
                }
                "transpose" => self.transpose(array, &configuration["order"])?,
                _ => {
                    let short = name.strip_prefix("numcodecs.").unwrap_or(name);
                    self.push(short, configuration).ok_or_else(unknown)?;
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
            self.push(id, codec)
                .ok_or_else(|| CodecError::Unknown { array: array.path.clone(), codec: id.into() })?;
        }
        Ok(())
    }

    /// Undoes one codec before those that are undone already; `None` where it is not known.
    fn push(&mut self, name: &str, configuration: &Value) -> Option<()> {
        // A type as NumPy writes it, of the chain's byte order.
        let typed = |key: &str| -> Option<DataType> {
            let text = configuration[key].as_str()?;
            let dtype = DataType::from_v2(text).or_else(|| DataType::from_zarr_name(text))?;
            let swapped = if self.big_endian { '<' } else { '>' };
            (dtype.size() == 1 || !text.starts_with(swapped)).then_some(dtype)
        };
        let start = |default: bool| match configuration["location"].as_str() {
            Some("start") => true,
            Some("end") => false,
            _ => default,
        };
        let step = match name {
            "crc32c" if configuration["location"] != "start" => Step::Crc32c,
            "zstd" => Step::Zstd,
            "blosc" => Step::Blosc,
            "gzip" | "zlib" => Step::Inflate,
            "lz4" => Step::Lz4,
            "bz2" => Step::Bzip2,
            "fletcher32" => Step::Fletcher32,
            "adler32" => Step::Adler32(start(true)),
            "crc32" => Step::Crc32(start(true)),
            "shuffle" => {
                Step::Shuffle(configuration["elementsize"].as_u64().unwrap_or(4).clamp(1, 64) as usize)
            }
            "pcodec" => Step::Pcodec(self.encoded()),
            "packbits" if configuration["id"] == "packbits" => Step::Bits,
            // What they leave out is left out for good.
            "bitround" | "quantize" if configuration["astype"].is_null() => return Some(()),
            "quantize" => {
                let (to, from) = (typed("dtype")?, typed("astype")?);
                return (to == from).then_some(());
            }
            "delta" => {
                let dtype = typed("dtype").unwrap_or(self.encoded());
                let same = configuration["astype"].is_null() || typed("astype") == Some(dtype);
                (same && dtype == self.encoded()).then_some(Step::Delta(dtype))?
            }
            "fixedscaleoffset" => {
                let to = typed("dtype").unwrap_or(self.encoded());
                let from = if configuration["astype"].is_null() { to } else { typed("astype")? };
                let scale = configuration["scale"].as_f64().filter(|s| *s != 0.0)?;
                let offset = configuration["offset"].as_f64()?;
                (to == self.encoded()).then_some(Step::Scale { from, to, scale, offset })?
            }
            "astype" => {
                let (from, to) = (typed("encode_dtype")?, typed("decode_dtype")?);
                (to == self.encoded()).then_some(Step::Scale { from, to, scale: 1.0, offset: 0.0 })?
            }
            _ => return None,
        };
        self.steps.insert(0, step);
        Some(())
    }

    /// The type of what the next codec of encoding is given.
    fn encoded(&self) -> DataType {
        let first = self.steps.iter().find_map(|s| match s {
            Step::Scale { from, .. } => Some(*from),
            _ => None,
        });
        first.unwrap_or(self.dtype)
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
        let steps = list(&mut self.steps.iter().map(Step::to_text));
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
        let steps = list()?.map(Step::from_text).collect::<Option<Vec<Step>>>()?;
        let usable = order.is_empty() || is_permutation(&order, shape.len());
        let chain = Self { dtype, big_endian, steps, shape, order, limit: MAX_BLOCK_BYTES };
        (usable && chain.decoded_len().is_some()).then_some(chain)
    }
}

fn is_permutation(order: &[usize], rank: usize) -> bool {
    order.len() == rank && (0..rank).all(|i| order.contains(&i))
}

impl Step {
    fn to_text(&self) -> String {
        let place = |start: &bool| if *start { "start" } else { "end" };
        match self {
            Self::Crc32c => "crc32c".to_owned(),
            Self::Zstd => "zstd".to_owned(),
            Self::Blosc => "blosc".to_owned(),
            Self::Inflate => "inflate".to_owned(),
            Self::Lz4 => "lz4".to_owned(),
            Self::Fletcher32 => "fletcher32".to_owned(),
            Self::Bits => "bits".to_owned(),
            Self::Bzip2 => "bz2".to_owned(),
            Self::Shuffle(size) => format!("shuffle:{size}"),
            Self::Delta(dtype) => format!("delta:{dtype}"),
            Self::Pcodec(dtype) => format!("pcodec:{dtype}"),
            Self::Adler32(start) => format!("adler32:{}", place(start)),
            Self::Crc32(start) => format!("crc32:{}", place(start)),
            Self::Scale { from, to, scale, offset } => format!("scale:{from}:{to}:{scale}:{offset}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let name = parts.next()?;
        let mut dtype = || DataType::from_zarr_name(parts.next()?);
        Some(match name {
            "crc32c" => Self::Crc32c,
            "zstd" => Self::Zstd,
            "blosc" => Self::Blosc,
            "inflate" => Self::Inflate,
            "lz4" => Self::Lz4,
            "fletcher32" => Self::Fletcher32,
            "bits" => Self::Bits,
            "bz2" => Self::Bzip2,
            "delta" => Self::Delta(dtype()?),
            "pcodec" => Self::Pcodec(dtype()?),
            "adler32" => Self::Adler32(parts.next()? == "start"),
            "crc32" => Self::Crc32(parts.next()? == "start"),
            "shuffle" => Self::Shuffle(parts.next()?.parse().ok().filter(|n| *n > 0)?),
            "scale" => {
                let (from, to) = (dtype()?, dtype()?);
                let mut number = || parts.next()?.parse::<f64>().ok();
                Self::Scale { from, to, scale: number()?, offset: number()? }
            }
            _ => return None,
        })
    }
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
