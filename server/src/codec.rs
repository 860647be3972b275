//! One array's codec chain, without a store: bytes in, bytes out.
//!
//! Ingest encodes with it and the position query decodes with it. The chain is
//! built from Zarr metadata, so both obey what the store says of itself.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use serde_json::Value;
use zarrs::array::{Array, ArrayBytes, ArrayMetadata, ArrayToBytesCodecTraits, CodecOptions};

/// Codecs of an array whose blocks all have one shape.
pub struct Decoder {
    array: Array<()>,
    shape: Vec<NonZeroU64>,
    bytes: usize,
    options: CodecOptions,
}

impl Decoder {
    /// From metadata of a one-chunk array (see `ArrayMeta::block_metadata`).
    ///
    /// # Errors
    /// Metadata that names an unknown codec or contradicts itself.
    pub fn new(metadata: Value) -> Result<Self, String> {
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
        Ok(Self { array, shape, bytes, options })
    }

    /// A block that is not stored.
    pub fn fill(&self) -> Vec<u8> {
        let one = self.array.fill_value().as_ne_bytes();
        if one.iter().all(|b| *b == 0) {
            vec![0; self.bytes]
        } else {
            one.repeat(self.bytes / one.len().max(1))
        }
    }

    /// # Errors
    /// Bytes that do not decode to exactly one block.
    pub fn decode(&self, encoded: &[u8]) -> Result<Vec<u8>, String> {
        let decoded = self
            .array
            .codecs()
            .decode(
                Cow::Borrowed(encoded),
                &self.shape,
                self.array.data_type(),
                self.array.fill_value(),
                &self.options,
            )
            .and_then(|b| Ok(b.into_fixed()?.into_owned()))
            .map_err(|e| e.to_string())?;
        if decoded.len() == self.bytes {
            Ok(decoded)
        } else {
            Err(format!("chunk decodes to {} bytes, {} expected", decoded.len(), self.bytes))
        }
    }

    /// # Errors
    /// Not exactly one block of values.
    pub fn encode(&self, values: &[u8]) -> Result<Vec<u8>, String> {
        self.array
            .codecs()
            .encode(
                ArrayBytes::new_flen(Cow::Borrowed(values)),
                &self.shape,
                self.array.data_type(),
                self.array.fill_value(),
                &self.options,
            )
            .map(Cow::into_owned)
            .map_err(|e| e.to_string())
    }
}
