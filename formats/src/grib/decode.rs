//! One field's values: bits from the file, unpacked, spread over the bitmap, rows
//! put in order.

use hdf5_reader::Storage;
use hdf5_reader::storage::StorageBuffer;

use super::field::{Field, Range};
use super::grid::{Grid, Scan};
use super::octets::{Fault, Result};
use super::unpack::{Bitmap, Packing, ones, simple};

/// Values of a whole field in the order of its grid's dimensions; NaN is missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Values {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Values::F32(v) => v.len() * 4,
            Values::F64(v) => v.len() * 8,
        }
    }

    /// Writes `count` values from `from` on to `out` as native-endian bytes.
    pub(crate) fn copy(&self, from: usize, count: usize, out: &mut [u8]) {
        match self {
            Values::F32(v) => copy(v, from, count, out, f32::to_ne_bytes),
            Values::F64(v) => copy(v, from, count, out, f64::to_ne_bytes),
        }
    }
}

fn copy<T: Copy, const N: usize>(
    v: &[T],
    from: usize,
    count: usize,
    out: &mut [u8],
    bytes: fn(T) -> [u8; N],
) {
    let values = v.get(from..from.saturating_add(count)).unwrap_or_default();
    let (cells, _) = out.as_chunks_mut();
    cells.iter_mut().zip(values).for_each(|(o, v)| *o = bytes(*v));
}

/// Bytes of `range` of the file.
pub(crate) fn bytes(storage: &dyn Storage, range: Range, most: u64) -> Result<StorageBuffer> {
    if range.len > most {
        return Err(Fault::at(
            format!("{} packed bytes in one field; at most {most} are read", range.len),
            range.offset,
        ));
    }
    storage
        .read_range(range.offset, range.len as usize)
        .map_err(|e| Fault::at(format!("{} bytes cannot be read: {e}", range.len), range.offset))
}

fn room<T>(n: usize) -> Result<Vec<T>> {
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| Fault::new(format!("there is no memory for {n} values")))?;
    Ok(out)
}

/// Decodes a field. `most_bytes` limits what is read of the file.
///
/// # Errors
/// Counts that do not agree, or packed data that do not decode.
pub(crate) fn field(storage: &dyn Storage, f: &Field, grid: &Grid, most_bytes: u64) -> Result<Values> {
    let points = grid.points() as usize;
    let e = &f.encoded;
    let here = |fault: Fault| Fault { offset: fault.offset.or(Some(e.data.offset)), ..fault };
    let bitmap = e
        .bitmap
        .map(|b| bytes(storage, Range { len: points.div_ceil(8) as u64, ..b }, most_bytes))
        .transpose()?;
    let count = bitmap.as_ref().map_or(points, |b| ones(b, points));
    if let Some(values) = e.values.filter(|v| *v != count as u64) {
        return Err(here(Fault::new(format!(
            "section 5 declares {values} values; {count} of the {points} points have one by the bitmap"
        ))));
    }
    let data = bytes(storage, e.data, most_bytes)?;
    edition1_count(f, e.data.len, count).map_err(here)?;
    let mut scan = grid.scan;
    // The packing may have turned rows around for itself.
    if let Packing::SecondOrder(packing) = &e.packing {
        scan.alternating ^= packing.boustrophedonic;
    }
    if e.packing == Packing::Ieee64 {
        let (eights, _) = data.as_chunks();
        let values: Vec<f64> = eights.iter().take(count).map(|b| f64::from_be_bytes(*b)).collect();
        if values.len() != count {
            return Err(here(Fault::new(format!(
                "{} values are packed; {count} are declared",
                values.len()
            ))));
        }
        return Ok(Values::F64(
            finish(values, bitmap.as_deref(), points, grid, scan, f64::NAN).map_err(here)?,
        ));
    }
    let mut values = room(count)?;
    e.packing.unpack(&data, count, &mut values).map_err(here)?;
    drop(data);
    Ok(Values::F32(finish(values, bitmap.as_deref(), points, grid, scan, f32::NAN).map_err(here)?))
}

