//! What every source format is seen as.

use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;

use crate::FormatError;
use crate::checks::Finding;

/// An attribute, with the numeric type it was stored in.
#[derive(Debug, Clone, PartialEq)]
pub enum AttrValue {
    Text(String),
    Texts(Vec<String>),
    /// Numbers of one type. `UInt64` values keep their 64 bits, so that those
    /// beyond `i64::MAX` show as negative here: [`AttrValue::as_f64`] and
    /// [`AttrValue::to_json`] read them back as they were meant.
    Ints(DataType, Vec<i64>),
    /// Float32 values are widened exactly, so that `scale_factor` means the same
    /// number everywhere.
    Floats(DataType, Vec<f64>),
}

impl AttrValue {
    /// From native-endian bytes; a ragged tail is dropped.
    pub(crate) fn from_native(dtype: DataType, bytes: &[u8]) -> Self {
        macro_rules! ints {
            ($t:ty) => {{
                let (elements, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
                AttrValue::Ints(dtype, elements.iter().map(|e| <$t>::from_ne_bytes(*e) as i64).collect())
            }};
        }
        match dtype {
            DataType::Int8 => ints!(i8),
            DataType::UInt8 => ints!(u8),
            DataType::Int16 => ints!(i16),
            DataType::UInt16 => ints!(u16),
            DataType::Int32 => ints!(i32),
            DataType::UInt32 => ints!(u32),
            DataType::Int64 => ints!(i64),
            DataType::UInt64 => ints!(u64),
            DataType::Float32 | DataType::Float64 => AttrValue::Floats(dtype, dtype.to_f64_vec(bytes)),
        }
    }

    /// As JSON for a Zarr attribute: one number stays a scalar. JSON has no NaN
    /// or infinity; Zarr v3 writes them as the strings `"NaN"`, `"Infinity"`,
    /// `"-Infinity"` (core specification, section "Fill value").
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        fn float(v: f64) -> Value {
            serde_json::Number::from_f64(v).map_or_else(
                || {
                    Value::from(if v.is_nan() {
                        "NaN"
                    } else if v > 0.0 {
                        "Infinity"
                    } else {
                        "-Infinity"
                    })
                },
                Value::Number,
            )
        }
        fn list(mut v: Vec<Value>) -> Value {
            if v.len() == 1 { v.remove(0) } else { Value::Array(v) }
        }
        match self {
            AttrValue::Text(t) => Value::from(t.as_str()),
            AttrValue::Texts(t) => list(t.iter().map(|s| Value::from(s.as_str())).collect()),
            AttrValue::Ints(DataType::UInt64, v) => list(v.iter().map(|i| Value::from(*i as u64)).collect()),
            AttrValue::Ints(_, v) => list(v.iter().map(|i| Value::from(*i)).collect()),
            AttrValue::Floats(_, v) => list(v.iter().map(|f| float(*f)).collect()),
        }
    }

    /// All numbers; none for text.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        match self {
            AttrValue::Ints(DataType::UInt64, v) => v.iter().map(|i| *i as u64 as f64).collect(),
            AttrValue::Ints(_, v) => v.iter().map(|i| *i as f64).collect(),
            AttrValue::Floats(_, v) => v.clone(),
            AttrValue::Text(_) | AttrValue::Texts(_) => Vec::new(),
        }
    }

    /// The first number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        self.to_f64_vec().first().copied()
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            AttrValue::Text(t) => Some(t),
            AttrValue::Texts(t) => t.first().map(String::as_str),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Unique in the file; a nested group's dimension carries its path: `group/x`.
    pub name: String,
    pub len: u64,
    pub unlimited: bool,
}

#[derive(Debug, Clone)]
pub struct Variable {
    /// Name, with its groups: `group/sub/name`. Never starts with a slash.
    pub path: String,
    /// Names into [`Header::dimensions`], slowest first.
    pub dims: Vec<String>,
    /// Elements along each of `dims`.
    pub shape: Vec<u64>,
    /// The type as stored; packing (`scale_factor`) is not undone here.
    pub dtype: DataType,
    /// In file order.
    pub attributes: Vec<(String, AttrValue)>,
    /// Shape of the stored chunks, where the container has chunks.
    pub chunks: Option<Vec<u64>>,
}

