//! Codecs that files have and Zarr has not: a chunk of such an array is a part of a file that its
//! format's own reader decodes.
//!
//! In `zarr.json` they are an array-to-bytes codec of our own, alone in the chain:
//! `{"name": "graticule.grib", "configuration": {"field": 1}}` is field 1 of a GRIB message; `graticule.tiff` is one
//! band of a tile or strip.

use graticule_shared::dtype::DataType;
use serde_json::Value;

use crate::FormatError;
use crate::geotiff::refer::Tile;
use crate::guard::guard;

/// A whole GRIB message, of either edition.
pub(crate) const GRIB: &str = "graticule.grib";

/// A tile or strip of a TIFF image.
pub(crate) const TIFF: &str = "graticule.tiff";

/// What a chunk must decode to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) extent: Vec<u64>,
    pub(crate) dtype: DataType,
    bytes: usize,
}

impl Shape {
    /// Of all values together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[derive(Debug)]
enum Kind {
    Grib { field: usize },
    Tiff(Tile),
}

/// Decoder of one array's chunks.
#[derive(Debug)]
pub struct FileCodec {
    kind: Kind,
    shape: Shape,
}

impl FileCodec {
    /// True where a chain of codecs (`codecs` of `zarr.json`) is one of these.
    pub fn is_one(codecs: &Value) -> bool {
        codecs[0]["name"].as_str().is_some_and(|n| n == GRIB || n == TIFF)
    }

    /// Of an array with these `codecs` and chunks of `shape`, of `most_bytes` decoded at most.
    ///
    /// # Errors
    /// In words: another codec, a configuration that is none, chunks that are too large.
    pub fn new(codecs: &Value, shape: &[u64], dtype: DataType, most_bytes: u64) -> Result<Self, String> {
        let Some([codec]) = codecs.as_array().map(Vec::as_slice) else {
            return Err("a codec of files goes alone".to_owned());
        };
        let name = codec["name"].as_str().unwrap_or_default();
        let configuration = &codec["configuration"];
        let bytes = shape.iter().try_fold(dtype.size() as u64, |p, n| p.checked_mul(*n));
        let bytes = bytes.filter(|b| *b <= most_bytes).and_then(|b| usize::try_from(b).ok());
        let bytes = bytes.ok_or_else(|| {
            format!("chunks of {shape:?} are too large to decode; at most {most_bytes} bytes are")
        })?;
        let shape = Shape { extent: shape.to_vec(), dtype, bytes };
        let kind = match name {
            TIFF => Kind::Tiff(Tile::from_json(configuration, &shape)?),
            GRIB => {
                let field = configuration["field"].as_u64().and_then(|n| usize::try_from(n).ok());
                let field = field.filter(|n| *n > 0).ok_or_else(|| {
                    format!("{GRIB}: field is {}; expected a number from 1 on", configuration["field"])
                })?;
                Kind::Grib { field }
            }
            _ => return Err(format!("{name:?} is no codec of files")),
        };
        Ok(Self { kind, shape })
    }

    /// Bytes of a decoded chunk.
    pub fn decoded_len(&self) -> usize {
        self.shape.bytes
    }

    /// The values of one chunk, native-endian and in C order.
    ///
    /// # Errors
    /// In words: bytes that do not decode to exactly one chunk.
    pub fn decode(&self, stored: &[u8]) -> Result<Vec<u8>, String> {
        // Some decoders of code streams are other people's.
        let values = guard("", || {
            let values = match &self.kind {
                Kind::Tiff(tile) => tile.decode(stored),
                Kind::Grib { field } => crate::grib::refer::decode(stored, *field, &self.shape),
            };
            values.map_err(|why| FormatError::new("", why))
        });
        let values = values.map_err(|e| e.reason)?;
        if values.len() == self.shape.bytes {
            Ok(values)
        } else {
            Err(format!("it decodes to {} bytes; expected {}", values.len(), self.shape.bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_such_codec_is_refused_by_name() {
        let codecs = |name: &str, c: Value| json!([{"name": name, "configuration": c}]);
        let new = |codecs: &Value, shape: &[u64]| FileCodec::new(codecs, shape, DataType::Float32, 1 << 20);
        assert!(FileCodec::is_one(&codecs(GRIB, json!({"field": 1}))));
        assert!(!FileCodec::is_one(&codecs("bytes", json!({}))));
        assert!(!FileCodec::is_one(&Value::Null));
        assert!(new(&codecs("bytes", json!({})), &[2]).unwrap_err().contains("\"bytes\""));
        assert!(new(&codecs(GRIB, json!({"field": 0})), &[2]).unwrap_err().contains("field is 0"));
        assert!(new(&codecs(GRIB, json!({"field": 1})), &[1 << 30, 1 << 40]).is_err());
        let codec = new(&codecs(GRIB, json!({"field": 1})), &[1, 4, 4]).unwrap();
        assert_eq!(codec.decoded_len(), 64);
        assert!(codec.decode(b"GRIB").unwrap_err().contains("no field 1"));
    }
}
