//! An array's v3 metadata as Zarr v2 says it, for clients that read v2 only.
//!
//! A v2 array has no shards: its chunks are a sharded array's inner chunks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use graticule_shared::dtype::DataType;
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Map, Value, json};

/// What v2 says of an array.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub zarray: Value,
    pub zattrs: Value,
    /// Whether a chunk that is not stored means the same in v2. xarray takes the `fill_value` of v2 for what
    /// is missing, so it is what the array calls missing, and `null` where it calls nothing so.
    pub absent_is_fill: bool,
}

impl Said {
    pub fn into_pair(self) -> (Value, Value) {
        (self.zarray, self.zattrs)
    }
}

/// # Errors
/// What of the array v2 cannot say.
pub fn array(a: &ArrayMeta) -> Result<Said, String> {
    let Some(dtype) = a.dtype else {
        return Err(format!("type {} is not read in the v2 view", a.metadata["data_type"]));
    };
    let (mut order, mut big, mut codecs) = ("C", false, Vec::new());
    let chain = a.sharding.as_ref().map_or(&a.metadata["codecs"], |s| &s.inner_codecs);
    for codec in chain.as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = codec["name"].as_str().or_else(|| codec.as_str()).unwrap_or_default();
        let configuration = &codec["configuration"];
        match name {
            "bytes" => big = configuration["endian"] == "big",
            "transpose" => {
                let reversed: Vec<usize> = (0..a.shape.len()).rev().collect();
                if configuration["order"] != json!(reversed) {
                    return Err(format!(
                        "Zarr v2 knows C and F order of axes, not {}",
                        configuration["order"]
                    ));
                }
                order = "F";
            }
            _ => {
                let numcodec = numcodec(name, configuration);
                codecs.push(numcodec.ok_or_else(|| format!("codec {name:?} has no name in Zarr v2"))?);
            }
        }
    }
    let compressor = codecs.pop();
    let kind = match dtype.zarr_name().as_bytes().first() {
        Some(b'i') => 'i',
        Some(b'u') => 'u',
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
    let fill = match attributes.shift_remove("_FillValue") {
        Some(said) => {
            missing(&said, &a.fill_value, dtype).ok_or_else(|| format!("_FillValue {said} is no {dtype}"))?
        }
        None => Value::Null,
    };
    let bytes = |v: &Value| graticule_formats::fill_bytes(dtype, v);
    let absent_is_fill = !fill.is_null() && bytes(&fill) == bytes(&a.fill_value);
    attributes.insert("_ARRAY_DIMENSIONS".into(), json!(dims(a)));
    let filters = if codecs.is_empty() { Value::Null } else { Value::Array(codecs) };
    Ok(Said {
        zarray: json!({"zarr_format": 2, "shape": a.shape, "chunks": a.block_shape(), "order": order,
            "dtype": format!("{endian}{kind}{}", dtype.size()), "fill_value": fill,
            "filters": filters, "compressor": compressor, "dimension_separator": "."}),
        zattrs: Value::Object(attributes),
        absent_is_fill,
    })
}

/// xarray reads no array whose dimensions have no names.
fn dims(a: &ArrayMeta) -> Vec<String> {
    let named = a.dims.iter().all(|d| !d.is_empty());
    let made = |i| format!("{}_dim_{i}", a.path.replace('/', "_"));
    a.dims.iter().enumerate().map(|(i, d)| if named { d.clone() } else { made(i) }).collect()
}

