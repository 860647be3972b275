//! A version of a collection, opened: its metadata parsed, its axes read once.
//!
//! The catalog and the position query both need coordinate values, which lie in
//! chunks like everything else. They are small and never change within a
//! version, so they are read on first need and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use graticule_shared::cube::{Cube, Dim, Role, packing};
use graticule_shared::dtype::DataType;
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use serde_json::{Map, Value};

use crate::store::Snapshot;

/// Coordinate variables longer than this are no axes of a grid.
const MAX_AXIS_LEN: u64 = 1 << 22;
/// Two-dimensional coordinates are read for their extent up to this many cells.
const MAX_AUXILIARY_CELLS: u64 = 1 << 24;

pub struct Opened {
    pub snapshot: Arc<Snapshot>,
    pub hierarchy: Arc<Hierarchy>,
    pub cube: Cube,
    axes: Mutex<HashMap<String, Arc<Vec<f64>>>>,
}

impl Opened {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let hierarchy = Arc::clone(snapshot.hierarchy());
        let cube = Cube::new(&hierarchy);
        Self { snapshot, hierarchy, cube, axes: Mutex::default() }
    }

    /// Values of the one-dimensional array at `path`, decoded by its packing.
    ///
    /// # Errors
    /// No such array, not one-dimensional, longer than an axis may be, or unreadable.
    pub async fn axis_values(&self, path: &str) -> anyhow::Result<Arc<Vec<f64>>> {
        if let Some(v) = self.axes.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Arc::clone(v));
        }
        let array = self.array(path)?;
        let &[len] = array.shape.as_slice() else { bail!("{path}: not one-dimensional") };
        if len > MAX_AXIS_LEN {
            bail!("{path}: {len} values, more than the {MAX_AXIS_LEN} that are read as an axis");
        }
        let values = Arc::new(self.read_all(array).await?);
        self.axes.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), Arc::clone(&values));
        Ok(values)
    }

    pub fn array(&self, path: &str) -> anyhow::Result<&ArrayMeta> {
        self.hierarchy.arrays.get(path).with_context(|| format!("{path}: no such array"))
    }

    /// All values in C order; NaN where there is none. For small arrays.
    async fn read_all(&self, array: &ArrayMeta) -> anyhow::Result<Vec<f64>> {
        let dtype = array.dtype.with_context(|| format!("{}: not of a plain numeric type", array.path))?;
        let packing = packing(array, dtype);
        let total: u64 = array.shape.iter().product();
        let mut out = vec![f64::NAN; usize::try_from(total)?];
        let block = array.block_shape().to_vec();
        let grid: Vec<u64> = array.shape.iter().zip(&block).map(|(n, b)| n.div_ceil(*b)).collect();
        for flat in 0..grid.iter().product() {
            let index = unravel(flat, &grid);
            let bytes = self.snapshot.read_block(array, &index).await?;
            let raw = packing.read_as().to_f64_vec(&bytes);
            for (cell, value) in raw.iter().enumerate() {
                let within = unravel(cell as u64, &block);
                let at = index.iter().zip(&within).zip(&block).map(|((i, w), b)| i * b + w);
                let flat = at.zip(&array.shape).try_fold(0u64, |acc, (p, n)| (p < *n).then_some(acc * n + p));
                if let Some(slot) = flat.and_then(|f| out.get_mut(f as usize)) {
                    *slot = packing.value(*value).unwrap_or(f64::NAN);
                }
            }
        }
        Ok(out)
    }

    /// Least and greatest value of the array at `path`, if it is small enough to read whole.
    pub async fn extent_of(&self, path: &str) -> Option<(f64, f64)> {
        let array = self.hierarchy.arrays.get(path)?;
        if array.shape.iter().product::<u64>() > MAX_AUXILIARY_CELLS {
            return None;
        }
        let values = self.read_all(array).await.ok()?;
        let fold = |f: fn(f64, f64) -> f64| values.iter().copied().filter(|v| v.is_finite()).reduce(f);
        Some((fold(f64::min)?, fold(f64::max)?))
    }

    pub fn attributes(&self, path: &str) -> Option<&Map<String, Value>> {
        self.hierarchy.arrays.get(path).map(|a| &a.attributes)
    }

    /// True where the dimension's coordinate is latitude or longitude in degrees,
    /// and not a projection's own axis.
    pub fn is_geographic(&self, dim: &Dim) -> bool {
        let Some(attributes) = dim.coordinate.as_deref().and_then(|c| self.attributes(c)) else {
            return false;
        };
        let get =
            |k: &str| attributes.get(k).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let (standard, units, name) = (get("standard_name"), get("units"), dim.name.to_ascii_lowercase());
        let (own, unit, names) = match dim.role {
            Role::Y => ("latitude", "degree", ["lat", "latitude"]),
            Role::X => ("longitude", "degree", ["lon", "longitude"]),
            _ => return false,
        };
        if !standard.is_empty() {
            return standard == own;
        }
        let compass = ["north", "east", "_n", "_e"].iter().any(|c| units.ends_with(c))
            || matches!(units.as_str(), "degreen" | "degreesn" | "degreee" | "degreese");
        (units.starts_with(unit) && compass)
            || (names.contains(&name.as_str()) && (units.is_empty() || units.starts_with(unit)))
    }
}

/// Index along each dimension of element `flat` in C order.
pub fn unravel(flat: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = flat;
    let mut index: Vec<u64> = shape
        .iter()
        .rev()
        .map(|n| {
            let n = (*n).max(1);
            let i = rest % n;
            rest /= n;
            i
        })
        .collect();
    index.reverse();
    index
}

/// Bytes per element, for sizes of what would be read.
pub fn element_size(array: &ArrayMeta) -> usize {
    array.dtype.map_or(8, DataType::size)
}

#[cfg(test)]
mod tests {
    use super::unravel;

    #[test]
    fn elements_are_counted_in_c_order() {
        assert_eq!(unravel(0, &[2, 3]), [0, 0]);
        assert_eq!(unravel(5, &[2, 3]), [1, 2]);
        assert_eq!(unravel(7, &[]), Vec::<u64>::new());
    }
}
