//! What every reader checks before it reads.

use graticule_shared::dtype::DataType;

use crate::{FormatError, Limits, Variable};

/// Bytes of the slab `start`, `count` of `variable`.
pub(crate) fn check(
    file: &str,
    variable: &Variable,
    start: &[u64],
    count: &[u64],
    limits: &Limits,
) -> Result<usize, FormatError> {
    let error = |reason: String| FormatError::new(file, reason).in_variable(&variable.path);
    let rank = variable.shape.len();
    if start.len() != rank || count.len() != rank {
        return Err(error(format!(
            "a slab of {} starts and {} counts was asked for; the variable has {rank} dimensions",
            start.len(),
            count.len()
        )));
    }
    let mut bytes = variable.dtype.size() as u64;
    for (axis, ((&s, &c), &n)) in start.iter().zip(count).zip(&variable.shape).enumerate() {
        if s.checked_add(c).is_none_or(|end| end > n) {
            let dim = variable.dims.get(axis).map_or("?", String::as_str);
            return Err(error(format!("{c} elements from {s} on along {dim:?} were asked for; it has {n}")));
        }
        bytes = bytes.saturating_mul(c);
    }
    if bytes > limits.read_bytes {
        return Err(error(format!(
            "a slab of {bytes} bytes was asked for; one read may be {} bytes",
            limits.read_bytes
        )));
    }
    usize::try_from(bytes).map_err(|_| error(format!("a slab of {bytes} bytes does not fit into memory")))
}

/// Bytes of all values of a variable, if a variable may be that large.
pub(crate) fn check_declared(
    file: &str,
    path: &str,
    shape: &[u64],
    dtype: DataType,
    limits: &Limits,
) -> Result<u64, FormatError> {
    let bytes = shape.iter().try_fold(dtype.size() as u64, |n, d| n.checked_mul(*d));
    match bytes {
        Some(bytes) if bytes <= limits.variable_bytes => Ok(bytes),
        _ => {
            let declared = bytes.map_or_else(|| "more than 2^64".to_owned(), |b| b.to_string());
            Err(FormatError::new(
                file,
                format!(
                    "the shape {shape:?} of {dtype} declares {declared} bytes; at most {} are read",
                    limits.variable_bytes
                ),
            )
            .in_variable(path))
        }
    }
}

/// True where a variable is there for its attributes alone: a grid mapping (CF section 5.6) or a
/// mesh topology (UGRID 1.0). Its value and type mean nothing.
pub(crate) fn holds_attributes(attributes: &[(String, crate::AttrValue)]) -> bool {
    let text = |name: &str| attributes.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.as_text());
    text("grid_mapping_name").is_some()
        || text("crs_wkt").is_some()
        || text("cf_role") == Some("mesh_topology")
}

/// One element, native-endian.
#[cfg(feature = "zarr")]
pub(crate) fn element(dtype: DataType, v: f64) -> Vec<u8> {
    match dtype {
        DataType::Int8 => (v as i8).to_ne_bytes().to_vec(),
        DataType::UInt8 => (v as u8).to_ne_bytes().to_vec(),
        DataType::Int16 => (v as i16).to_ne_bytes().to_vec(),
        DataType::UInt16 => (v as u16).to_ne_bytes().to_vec(),
        DataType::Int32 => (v as i32).to_ne_bytes().to_vec(),
        DataType::UInt32 => (v as u32).to_ne_bytes().to_vec(),
        DataType::Int64 => (v as i64).to_ne_bytes().to_vec(),
        DataType::UInt64 => (v as u64).to_ne_bytes().to_vec(),
        DataType::Float32 => (v as f32).to_ne_bytes().to_vec(),
        DataType::Float64 => v.to_ne_bytes().to_vec(),
    }
}

/// Reverses every element of `size` bytes: big-endian to little-endian and back.
pub(crate) fn swap_elements(bytes: &mut [u8], size: usize) {
    fn swap<const N: usize>(bytes: &mut [u8]) {
        let (elements, _) = bytes.as_chunks_mut::<N>();
        elements.iter_mut().for_each(|e| e.reverse());
    }
    match size {
        2 => swap::<2>(bytes),
        4 => swap::<4>(bytes),
        8 => swap::<8>(bytes),
        _ => {}
    }
}

/// Text as a person meant it: UTF-8, else Latin-1 (old files), without the NULs
/// and the blanks that fixed-length writers pad with.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    let bytes = &bytes[..end];
    match std::str::from_utf8(bytes) {
        Ok(s) => s.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// A box of elements within a variable.
pub(crate) struct Region<'a> {
    pub(crate) corner: &'a [u64],
    pub(crate) extent: &'a [u64],
}

/// Copies what two boxes share; `source` and `target` hold their values in C
/// order, `size` bytes each.
pub(crate) fn copy_overlap(
    source: &[u8],
    from: &Region<'_>,
    target: &mut [u8],
    to: &Region<'_>,
    size: usize,
) {
    let ends = |r: &Region<'_>| -> Vec<u64> { r.corner.iter().zip(r.extent).map(|(c, e)| c + e).collect() };
    let low: Vec<u64> = from.corner.iter().zip(to.corner).map(|(a, b)| *a.max(b)).collect();
    let high: Vec<u64> = ends(from).into_iter().zip(ends(to)).map(|(a, b)| a.min(b)).collect();
    if low.iter().zip(&high).any(|(l, h)| l >= h) {
        return;
    }
    let Some((row_low, row_high)) = low.last().zip(high.last()) else {
        target.copy_from_slice(source);
        return;
    };
    let row = (row_high - row_low) as usize * size;
    let offset = |region: &Region<'_>, at: &[u64]| {
        let axes = at.iter().zip(region.corner).zip(region.extent);
        axes.fold(0, |flat, ((i, corner), extent)| flat * extent + (i - corner)) as usize * size
    };
    let mut at = low.clone();
    loop {
        let (s, t) = (offset(from, &at), offset(to, &at));
        if let (Some(source), Some(target)) = (source.get(s..s + row), target.get_mut(t..t + row)) {
            target.copy_from_slice(source);
        }
        let mut axis = at.len() - 1;
        loop {
            let Some(below) = axis.checked_sub(1) else { return };
            axis = below;
            at[axis] += 1;
            if at[axis] < high[axis] {
                break;
            }
            at[axis] = low[axis];
        }
    }
}

/// What is wrong with `name` as one step of a path; names become keys of a store.
pub(crate) fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("its name is empty"),
        "." | ".." => Some("its name is a relative path"),
        _ if name.contains('/') => Some("its name contains a slash"),
        _ if name.chars().any(char::is_control) => Some("its name contains control characters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_copy_what_they_share() {
        // A 4 x 5 grid of its own flat indices, copied into a 3 x 3 box at (2, 3) of the same space.
        let source: Vec<u8> = (0..20).collect();
        let mut target = vec![99; 9];
        let from = Region { corner: &[1, 1], extent: &[4, 5] };
        copy_overlap(&source, &from, &mut target, &Region { corner: &[3, 4], extent: &[3, 3] }, 1);
        assert_eq!(target, [13, 14, 99, 18, 19, 99, 99, 99, 99]);
        let mut untouched = vec![7; 4];
        copy_overlap(&source, &from, &mut untouched, &Region { corner: &[9, 9], extent: &[2, 2] }, 1);
        assert_eq!(untouched, [7; 4]);
    }
}
