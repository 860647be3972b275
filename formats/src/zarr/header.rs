//! Arrays of a hierarchy as variables over named dimensions.

use std::collections::BTreeMap;

use graticule_shared::codec::Chain;
use graticule_shared::dtype::DataType;
use graticule_shared::node;
use graticule_shared::node::within;
use graticule_shared::zarr::{ArrayMeta, ZarrFormat, json_number};
use serde_json::{Map, Value};

use super::nodes::{Array, Nodes};
use crate::slab::{check_declared, name_fault};
use crate::{AttrValue, Dimension, FormatError, Header, Limits, Variable};

/// Attributes that say how the container names dimensions, and nothing of the data.
const CONTAINER: [&str; 8] = [
    "_ARRAY_DIMENSIONS",
    "_NCProperties",
    "_NCZARR_ARRAY",
    "_NCZARR_ATTR",
    "_NCZARR_GROUP",
    "_nczarr_array",
    "_nczarr_attr",
    "_nczarr_attrs",
];
/// The name of an array that is a store of its own.
const ALONE: &str = "data";

/// How stored elements become those of the variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Widen {
    No,
    /// IEEE 754 half precision, to float32.
    Half,
}

/// What is read of one variable.
pub(crate) struct Stored {
    pub(crate) format: ZarrFormat,
    pub(crate) meta: ArrayMeta,
    pub(crate) chain: Chain,
    pub(crate) widen: Widen,
    /// One element that was never written, native-endian, of the variable's type.
    pub(crate) fill: Vec<u8>,
}

struct Kind {
    stored: DataType,
    shown: DataType,
    widen: Widen,
    /// Attributes that the type itself means.
    means: Vec<(String, AttrValue)>,
}

impl Kind {
    fn plain(dtype: DataType) -> Self {
        Self { stored: dtype, shown: dtype, widen: Widen::No, means: Vec::new() }
    }

    /// Of a type as metadata names it; else why not.
    fn of(array: &Array) -> Result<Self, String> {
        let (key, v2) = match array.format {
            ZarrFormat::V2 => ("dtype", true),
            ZarrFormat::V3 => ("data_type", false),
        };
        let named = &array.meta.metadata[key];
        if let Some(dtype) = array.meta.dtype {
            return Ok(Self::plain(dtype));
        }
        let text = named.as_str().or_else(|| named["name"].as_str()).unwrap_or_default();
        let bare = if v2 { text.trim_start_matches(['<', '>', '|', '=']) } else { text };
        match bare {
            "bool" | "b1" => return Ok(Self::plain(DataType::UInt8)),
            "float16" | "f2" => {
                return Ok(Self {
                    stored: DataType::UInt16,
                    shown: DataType::Float32,
                    widen: Widen::Half,
                    means: Vec::new(),
                });
            }
            _ => {}
        }
        let unit = named["configuration"]["unit"].as_str();
        let scale = named["configuration"]["scale_factor"].as_u64().unwrap_or(1);
        let date =
            bare.strip_prefix("M8[").or(bare.strip_prefix("datetime64[")).map(|u| u.trim_end_matches(']'));
        let date = date.or_else(|| unit.filter(|_| bare == "numpy.datetime64"));
        if let Some(unit) = date.filter(|_| scale == 1) {
            let unit = match unit {
                "D" => "days",
                "h" => "hours",
                "m" => "minutes",
                "s" => "seconds",
                "ms" => "milliseconds",
                "us" => "microseconds",
                other => return Err(format!("dates counted in {other:?} are not read")),
            };
            let mut kind = Self::plain(DataType::Int64);
            kind.means = vec![
                ("units".into(), AttrValue::Text(format!("{unit} since 1970-01-01 00:00:00"))),
                ("calendar".into(), AttrValue::Text("proleptic_gregorian".into())),
            ];
            return Ok(kind);
        }
        Err(match bare {
            "string" | "O" => "it holds text of any length, not numbers".to_owned(),
            t if t.starts_with(['S', 'U', 'a']) || t.contains("utf32") || t.contains("bytes") => {
                format!("it holds text ({named}), not numbers")
            }
            t if t.starts_with("complex") || matches!(t, "c8" | "c16") => {
                "complex numbers are not read".to_owned()
            }
            _ => format!("its type {named} is no plain number"),
        })
    }
}

