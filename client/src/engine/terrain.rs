//! Grids that are not on latitude and longitude: their coordinates from the
//! store, the meshes of their pages, and the cell of a place.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use graticule_shared::cube::{Packing, packing};
use graticule_shared::grid::Angles;
use graticule_shared::grid::corners::{Centres, HALO};
use graticule_shared::grid::sphere::{is_place, place_of, unit_vector};

use crate::chunks::loader::{Block, Loader};
use crate::chunks::source::{BlockKey, Source};
use crate::view::cap::{Cap, angle};
use crate::view::ground::Ground;
use crate::view::levels::{Grid, PageId};
use crate::view::mesh::{Cells, Mesh, Origin, mesh};
use crate::view::overview::Overview;

/// Samples of a grid that say where its parts lie.
const OVERVIEW_CELLS: u64 = 1 << 17;
/// Corners along a side of the patch around a place whose nearest centre is sought.
const MAX_PATCH: u32 = 512;

/// One of a level's two coordinate arrays.
pub struct Coordinate {
    source: Rc<Source>,
    packing: Packing,
    angles: Angles,
}

impl Coordinate {
    /// `None` where the array is no numbers.
    pub fn new(source: Rc<Source>, angles: &Angles) -> Option<Self> {
        let packing = packing(&source.meta, source.chain.dtype);
        (source.meta.shape.len() >= 2).then(|| Self { source, packing, angles: angles.clone() })
    }

    /// The block that holds row and column, and its first row and column.
    fn block_shape(&self) -> Option<[u32; 2]> {
        let &[.., rows, columns] = self.source.meta.block_shape() else { return None };
        Some([u32::try_from(rows).ok()?.max(1), u32::try_from(columns).ok()?.max(1)])
    }

    /// A leading dimension has one step.
    fn key(&self, y: u32, x: u32) -> BlockKey {
        let mut index = vec![0; self.source.meta.shape.len() - 2];
        index.extend([u64::from(y), u64::from(x)]);
        self.source.key(&index)
    }

    fn keys(&self, rows: &Range<u32>, columns: &Range<u32>, out: &mut Vec<BlockKey>) {
        let Some([h, w]) = self.block_shape() else { return };
        for y in rows.start / h..rows.end.div_ceil(h) {
            for x in columns.start / w..columns.end.div_ceil(w) {
                let key = self.key(y, x);
                if !out.contains(&key) {
                    out.push(key);
                }
            }
        }
    }

    /// Degrees of these cells, NaN for none; `None` where a block is not here.
    fn read(&self, loader: &Loader, rows: &Range<u32>, columns: &Range<u32>) -> Option<Vec<f64>> {
        let [h, w] = self.block_shape()?;
        let dtype = self.packing.read_as();
        let size = dtype.size();
        let (height, width) = ((rows.end - rows.start) as usize, (columns.end - columns.start) as usize);
        let mut out = vec![f64::NAN; height * width];
        for y in rows.start / h..rows.end.div_ceil(h) {
            for x in columns.start / w..columns.end.div_ceil(w) {
                let block = loader.get(&self.key(y, x))?;
                let (r0, r1) = (rows.start.max(y * h), rows.end.min((y + 1) * h));
                let (c0, c1) = (columns.start.max(x * w), columns.end.min((x + 1) * w));
                // Whole rows at once, one copy a block.
                let first = (r0 - y * h) as usize * w as usize;
                let count = (r1 - r0) as usize * w as usize;
                let bytes = match &block {
                    Block::Data(data) => {
                        data.subarray((first * size) as u32, ((first + count) * size) as u32).to_vec()
                    }
                    Block::Fill => self.source.fill(),
                };
                let fill = matches!(block, Block::Fill);
                for r in r0..r1 {
                    for c in c0..c1 {
                        let at = (r - r0) as usize * w as usize + (c - x * w) as usize;
                        let raw = dtype.get_f64(&bytes, if fill { 0 } else { at });
                        let value = raw.and_then(|raw| self.packing.value(raw));
                        let to = (r - rows.start) as usize * width + (c - columns.start) as usize;
                        out[to] = value.map_or(f64::NAN, |v| self.angles.degrees(v));
                    }
                }
            }
        }
        Some(out)
    }
}

/// Where one level's cells lie.
pub struct Coordinates {
    pub size: [u32; 2],
    pub latitude: Coordinate,
    pub longitude: Coordinate,
}

impl Coordinates {
    fn keys(&self, rows: &Range<u32>, columns: &Range<u32>) -> Vec<BlockKey> {
        let mut out = Vec::new();
        self.latitude.keys(rows, columns, &mut out);
        self.longitude.keys(rows, columns, &mut out);
        out
    }

