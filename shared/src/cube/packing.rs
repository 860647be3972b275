//! How stored numbers become values.

use serde_json::Value;

use crate::dtype::DataType;
use crate::zarr::{ArrayMeta, json_number};

/// What NetCDF fills float32 and float64 with where nothing was written and the variable names no
/// fill value of its own (NUG, "Fill Values"): the same number in both.
pub const FILL_FLOAT: f64 = 9.969_209_968_386_869e36;

/// How stored numbers become values (CF section 8.1), and which are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Packing {
    pub dtype: DataType,
    /// `_Unsigned = "true"`: the stored signed integer's bits are unsigned.
    pub unsigned: bool,
    pub scale: f64,
    pub offset: f64,
    /// Stored values that mean "no data": `_FillValue`, `missing_value`, and for
    /// floats NaN besides; [`FILL_FLOAT`] where neither is said.
    pub nodata: Vec<f64>,
}

impl Packing {
    /// A number of the metadata (a fill value, a flag) as stored ones are read: of `_Unsigned`
    /// integers a negative one means its bits.
    pub fn as_read(&self, v: f64) -> f64 {
        if self.unsigned && v < 0.0 { v + 2f64.powi(8 * self.dtype.size() as i32) } else { v }
    }

    /// The type to read stored bytes as.
    pub fn read_as(&self) -> DataType {
        if self.unsigned { self.dtype.to_unsigned() } else { self.dtype }
    }

    #[inline]
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.offset == 0.0
    }

    /// True where the stored number `raw` means that there is no value.
    #[inline]
    pub fn is_nodata(&self, raw: f64) -> bool {
        raw.is_nan() || self.nodata.contains(&raw)
    }

    /// The value of a stored number: `raw * scale + offset` in float64; `None` for no data.
    #[inline]
    pub fn value(&self, raw: f64) -> Option<f64> {
        if self.is_nodata(raw) {
            return None;
        }
        Some(if self.is_identity() { raw } else { raw * self.scale + self.offset })
    }
}

/// How the numbers of the array `a` become values.
pub fn packing(a: &ArrayMeta, dtype: DataType) -> Packing {
    let attr = |k: &str| a.attributes.get(k);
    let unsigned = matches!(attr("_Unsigned").and_then(Value::as_str), Some("true" | "True"));
    let usable = |v: Option<f64>, default: f64| v.filter(|v| v.is_finite()).unwrap_or(default);
    let scale = usable(attr("scale_factor").and_then(json_number), 1.0);
    let offset = usable(attr("add_offset").and_then(json_number), 0.0);
    let scale = if scale == 0.0 { 1.0 } else { scale };
    let mut made = Packing { dtype, unsigned, scale, offset, nodata: Vec::new() };
    let mut nodata = Vec::new();
    let mut push = |v: Option<f64>| {
        if let Some(v) = v.filter(|v| !v.is_nan()) {
            let mut v = made.as_read(v);
            // Compared with stored float32 values, so rounded as they were.
            if dtype == DataType::Float32 {
                v = f64::from(v as f32);
            }
            if !nodata.contains(&v) {
                nodata.push(v);
            }
        }
    };
    push(attr("_FillValue").and_then(fill_number));
    match attr("missing_value") {
        Some(Value::Array(list)) => list.iter().for_each(|v| push(json_number(v))),
        Some(v) => push(fill_number(v)),
        None => {}
    }
    let mut named = attr("_FillValue").is_some() || attr("missing_value").is_some();
    // A v2 store keeps _FillValue as the array's fill_value (xarray's convention).
    if a.metadata.get("zarr_format").and_then(Value::as_u64) == Some(2) {
        let fill = a.fill_f64();
        named |= fill.is_some();
        push(fill);
    }
    if !named && matches!(dtype, DataType::Float32 | DataType::Float64) {
        push(Some(FILL_FLOAT));
    }
    made.nodata = nodata;
    made
}

/// `_FillValue` as a number, or as xarray writes it for Zarr v3: base64 of a
/// little-endian float64.
fn fill_number(v: &Value) -> Option<f64> {
    if let Some(n) = json_number(v) {
        return Some(n);
    }
    let bytes = decode_base64(v.as_str()?)?;
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if digits.len() > 64 {
        return None;
    }
    let (mut out, mut acc, mut bits) = (Vec::new(), 0u32, 0u32);
    for b in digits.bytes() {
        let d = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        acc = (acc << 6) | u32::from(d);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((acc >> bits) as u8);
            acc &= (1 << bits) - 1;
        }
    }
    Some(out)
}
