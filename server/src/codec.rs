//! One array's codec chain, without a store: bytes in, bytes out.
//!
//! Ingest encodes with it and the position query decodes with it. The chain is
//! built from Zarr metadata, so both obey what the store says of itself.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use graticule_formats::FileCodec;
use graticule_shared::codec::{Chain, MAX_BLOCK_BYTES};
use graticule_shared::dtype::DataType;
use graticule_shared::zarr::{ArrayMeta, ZarrFormat};
use serde_json::{Value, json};
use zarrs::array::{Array, ArrayBytes, ArrayMetadata, ArrayToBytesCodecTraits, CodecOptions};

use crate::blosc::Blosc;
use crate::recipe::codec::{Codec, Shuffle};

/// Codecs of an array whose blocks all have one shape.
pub struct Decoder {
    inner: Inner,
    bytes: usize,
    /// One element that is not stored, native-endian.
    one: Vec<u8>,
}

enum Inner {
    Own {
        array: Box<Array<()>>,
        shape: Vec<NonZeroU64>,
        options: CodecOptions,
        /// Packs better and quicker than the library does.
        pack: Option<Blosc>,
    },
    /// Chunks of files elsewhere have codecs that only numcodecs names; they are never encoded here.
    Elsewhere(Chain),
    /// Nor are parts of files that only the format's reader decodes.
    File(FileCodec),
}

impl Decoder {
    /// From metadata of a one-chunk array (see `ArrayMeta::block_metadata`).
    ///
    /// # Errors
    /// Metadata that names an unknown codec or contradicts itself.
    pub fn new(metadata: Value) -> Result<Self, String> {
        if is_elsewhere(&metadata) {
            return Self::elsewhere(metadata);
        }
        let pack = Blosc::of_chain(&metadata["codecs"]);
        let metadata: ArrayMetadata = serde_json::from_value(metadata).map_err(|e| e.to_string())?;
        let array = Array::new_with_metadata(Arc::new(()), "/", metadata).map_err(|e| e.to_string())?;
        let shape: Vec<NonZeroU64> = array
            .shape()
            .iter()
            .map(|n| NonZeroU64::new(*n))
            .collect::<Option<_>>()
            .ok_or("a block with no cells")?;
        let size = array.data_type().fixed_size().ok_or("a type without a fixed size")?;
        let bytes =
            shape.iter().try_fold(size as u64, |p, n| p.checked_mul(n.get())).filter(|b| *b <= 1 << 30);
        let bytes = bytes.ok_or_else(|| format!("blocks of {shape:?} are too large to decode"))? as usize;
        let options = CodecOptions::default().with_concurrent_target(1);
        let one = array.fill_value().as_ne_bytes().to_vec();
        Ok(Self { inner: Inner::Own { array: Box::new(array), shape, options, pack }, bytes, one })
    }

    /// Of chunks in files elsewhere, by the browser's decoder where that has their codecs.
    ///
    /// # Errors
    /// As [`Decoder::new`].
    pub fn referred(array: &ArrayMeta) -> Result<Self, String> {
        Self::elsewhere(array.block_metadata())
    }

    fn elsewhere(mut metadata: Value) -> Result<Self, String> {
        // A block's metadata is that of an array of one chunk.
        metadata["chunk_grid"] =
            json!({"name": "regular", "configuration": {"chunk_shape": metadata["shape"]}});
        let array = ArrayMeta::from_v3("block", metadata).map_err(|e| e.to_string())?;
        if FileCodec::is_one(&array.metadata["codecs"]) {
            let dtype = array.dtype.ok_or("a type that is no number")?;
            let codec = FileCodec::new(&array.metadata["codecs"], &array.shape, dtype, MAX_BLOCK_BYTES)?;
            let one =
                graticule_formats::fill_bytes(dtype, &array.fill_value).ok_or("a fill value that is none")?;
            return Ok(Self { bytes: codec.decoded_len(), inner: Inner::File(codec), one });
        }
        let chain = Chain::new(&array, ZarrFormat::V3).map_err(|e| e.to_string())?;
        let bytes = chain.decoded_len().ok_or("blocks that are too large to decode")?;
        let one = graticule_formats::fill_bytes(chain.dtype, &array.fill_value)
            .ok_or("a fill value that is none")?;
        Ok(Self { inner: Inner::Elsewhere(chain), bytes, one })
    }

