//! Numeric types of stored arrays, by their Zarr names.

use serde::{Deserialize, Serialize};

/// A fixed-size numeric type, as Zarr v3 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float32,
    Float64,
}

impl DataType {
    pub const ALL: [DataType; 10] = [
        DataType::Int8,
        DataType::UInt8,
        DataType::Int16,
        DataType::UInt16,
        DataType::Int32,
        DataType::UInt32,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
    ];

    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            DataType::Int8 | DataType::UInt8 => 1,
            DataType::Int16 | DataType::UInt16 => 2,
            DataType::Int32 | DataType::UInt32 | DataType::Float32 => 4,
            DataType::Int64 | DataType::UInt64 | DataType::Float64 => 8,
        }
    }

    pub const fn is_float(self) -> bool {
        matches!(self, DataType::Float32 | DataType::Float64)
    }

    /// The Zarr v3 core name, such as `int16`.
    pub const fn zarr_name(self) -> &'static str {
        match self {
            DataType::Int8 => "int8",
            DataType::UInt8 => "uint8",
            DataType::Int16 => "int16",
            DataType::UInt16 => "uint16",
            DataType::Int32 => "int32",
            DataType::UInt32 => "uint32",
            DataType::Int64 => "int64",
            DataType::UInt64 => "uint64",
            DataType::Float32 => "float32",
            DataType::Float64 => "float64",
        }
    }

    pub fn from_zarr_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.zarr_name() == name)
    }

    /// From a NumPy type string as Zarr v2 writes it, such as `<i2`. The byte
    /// order is dropped: decoded chunks are always native.
    pub fn from_v2(text: &str) -> Option<Self> {
        let kind = text.strip_prefix(['<', '>', '|']).unwrap_or(text);
        Some(match kind {
            "i1" => DataType::Int8,
            "u1" => DataType::UInt8,
            "i2" => DataType::Int16,
            "u2" => DataType::UInt16,
            "i4" => DataType::Int32,
            "u4" => DataType::UInt32,
            "i8" => DataType::Int64,
            "u8" => DataType::UInt64,
            "f4" => DataType::Float32,
            "f8" => DataType::Float64,
            _ => return None,
        })
    }

    /// The signed type's unsigned sibling, for `_Unsigned = "true"` (NetCDF
    /// Users Guide, attribute conventions).
    pub const fn to_unsigned(self) -> Self {
        match self {
            DataType::Int8 => DataType::UInt8,
            DataType::Int16 => DataType::UInt16,
            DataType::Int32 => DataType::UInt32,
            DataType::Int64 => DataType::UInt64,
            other => other,
        }
    }

    /// Element `index` of native-endian `bytes`, widened to `f64`; `None` past the end.
    #[inline]
    pub fn get_f64(self, bytes: &[u8], index: usize) -> Option<f64> {
        let size = self.size();
        let at = index.checked_mul(size)?;
        let raw = bytes.get(at..at.checked_add(size)?)?;
        macro_rules! read {
            ($t:ty) => {
                <$t>::from_ne_bytes(raw.try_into().ok()?) as f64
            };
        }
        Some(match self {
            DataType::Int8 => read!(i8),
            DataType::UInt8 => read!(u8),
            DataType::Int16 => read!(i16),
            DataType::UInt16 => read!(u16),
            DataType::Int32 => read!(i32),
            DataType::UInt32 => read!(u32),
            DataType::Int64 => read!(i64),
            DataType::UInt64 => read!(u64),
            DataType::Float32 => read!(f32),
            DataType::Float64 => read!(f64),
        })
    }

    /// All of native-endian `bytes`, widened to `f64`; a ragged tail is dropped.
    pub fn to_f64_vec(self, bytes: &[u8]) -> Vec<f64> {
        (0..bytes.len() / self.size()).filter_map(|i| self.get_f64(bytes, i)).collect()
    }
}

impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.zarr_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for t in DataType::ALL {
            assert_eq!(DataType::from_zarr_name(t.zarr_name()), Some(t));
        }
        assert_eq!(DataType::from_v2(">f8"), Some(DataType::Float64));
        assert_eq!(DataType::from_v2("|S4"), None);
    }

    #[test]
    fn an_index_past_the_end_is_none() {
        assert_eq!(DataType::Int16.get_f64(&[1, 0, 2], 0), Some(1.0));
        assert_eq!(DataType::Int16.get_f64(&[1, 0, 2], 1), None);
        assert_eq!(DataType::Int16.get_f64(&[1, 0, 2], usize::MAX), None);
    }
}
