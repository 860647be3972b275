//! Zarr hierarchies, from their metadata alone.
//!
//! One parse serves both sides: the server to answer queries, the browser to
//! plan its requests. Both v3 (core specification 3.1, consolidated inline) and
//! v2 (`.zmetadata`) hierarchies become the same [`Hierarchy`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::dtype::DataType;

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ZarrError {
    #[error("{0}: not JSON: {1}")]
    Json(String, String),
    #[error("{path}: {reason}")]
    Invalid { path: String, reason: String },
}

fn invalid(path: &str, reason: impl Into<String>) -> ZarrError {
    // A root array has no name.
    let path = if path.is_empty() { "array" } else { path }.to_owned();
    ZarrError::Invalid { path, reason: reason.into() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZarrFormat {
    V2,
    V3,
}

/// How chunk indices become keys below the array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyEncoding {
    /// v3 `default`: `c/0/1`.
    Default(char),
    /// v2 (and v3 `v2`): `0.1` or `0/1`.
    V2(char),
}

/// `sharding_indexed` as the outermost array-to-bytes codec.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharding {
    /// Shape of the inner chunks; divides the shard's shape.
    pub inner_shape: Vec<u64>,
    /// Metadata of an array whose whole chunk is one inner chunk: what a decoder needs.
    pub inner_codecs: Value,
    pub index_at_end: bool,
    pub index_crc32c: bool,
}

#[derive(Debug, Clone)]
pub struct ArrayMeta {
    /// Path in the hierarchy, without a leading slash.
    pub path: String,
    pub shape: Vec<u64>,
    /// `None` for types that are not plain numbers (strings and so on).
    pub dtype: Option<DataType>,
    /// Empty names where the array has none.
    pub dims: Vec<String>,
    /// Shape of the stored chunks (of the shards, where there are any).
    pub chunk_shape: Vec<u64>,
    pub sharding: Option<Sharding>,
    pub key_encoding: KeyEncoding,
    /// The stored fill value as JSON.
    pub fill_value: Value,
    pub attributes: Map<String, Value>,
    /// The array's own metadata document, as parsed.
    pub metadata: Value,
}

impl ArrayMeta {
    /// Stored chunks along each dimension.
    pub fn grid_shape(&self) -> Vec<u64> {
        self.shape.iter().zip(&self.chunk_shape).map(|(n, c)| n.div_ceil(*c)).collect()
    }

    /// The smallest independently readable block: the inner chunk, or the chunk.
    pub fn block_shape(&self) -> &[u64] {
        self.sharding.as_ref().map_or(&self.chunk_shape, |s| &s.inner_shape)
    }

    /// Key of a stored chunk, below the hierarchy's root.
    pub fn chunk_key(&self, index: &[u64]) -> String {
        let join = |sep: char| index.iter().map(u64::to_string).collect::<Vec<_>>().join(&sep.to_string());
        let tail = match &self.key_encoding {
            KeyEncoding::Default(_) if index.is_empty() => "c".to_owned(),
            KeyEncoding::Default(sep) => format!("c{sep}{}", join(*sep)),
            KeyEncoding::V2(_) if index.is_empty() => "0".to_owned(),
            KeyEncoding::V2(sep) => join(*sep),
        };
        if self.path.is_empty() { tail } else { format!("{}/{tail}", self.path) }
    }

    /// From a v3 array's `zarr.json`.
    ///
    /// # Errors
    /// A document that is not as the specification says.
    pub fn from_v3(path: &str, metadata: Value) -> Result<Self, ZarrError> {
        array_v3(path, metadata)
    }

    /// From a v2 array's `.zarray` and `.zattrs`.
    ///
    /// # Errors
    /// As [`ArrayMeta::from_v3`].
    pub fn from_v2(path: &str, metadata: Value, attributes: Map<String, Value>) -> Result<Self, ZarrError> {
        array_v2(path, metadata, attributes)
    }

    /// The fill value as a number; `None` for `null`.
    pub fn fill_f64(&self) -> Option<f64> {
        json_number(&self.fill_value)
    }

    /// v3 metadata of a one-chunk array with this block's shape and codecs: all
    /// that a decoder needs, the same for every block of the array.
    pub fn block_metadata(&self) -> Value {
        let mut meta = self.metadata.clone();
        if let Some(o) = meta.as_object_mut() {
            o.remove("attributes");
            o.remove("consolidated_metadata");
            let block = Value::from(self.block_shape().to_vec());
            o.insert("shape".into(), block.clone());
            if let Some(s) = &self.sharding {
                o.insert("codecs".into(), s.inner_codecs.clone());
                o.insert(
                    "chunk_grid".into(),
                    serde_json::json!({"name": "regular", "configuration": {"chunk_shape": block}}),
                );
            } else if o.contains_key("chunks") {
                o.insert("chunks".into(), block);
            }
        }
        meta
    }
}

