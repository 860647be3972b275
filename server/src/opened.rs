//! A version of a collection, opened: its metadata parsed, its axes read once.
//!
//! The catalog and the position query both need coordinate values, which lie in
//! chunks like everything else. They are small and never change within a
//! version, so they are read on first need and kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use graticule_shared::cube::{Cube, Dim, Role, Variable, packing};
use graticule_shared::dtype::DataType;
use graticule_shared::grid::areas::Places;
use graticule_shared::grid::locate::ProjectedGrid;
use graticule_shared::grid::{Angles, Cells, Horizontal, Locator};
use graticule_shared::zarr::{ArrayMeta, Hierarchy};
use serde_json::{Map, Value};

use crate::store::{Snapshot, slab};

/// Coordinate variables longer than this are no axes of a grid.
const MAX_AXIS_LEN: u64 = 1 << 22;
/// Locators kept, however small.
const KEPT_LOCATORS: usize = 256;
/// Coordinates of cells are held up to this many, of all versions together.
const MAX_CELLS: u64 = 1 << 25;
/// Of them read at a time.
const SLAB_CELLS: u64 = 1 << 20;

pub struct Opened {
    pub snapshot: Arc<Snapshot>,
    pub hierarchy: Arc<Hierarchy>,
    pub cube: Cube,
    axes: Mutex<HashMap<String, Arc<Vec<f64>>>>,
    /// Held while a locator is made, so that a crowd makes it once.
    making: tokio::sync::Mutex<()>,
}

/// Locators of all versions, the one asked for last at the end.
static LOCATORS: Mutex<VecDeque<(String, Arc<Locator>)>> = Mutex::new(VecDeque::new());

/// The locator of this name, made the last of the list.
fn known_locator(key: &str) -> Option<Arc<Locator>> {
    let mut all = LOCATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().position(|(k, _)| k == key)?;
    let entry = all.remove(at)?;
    let found = Arc::clone(&entry.1);
    all.push_back(entry);
    Some(found)
}

/// Keeps a locator, and lets those go that were not asked for the longest.
fn keep_locator(key: String, locator: &Arc<Locator>) {
    let mut all = LOCATORS.lock().unwrap_or_else(PoisonError::into_inner);
    all.push_back((key, Arc::clone(locator)));
    while all.len() > 1
        && (all.len() > KEPT_LOCATORS || all.iter().map(|(_, l)| l.held()).sum::<u64>() > MAX_CELLS)
    {
        all.pop_front();
    }
}

