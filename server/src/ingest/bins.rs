//! A list of cells as a regular grid of about the same spacing.
//!
//! Cells have no rows to halve, so the first coarser level is made by where their
//! centres fall: the mean of the cells in each bin, weighted by their area. Bins
//! between cells (meshes are finer here than there) take the nearest cell's bin,
//! if it is no further than that cell's own spacing: what lies beside the mesh
//! stays empty. The table is made once for a grid, whatever it carries.

use std::sync::Arc;

use graticule_shared::cube::Packing;
use graticule_shared::grid::extent::Extent;
use graticule_shared::grid::nearest::Nearest;
use graticule_shared::grid::sphere::{chord_angle_deg, is_place, unit_vector, wrap_longitude};

use super::field::Field;
use super::pyramid::{Area, Cascade, Method, means, weigh};

/// Cells of a grid whose table is held.
pub const MAX_CELLS: u64 = 1 << 25;
/// A small mesh may have this many bins, whatever its number of cells.
const FEW: f64 = 65_536.0;
/// Nearer than this is one place: float32 coordinates round by less.
const ONE_PLACE_DEG: f64 = 1e-5;
const NOWHERE: u32 = u32::MAX;
/// Set on the cell nearest its bin's centre, which stands for it among categories.
const STANDS: u32 = 1 << 31;

#[derive(Debug)]
pub struct Bins {
    pub rows: usize,
    pub columns: usize,
    /// Centres in degrees, rising; longitudes run on across the antimeridian.
    pub latitude: Vec<f64>,
    pub longitude: Vec<f64>,
    /// Cells with a place.
    pub valid: usize,
    /// Bin of each cell.
    table: Vec<u32>,
    /// Relative area of each cell.
    weights: Vec<f32>,
    /// Empty bins and where they take their value.
    borrowed: Vec<(u32, u32)>,
}

/// Distances on the unit sphere around a cell.
#[derive(Clone, Copy, Default)]
struct Spread {
    /// Mean of the four nearest.
    mean: f32,
    /// To the fourth.
    reach: f32,
}

/// What each of `0..n` gives, on all cores.
fn each<T: Send + Copy + Default>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::default(); n];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = n.div_ceil(cores).max(1024);
    std::thread::scope(|scope| {
        for (number, slots) in out.chunks_mut(part).enumerate() {
            let f = &f;
            scope.spawn(move || {
                for (i, slot) in slots.iter_mut().enumerate() {
                    *slot = f(number * part + i);
                }
            });
        }
    });
    out
}

impl Bins {
    /// From longitudes and latitudes in degrees.
    ///
    /// # Errors
    /// No cell with a place, or more cells than [`MAX_CELLS`].
    pub fn new(lon: &[f64], lat: &[f64]) -> Result<Self, String> {
        let n = lon.len().min(lat.len());
        if n as u64 > MAX_CELLS {
            return Err(format!("{n} cells; grids of up to {MAX_CELLS} cells are read"));
        }
        let tree = Nearest::new(lon.iter().copied().zip(lat.iter().copied()));
        let mut extent = Extent::default();
        lon.iter().zip(lat).for_each(|(x, y)| extent.add(*x, *y));
        let Some([west, south, east, north]) = extent.bbox() else {
            return Err("none of its cells has a latitude and a longitude".to_owned());
        };
        let spread = each(n, |i| {
            if !is_place(lon[i], lat[i]) {
                return Spread::default();
            }
            let near = tree.several::<5>(unit_vector(lon[i], lat[i]));
            let found: Vec<f64> = near[1..].iter().map(|w| w.chord).filter(|c| c.is_finite()).collect();
            let mean = found.iter().sum::<f64>() / found.len().max(1) as f64;
            Spread { mean: mean as f32, reach: found.last().copied().unwrap_or(0.0) as f32 }
        });
        let mut means: Vec<f32> = spread.iter().map(|s| s.mean).filter(|m| *m > 0.0).collect();
        let middle = means.len() / 2;
        let typical = match means.len() {
            0 => 0.0,
            _ => chord_angle_deg(f64::from(*means.select_nth_unstable_by(middle, f32::total_cmp).1)),
        };
        // One cell, or all at one place: a bin of a hundredth of a degree.
        let mut step = if typical > ONE_PLACE_DEG { typical } else { 0.01 };
        let mut bins = Self::regular([west, south, east, north], step);
        let most = (4.0 * tree.len() as f64).max(FEW);
        // A first grid may have been cut short, and its count with it: until it fits.
        let mut count = bins.rows as f64 * bins.columns as f64;
        while count > most {
            step *= (count / most).sqrt().max(1.05);
            bins = Self::regular([west, south, east, north], step);
            count = bins.rows as f64 * bins.columns as f64;
        }
        bins.valid = tree.len();
        bins.weights = spread.iter().map(|s| (s.mean * s.mean).max(1e-18)).collect();
        bins.assign(lon, lat);
        bins.borrow(&tree, &spread);
        Ok(bins)
    }