    /// A block that is not stored.
    pub fn fill(&self) -> Vec<u8> {
        if self.one.iter().all(|b| *b == 0) {
            vec![0; self.bytes]
        } else {
            self.one.repeat(self.bytes / self.one.len().max(1))
        }
    }

    /// # Errors
    /// Bytes that do not decode to exactly one block.
    pub fn decode(&self, encoded: &[u8]) -> Result<Vec<u8>, String> {
        let decoded = match &self.inner {
            Inner::Elsewhere(chain) => {
                graticule_decode::decode(chain, encoded.to_vec()).map_err(|e| e.to_string())?
            }
            Inner::File(codec) => codec.decode(encoded)?,
            Inner::Own { array, shape, options, .. } => array
                .codecs()
                .decode(Cow::Borrowed(encoded), shape, array.data_type(), array.fill_value(), options)
                .and_then(|b| Ok(b.into_fixed()?.into_owned()))
                .map_err(|e| e.to_string())?,
        };
        if decoded.len() == self.bytes {
            Ok(decoded)
        } else {
            Err(format!("chunk decodes to {} bytes, {} expected", decoded.len(), self.bytes))
        }
    }

    /// # Errors
    /// Not exactly one block of values.
    pub fn encode(&self, values: &[u8]) -> Result<Vec<u8>, String> {
        let Inner::Own { array, shape, options, pack } = &self.inner else {
            return Err("chunks of files elsewhere are not written".to_owned());
        };
        if values.len() != self.bytes {
            return Err(format!("a chunk of {} bytes is none of {}", values.len(), self.bytes));
        }
        if let Some(pack) = pack {
            return pack.encode(values);
        }
        let values = ArrayBytes::new_flen(Cow::Borrowed(values));
        array
            .codecs()
            .encode(values, shape, array.data_type(), array.fill_value(), options)
            .map(Cow::into_owned)
            .map_err(|e| e.to_string())
    }
}

/// What the server says of an array whose chunks only a file's reader decodes: the chain that it
/// packs them anew with. `None` for every other array.
pub fn presented(metadata: &Value) -> Option<Value> {
    if !FileCodec::is_one(&metadata["codecs"]) {
        return None;
    }
    let dtype = DataType::from_zarr_name(metadata["data_type"].as_str()?)?;
    let mut codecs = vec![if dtype.size() == 1 {
        json!({"name": "bytes"})
    } else {
        json!({"name": "bytes", "configuration": {"endian": "little"}})
    }];
    // Packed while somebody waits.
    let chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"].as_array();
    let chunk: Vec<u64> = chunk.into_iter().flatten().filter_map(Value::as_u64).collect();
    codecs.extend(
        Codec::Blosc { inner: "zstd", level: 1, shuffle: Shuffle::Bytes }.to_json(dtype, Some(&chunk)),
    );
    let mut metadata = metadata.clone();
    metadata["codecs"] = Value::Array(codecs);
    Some(metadata)
}

/// True where a codec is one that the library knows by no name.
pub fn is_elsewhere(metadata: &Value) -> bool {
    if FileCodec::is_one(&metadata["codecs"]) {
        return true;
    }
    let codecs = metadata["codecs"].as_array().map(Vec::as_slice).unwrap_or_default();
    codecs.iter().any(|c| c["name"].as_str().is_some_and(|n| n.starts_with("numcodecs.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_reader_decodes_is_presented_with_ordinary_codecs() {
        let array = |codecs: Value| {
            json!({"zarr_format": 3, "node_type": "array", "shape": [1, 2, 3], "data_type": "float32",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2, 3]}},
                "chunk_key_encoding": {"name": "default"}, "fill_value": "NaN", "codecs": codecs})
        };
        let message = array(json!([{"name": "graticule.grib", "configuration": {"field": 2}}]));
        assert!(is_elsewhere(&message));
        let shown = presented(&message).unwrap();
        assert!(!is_elsewhere(&shown) && presented(&shown).is_none());
        let values: Vec<u8> = [1f32, 2.0, 3.0, 4.0, f32::NAN, 6.0].map(f32::to_ne_bytes).concat();
        let codec = Decoder::new(shown).unwrap();
        assert_eq!(codec.decode(&codec.encode(&values).unwrap()).unwrap(), values);
        let own = Decoder::new(message).unwrap();
        assert!(own.encode(&values).is_err() && own.decode(b"no message").is_err());
        assert_eq!(own.fill(), f32::NAN.to_ne_bytes().repeat(6));
    }
}