/// A number, or one of the strings that Zarr writes for those JSON lacks.
pub fn json_number(v: &Value) -> Option<f64> {
    match v {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(s) => match s.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// All groups and arrays of one store.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    pub format: ZarrFormat,
    /// Attributes of the root group.
    pub attributes: Map<String, Value>,
    /// Group path to its attributes; the root is not among them.
    pub groups: BTreeMap<String, Map<String, Value>>,
    pub arrays: BTreeMap<String, ArrayMeta>,
}

impl Hierarchy {
    /// From the root's `zarr.json` with inline consolidated metadata.
    ///
    /// # Errors
    /// Not JSON, not a v3 group, no consolidated metadata, a node that is not
    /// as the specification says.
    pub fn from_v3(text: &[u8]) -> Result<Self, ZarrError> {
        let root: Value =
            serde_json::from_slice(text).map_err(|e| ZarrError::Json("zarr.json".into(), e.to_string()))?;
        if root["zarr_format"] != 3 {
            return Err(invalid("zarr.json", format!("zarr_format is {}, expected 3", root["zarr_format"])));
        }
        let mut out = Self {
            format: ZarrFormat::V3,
            attributes: object(&root["attributes"]),
            groups: BTreeMap::new(),
            arrays: BTreeMap::new(),
        };
        if root["node_type"] == "array" {
            out.arrays.insert(String::new(), array_v3("", root)?);
            return Ok(out);
        }
        let Some(nodes) = root["consolidated_metadata"]["metadata"].as_object() else {
            return Err(invalid(
                "zarr.json",
                "no consolidated_metadata: write the store with consolidated=True, so that one request describes it",
            ));
        };
        for (path, node) in nodes {
            check_path(path)?;
            if node["node_type"] == "array" {
                out.arrays.insert(path.clone(), array_v3(path, node.clone())?);
            } else {
                out.groups.insert(path.clone(), object(&node["attributes"]));
            }
        }
        Ok(out)
    }

    /// From a v2 `.zmetadata` document.
    ///
    /// # Errors
    /// As [`Hierarchy::from_v3`].
    pub fn from_v2(text: &[u8]) -> Result<Self, ZarrError> {
        let root: Value =
            serde_json::from_slice(text).map_err(|e| ZarrError::Json(".zmetadata".into(), e.to_string()))?;
        let Some(nodes) = root["metadata"].as_object() else {
            return Err(invalid(".zmetadata", "no \"metadata\" object"));
        };
        let mut out = Self {
            format: ZarrFormat::V2,
            attributes: nodes.get(".zattrs").map(object).unwrap_or_default(),
            groups: BTreeMap::new(),
            arrays: BTreeMap::new(),
        };
        for (key, node) in nodes {
            if let Some(path) = key.strip_suffix("/.zarray") {
                check_path(path)?;
                let attrs = nodes.get(&format!("{path}/.zattrs")).map(object).unwrap_or_default();
                out.arrays.insert(path.to_owned(), array_v2(path, node.clone(), attrs)?);
            } else if let Some(path) = key.strip_suffix("/.zgroup") {
                check_path(path)?;
                let attrs = nodes.get(&format!("{path}/.zattrs")).map(object).unwrap_or_default();
                out.groups.insert(path.to_owned(), attrs);
            }
        }
        Ok(out)
    }
}

fn object(v: &Value) -> Map<String, Value> {
    v.as_object().cloned().unwrap_or_default()
}

/// A node's path must stay inside its store.
///
/// # Errors
/// An absolute path, a backslash, an empty name or one of dots.
pub fn check_path(path: &str) -> Result<(), ZarrError> {
    let bad = path.starts_with('/')
        || path.contains('\\')
        || path.split('/').any(|s| s.is_empty() || s == "." || s == "..");
    if bad { Err(invalid(path, "a node's path may not leave the store")) } else { Ok(()) }
}

fn sizes(path: &str, name: &str, v: &Value) -> Result<Vec<u64>, ZarrError> {
    v.as_array()
        .and_then(|a| a.iter().map(Value::as_u64).collect::<Option<Vec<_>>>())
        .ok_or_else(|| invalid(path, format!("{name} is {v}, expected a list of non-negative integers")))
}

fn check_shapes(path: &str, shape: &[u64], chunk: &[u64]) -> Result<(), ZarrError> {
    if shape.len() != chunk.len() {
        return Err(invalid(
            path,
            format!("chunk shape has {} dimensions, the array has {}", chunk.len(), shape.len()),
        ));
    }
    if chunk.contains(&0) {
        return Err(invalid(path, "chunk shape has a 0"));
    }
    let product = |s: &[u64]| s.iter().try_fold(1u64, |p, n| p.checked_mul(*n)).filter(|p| *p < 1 << 60);
    if product(shape).is_none() || product(chunk).is_none() {
        return Err(invalid(path, "more elements than any store can hold"));
    }
    Ok(())
}

fn array_v3(path: &str, metadata: Value) -> Result<ArrayMeta, ZarrError> {
    let shape = sizes(path, "shape", &metadata["shape"])?;
    if metadata["chunk_grid"]["name"] != "regular" {
        return Err(invalid(
            path,
            format!("chunk grid {} is not supported, only \"regular\"", metadata["chunk_grid"]["name"]),
        ));
    }
    let chunk_shape = sizes(path, "chunk_shape", &metadata["chunk_grid"]["configuration"]["chunk_shape"])?;
    check_shapes(path, &shape, &chunk_shape)?;
    let encoding = &metadata["chunk_key_encoding"];
    let separator = |default: char| -> Result<char, ZarrError> {
        match encoding["configuration"]["separator"].as_str() {
            None => Ok(default),
            Some("/") => Ok('/'),
            Some(".") => Ok('.'),
            Some(other) => {
                Err(invalid(path, format!("chunk key separator {other:?} is neither \"/\" nor \".\"")))
            }
        }
    };
    let key_encoding = match encoding["name"].as_str().or_else(|| encoding.as_str()) {
        Some("default") | None => KeyEncoding::Default(separator('/')?),
        Some("v2") => KeyEncoding::V2(separator('.')?),
        Some(other) => return Err(invalid(path, format!("chunk key encoding {other:?} is not known"))),
    };
    let codec_name = |c: &Value| c["name"].as_str().or_else(|| c.as_str()).unwrap_or_default().to_owned();
    let codecs = metadata["codecs"].as_array().cloned().unwrap_or_default();
    let sharding = match codecs.as_slice() {
        [only] if codec_name(only) == "sharding_indexed" => {
            let c = &only["configuration"];
            let inner_shape = sizes(path, "inner chunk_shape", &c["chunk_shape"])?;
            check_shapes(path, &shape, &inner_shape)?;
            if inner_shape.iter().zip(&chunk_shape).any(|(i, s)| s % i != 0) {
                return Err(invalid(
                    path,
                    format!("inner chunks {inner_shape:?} do not divide the shard {chunk_shape:?}"),
                ));
            }
            let index: Vec<String> =
                c["index_codecs"].as_array().map(|a| a.iter().map(codec_name).collect()).unwrap_or_default();
            let index_crc32c = match index.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["bytes", "crc32c"] => true,
                ["bytes"] => false,
                other => {
                    return Err(invalid(path, format!("shard index codecs {other:?} are not supported")));
                }
            };
            Some(Sharding {
                inner_shape,
                inner_codecs: c["codecs"].clone(),
                index_at_end: c["index_location"] != "start",
                index_crc32c,
            })
        }
        _ => None,
    };
    let attributes = object(&metadata["attributes"]);
    let dims = match metadata["dimension_names"].as_array() {
        Some(names) if names.len() == shape.len() => {
            names.iter().map(|n| n.as_str().unwrap_or_default().to_owned()).collect()
        }
        _ => attribute_dims(&attributes, shape.len()),
    };
    Ok(ArrayMeta {
        path: path.to_owned(),
        dtype: metadata["data_type"].as_str().and_then(DataType::from_zarr_name),
        dims,
        chunk_shape,
        sharding,
        key_encoding,
        fill_value: metadata["fill_value"].clone(),
        attributes,
        shape,
        metadata,
    })
}

