//! Values one slab at a time.

use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;

use super::{Finding, Severity};
use crate::{FormatError, Source, Variable};

/// Bytes read at a time.
const SLAB_BYTES: u64 = 4 << 20;

/// A stored number's meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Number(f64),
    /// Infinity is a number here, NaN is not.
    Nan,
    /// `_FillValue` or `missing_value`.
    Fill,
}

/// Calls `each` with the flat index and the physical value of every element, and
/// stops when `each` says so.
pub(super) fn for_each(
    source: &dyn Source,
    v: &Variable,
    mut each: impl FnMut(u64, Value) -> bool,
) -> Result<(), FormatError> {
    let packing = v.packing();
    let dtype = packing.read_as();
    let mut index = 0u64;
    for (start, count) in slabs(v) {
        let bytes = source.read(&v.path, &start, &count)?;
        for i in 0..bytes.len() / dtype.size() {
            let raw = dtype.get_f64(&bytes, i).unwrap_or(f64::NAN);
            let value = match packing.value(raw) {
                Some(x) if !x.is_nan() => Value::Number(x),
                None if !raw.is_nan() => Value::Fill,
                _ => Value::Nan,
            };
            if !each(index, value) {
                return Ok(());
            }
            index += 1;
        }
    }
    Ok(())
}

/// Slabs of about [`SLAB_BYTES`] in C order: the outer axes one by one, then as
/// many indices of one axis as fit, whole inner axes.
fn slabs(v: &Variable) -> impl Iterator<Item = (Vec<u64>, Vec<u64>)> {
    let shape = v.shape.clone();
    let mut inner = v.dtype.size() as u64;
    let mut split = shape.len();
    while let Some(n) = split.checked_sub(1).and_then(|i| shape.get(i)) {
        split -= 1;
        if inner.saturating_mul(*n) > SLAB_BYTES {
            break;
        }
        inner = inner.saturating_mul(*n);
    }
    let step = (SLAB_BYTES / inner.max(1)).max(1);
    let mut next = (!shape.contains(&0)).then(|| vec![0u64; shape.len()]);
    std::iter::from_fn(move || {
        let start = next.take()?;
        let mut count: Vec<u64> =
            shape.iter().enumerate().map(|(axis, n)| if axis < split { 1 } else { *n }).collect();
        let mut following = start.clone();
        if let (Some(c), Some(n), Some(f)) =
            (count.get_mut(split), shape.get(split), following.get_mut(split))
        {
            *c = step.min(n - *f);
            *f += *c;
        }
        let mut axis = split;
        loop {
            match (following.get_mut(axis), shape.get(axis)) {
                (Some(f), Some(n)) if *f < *n => {
                    next = Some(following);
                    break;
                }
                (Some(f), Some(_)) if axis > 0 => *f = 0,
                _ => break,
            }
            axis -= 1;
            if let Some(f) = following.get_mut(axis) {
                *f += 1;
            }
        }
        Some((start, count))
    })
}

/// Tallies the values of a variable as its slabs pass by, in any order.
#[derive(Debug, Clone)]
pub struct ValueScan {
    packing: Packing,
    pub valid: u64,
    /// Fill, `missing_value`, NaN.
    pub missing: u64,
    pub infinite: u64,
    /// Of the finite values; `min > max` while there is none.
    pub min: f64,
    pub max: f64,
}

impl ValueScan {
    pub fn new(v: &Variable) -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { packing: v.packing(), valid: 0, missing: 0, infinite: 0, min, max }
    }

    /// Native-endian bytes as [`Source::read`] returns them.
    pub fn feed(&mut self, bytes: &[u8]) {
        macro_rules! each {
            ($t:ty) => {{
                let (elements, _) = bytes.as_chunks::<{ size_of::<$t>() }>();
                elements.iter().for_each(|e| self.count(<$t>::from_ne_bytes(*e) as f64));
            }};
        }
        match self.packing.read_as() {
            DataType::Int8 => each!(i8),
            DataType::UInt8 => each!(u8),
            DataType::Int16 => each!(i16),
            DataType::UInt16 => each!(u16),
            DataType::Int32 => each!(i32),
            DataType::UInt32 => each!(u32),
            DataType::Int64 => each!(i64),
            DataType::UInt64 => each!(u64),
            DataType::Float32 => each!(f32),
            DataType::Float64 => each!(f64),
        }
    }

    #[inline]
    fn count(&mut self, raw: f64) {
        match self.packing.value(raw) {
            Some(x) if x.is_finite() => {
                self.valid += 1;
                // Not `f64::min`: no NaN comes here, and this is one instruction.
                self.min = if x < self.min { x } else { self.min };
                self.max = if x > self.max { x } else { self.max };
            }
            Some(x) if !x.is_nan() => self.infinite += 1,
            _ => self.missing += 1,
        }
    }

    /// What is worth telling of `variable`; never a refusal.
    pub fn findings(&self, variable: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.infinite > 0 {
            findings.push(Finding::new(
                Severity::Note,
                variable,
                format!("{} of its values are infinite and count as no data in statistics", self.infinite),
                "finite values",
            ));
        }
        if self.valid == 0 && self.missing > 0 && self.infinite == 0 {
            findings.push(Finding::new(
                Severity::Note,
                variable,
                format!("all {} values are missing", self.missing),
                "at least one value",
            ));
        }
        findings
    }
}

/// Reads a variable whole, slab by slab, and tallies it.
///
/// # Errors
/// As [`Source::read`].
pub fn scan_values(source: &dyn Source, v: &Variable) -> Result<ValueScan, FormatError> {
    let mut scan = ValueScan::new(v);
    for (start, count) in slabs(v) {
        scan.feed(&source.read(&v.path, &start, &count)?);
    }
    Ok(scan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_cover_a_variable_once_and_in_order() {
        for shape in [vec![], vec![5], vec![3, 4], vec![2, 3, 700_000], vec![2, 3, 500, 1000], vec![3, 0, 2]]
        {
            let v = Variable {
                path: "v".into(),
                dims: shape.iter().map(u64::to_string).collect(),
                shape: shape.clone(),
                dtype: DataType::Float64,
                attributes: Vec::new(),
                chunks: None,
            };
            let mut expected = 0u64;
            for (start, count) in slabs(&v) {
                let bytes: u64 = count.iter().product::<u64>() * 8;
                assert!(bytes <= SLAB_BYTES, "{shape:?}: {count:?}");
                let flat = start.iter().zip(&shape).fold(0, |f, (s, n)| f * n + s);
                assert_eq!(flat, expected, "{shape:?}: {start:?}");
                expected += bytes / 8;
            }
            assert_eq!(expected, shape.iter().product::<u64>(), "{shape:?}");
        }
    }
}
