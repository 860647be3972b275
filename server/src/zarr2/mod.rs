//! A version of a cube as a Zarr v2 hierarchy, for clients that do not read v3 (zarr-python 2, GDAL
//! before 3.8, older xarray).
//!
//! Only metadata is made; the bytes of chunks are those that are stored. What v2 cannot say is left
//! out, and the root's attributes say what and why. See docs/http.md.

mod metadata;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::tokens::hex;
use crate::codec::Decoder;
use crate::store::Snapshot;

pub use metadata::{Said, array};

/// Attribute of the root that says what is left out, by path, and why.
pub const LEFT_OUT: &str = "graticule:left_out";
/// Decoded bytes of a chunk that is made because v2 cannot say what its absence means.
const MOST_MADE_BYTES: u64 = 64 << 20;

pub struct View {
    documents: BTreeMap<String, (Bytes, String)>,
    arrays: BTreeMap<String, Array>,
}

struct Array {
    /// As it is handed out, which need not be as it is stored.
    meta: ArrayMeta,
    absent_is_fill: bool,
    /// A chunk of nothing but the array's fill value, packed, and its ETag.
    filled: OnceLock<(Bytes, String)>,
}

/// A chunk of the view.
#[derive(Clone, Copy)]
pub struct Chunk<'v> {
    array: &'v Array,
    path: &'v str,
}

impl View {
    /// # Errors
    /// Metadata that cannot be read.
    pub fn of(snapshot: &Snapshot) -> anyhow::Result<Self> {
        Self::from_hierarchy(Hierarchy::from_v3(&snapshot.root_json().bytes)?)
    }

    fn from_hierarchy(h: Hierarchy) -> anyhow::Result<Self> {
        let mut arrays = BTreeMap::new();
        let mut left_out = Map::new();
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        for (path, meta) in h.arrays {
            match said(&meta) {
                Ok(said) => {
                    all.insert(format!("{path}/.zarray"), said.zarray);
                    all.insert(format!("{path}/.zattrs"), said.zattrs);
                    let absent_is_fill = said.absent_is_fill;
                    arrays.insert(path, Array { meta, absent_is_fill, filled: OnceLock::new() });
                }
                Err(why) => {
                    left_out.insert(path, why.into());
                }
            }
        }
        for (path, attributes) in h.groups {
            all.insert(format!("{path}/.zgroup"), json!({"zarr_format": 2}));
            all.insert(format!("{path}/.zattrs"), attributes.into());
        }
        let mut attributes = h.attributes;
        if !left_out.is_empty() {
            attributes.insert(LEFT_OUT.to_owned(), left_out.into());
        }
        all.insert(".zgroup".to_owned(), json!({"zarr_format": 2}));
        all.insert(".zattrs".to_owned(), attributes.into());
        let whole = json!({"zarr_consolidated_format": 1, "metadata": all});
        all.insert(".zmetadata".to_owned(), whole);
        let document = |value: &Value| -> anyhow::Result<(Bytes, String)> {
            let bytes = serde_json::to_vec(value)?;
            let etag = format!("\"{}\"", hex(&Sha256::digest(&bytes)[..16]));
            Ok((bytes.into(), etag))
        };
        let documents = all.iter().map(|(key, value)| Ok((key.clone(), document(value)?)));
        Ok(Self { documents: documents.collect::<anyhow::Result<_>>()?, arrays })
    }

    /// A document of metadata and its ETag.
    pub fn document(&self, key: &str) -> Option<&(Bytes, String)> {
        self.documents.get(key)
    }

    /// The chunk at `sst/0.1.2` and its indices; `None` where the view has no such chunk.
    pub fn chunk(&self, key: &str) -> Option<(Chunk<'_>, Vec<u64>)> {
        let (path, name) = key.rsplit_once('/')?;
        let (path, array) = self.arrays.get_key_value(path)?;
        // One spelling per chunk: no "+1", no "01".
        let number = |s: &str| s.parse::<u64>().ok().filter(|n| n.to_string() == s);
        let shape = &array.meta.shape;
        let index = match (shape.is_empty(), name) {
            (true, "0") => Vec::new(),
            (true, _) => return None,
            (false, _) => name.split('.').map(number).collect::<Option<Vec<_>>>()?,
        };
        let blocks = shape.iter().zip(array.meta.block_shape()).map(|(n, b)| n.div_ceil(*b));
        let inside = index.len() == shape.len() && index.iter().zip(blocks).all(|(i, n)| *i < n);
        inside.then_some((Chunk { array, path }, index))
    }
}