/// Variables and what is read of each, by path.
///
/// A coordinate in one of the groups `levels` that is as long as the root's of that name is the
/// root's: levels differ in their grids, not in their times.
///
/// # Errors
/// A shape beyond the limits, a fill value that the type cannot hold.
pub(crate) fn read(
    file: &str,
    nodes: Nodes,
    levels: &[String],
    limits: &Limits,
) -> Result<(Header, BTreeMap<String, Stored>), FormatError> {
    let mut header = Header::default();
    let mut stored = BTreeMap::new();
    // Those of a level's group say of it what the root's say of all.
    for (group, attributes) in nodes.groups.iter().filter(|(g, _)| !levels.contains(g)) {
        for (name, value) in attributes.iter().filter(|(n, _)| !is_container(n)) {
            match attribute(value) {
                Some(value) => header.attributes.push((within(group, name), value)),
                None => {
                    header.skipped.push((format!("{group}@{name}"), "it is no text, number or list".into()))
                }
            }
        }
    }
    // Those that are coordinates of their own group first: others refer to them.
    let mut dimensions = Dimensions::default();
    let own = |a: &Array| matches!(dims_of(a).as_slice(), [d] if *d == leaf(&a.meta.path));
    let level = |path: &str| path.split_once('/').is_some_and(|(group, _)| levels.iter().any(|l| l == group));
    for pass in [false, true] {
        for (path, a) in nodes.arrays.iter().filter(|(p, a)| own(a) && level(p) == pass) {
            dimensions.names(path, &dims_of(a), &a.meta.shape, !pass);
        }
    }
    for (path, array) in nodes.arrays {
        let shown = if path.is_empty() { ALONE.to_owned() } else { path.clone() };
        if let Some(fault) = shown.split('/').find_map(name_fault) {
            header.skipped.push((shown, fault.to_owned()));
            continue;
        }
        let kind = match Kind::of(&array) {
            Ok(kind) => kind,
            Err(why) => {
                header.skipped.push((shown, why));
                continue;
            }
        };
        check_declared(file, &shown, &array.meta.shape, kind.shown, limits)?;
        let own = own(&array);
        let Array { mut meta, format } = array;
        let names = dims_of_meta(&meta);
        meta.dtype = Some(kind.stored);
        let chain = match Chain::any(&meta, format, limits.chunk_bytes) {
            Ok(chain) => chain,
            Err(e) => {
                // It begins with the array's path, which is said already.
                let why = e.to_string();
                header.skipped.push((shown, why.split_once(": ").map_or(why.clone(), |(_, w)| w.to_owned())));
                continue;
            }
        };
        let fill = fill(kind.shown, &meta.fill_value);
        let Some(fill) = fill else {
            let why = format!("its fill_value {} is no {}", meta.fill_value, kind.shown);
            return Err(FormatError::new(file, why).in_variable(&shown));
        };
        let dims = dimensions.names(&path, &names, &meta.shape, !level(&path));
        let mut attributes = kind.means;
        for (name, value) in meta.attributes.iter().filter(|(n, _)| !is_container(n)) {
            match of_variable(name, value, kind.shown) {
                Some(value) => {
                    attributes.retain(|(n, _)| n != name);
                    attributes.push((name.clone(), value));
                }
                None => {
                    header.skipped.push((format!("{shown}@{name}"), "it is no text, number or list".into()))
                }
            }
        }
        // xarray's convention for v2; without it, fill_value is only what was never written.
        let convention = meta.attributes.contains_key("_ARRAY_DIMENSIONS");
        if format == ZarrFormat::V2 && convention && !own && !meta.fill_value.is_null() {
            let said = attributes.iter().any(|(n, _)| n == "_FillValue");
            if let Some(value) = of_variable("_FillValue", &meta.fill_value, kind.shown).filter(|_| !said) {
                attributes.push(("_FillValue".to_owned(), value));
            }
        }
        header.variables.push(Variable {
            path: shown.clone(),
            dims,
            shape: meta.shape.clone(),
            dtype: kind.shown,
            attributes,
            chunks: Some(meta.block_shape().to_vec()),
        });
        stored.insert(shown, Stored { format, meta, chain, widen: kind.widen, fill });
        if dimensions.list.len() > limits.dimensions {
            return Err(FormatError::new(file, format!("more than {} dimensions", limits.dimensions)));
        }
    }
    header.dimensions = dimensions.list;
    Ok((header, stored))
}

fn is_container(name: &str) -> bool {
    name.is_empty() || CONTAINER.contains(&name)
}

fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn dims_of(a: &Array) -> Vec<String> {
    dims_of_meta(&a.meta)
}

/// Names by metadata, by xarray's attribute or by netCDF's; empty where there are none.
fn dims_of_meta(meta: &ArrayMeta) -> Vec<String> {
    if meta.dims.iter().any(|d| !d.is_empty()) {
        return meta.dims.clone();
    }
    let of = |m: &Map<String, Value>| {
        let array = m.get("_NCZARR_ARRAY").or_else(|| m.get("_nczarr_array"))?;
        // Written as JSON, or as JSON in a string.
        let array = match array {
            Value::String(text) => serde_json::from_str(text).ok()?,
            other => other.clone(),
        };
        let names = array["dimrefs"].as_array().or(array["dimension_references"].as_array())?;
        let names: Option<Vec<String>> = names.iter().map(|n| Some(leaf(n.as_str()?).to_owned())).collect();
        names.filter(|n| n.len() == meta.shape.len())
    };
    let named = of(&meta.attributes).or_else(|| meta.metadata.as_object().and_then(of));
    named.unwrap_or_else(|| vec![String::new(); meta.shape.len()])
}

