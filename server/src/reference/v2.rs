//! An array's v3 metadata as Zarr v2 says it, which is what kerchunk's readers expect.

use graticule_shared::zarr::ArrayMeta;
use serde_json::{Map, Value, json};

/// `.zarray` and `.zattrs`; `None` where v2 cannot say it (shards, an order of axes of its own).
pub fn array(a: &ArrayMeta) -> Option<(Value, Value)> {
    if a.sharding.is_some() {
        return None;
    }
    let dtype = a.dtype?;
    let (mut order, mut big, mut codecs) = ("C", false, Vec::new());
    for codec in a.metadata["codecs"].as_array()? {
        let name = codec["name"].as_str()?;
        let configuration = &codec["configuration"];
        match name {
            "bytes" => big = configuration["endian"] == "big",
            "transpose" => {
                let reversed: Vec<usize> = (0..a.shape.len()).rev().collect();
                if configuration["order"] != json!(reversed) {
                    return None;
                }
                order = "F";
            }
            _ => codecs.push(numcodec(name, configuration)?),
        }
    }
    let compressor = codecs.pop();
    let kind = match dtype.zarr_name().chars().next()? {
        'i' => 'i',
        'u' => 'u',
        _ => 'f',
    };
    let endian = if dtype.size() == 1 {
        '|'
    } else if big {
        '>'
    } else {
        '<'
    };
    let mut attributes: Map<String, Value> = a.attributes.clone();
    // xarray's convention: what v2 fills with is what is missing.
    let fill = match attributes.shift_remove("_FillValue") {
        Some(_) => a.fill_value.clone(),
        None => Value::Null,
    };
    attributes.insert("_ARRAY_DIMENSIONS".into(), json!(a.dims));
    let filters = if codecs.is_empty() { Value::Null } else { Value::Array(codecs) };
    Some((
        json!({"zarr_format": 2, "shape": a.shape, "chunks": a.chunk_shape, "order": order,
            "dtype": format!("{endian}{kind}{}", dtype.size()), "fill_value": fill,
            "filters": filters, "compressor": compressor}),
        Value::Object(attributes),
    ))
}

fn numcodec(name: &str, configuration: &Value) -> Option<Value> {
    let mut out = Map::new();
    match name {
        "blosc" => {
            let shuffle = ["noshuffle", "shuffle", "bitshuffle"];
            let shuffle = shuffle.iter().position(|s| configuration["shuffle"] == *s)?;
            return Some(
                json!({"id": "blosc", "cname": configuration["cname"], "clevel": configuration["clevel"],
                "shuffle": shuffle, "blocksize": 0}),
            );
        }
        "zstd" | "gzip" => return Some(json!({"id": name, "level": configuration["level"]})),
        "crc32c" => return Some(json!({"id": name})),
        _ => out.insert("id".into(), json!(name.strip_prefix("numcodecs.")?)),
    };
    out.extend(configuration.as_object().cloned().unwrap_or_default());
    Some(Value::Object(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_hdf5_filters_is_filters_and_a_compressor() {
        let metadata = json!({"zarr_format": 3, "node_type": "array", "shape": [4, 6], "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 6]}},
            "chunk_key_encoding": {"name": "default"}, "fill_value": -9, "dimension_names": ["y", "x"],
            "attributes": {"_FillValue": -9, "units": "K"}, "codecs": [
                {"name": "bytes", "configuration": {"endian": "big"}},
                {"name": "numcodecs.shuffle", "configuration": {"elementsize": 2}},
                {"name": "numcodecs.zlib", "configuration": {"level": 4}}]});
        let meta = ArrayMeta::from_v3("t", metadata).unwrap();
        let (zarray, zattrs) = array(&meta).unwrap();
        assert_eq!(zarray["filters"], json!([{"id": "shuffle", "elementsize": 2}]));
        assert_eq!(zarray["compressor"], json!({"id": "zlib", "level": 4}));
        assert_eq!((&zarray["dtype"], &zarray["fill_value"]), (&json!(">i2"), &json!(-9)));
        assert_eq!(zattrs, json!({"units": "K", "_ARRAY_DIMENSIONS": ["y", "x"]}));
    }
}
