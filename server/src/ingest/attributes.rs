//! Source attributes as Zarr attributes, so that xarray reads them as CF means them.
//!
//! Containers allow what JSON and xarray do not: NaN, a `_FillValue` of another
//! type, bookkeeping attributes of the container itself. What is dropped or
//! converted is said in the granule's notes.

use base64::Engine;
use graticule_formats::{AttrValue, Variable};
use graticule_shared::cube::FILL_FLOAT;
use graticule_shared::dtype::DataType;
use serde_json::{Map, Value};

/// Attributes that describe the container, not the data.
const CONTAINER: [&str; 9] = [
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_nc3_strict",
    "_NCProperties",
];

/// The value of cells that were never written.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    /// As the array's `fill_value`.
    pub json: Value,
    /// One element, native-endian.
    pub bytes: Vec<u8>,
}

/// Attributes of the file or of a group.
pub fn global(attributes: &[(String, AttrValue)]) -> Map<String, Value> {
    attributes
        .iter()
        .filter(|(name, _)| !name.is_empty() && !CONTAINER.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.to_json()))
        .collect()
}

/// Attributes of a variable, and the fill value of its array.
pub fn of_variable(v: &Variable, notes: &mut Vec<String>) -> (Map<String, Value>, Fill) {
    let mut out = Map::new();
    let mut fill = None;
    for (name, value) in &v.attributes {
        let mut drop =
            |why: &str| notes.push(format!("{}: {name} {} dropped: {why}", v.path, value.to_json()));
        match name.as_str() {
            "" => {}
            n if CONTAINER.contains(&n) => {}
            "_FillValue" => match as_fill(v, value) {
                Some(f) => {
                    out.insert(name.clone(), fill_attribute(v.dtype, value, &f));
                    fill = Some(f);
                }
                None => drop(&format!("{} cannot hold it", v.dtype)),
            },
            "missing_value" => match value {
                AttrValue::Text(_) | AttrValue::Texts(_) => drop("text on a variable of numbers"),
                AttrValue::Floats(_, list) => {
                    // NaN is no data anyway, and JSON has none.
                    let finite: Vec<f64> = list.iter().copied().filter(|f| f.is_finite()).collect();
                    let whole = finite.iter().all(|f| f.fract() == 0.0);
                    if finite.is_empty() || !(v.dtype.is_float() || whole) {
                        if !v.dtype.is_float() {
                            drop(&format!("{} cannot hold it", v.dtype));
                        }
                    } else if v.dtype.is_float() {
                        out.insert(name.clone(), AttrValue::Floats(DataType::Float64, finite).to_json());
                    } else {
                        let ints = finite.iter().map(|f| *f as i64).collect();
                        out.insert(name.clone(), AttrValue::Ints(DataType::Int64, ints).to_json());
                    }
                }
                AttrValue::Ints(..) => {
                    out.insert(name.clone(), value.to_json());
                }
            },
            "scale_factor" | "add_offset" => match value.as_f64() {
                Some(f) if f.is_finite() && !(f == 0.0 && name == "scale_factor") => {
                    out.insert(name.clone(), value.to_json());
                }
                _ => drop("not a usable number"),
            },
            _ => {
                out.insert(name.clone(), value.to_json());
            }
        }
    }
    let fill = fill.unwrap_or_else(|| Fill {
        json: if v.dtype.is_float() { Value::from(0.0) } else { Value::from(0) },
        bytes: vec![0; v.dtype.size()],
    });
    (out, fill)
}

fn as_fill(v: &Variable, value: &AttrValue) -> Option<Fill> {
    match value {
        AttrValue::Text(_) | AttrValue::Texts(_) => None,
        AttrValue::Floats(_, list) if v.dtype.is_float() => Some(float_fill(v.dtype, *list.first()?)),
        AttrValue::Floats(_, list) => {
            let f = *list.first()?;
            (f.fract() == 0.0 && f.abs() < 2f64.powi(63)).then(|| int_fill(v, f as i128)).flatten()
        }
        AttrValue::Ints(DataType::UInt64, list) => number_fill(v, i128::from(*list.first()? as u64)),
        AttrValue::Ints(_, list) => number_fill(v, i128::from(*list.first()?)),
    }
}

fn number_fill(v: &Variable, n: i128) -> Option<Fill> {
    if v.dtype.is_float() { Some(float_fill(v.dtype, n as f64)) } else { int_fill(v, n) }
}