    /// Centres of these cells; `None` where a block is not here.
    fn centres(&self, loader: &Loader, rows: &Range<u32>, columns: &Range<u32>) -> Option<Centres> {
        let latitude = self.latitude.read(loader, rows, columns)?;
        let longitude = self.longitude.read(loader, rows, columns)?;
        let at = longitude.iter().zip(&latitude);
        let at = at.map(|(lon, lat)| is_place(*lon, *lat).then(|| unit_vector(*lon, *lat))).collect();
        let size = [rows, columns].map(|r| (r.end - r.start) as usize);
        let mut centres = Centres { rows: size[0], columns: size[1], at };
        centres.drop_repeated();
        Some(centres)
    }

    /// A page's cells and those around it that its corners depend on.
    fn window(&self, [row, column]: [u32; 2], [rows, columns]: [u32; 2]) -> [Range<u32>; 2] {
        let range = |first: u32, n: u32, all: u32| {
            first.saturating_sub(HALO).min(all)..first.saturating_add(n).saturating_add(HALO).min(all)
        };
        [range(row, rows, self.size[0]), range(column, columns, self.size[1])]
    }

    /// Reads all of it, a band of blocks at a time, and keeps a sample. `None`
    /// where a block cannot be had or no cell has a place.
    pub async fn overview(&self, loader: &Loader, factor: [f64; 2]) -> Option<Overview> {
        let cells = u64::from(self.size[0]) * u64::from(self.size[1]);
        let stride = ((cells as f64 / OVERVIEW_CELLS as f64).sqrt().ceil() as u32).max(1);
        let all = 0..self.size[1];
        let band = self.latitude.block_shape()?[0].max(self.longitude.block_shape()?[0]);
        let sampled = self.size.map(|n| n.div_ceil(stride) as usize);
        let mut centres = Vec::with_capacity(sampled[0] * sampled[1]);
        for first in (0..self.size[0]).step_by(band as usize) {
            let rows = first..(first + band).min(self.size[0]);
            let keys = self.keys(&rows, &all);
            loader.ask(&keys);
            for key in keys {
                loader.wait_for(key).await?;
            }
            let read = self.centres(loader, &rows, &all)?;
            for r in rows.clone().filter(|r| r.is_multiple_of(stride)) {
                let row = (r - rows.start) as usize * read.columns;
                let sample = read.at[row..row + read.columns].iter().step_by(stride as usize);
                centres.extend(sample.map(|p| p.map_or([f32::NAN; 3], |p| p.map(|v| v as f32))));
            }
        }
        let stride = f64::from(stride);
        Overview::new(sampled, [stride * factor[0], stride * factor[1]], centres)
    }
}

/// A cell of some level, and its centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    pub row: u32,
    pub column: u32,
    pub longitude_deg: f64,
    pub latitude_deg: f64,
}

pub struct Terrain {
    pub ground: Ground,
    /// One a level; none for a projection.
    pub levels: Vec<Coordinates>,
    /// Steps of meshes that were found, by level, whether for the globe, and the width of cells.
    steps: RefCell<HashMap<(usize, bool, u32), u32>>,
}

impl Terrain {
    pub fn new(ground: Ground, levels: Vec<Coordinates>) -> Self {
        Self { ground, levels, steps: RefCell::default() }
    }