impl Opened {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let hierarchy = Arc::clone(snapshot.hierarchy());
        let cube = Cube::new(&hierarchy);
        Self { snapshot, hierarchy, cube, axes: Mutex::default(), making: Default::default() }
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
        let len = match array.shape.as_slice() {
            [] => 1,
            [len] => *len,
            _ => bail!("{path}: not one-dimensional"),
        };
        if len > MAX_AXIS_LEN {
            bail!("{path}: {len} values, more than the {MAX_AXIS_LEN} that are read as an axis");
        }
        let values = Arc::new(self.read_all(array).await?);
        self.axes.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), Arc::clone(&values));
        Ok(values)
    }

    /// The value of a scalar coordinate (CF section 5.7), decoded; NaN where it has none.
    pub async fn scalar_value(&self, path: &str) -> anyhow::Result<f64> {
        let array = self.array(path)?;
        if !array.shape.is_empty() {
            bail!("{path}: not a scalar");
        }
        self.read_all(array).await?.first().copied().with_context(|| format!("{path}: no value"))
    }

    pub fn array(&self, path: &str) -> anyhow::Result<&ArrayMeta> {
        self.hierarchy.arrays.get(path).with_context(|| format!("{path}: no such array"))
    }

    /// All values in C order, decoded by the array's packing; NaN where there is none.
    async fn read_all(&self, array: &ArrayMeta) -> anyhow::Result<Vec<f64>> {
        let dtype = array.dtype.with_context(|| format!("{}: not of a plain numeric type", array.path))?;
        let packing = packing(array, dtype);
        let cells: u64 = array.shape.iter().product();
        if cells > MAX_CELLS {
            bail!("{}: {cells} values, more than the {MAX_CELLS} that are held", array.path);
        }
        // A few rows at a time: stored bytes and numbers are not both whole in memory.
        let mut out = Vec::with_capacity(usize::try_from(cells)?);
        let Some(axis) = array.shape.iter().position(|n| *n > 1) else {
            let bytes = slab(&self.snapshot, &array.path, &vec![0; array.shape.len()], &array.shape).await?;
            out.extend(packing.read_as().to_f64_vec(&bytes));
            return Ok(out.into_iter().map(|r| packing.value(r).unwrap_or(f64::NAN)).collect());
        };
        let (len, block) = (array.shape[axis], array.block_shape()[axis].max(1));
        let one = array.shape[axis + 1..].iter().product::<u64>().max(1);
        let step = (SLAB_CELLS / one / block).max(1) * block;
        let (mut start, mut count) = (vec![0; array.shape.len()], array.shape.clone());
        while start[axis] < len {
            count[axis] = step.min(len - start[axis]);
            let bytes = slab(&self.snapshot, &array.path, &start, &count).await?;
            let raw = packing.read_as().to_f64_vec(&bytes);
            out.extend(raw.into_iter().map(|r| packing.value(r).unwrap_or(f64::NAN)));
            start[axis] += count[axis];
        }
        Ok(out)
    }

    /// What finds the cells of a grid that is not separable; made on first need and kept.
    ///
    /// # Errors
    /// Coordinates that do not read, are no axes, or are more than are held.
    pub async fn locator(&self, grid: &Horizontal) -> anyhow::Result<Arc<Locator>> {
        let key = format!("{}@{} {grid:?}", self.snapshot.collection(), self.snapshot.version());
        if let Some(found) = known_locator(&key) {
            return Ok(found);
        }
        let _making = self.making.lock().await;
        if let Some(found) = known_locator(&key) {
            return Ok(found);
        }
        let made = match grid {
            Horizontal::Separable { latitude, .. } => bail!("{latitude}: found by its axes"),
            Horizontal::Projected(p) => {
                let (y, x) = (self.axis_values(&p.y).await?, self.axis_values(&p.x).await?);
                Locator::Projected(
                    ProjectedGrid::new(p, &y, &x).with_context(|| format!("{}, {}", p.y, p.x))?,
                )
            }
            Horizontal::Curvilinear { latitude, longitude } => {
                let (rows, columns) = match self.array(&latitude.path)?.shape.as_slice() {
                    [.., rows, columns] => (*rows as usize, *columns as usize),
                    _ => bail!("{}: not two-dimensional", latitude.path),
                };
                let (lon, lat) = (self.degrees(longitude).await?, self.degrees(latitude).await?);
                let path = latitude.path.clone();
                tokio::task::spawn_blocking(move || {
                    let places = Places::new(rows, columns, lon, lat)
                        .with_context(|| format!("{path}: latitudes and longitudes differ in number"))?;
                    anyhow::Ok(Locator::curvilinear(places))
                })
                .await??
            }
            Horizontal::Cells(Cells::Listed { latitude, longitude }) => {
                let (lon, lat) = (self.degrees(longitude).await?, self.degrees(latitude).await?);
                tokio::task::spawn_blocking(move || Locator::cells(lon, lat)).await?
            }
            Horizontal::Cells(Cells::Healpix(h)) => Locator::Healpix(*h),
        };
        let made = Arc::new(made);
        keep_locator(key, &made);
        Ok(made)
    }

    async fn degrees(&self, angles: &Angles) -> anyhow::Result<Vec<f64>> {
        let mut values = self.read_all(self.array(&angles.path)?).await?;
        if angles.radians {
            values.iter_mut().for_each(|v| *v = angles.degrees(*v));
        }
        Ok(values)
    }

    pub fn attributes(&self, path: &str) -> Option<&Map<String, Value>> {
        self.hierarchy.arrays.get(path).map(|a| &a.attributes)
    }

    /// True where the cells of a variable have a place on the Earth that can be asked for.
    pub fn is_placed(&self, v: &Variable) -> bool {
        match v.horizontal() {
            None => false,
            Some(Horizontal::Separable { .. }) => {
                v.is_mappable() && v.dims.iter().rev().take(2).all(|d| self.is_geographic(d))
            }
            Some(_) => true,
        }
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

pub use graticule_shared::range::unravel;

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