/// `_FillValue` as v2's `fill_value`. In v3 xarray writes that of floats as the Base64 of a float64.
fn missing(said: &Value, fill: &Value, dtype: DataType) -> Option<Value> {
    let float = |f: f64| {
        Some(match f {
            f if f.is_nan() => json!("NaN"),
            f64::INFINITY => json!("Infinity"),
            f64::NEG_INFINITY => json!("-Infinity"),
            f => json!(f),
        })
    };
    if let Some(text) = said.as_str().filter(|t| !matches!(*t, "NaN" | "Infinity" | "-Infinity")) {
        let bytes: [u8; 8] = STANDARD.decode(text).ok()?.try_into().ok()?;
        let f = f64::from_le_bytes(bytes);
        return if dtype.is_float() { float(f) } else { None };
    }
    let bytes = graticule_formats::fill_bytes(dtype, said);
    // An unsigned variable may spell it as the signed number of the same bits, or the other way.
    let value = if bytes.is_some() { said } else { fill };
    graticule_formats::fill_bytes(dtype, value)?;
    Some(value.clone())
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

    fn meta(dtype: &str, fill: Value, attributes: Value, codecs: Value) -> ArrayMeta {
        let metadata = json!({"zarr_format": 3, "node_type": "array", "shape": [4, 6], "data_type": dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 6]}},
            "chunk_key_encoding": {"name": "default"}, "fill_value": fill, "dimension_names": ["y", "x"],
            "attributes": attributes, "codecs": codecs});
        ArrayMeta::from_v3("t", metadata).unwrap()
    }

    #[test]
    fn a_chain_of_hdf5_filters_is_filters_and_a_compressor() {
        let codecs = json!([
            {"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "numcodecs.shuffle", "configuration": {"elementsize": 2}},
            {"name": "numcodecs.zlib", "configuration": {"level": 4}}]);
        let said = array(&meta("int16", json!(-9), json!({"_FillValue": -9, "units": "K"}), codecs)).unwrap();
        assert_eq!(said.zarray["filters"], json!([{"id": "shuffle", "elementsize": 2}]));
        assert_eq!(said.zarray["compressor"], json!({"id": "zlib", "level": 4}));
        assert_eq!((&said.zarray["dtype"], &said.zarray["fill_value"]), (&json!(">i2"), &json!(-9)));
        assert_eq!(said.zattrs, json!({"units": "K", "_ARRAY_DIMENSIONS": ["y", "x"]}));
        assert!(said.absent_is_fill);
    }

    #[test]
    fn the_chunks_of_shards_are_their_inner_chunks() {
        let codecs = json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 3],
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}}],
            "index_codecs": [{"name": "bytes"}, {"name": "crc32c"}], "index_location": "end"}}]);
        let said = array(&meta("float32", json!(0.0), json!({}), codecs)).unwrap();
        assert_eq!(said.zarray["chunks"], json!([1, 3]));
        assert_eq!(said.zarray["compressor"]["shuffle"], 1);
        // Nothing is missing, and what is not stored is 0: v2 cannot say both.
        assert_eq!((said.zarray["fill_value"].clone(), said.absent_is_fill), (Value::Null, false));
    }

    #[test]
    fn a_fill_value_of_floats_is_read_as_xarray_writes_it() {
        let plain = json!([{"name": "bytes", "configuration": {"endian": "little"}}]);
        let of = |said: Value, fill: Value| {
            let said = array(&meta("float32", fill, json!({"_FillValue": said}), plain.clone())).unwrap();
            (said.zarray["fill_value"].clone(), said.absent_is_fill)
        };
        let text = |f: f64| json!(STANDARD.encode(f.to_le_bytes()));
        assert_eq!(of(text(f64::NAN), json!("NaN")), (json!("NaN"), true));
        assert_eq!(of(text(-999.0), json!(-999.0)), (json!(-999.0), true));
        assert_eq!(of(text(-999.0), json!(0.0)), (json!(-999.0), false));
        assert_eq!(of(json!(-999), json!(-999.0)), (json!(-999), true));
    }

    #[test]
    fn what_v2_cannot_say_is_refused_with_its_name() {
        let chain = |codec: Value| json!([{"name": "bytes", "configuration": {"endian": "little"}}, codec]);
        let no = |dtype: &str, codecs: Value| array(&meta(dtype, json!(0), json!({}), codecs)).unwrap_err();
        assert!(no("int16", chain(json!({"name": "zfp"}))).contains("\"zfp\""));
        assert!(no("string", chain(json!({"name": "zstd"}))).contains("string"));
        let transposed =
            json!([{"name": "transpose", "configuration": {"order": [0, 1]}}, {"name": "bytes"}]);
        assert!(no("int16", transposed).contains("[0,1]"));
    }
}