/// Writes the values from point `from` on to `out` as native-endian bytes, where they
/// lie by themselves in the file: simple packing, no bitmap, rows in order. False
/// where the whole must be decoded.
///
/// # Errors
/// As [`field`].
pub(crate) fn run(
    storage: &dyn Storage,
    f: &Field,
    grid: &Grid,
    from: usize,
    out: &mut [u8],
) -> Result<bool> {
    let e = &f.encoded;
    let Packing::Simple(scale) = &e.packing else { return Ok(false) };
    if e.bitmap.is_some() || !grid.scan.is_plain() {
        return Ok(false);
    }
    let here = |fault: Fault| Fault { offset: fault.offset.or(Some(e.data.offset)), ..fault };
    edition1_count(f, e.data.len, grid.points() as usize).map_err(here)?;
    let (cells, _) = out.as_chunks_mut();
    let first = from as u64 * u64::from(scale.bits);
    let end = (first + cells.len() as u64 * u64::from(scale.bits)).div_ceil(8);
    if end > e.data.len {
        let reason = format!("the packed data end early: {end} bytes are needed, {} are there", e.data.len);
        return Err(here(Fault::new(reason)));
    }
    let data = bytes(storage, Range { offset: e.data.offset + first / 8, len: end - first / 8 }, u64::MAX)?;
    simple(scale, &data, (first % 8) as u32, cells, f32::to_ne_bytes).map_err(here)?;
    Ok(true)
}

/// GRIB1 says how many values there are only by the length of its data.
fn edition1_count(f: &Field, data_bytes: u64, count: usize) -> Result<()> {
    let Packing::Simple(scale) = &f.encoded.packing else { return Ok(()) };
    if f.edition != 1 || scale.bits == 0 {
        return Ok(());
    }
    let bits = (data_bytes * 8).saturating_sub(u64::from(f.encoded.unused_bits));
    let packed = bits / u64::from(scale.bits);
    // Some writers pad the section to an even length or a word without saying so.
    let slack = 64 / u64::from(scale.bits);
    if packed < count as u64 || packed > count as u64 + slack {
        return Err(Fault::new(format!("section 4 holds {packed} values; {count} are expected")));
    }
    Ok(())
}

/// Spreads values over the bitmap and puts them in order.
fn finish<T: Copy>(
    values: Vec<T>,
    bitmap: Option<&[u8]>,
    points: usize,
    grid: &Grid,
    scan: Scan,
    nan: T,
) -> Result<Vec<T>> {
    let mut values = match bitmap {
        Some(bits) => Bitmap(bits).spread(&values, points, nan)?,
        None => values,
    };
    match grid.columns() {
        Some(columns) if !scan.is_plain() => in_rows(values, columns as usize, scan),
        None if scan.alternating => {
            let mut rest = values.as_mut_slice();
            for (row, cells) in grid.row_lengths().into_iter().enumerate() {
                let (now, later) = rest.split_at_mut((cells as usize).min(rest.len()));
                if row % 2 == 1 {
                    now.reverse();
                }
                rest = later;
            }
            Ok(values)
        }
        _ => Ok(values),
    }
}

/// Undoes alternating rows and columns that come first.
fn in_rows<T: Copy>(mut values: Vec<T>, columns: usize, scan: Scan) -> Result<Vec<T>> {
    let rows = values.len() / columns.max(1);
    let run = if scan.columns_first { rows } else { columns };
    if scan.alternating {
        values.chunks_mut(run.max(1)).skip(1).step_by(2).for_each(<[T]>::reverse);
    }
    if !scan.columns_first {
        return Ok(values);
    }
    let mut out = room(values.len())?;
    for row in 0..rows {
        out.extend(values.iter().skip(row).step_by(rows));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_in_one_direction() {
        let scan = |columns_first, alternating| Scan { columns_first, alternating, ..Scan::default() };
        let wanted = vec![1, 2, 3, 4, 5, 6];
        assert_eq!(in_rows(vec![1, 2, 3, 6, 5, 4], 3, scan(false, true)).unwrap(), wanted);
        assert_eq!(in_rows(vec![1, 4, 2, 5, 3, 6], 3, scan(true, false)).unwrap(), wanted);
        assert_eq!(in_rows(vec![1, 4, 5, 2, 3, 6], 3, scan(true, true)).unwrap(), wanted);
    }
}