/// What v2 says of an array, where what is not stored can be made if it must be.
fn said(meta: &ArrayMeta) -> Result<Said, String> {
    let said = array(meta)?;
    // Nobody can tell 0 from what readers take where nothing is said.
    let zero = meta.fill_f64().is_none_or(|f| f == 0.0);
    if !said.absent_is_fill && !zero && !can_be_made(meta) {
        return Err(format!("Zarr v2 cannot say that what is not stored is {}", meta.fill_value));
    }
    Ok(said)
}

fn can_be_made(meta: &ArrayMeta) -> bool {
    let size = meta.dtype.map_or(1, |d| d.size() as u64);
    let bytes = meta.block_shape().iter().try_fold(size, |b, n| b.checked_mul(*n));
    bytes.is_some_and(|b| b <= MOST_MADE_BYTES) && !crate::codec::is_elsewhere(&meta.block_metadata())
}

impl<'v> Chunk<'v> {
    /// The array, as it is handed out.
    pub fn meta(&self) -> &'v ArrayMeta {
        &self.array.meta
    }

    /// Path of the array below the root.
    pub fn path(&self) -> &'v str {
        self.path
    }

    /// What stands for a chunk that is not stored; `None` where its absence says it. Takes a while, once.
    ///
    /// # Errors
    /// The array's codecs cannot encode.
    pub fn in_place_of_absent(&self) -> anyhow::Result<Option<(Bytes, String)>> {
        if self.array.absent_is_fill || !can_be_made(&self.array.meta) {
            return Ok(None);
        }
        if let Some(made) = self.array.filled.get() {
            return Ok(Some(made.clone()));
        }
        let codec = Decoder::new(self.array.meta.block_metadata()).map_err(anyhow::Error::msg)?;
        let bytes = codec.encode(&codec.fill()).map_err(anyhow::Error::msg)?;
        let etag = format!("\"{}\"", hex(&Sha256::digest(&bytes)[..16]));
        Ok(Some(self.array.filled.get_or_init(|| (bytes.into(), etag)).clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let array = |dtype: &str, shape: Value, fill: Value| {
            json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": dtype,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
                "chunk_key_encoding": {"name": "default"}, "fill_value": fill, "attributes": {},
                "codecs": [{"name": "sharding_indexed", "configuration": {
                    "chunk_shape": shape.as_array().unwrap().iter().map(|_| 2).collect::<Vec<_>>(),
                    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    "index_location": "end"}}]})
        };
        let root = json!({"zarr_format": 3, "node_type": "group", "attributes": {"title": "t"},
            "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {
                "a": array("int16", json!([4, 6]), json!(7)),
                "1": {"zarr_format": 3, "node_type": "group", "attributes": {}},
                "1/text": array("string", json!([2]), json!(""))}}});
        View::from_hierarchy(Hierarchy::from_v3(root.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_hierarchy_is_described_and_what_is_left_out_is_said() {
        let view = view();
        let read = |key: &str| -> Value { serde_json::from_slice(&view.document(key).unwrap().0).unwrap() };
        let whole = read(".zmetadata");
        let keys: Vec<_> = whole["metadata"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, [".zattrs", ".zgroup", "1/.zattrs", "1/.zgroup", "a/.zarray", "a/.zattrs"]);
        assert_eq!(read(".zattrs")["title"], "t");
        assert!(read(".zattrs")[LEFT_OUT]["1/text"].as_str().unwrap().contains("string"));
        assert_eq!(read("a/.zarray")["chunks"], json!([2, 2]));
        assert!(view.document("1/text/.zarray").is_none());
    }

    #[test]
    fn chunks_have_one_spelling_and_lie_inside() {
        let view = view();
        assert_eq!(view.chunk("a/1.2").unwrap().1, [1, 2]);
        for other in
            ["a/2.0", "a/0.3", "a/0", "a/0.0.0", "a/00.1", "a/+0.1", "a/0/1", "a", "b/0.0", "1/text/0"]
        {
            assert!(view.chunk(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_fill_value_that_v2_would_call_missing_is_sent_as_values() {
        let view = view();
        let (chunk, _) = view.chunk("a/0.0").unwrap();
        let (bytes, _) = chunk.in_place_of_absent().unwrap().unwrap();
        assert_eq!(&bytes[..], 7i16.to_le_bytes().repeat(4));
    }
}