fn array_v2(path: &str, metadata: Value, attributes: Map<String, Value>) -> Result<ArrayMeta, ZarrError> {
    let shape = sizes(path, "shape", &metadata["shape"])?;
    let chunk_shape = sizes(path, "chunks", &metadata["chunks"])?;
    check_shapes(path, &shape, &chunk_shape)?;
    let separator = match metadata["dimension_separator"].as_str() {
        None | Some(".") => '.',
        Some("/") => '/',
        Some(other) => {
            return Err(invalid(path, format!("dimension_separator {other:?} is neither \".\" nor \"/\"")));
        }
    };
    Ok(ArrayMeta {
        path: path.to_owned(),
        dtype: metadata["dtype"].as_str().and_then(DataType::from_v2),
        dims: attribute_dims(&attributes, shape.len()),
        chunk_shape,
        sharding: None,
        key_encoding: KeyEncoding::V2(separator),
        fill_value: metadata["fill_value"].clone(),
        attributes,
        shape,
        metadata,
    })
}

/// xarray's convention for v2: `_ARRAY_DIMENSIONS`.
fn attribute_dims(attributes: &Map<String, Value>, rank: usize) -> Vec<String> {
    match attributes.get("_ARRAY_DIMENSIONS").and_then(Value::as_array) {
        Some(names) if names.len() == rank => {
            names.iter().map(|n| n.as_str().unwrap_or_default().to_owned()).collect()
        }
        _ => vec![String::new(); rank],
    }
}