    /// Cells along a side of the quadrilaterals of a level's meshes. `cell_px`:
    /// width of a cell of level 0 in device pixels.
    pub fn step(&self, level: usize, grid: &Grid, globe: bool, cell_px: f64) -> u32 {
        let px = cell_px * grid.factor[0].max(grid.factor[1]);
        if matches!(self.ground, Ground::Curvilinear(_)) {
            return self.ground.step(grid, globe, px);
        }
        // As wide as cells are within a factor of two, so that a wheel's turn does not make all anew.
        let octave = px.max(1.0).log2().ceil();
        let key = (level, globe, octave as u32);
        let known = self.steps.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let step = self.ground.step(grid, globe, octave.exp2());
            self.steps.borrow_mut().insert(key, step);
            step
        })
    }

    /// Blocks of coordinates that a page's mesh is made from.
    pub fn keys(&self, page: PageId, grid: &Grid) -> Vec<BlockKey> {
        let Some(coordinates) = self.levels.get(usize::from(page.level)) else { return Vec::new() };
        let [rows, columns] = coordinates.window(grid.page_origin(page.y, page.x), grid.cut(page).size);
        coordinates.keys(&rows, &columns)
    }

    /// A page's mesh; `None` where its coordinates are not here.
    pub fn mesh(
        &self,
        loader: &Loader,
        page: PageId,
        grid: &Grid,
        globe: bool,
        step: u32,
    ) -> Option<(Cap, Mesh)> {
        let (origin, size) = (grid.page_origin(page.y, page.x), grid.cut(page).size);
        let range = |d: usize| {
            [f64::from(origin[d]) * grid.factor[d], f64::from(origin[d] + size[d]) * grid.factor[d]]
        };
        let cap = self.ground.cap(range(0), range(1)).unwrap_or(Cap::WHOLE);
        let middle = Origin::new(globe, cap.centre);
        let Some(coordinates) = self.levels.get(usize::from(page.level)) else {
            let corner = |r: u32, c: u32| {
                let at = |d: usize, i: u32| f64::from(origin[d] + i) * grid.factor[d];
                self.ground.corner(at(0, r), at(1, c))
            };
            let all = self.ground.whole(grid);
            let whole = [0, 1].map(|d| all[d].saturating_sub(origin[d]).min(size[d]));
            return Some((cap, mesh(&Cells { size, whole, corner, has: |_, _| true }, step, middle)));
        };
        let [rows, columns] = coordinates.window(origin, size);
        if coordinates.keys(&rows, &columns).iter().any(|k| loader.has_failed(k)) {
            let none = Cells { size: [0, 0], whole: [0, 0], corner: |_, _| None, has: |_, _| false };
            return Some((cap, mesh(&none, 1, middle)));
        }
        let centres = coordinates.centres(loader, &rows, &columns)?;
        let first = [origin[0] - rows.start, origin[1] - columns.start];
        let corners = centres.corners(first, size);
        let corner = |r: u32, c: u32| corners.get((r * (size[1] + 1) + c) as usize).copied().flatten();
        let has = |r: u32, c: u32| centres.has(first[0] + r, first[1] + c);
        Some((cap, mesh(&Cells { size, whole: size, corner, has }, step, middle)))
    }

    /// Rows and columns of a level among which a place's cell is.
    fn patch(&self, level: usize, grid: &Grid, place: [f64; 3]) -> Option<[Range<u32>; 2]> {
        let Ground::Curvilinear(overview) = &self.ground else { return None };
        let coordinates = self.levels.get(level)?;
        let (y, x, off) = overview.nearest(place)?;
        if overview.spacing(y, x).is_some_and(|s| off > 3.0 * s) {
            return None;
        }
        let range = |at: usize, d: usize| {
            let cells = overview.factor[d] / grid.factor[d];
            let middle = (at as f64 + 0.5) * cells;
            let reach = (1.5 * cells + 2.0).min(f64::from(MAX_PATCH / 2));
            let clamp = |v: f64| v.clamp(0.0, f64::from(coordinates.size[d])) as u32;
            clamp((middle - reach).floor())..clamp((middle + reach).ceil())
        };
        Some([range(y, 0), range(x, 1)])
    }

    /// Blocks of coordinates that say which cell of a level a place lies in.
    pub fn keys_around(&self, level: usize, grid: &Grid, longitude: f64, latitude: f64) -> Vec<BlockKey> {
        let Some([rows, columns]) = self.patch(level, grid, unit_vector(longitude, latitude)) else {
            return Vec::new();
        };
        self.levels.get(level).map(|c| c.keys(&rows, &columns)).unwrap_or_default()
    }

    /// The cell of a level that a place lies in: by the projection, or the nearest
    /// centre, unless that is farther than the cells there are wide. `None` beside
    /// the grid, and where the coordinates are not here.
    pub fn cell(
        &self,
        loader: &Loader,
        level: usize,
        grid: &Grid,
        longitude: f64,
        latitude: f64,
    ) -> Option<Found> {
        if let Ground::Projected(projected) = &self.ground {
            let (row, column) = projected.cell(longitude, latitude)?;
            let at = [grid.cell(0, u32::try_from(row).ok()?), grid.cell(1, u32::try_from(column).ok()?)];
            let middle = |d: usize| (f64::from(at[d]) + 0.5) * grid.factor[d];
            let (longitude_deg, latitude_deg) = if grid.factor == [1.0, 1.0] {
                projected.place(row, column)?
            } else {
                place_of(self.ground.corner(middle(0), middle(1))?)?
            };
            return Some(Found { row: at[0], column: at[1], longitude_deg, latitude_deg });
        }
        let place = unit_vector(longitude, latitude);
        let [rows, columns] = self.patch(level, grid, place)?;
        let centres = self.levels.get(level)?.centres(loader, &rows, &columns)?;
        let (at, off) = centres
            .at
            .iter()
            .enumerate()
            .filter_map(|(i, p)| Some((i, angle((*p)?, place))))
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        if off > centres.reach(at) {
            return None;
        }
        let (longitude_deg, latitude_deg) = place_of(centres.at[at]?)?;
        let (row, column) = ((at / centres.columns) as u32, (at % centres.columns) as u32);
        Some(Found { row: rows.start + row, column: columns.start + column, longitude_deg, latitude_deg })
    }
}