    /// Empty bins of about `step` degrees over a box.
    fn regular([west, south, east, north]: [f64; 4], step: f64) -> Self {
        let (low, high) = ((south - step / 2.0).max(-90.0), (north + step / 2.0).min(90.0));
        let rows = ((high - low) / step - 1e-6).ceil().clamp(1.0, 1e5);
        let dy = (high - low) / rows;
        // As wide as it is high where parallels are longest.
        let nearest_equator = if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
        let wide = step / nearest_equator.to_radians().cos().max(0.01);
        let span = (east - west).rem_euclid(360.0);
        let span = if east > west && span == 0.0 { 360.0 } else { span };
        let (first, width) =
            if span + wide >= 360.0 { (-180.0, 360.0) } else { (west - wide / 2.0, span + wide) };
        let columns = (width / wide - 1e-6).ceil().clamp(1.0, 1e6);
        let dx = width / columns;
        let centres =
            |from: f64, by: f64, n: f64| (0..n as usize).map(|i| from + (i as f64 + 0.5) * by).collect();
        Self {
            rows: rows as usize,
            columns: columns as usize,
            latitude: centres(low, dy, rows),
            longitude: centres(first, dx, columns),
            valid: 0,
            table: Vec::new(),
            weights: Vec::new(),
            borrowed: Vec::new(),
        }
    }

    fn edges(&self) -> (f64, f64, f64, f64) {
        let step = |v: &[f64], alone: f64| if v.len() > 1 { v[1] - v[0] } else { alone };
        let (dx, dy) = (step(&self.longitude, 360.0), step(&self.latitude, 180.0));
        let first = |v: &[f64]| v.first().copied().unwrap_or(0.0);
        (first(&self.longitude) - dx / 2.0, dx, first(&self.latitude) - dy / 2.0, dy)
    }

    fn assign(&mut self, lon: &[f64], lat: &[f64]) {
        let (west, dx, south, dy) = self.edges();
        let mut best: Vec<(f32, u32)> = vec![(f32::INFINITY, NOWHERE); self.rows * self.columns];
        self.table = Vec::with_capacity(lon.len());
        for ((&x, &y), i) in lon.iter().zip(lat).zip(0u32..) {
            if !is_place(x, y) {
                self.table.push(NOWHERE);
                continue;
            }
            let row = (((y - south) / dy) as usize).min(self.rows - 1);
            let east = (x - west).rem_euclid(360.0);
            let column = ((east / dx) as usize).min(self.columns - 1);
            let bin = row * self.columns + column;
            self.table.push(bin as u32);
            let away = (wrap_longitude(x - self.longitude[column]) / dx).powi(2)
                + ((y - self.latitude[row]) / dy).powi(2);
            if (away as f32) < best[bin].0 {
                best[bin] = (away as f32, i);
            }
        }
        for (_, i) in best {
            if let Some(t) = self.table.get_mut(i as usize) {
                *t |= STANDS;
            }
        }
    }

