//! HDF5 attributes as [`AttrValue`]s.

use graticule_shared::dtype::DataType;
use hdf5_reader::error::Error;
use hdf5_reader::{Attribute, ByteOrder, Datatype, StringSize, VarLenKind};

use crate::{AttrValue, slab};

/// What the netCDF library keeps for itself (netcdf-c `libhdf5/hdf5internal.h`),
/// and the dimension scales of HDF5.
const INTERNAL: [&str; 9] = [
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_nc3_strict",
    "_NCProperties",
    "DIMENSION_LABELS",
];

pub(super) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// The numeric type, if it is one.
pub(super) fn number(datatype: &Datatype) -> Option<(DataType, ByteOrder)> {
    Some(match datatype {
        Datatype::FixedPoint { size, signed, byte_order } => {
            let dtype = match (size, signed) {
                (1, true) => DataType::Int8,
                (1, false) => DataType::UInt8,
                (2, true) => DataType::Int16,
                (2, false) => DataType::UInt16,
                (4, true) => DataType::Int32,
                (4, false) => DataType::UInt32,
                (8, true) => DataType::Int64,
                (8, false) => DataType::UInt64,
                _ => return None,
            };
            (dtype, *byte_order)
        }
        Datatype::FloatingPoint { size: 4, byte_order } => (DataType::Float32, *byte_order),
        Datatype::FloatingPoint { size: 8, byte_order } => (DataType::Float64, *byte_order),
        _ => return None,
    })
}

/// A datatype in words, for reasons.
pub(super) fn describe(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FixedPoint { size, .. } => format!("integers of {size} bytes"),
        Datatype::FloatingPoint { size, .. } => format!("floating-point numbers of {size} bytes"),
        Datatype::String { .. } | Datatype::VarLen { kind: VarLenKind::String, .. } => "strings".to_owned(),
        Datatype::Compound { .. } => "compounds (records of several fields)".to_owned(),
        Datatype::Array { .. } => "arrays as elements".to_owned(),
        Datatype::Enum { .. } => "an enumeration".to_owned(),
        Datatype::VarLen { .. } => "sequences of varying length".to_owned(),
        Datatype::Opaque { .. } => "opaque bytes".to_owned(),
        Datatype::Reference { .. } => "references".to_owned(),
        Datatype::Bitfield { .. } => "bit fields".to_owned(),
    }
}

/// Fetches the bytes behind one variable-length reference.
pub(super) type Resolve<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, Error> + 'a;

/// `Ok(None)` for a type that no [`AttrValue`] has.
pub(super) fn convert(
    attribute: &Attribute,
    resolve: &Resolve<'_>,
    reference_size: usize,
) -> Result<Option<AttrValue>, Error> {
    let raw = attribute.raw_data.as_slice();
    let datatype = match &attribute.datatype {
        Datatype::Enum { base, .. } => base.as_ref(),
        other => other,
    };
    if let Some((dtype, order)) = number(datatype) {
        let size = dtype.size() as u64;
        let wanted = attribute.num_elements()?.saturating_mul(size);
        let Some(raw) = usize::try_from(wanted).ok().and_then(|n| raw.get(..n)) else {
            return Err(Error::InvalidData(format!(
                "attribute {:?} declares {wanted} bytes and has {}",
                attribute.name,
                raw.len()
            )));
        };
        let mut raw = raw.to_vec();
        if (order == ByteOrder::BigEndian) == cfg!(target_endian = "little") {
            slab::swap_elements(&mut raw, dtype.size());
        }
        return Ok(Some(AttrValue::from_native(dtype, &raw)));
    }
    let mut texts = match (&attribute.decoded_strings, datatype) {
        (Some(strings), _) => strings.clone(),
        (None, Datatype::String { size: StringSize::Fixed(n), .. }) => {
            raw.chunks(usize::try_from(*n).unwrap_or(usize::MAX).max(1)).map(slab::text).collect()
        }
        (None, Datatype::String { size: StringSize::Variable, .. })
        | (None, Datatype::VarLen { kind: VarLenKind::String, .. }) => raw
            .chunks_exact(reference_size)
            .map(|reference| resolve(reference).map(|bytes| slab::text(&bytes)))
            .collect::<Result<_, _>>()?,
        _ => return Ok(None),
    };
    Ok(Some(if texts.len() <= 1 {
        AttrValue::Text(texts.pop().unwrap_or_default())
    } else {
        AttrValue::Texts(texts)
    }))
}
