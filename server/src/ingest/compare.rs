//! Whether two sources hold the same values of a variable.

use graticule_formats::{FormatError, Source, Variable};

/// Bytes of each source read at a time.
const SLAB: u64 = 8 << 20;

/// The first field in which `found` is not as `expected`, in words; lengths and values included.
///
/// # Errors
/// A source that does not read.
pub fn difference(
    (expected, v): (&dyn Source, &Variable),
    (found, w): (&dyn Source, &Variable),
) -> Result<Option<String>, FormatError> {
    if let Some(said) = declared(v, w) {
        return Ok(Some(said));
    }
    if v.shape.contains(&0) {
        return Ok(None);
    }
    let rank = v.shape.len();
    let (mut start, mut count) = (vec![0; rank], v.shape.clone());
    let axis = v.shape.iter().position(|n| *n > 1);
    let one = axis.map_or(1, |a| v.shape[a + 1..].iter().product::<u64>()) * v.dtype.size() as u64;
    let step = (SLAB / one.max(1)).max(1);
    let mut passed = 0;
    loop {
        if let Some(a) = axis {
            count[a] = step.min(v.shape[a] - start[a]);
        }
        let (mine, theirs) = (expected.read(&v.path, &start, &count)?, found.read(&w.path, &start, &count)?);
        if mine != theirs {
            let (mine, theirs) = (v.dtype.to_f64_vec(&mine), v.dtype.to_f64_vec(&theirs));
            // Producers round their coordinates differently.
            let differs =
                |(a, b): (&f64, &f64)| (a.is_nan() != b.is_nan()) || (a - b).abs() > 1e-6 * a.abs().max(1.0);
            if let Some(i) = mine.iter().zip(&theirs).position(differs) {
                return Ok(Some(format!(
                    "variable {:?}, value {}: expected {}, found {}",
                    v.path,
                    passed + i,
                    mine[i],
                    theirs[i]
                )));
            }
        }
        passed += mine_len(&count);
        match axis {
            Some(a) if start[a] + count[a] < v.shape[a] => start[a] += count[a],
            _ => return Ok(None),
        }
    }
}

fn mine_len(count: &[u64]) -> usize {
    count.iter().product::<u64>() as usize
}

/// The same of what headers say: type, dimensions, lengths, units.
pub fn declared(v: &Variable, w: &Variable) -> Option<String> {
    let differs = |what: &str, expected: String, found: String| {
        (expected != found)
            .then(|| format!("variable {:?}: {what}: expected {expected}, found {found}", v.path))
    };
    let units =
        |v: &Variable| v.attribute("units").map_or_else(|| "nothing".to_owned(), |u| u.to_json().to_string());
    let calendar = |v: &Variable| {
        v.attribute("calendar").map_or_else(|| "nothing".to_owned(), |u| u.to_json().to_string())
    };
    differs("type", v.dtype.zarr_name().into(), w.dtype.zarr_name().into())
        .or_else(|| differs("dimensions", format!("{:?}", v.dims), format!("{:?}", w.dims)))
        .or_else(|| differs("size", format!("{:?}", v.shape), format!("{:?}", w.shape)))
        .or_else(|| differs("units", units(v), units(w)))
        .or_else(|| differs("calendar", calendar(v), calendar(w)))
}