impl Variable {
    pub fn attribute(&self, name: &str) -> Option<&AttrValue> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// How its stored numbers become values, as [`graticule_shared::cube`] reads
    /// it from the Zarr attributes later: factors that no value survives are
    /// ignored, and a fill value is rounded to the stored type.
    pub fn packing(&self) -> Packing {
        let number = |name: &str| self.attribute(name).and_then(AttrValue::as_f64).filter(|x| x.is_finite());
        let unsigned =
            matches!(self.attribute("_Unsigned").and_then(AttrValue::as_text), Some("true" | "True"));
        let mut nodata = Vec::new();
        for value in ["_FillValue", "missing_value"].iter().filter_map(|n| self.attribute(n)) {
            for mut x in value.to_f64_vec().into_iter().filter(|x| !x.is_nan()) {
                if unsigned && x < 0.0 {
                    x += 2f64.powi(8 * self.dtype.size() as i32);
                }
                if self.dtype == DataType::Float32 {
                    x = f64::from(x as f32);
                }
                if !nodata.contains(&x) {
                    nodata.push(x);
                }
            }
        }
        Packing {
            dtype: self.dtype,
            unsigned,
            scale: number("scale_factor").filter(|s| *s != 0.0).unwrap_or(1.0),
            offset: number("add_offset").unwrap_or(0.0),
            nodata,
        }
    }
}

/// Everything a file says before any values are read.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// `NetCDF-3 classic`, `NetCDF-3 64-bit offset`, `NetCDF-3 CDF-5`, `NetCDF-4`, `HDF5`,
    /// `GRIB1`, `GRIB2`, `GeoTIFF`, `GeoTIFF (BigTIFF)`, `Zarr v2`, `Zarr v3`, these `in ZIP`,
    /// `kerchunk v2`.
    pub format: String,
    pub dimensions: Vec<Dimension>,
    /// Numeric variables only, in file order.
    pub variables: Vec<Variable>,
    /// Variables of characters, as bytes; a text is along their last dimension. They read as the
    /// others do, and are among `skipped` too: no cube is made of them.
    pub texts: Vec<Variable>,
    /// Global attributes, in file order; a nested group's carry its path: `group/title`.
    pub attributes: Vec<(String, AttrValue)>,
    /// Variables that cannot be carried over (strings, compounds), each with its
    /// reason; attributes of such types as `variable@attribute`.
    pub skipped: Vec<(String, String)>,
    /// What was odd and could be read all the same.
    pub notes: Vec<Finding>,
    /// Groups that hold coarser levels of the variables at the root, under their names; finest first.
    pub levels: Vec<String>,
}

/// What a reader may spend on one file, whatever the file says.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that one [`Source::read`] may return.
    pub read_bytes: u64,
    /// Bytes that one stored chunk may decode to. Undoing deflate and shuffle
    /// holds it twice.
    pub chunk_bytes: u64,
    /// Bytes that all values of one variable may have, declared.
    pub variable_bytes: u64,
    pub variables: usize,
    pub dimensions: usize,
    pub attribute_bytes: u64,
    /// Decoded chunks kept for the next read; of chunks larger than this, the last one is kept.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_bytes: 256 << 20,
            chunk_bytes: 160 << 20,
            variable_bytes: 1 << 40,
            variables: 10_000,
            dimensions: 10_000,
            attribute_bytes: 4 << 20,
            cache_bytes: 64 << 20,
        }
    }
}

/// One opened file.
pub trait Source: Send + Sync {
    fn header(&self) -> &Header;

    /// Values of a hyperslab: native-endian bytes in C order, in the stored type.
    ///
    /// `start` and `count` have one entry per dimension of the variable.
    ///
    /// # Errors
    /// An unknown variable, a slab outside it, more than [`Limits::read_bytes`],
    /// or bytes that do not decode (with their offset, where it is known).
    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError>;

    /// Where the stored chunks of a variable lie, and by which codecs they decode.
    ///
    /// # Errors
    /// Why its chunks cannot be referred to.
    #[cfg(feature = "zarr")]
    fn stored(&self, variable: &str) -> Result<crate::StoredChunks, FormatError> {
        let format = &self.header().format;
        Err(FormatError::new(
            "",
            format!("chunks of {format} decode by codecs that Zarr has not; ingest a copy instead"),
        )
        .in_variable(variable))
    }
}
