//! Metadata of the arrays that a view makes, and values out of those beneath.

use std::sync::Arc;

use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Map, Value, json};

use crate::recipe::codec::{Codec, Shuffle};
use crate::store::{Snapshot, slab};

/// What is said of stored numbers, and not of values.
const OF_STORAGE: [&str; 9] = [
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "_Unsigned",
    "valid_min",
    "valid_max",
    "valid_range",
    "actual_range",
];

/// An array's document: packed lightly, for somebody waits.
pub fn document(
    dtype: DataType,
    shape: &[u64],
    chunk: &[u64],
    dims: &[String],
    attributes: Map<String, Value>,
) -> Value {
    let mut codecs = vec![if dtype.size() == 1 {
        json!({"name": "bytes"})
    } else {
        json!({"name": "bytes", "configuration": {"endian": "little"}})
    }];
    let chunk: Vec<u64> = chunk.iter().map(|n| (*n).max(1)).collect();
    codecs.extend(
        Codec::Blosc { inner: "zstd", level: 1, shuffle: Shuffle::Bytes }.to_json(dtype, Some(&chunk)),
    );
    let fill = if dtype.is_float() { json!("NaN") } else { json!(0) };
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype.zarr_name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": attributes,
        "dimension_names": dims,
        "storage_transformers": [],
    })
}

/// The same array of another shape, its numbers as they are.
pub fn reshaped(array: &ArrayMeta, shape: &[u64], chunk: &[u64], dims: &[String]) -> Option<Value> {
    let dtype = array.dtype?;
    let mut out = document(dtype, shape, chunk, dims, array.attributes.clone());
    out["fill_value"] = array.fill_value.clone();
    Some(out)
}

/// Attributes of values that were made from an array's.
pub fn of_values(array: &ArrayMeta) -> Map<String, Value> {
    let mut out = array.attributes.clone();
    out.retain(|key, _| !OF_STORAGE.contains(&key.as_str()));
    out
}

/// Float32 holds all that this type does, as near as measuring does.
pub fn float_for(packing: &Packing) -> DataType {
    let wide = matches!(
        packing.dtype,
        DataType::Float64 | DataType::Int64 | DataType::UInt64 | DataType::Int32 | DataType::UInt32
    );
    if wide && packing.is_identity() { DataType::Float64 } else { DataType::Float32 }
}

/// Values of a hyperslab, NaN for no data.
///
/// # Errors
/// A block that does not read.
pub async fn values(
    base: &Arc<Snapshot>,
    path: &str,
    packing: &Packing,
    start: &[u64],
    count: &[u64],
) -> anyhow::Result<Vec<f64>> {
    let bytes = slab(base, path, start, count).await?;
    let mut values = packing.read_as().to_f64_vec(&bytes);
    for v in &mut values {
        *v = packing.value(*v).filter(|v| v.is_finite()).unwrap_or(f64::NAN);
    }
    Ok(values)
}

/// As they are stored: native-endian.
pub fn bytes_of(values: &[f64], dtype: DataType) -> Vec<u8> {
    if dtype == DataType::Float32 {
        values.iter().flat_map(|v| (*v as f32).to_ne_bytes()).collect()
    } else {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }
}