/// Dimensions met so far; a name means the nearest one above that is as long.
#[derive(Default)]
struct Dimensions {
    list: Vec<Dimension>,
    lengths: BTreeMap<String, u64>,
    phony: usize,
    phony_of: BTreeMap<String, Vec<(u64, String)>>,
}

impl Dimensions {
    /// `alone` where a coordinate is none but its own group's.
    fn names(&mut self, path: &str, names: &[String], shape: &[u64], alone: bool) -> Vec<String> {
        let group = node::group(path);
        let own = |name: &str| alone && names.len() == 1 && name == leaf(path);
        let mut out: Vec<String> = Vec::with_capacity(shape.len());
        for (axis, &len) in shape.iter().enumerate() {
            let name = names.get(axis).map_or("", String::as_str);
            let found = if name.is_empty() || name_fault(name).is_some() {
                self.unnamed(group, len, &out)
            } else {
                self.named(group, name, len, own(name))
            };
            out.push(found);
        }
        out
    }

    fn named(&mut self, group: &str, name: &str, len: u64, own: bool) -> String {
        let mut at = Some(group);
        // A coordinate is of its own group; others look upwards.
        while let Some(group) = at {
            let full = within(group, name);
            if self.lengths.get(&full) == Some(&len) {
                return full;
            }
            at = if own || group.is_empty() { None } else { Some(node::group(group)) };
        }
        let full = within(group, name);
        let full = if self.lengths.contains_key(&full) { format!("{full}_{len}") } else { full };
        if self.lengths.insert(full.clone(), len).is_none() {
            self.list.push(Dimension { name: full.clone(), len, unlimited: false });
        }
        full
    }

    /// As netCDF names dimensions that nobody named: by length within a group, no two of one array the same.
    fn unnamed(&mut self, group: &str, len: u64, taken: &[String]) -> String {
        let known = self.phony_of.entry(group.to_owned()).or_default();
        if let Some((_, name)) = known.iter().find(|(n, name)| *n == len && !taken.contains(name)) {
            return name.clone();
        }
        let name = within(group, &format!("phony_dim_{}", self.phony));
        self.phony += 1;
        known.push((len, name.clone()));
        self.lengths.insert(name.clone(), len);
        self.list.push(Dimension { name: name.clone(), len, unlimited: false });
        name
    }
}

/// A JSON attribute; `None` where it is an object or a list of several kinds.
fn attribute(value: &Value) -> Option<AttrValue> {
    let whole = |v: &Value| v.as_i64().is_some() || v.as_u64().is_some();
    Some(match value {
        Value::String(t) => AttrValue::Text(t.clone()),
        Value::Bool(b) => AttrValue::Text(b.to_string()),
        Value::Number(_) => return attribute(&Value::Array(vec![value.clone()])),
        Value::Array(list) if list.is_empty() => return None,
        Value::Array(list) if list.iter().all(Value::is_string) => {
            AttrValue::Texts(list.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect())
        }
        Value::Array(list) if list.iter().all(whole) => {
            let wide = list.iter().any(|v| v.as_i64().is_none());
            let dtype = if wide { DataType::UInt64 } else { DataType::Int64 };
            let numbers = list.iter().map(|v| v.as_i64().unwrap_or_else(|| v.as_u64().unwrap_or(0) as i64));
            AttrValue::Ints(dtype, numbers.collect())
        }
        Value::Array(list) => {
            let numbers: Option<Vec<f64>> = list.iter().map(json_number).collect();
            AttrValue::Floats(DataType::Float64, numbers?)
        }
        Value::Null | Value::Object(_) => return None,
    })
}

/// An attribute of a variable: those of its values may be written in the ways that fill values are.
fn of_variable(name: &str, value: &Value, dtype: DataType) -> Option<AttrValue> {
    match (name, value) {
        ("_FillValue" | "missing_value", Value::String(text)) => {
            let bytes = fill(dtype, value).or_else(|| {
                let eight = <[u8; 8]>::try_from(base64(text)?).ok()?;
                // xarray's form in v3: a little-endian float64.
                Some(crate::slab::element(dtype, f64::from_le_bytes(eight)))
            });
            Some(AttrValue::from_native(dtype, &bytes?))
        }
        ("_FillValue", Value::Number(_) | Value::Bool(_)) => {
            fill(dtype, value).map(|b| AttrValue::from_native(dtype, &b)).or_else(|| attribute(value))
        }
        ("valid_min" | "valid_max" | "scale_factor" | "add_offset", Value::String(_)) => {
            Some(AttrValue::Floats(DataType::Float64, vec![json_number(value)?]))
        }
        _ => attribute(value),
    }
}