/// A fill value of floats; a float32 one is rounded as the array's own values are.
pub fn float_fill(dtype: DataType, f: f64) -> Fill {
    let (f, bytes) = match dtype {
        DataType::Float32 => (f64::from(f as f32), (f as f32).to_ne_bytes().to_vec()),
        _ => (f, f.to_ne_bytes().to_vec()),
    };
    Fill { json: AttrValue::Floats(dtype, vec![f]).to_json(), bytes }
}

fn int_fill(v: &Variable, n: i128) -> Option<Fill> {
    let bits = 8 * v.dtype.size() as u32;
    let signed = matches!(v.dtype, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
    let (lo, hi) =
        if signed { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) } else { (0, (1i128 << bits) - 1) };
    // `_Unsigned` variables state it in either spelling of the same bits.
    let n = match () {
        () if (lo..=hi).contains(&n) => n,
        () if signed && n > hi && n < 1i128 << bits && is_unsigned(v) => n - (1i128 << bits),
        () if !signed && n < 0 && n >= -(1i128 << (bits - 1)) => n + (1i128 << bits),
        () => return None,
    };
    let bytes = n.to_ne_bytes();
    let bytes = if cfg!(target_endian = "little") {
        bytes[..v.dtype.size()].to_vec()
    } else {
        bytes[16 - v.dtype.size()..].to_vec()
    };
    let json = i64::try_from(n).map_or_else(|_| Value::from(n as u64), Value::from);
    Some(Fill { json, bytes })
}

fn is_unsigned(v: &Variable) -> bool {
    v.attribute("_Unsigned").and_then(AttrValue::as_text).is_some_and(|t| t.eq_ignore_ascii_case("true"))
}

/// xarray's form for Zarr v3 (`FillValueCoder`): floats as base64 of a
/// little-endian float64, integers as numbers.
fn fill_attribute(dtype: DataType, value: &AttrValue, fill: &Fill) -> Value {
    if !dtype.is_float() {
        return fill.json.clone();
    }
    let f = dtype.get_f64(&fill.bytes, 0).or_else(|| value.as_f64()).unwrap_or(f64::NAN);
    base64_of(f)
}

/// `_FillValue` of floats that hold NetCDF's own fill and name none: xarray, which masks what is
/// named alone, then reads the cells as missing that the queries give as null.
pub fn own_fill() -> Value {
    base64_of(FILL_FLOAT)
}

fn base64_of(f: f64) -> Value {
    Value::from(base64::engine::general_purpose::STANDARD.encode(f.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variable(dtype: DataType, attributes: &[(&str, AttrValue)]) -> Variable {
        Variable {
            path: "v".into(),
            dims: vec![],
            shape: vec![],
            dtype,
            attributes: attributes.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect(),
            chunks: None,
        }
    }

    #[test]
    fn a_fill_value_the_type_cannot_hold_is_dropped_with_a_note() {
        let mut notes = Vec::new();
        let v = variable(
            DataType::Int16,
            &[("_FillValue", AttrValue::Floats(DataType::Float32, vec![f64::NAN]))],
        );
        let (attributes, fill) = of_variable(&v, &mut notes);
        assert!(attributes.is_empty());
        assert_eq!(fill.json, json!(0));
        assert_eq!(notes, ["v: _FillValue \"NaN\" dropped: int16 cannot hold it"]);
    }

    #[test]
    fn float_fills_are_written_as_xarray_reads_them() {
        let v = variable(
            DataType::Float32,
            &[("_FillValue", AttrValue::Floats(DataType::Float32, vec![f64::from(1e20f32)]))],
        );
        let (attributes, fill) = of_variable(&v, &mut Vec::new());
        assert_eq!(attributes["_FillValue"], json!("AAAAgB2vFUQ="));
        assert_eq!(fill.bytes, 1e20f32.to_ne_bytes());
        let nan = variable(
            DataType::Float32,
            &[("_FillValue", AttrValue::Floats(DataType::Float32, vec![f64::NAN]))],
        );
        assert_eq!(of_variable(&nan, &mut Vec::new()).1.json, json!("NaN"));
    }

    #[test]
    fn unsigned_fills_are_the_same_bits_in_either_spelling() {
        let unsigned = ("_Unsigned", AttrValue::Text("true".into()));
        for spelt in [255, -1] {
            let fill = ("_FillValue", AttrValue::Ints(DataType::Int16, vec![spelt]));
            let v = variable(DataType::Int8, &[unsigned.clone(), fill]);
            let (attributes, fill) = of_variable(&v, &mut Vec::new());
            assert_eq!((attributes["_FillValue"].clone(), fill.bytes), (json!(-1), vec![255]));
        }
    }
}