    fn borrow(&mut self, tree: &Nearest, spread: &[Spread]) {
        let mut filled = vec![false; self.rows * self.columns];
        self.table.iter().filter(|t| **t != NOWHERE).for_each(|t| filled[(t & !STANDS) as usize] = true);
        let donors = each(filled.len(), |bin| {
            if filled[bin] {
                return 0;
            }
            let (row, column) = (bin / self.columns, bin % self.columns);
            let near = tree.one(self.longitude[column], self.latitude[row]);
            // Counted from 1, so that 0 is none.
            near.filter(|w| spread.get(w.id as usize).is_some_and(|s| w.chord <= f64::from(s.reach)))
                .and_then(|w| self.table.get(w.id as usize))
                .map_or(0, |t| (t & !STANDS) + 1)
        });
        self.borrowed =
            donors.iter().zip(0u32..).filter(|(d, _)| **d > 0).map(|(d, bin)| (bin, d - 1)).collect();
    }
}

/// Sums of one plane.
pub struct Binner {
    bins: Arc<Bins>,
    packing: Packing,
    method: Method,
    nodata: Vec<u8>,
    sums: Vec<f64>,
    areas: Vec<f64>,
    line: (Vec<f64>, Vec<f64>),
    /// Level 1, finished.
    out: Vec<u8>,
    rest: Cascade,
}

impl Binner {
    pub fn new(field: &Field, bins: &Arc<Bins>, rest: Cascade) -> Self {
        let n = bins.rows * bins.columns;
        Self {
            bins: Arc::clone(bins),
            packing: field.packing.clone(),
            method: field.method,
            nodata: field.nodata.clone(),
            sums: vec![0.0; n],
            areas: vec![0.0; n],
            line: Default::default(),
            out: Vec::new(),
            rest,
        }
    }

    /// Takes the next cells, from cell `first` on; after the last one the levels are made.
    pub fn push(&mut self, bytes: &[u8], first: usize) {
        let (mut values, mut valid) = std::mem::take(&mut self.line);
        weigh(bytes, &self.packing, &mut values, &mut valid);
        let cells = self.bins.table.iter().zip(&self.bins.weights).skip(first);
        let mut last = first;
        for ((value, valid), (bin, weight)) in values.iter().zip(&valid).zip(cells) {
            last += 1;
            if *valid == 0.0 || *bin == NOWHERE {
                continue;
            }
            let at = (bin & !STANDS) as usize;
            match self.method {
                Method::Average => {
                    self.sums[at] += value * f64::from(*weight);
                    self.areas[at] += f64::from(*weight);
                }
                Method::Nearest if bin & STANDS != 0 => (self.sums[at], self.areas[at]) = (*value, 1.0),
                Method::Nearest => {}
            }
        }
        self.line = (values, valid);
        if last >= self.bins.table.len() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let (bins, columns) = (Arc::clone(&self.bins), self.bins.columns);
        for (bin, donor) in &bins.borrowed {
            let (bin, donor) = (*bin as usize, *donor as usize);
            (self.sums[bin], self.areas[bin]) = (self.sums[donor], self.areas[donor]);
        }
        let rows = self.sums.chunks_mut(columns).zip(self.areas.chunks_mut(columns)).zip(&bins.latitude);
        let mut row = Vec::new();
        for (((sums, areas), latitude), r) in rows.zip(1..) {
            row.clear();
            means(sums, areas, &self.packing, &self.nodata, &mut row);
            self.out.extend_from_slice(&row);
            // From here on a bin counts by its own size.
            let size = latitude.to_radians().cos().max(1e-12);
            match self.method {
                Method::Nearest => self.rest.push(&row, Area::All(size)),
                Method::Average => {
                    for (sum, area) in sums.iter_mut().zip(areas.iter_mut()).filter(|(_, a)| **a > 0.0) {
                        (*sum, *area) = (*sum / *area * size, size);
                    }
                    self.rest.add(0, sums, areas, r == bins.rows);
                }
            }
        }
        self.sums.fill(0.0);
        self.areas.fill(0.0);
    }

    /// Finished rows of level `k` (from 1) since the last call.
    pub fn take(&mut self, k: usize) -> Vec<u8> {
        if k == 1 { std::mem::take(&mut self.out) } else { self.rest.take(k - 1) }
    }
}