/// A fill value as one element, native-endian; zeros for `null`.
pub fn fill(dtype: DataType, value: &Value) -> Option<Vec<u8>> {
    if value.is_null() || value.as_str() == Some("") {
        return Some(vec![0; dtype.size()]);
    }
    // The bits themselves, most significant first (Zarr v3, "Fill value").
    if let Some(digits) = value.as_str().and_then(|t| t.strip_prefix("0x")) {
        let bits = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2 * dtype.size());
        return match (dtype, bits) {
            (DataType::Float32, Some(bits)) => Some(f32::from_bits(bits as u32).to_ne_bytes().to_vec()),
            (DataType::Float64, Some(bits)) => Some(f64::from_bits(bits).to_ne_bytes().to_vec()),
            (DataType::Float32, None) if digits.len() == 4 => {
                Some(half(u16::from_str_radix(digits, 16).ok()?).to_ne_bytes().to_vec())
            }
            _ => None,
        };
    }
    if dtype == DataType::Int64 && value.as_str() == Some("NaT") {
        return Some(i64::MIN.to_ne_bytes().to_vec());
    }
    if dtype.is_float() {
        return Some(crate::slab::element(dtype, json_number(value)?));
    }
    let whole = match value {
        Value::Bool(b) => i128::from(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), ..) => i128::from(i),
            (_, Some(u), _) => i128::from(u),
            (.., Some(f)) if f.fract() == 0.0 && f.abs() < 2f64.powi(64) => f as i128,
            _ => return None,
        },
        _ => return None,
    };
    let bits = 8 * dtype.size() as u32;
    if whole < -(1i128 << (bits - 1)) || whole >= 1i128 << bits {
        return None;
    }
    let bytes = whole.to_le_bytes();
    let mut bytes = bytes.get(..dtype.size())?.to_vec();
    if cfg!(target_endian = "big") {
        bytes.reverse();
    }
    Some(bytes)
}

/// IEEE 754 half precision.
pub(crate) fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, f32::from(bits & 1023));
    let value = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(e) - 15),
    };
    if sign == 1 { -value } else { value }
}

/// RFC 4648, section 4.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut held, mut bits) = (0u32, 0);
    for c in digits.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fill_values_are_read_in_every_spelling() {
        assert_eq!(
            fill(DataType::Float32, &json!("0x7fc00000"))
                .map(|b| f32::from_ne_bytes(b.try_into().unwrap()).is_nan()),
            Some(true)
        );
        assert_eq!(
            fill(DataType::Float64, &json!("-Infinity")),
            Some(f64::NEG_INFINITY.to_ne_bytes().to_vec())
        );
        assert_eq!(fill(DataType::Int16, &json!(-32767)), Some((-32767i16).to_ne_bytes().to_vec()));
        assert_eq!(fill(DataType::UInt64, &json!(u64::MAX)), Some(vec![255; 8]));
        assert_eq!(fill(DataType::UInt8, &json!(true)), Some(vec![1]));
        assert_eq!(fill(DataType::Int32, &Value::Null), Some(vec![0; 4]));
        assert_eq!(fill(DataType::Int8, &json!(300)), None);
        assert_eq!(fill(DataType::Int8, &json!("zero")), None);
    }

    #[test]
    fn half_precision_is_exact_in_single() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        assert_eq!(base64("Zm9vYg==").as_deref(), Some(&b"foob"[..]));
        assert_eq!(base64("Zm9vYmE").as_deref(), Some(&b"fooba"[..]));
        assert_eq!(base64("Zm9!"), None);
    }

    #[test]
    fn names_mean_the_nearest_dimension_of_that_length() {
        let mut d = Dimensions::default();
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(d.names("lat", &names(&["lat"]), &[4], true), ["lat"]);
        assert_eq!(d.names("1/lat", &names(&["lat"]), &[2], false), ["1/lat"]);
        assert_eq!(d.names("2/lat", &names(&["lat"]), &[4], false), ["lat"]);
        assert_eq!(d.names("3/lat", &names(&["lat"]), &[4], true), ["3/lat"]);
        assert_eq!(d.names("1/t", &names(&["time", "lat"]), &[3, 2], true), ["1/time", "1/lat"]);
        assert_eq!(d.names("g/t", &names(&["lat"]), &[4], true), ["lat"]);
        assert_eq!(d.names("u", &names(&["lat"]), &[7], true), ["lat_7"]);
        assert_eq!(d.names("p", &names(&["", ""]), &[8, 8], true), ["phony_dim_0", "phony_dim_1"]);
        assert_eq!(d.names("q", &names(&[""]), &[8], true), ["phony_dim_0"]);
    }
}
