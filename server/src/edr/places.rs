//! Cells of a variable's grid by place: the one at a point, those around it, those in a region.

use std::sync::{Arc, LazyLock};

use graticule_shared::axis::Axis;
use graticule_shared::cube::Variable;
use graticule_shared::grid::around::{self, Weighted};
use graticule_shared::grid::sphere::wrap_longitude;
use graticule_shared::grid::{Horizontal, Locator};
use tokio::sync::Semaphore;

use super::coverage::Domain;
use super::gather::Where;
use super::inside::{Areas, Chosen, listed, window};
use super::region::Region;
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

/// A cell: where it is in C order over the grid's dimensions, and its centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    pub flat: u64,
    /// Within -180 <= x < 180.
    pub longitude: f64,
    pub latitude: f64,
}

/// The grid of a variable, with its coordinates at hand.
#[derive(Clone)]
pub struct Grid {
    shape: Vec<u64>,
    kind: GridKind,
}

#[derive(Clone)]
enum GridKind {
    Axes(Arc<(Axis, Axis)>),
    Found(Arc<Locator>),
}

/// Searches of regions at the same time.
static SEARCHING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// Searches off the server's threads, by turns.
pub(super) async fn search<T: Send + 'static>(
    find: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    // Whoever asked may have gone; the search goes on, so it keeps its turn itself.
    let turn = SEARCHING.clone().acquire_owned().await.map_err(Problem::internal)?;
    let found = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        find()
    });
    found.await.map_err(Problem::internal)?
}
/// Cells listed by name; a list of more is no list of stations.
const MAX_LISTED: u64 = 100_000;

/// The cells of a collection whose grid is a list of places: of its first variable that has one.
///
/// # Errors
/// Coordinates that do not read.
pub async fn listed_cells(opened: &Arc<Opened>) -> Answer<Vec<Cell>> {
    use graticule_shared::grid::Cells;
    let listed = |v: &&Variable| {
        matches!(v.horizontal(), Some(Horizontal::Cells(Cells::Listed { .. })))
            && v.dims.last().is_some_and(|d| d.len <= MAX_LISTED)
    };
    let Some(variable) = super::readable(opened).find(listed) else { return Ok(Vec::new()) };
    let grid = Grid::of(opened, variable).await?;
    let GridKind::Found(locator) = &grid.kind else { return Ok(Vec::new()) };
    let Locator::Cells { longitude, latitude, .. } = locator.as_ref() else { return Ok(Vec::new()) };
    let places = longitude.iter().zip(latitude).enumerate();
    let there = places.filter(|(_, (x, y))| x.is_finite() && y.is_finite());
    Ok(there
        .map(|(i, (x, y))| Cell { flat: i as u64, longitude: wrap_longitude(*x), latitude: *y })
        .collect())
}

impl Grid {
    /// # Errors
    /// Coordinates that do not read.
    pub async fn of(opened: &Arc<Opened>, variable: &Variable) -> Answer<Self> {
        let grid = variable.horizontal().ok_or_else(|| Problem::internal("a variable without a grid"))?;
        let lens = variable.dims.iter().map(|d| d.len);
        let shape = lens.skip(variable.dims.len() - grid.rank().min(variable.dims.len())).collect();
        let kind = match grid {
            Horizontal::Separable { .. } => GridKind::Axes(Arc::new(super::axes(opened, variable).await?)),
            other => GridKind::Found(opened.locator(other).await.map_err(Problem::of)?),
        };
        Ok(Self { shape, kind })
    }

    /// The cell that a place lies in.
    pub fn cell(&self, longitude: f64, latitude: f64) -> Option<Cell> {
        match &self.kind {
            GridKind::Axes(axes) => {
                let (y, x) = axes.as_ref();
                let (row, column) = (y.cell(latitude)?, x.cell(longitude)?);
                Some(Cell {
                    flat: row as u64 * x.len() as u64 + column as u64,
                    longitude: wrap_longitude(*x.values().get(column)?),
                    latitude: *y.values().get(row)?,
                })
            }
            GridKind::Found(locator) => {
                let found = locator.locate(longitude, latitude)?;
                let flat = found.index.iter().zip(&self.shape).fold(0, |at, (i, n)| at * n + i);
                Some(Cell { flat, longitude: found.longitude_deg, latitude: found.latitude_deg })
            }
        }
    }

    /// The four cells around a place in a cell, and their weights, which add up to 1.
    ///
    /// # Errors
    /// A grid between whose cells nothing is interpolated; a place outside.
    pub fn around(&self, cell: Cell, longitude: f64, latitude: f64) -> Result<Weighted, String> {
        let outside = || "it is outside the grid".to_owned();
        match &self.kind {
            GridKind::Axes(axes) => between(&axes.0, &axes.1, latitude, longitude).ok_or_else(outside),
            GridKind::Found(locator) => match locator.as_ref() {
                Locator::Projected(grid) => {
                    let (y, x, projection) = grid.parts();
                    let (px, py) = projection.forward(longitude, latitude).ok_or_else(outside)?;
                    between(y, x, py, px).ok_or_else(outside)
                }
                Locator::Curvilinear { places, .. } => {
                    let columns = places.columns.max(1) as u64;
                    let cell = ((cell.flat / columns) as usize, (cell.flat % columns) as usize);
                    Ok(around::curvilinear(places, cell, (longitude, latitude)))
                }
                Locator::Healpix(grid) => around::healpix(grid, (longitude, latitude)).ok_or_else(outside),
                Locator::Cells { .. } => {
                    Err("the cells of this grid are a list, without rows to interpolate \
                                              between; ask with method=nearest"
                        .to_owned())
                }
            },
        }
    }

    /// True of two cells with a side in common by their rows and columns; unknown of lists.
    pub fn are_beside(&self, a: u64, b: u64) -> bool {
        let [_, columns] = *self.shape.as_slice() else { return false };
        let columns = columns.max(1);
        let (down, across) = ((a / columns).abs_diff(b / columns), (a % columns).abs_diff(b % columns));
        // The seam of a grid around the Earth, which another grid's ends are too far apart for.
        down + across == 1 || (down == 0 && across + 1 == columns)
    }

    /// Why a place is outside, and what the grid spans.
    pub fn outside(&self, variable: &Variable, longitude: f64, latitude: f64) -> String {
        match &self.kind {
            GridKind::Axes(axes) => {
                let (name, value, axis) = match axes.0.cell(latitude) {
                    None => ("latitude", latitude, &axes.0),
                    Some(_) => ("longitude", longitude, &axes.1),
                };
                let (a, b) = axis.edges();
                // In the turn that the place counts in, where the grid is not around the Earth.
                let turn = if name == "longitude" && a.min(b) >= 180.0 { 360.0 } else { 0.0 };
                let (a, b) = (a - turn, b - turn);
                format!("{name} {value} is outside the grid, which spans {} to {}", a.min(b), a.max(b))
            }
            GridKind::Found(locator) => {
                let spans = locator.extent().bbox().map_or_else(
                    || "none of its cells has a place".to_owned(),
                    |[w, s, e, n]| {
                        format!("its cells lie between {s} and {n} north and from {w} to {e} east")
                    },
                );
                format!("{longitude} {latitude} is outside the grid of {:?}: {spans}", variable.path)
            }
        }
    }

    /// Cells whose centres lie in a region; of one that has none, the cell that its middle lies in.
    /// `None` where that is beside the grid. Of more cells than are ever answered some are left
    /// out, or not compared with the region's edges: their number says that there are too many.
    ///
    /// # Errors
    /// A region of more edges than can be compared with so many cells.
    pub async fn within(&self, region: &Region) -> Answer<Option<Chosen>> {
        let (grid, region) = (self.clone(), region.clone());
        search(move || {
            let found = match &grid.kind {
                GridKind::Axes(axes) => window(axes, &region),
                GridKind::Found(locator) => listed(locator, &region)?,
            };
            Ok(found.or_else(|| match region {
                // The box has the circle's middle, or has nothing of it.
                Region::Circles { centres, angle_deg, clip: Some(b) } => {
                    let circle = Region::of_circles(centres, angle_deg, None);
                    let (x, y) = circle.middle();
                    grid.middle(&circle).filter(|_| Region::of_box(b).contains(x, y))
                }
                region => grid.middle(&region),
            }))
        })
        .await
    }

    fn middle(&self, region: &Region) -> Option<Chosen> {
        let (x, y) = region.middle();
        let cell = self.cell(x, y)?;
        let domain = match &self.kind {
            GridKind::Axes(_) => {
                Domain::Grid { latitude: vec![cell.latitude], longitude: vec![cell.longitude], outside: None }
            }
            GridKind::Found(_) => {
                Domain::Cells { longitude: vec![cell.longitude], latitude: vec![cell.latitude] }
            }
        };
        let at = match (&self.kind, self.shape.as_slice()) {
            (GridKind::Axes(_), [_, columns]) => {
                Where::Window { rows: vec![cell.flat / columns], columns: vec![cell.flat % columns] }
            }
            _ => Where::List(vec![cell.flat]),
        };
        Some(Chosen { at, domain, areas: Areas::Listed(vec![1.0]) })
    }

    /// About how many degrees cells are apart.
    pub fn spacing_deg(&self) -> f64 {
        match &self.kind {
            GridKind::Axes(axes) => {
                let of = |a: &Axis| {
                    let (from, to) = a.edges();
                    (to - from).abs() / a.len().max(1) as f64
                };
                of(&axes.0).min(of(&axes.1))
            }
            GridKind::Found(locator) => {
                let cells: u64 = self.shape.iter().product();
                let [w, s, e, n] = locator.extent().bbox().unwrap_or([-180.0, -90.0, 180.0, 90.0]);
                let wide = if w > e { e + 360.0 - w } else { e - w };
                (wide.max(0.1) * (n - s).max(0.1) / cells.max(1) as f64).sqrt()
            }
        }
        .max(1e-6)
    }
}

/// Rows and columns around a place, in the units of the axes, and what each of their cells counts for.
fn between(y: &Axis, x: &Axis, at_y: f64, at_x: f64) -> Option<Weighted> {
    let along = |axis: &Axis, at: f64, wraps: bool| -> Option<(usize, usize, f64)> {
        axis.cell(at)?;
        let f = axis.fractional(axis.normalise(at));
        let n = axis.len();
        let low = f.floor();
        if low < 0.0 || low as usize + 1 >= n {
            // Beyond the centres of the outermost cells: across the seam, or as they are.
            return match (wraps, low < 0.0) {
                (true, _) => Some((n - 1, 0, seam(axis, at))),
                (false, true) => Some((0, 0, 0.0)),
                (false, false) => Some((n - 1, n - 1, 0.0)),
            };
        }
        Some((low as usize, low as usize + 1, f - low))
    };
    let (r0, r1, fy) = along(y, at_y, false)?;
    let (c0, c1, fx) = along(x, at_x, x.wraps())?;
    let flat = |r: usize, c: usize| r as u64 * x.len() as u64 + c as u64;
    Some([
        (flat(r0, c0), (1.0 - fy) * (1.0 - fx)),
        (flat(r0, c1), (1.0 - fy) * fx),
        (flat(r1, c0), fy * (1.0 - fx)),
        (flat(r1, c1), fy * fx),
    ])
}

/// How far between the last and the first value of a longitude axis around the globe a place lies.
fn seam(axis: &Axis, at: f64) -> f64 {
    let (last, first) = (axis.last(), axis.first());
    let turn = |from: f64, to: f64| (to - from).rem_euclid(360.0);
    if axis.is_rising() { turn(last, at) / turn(last, first) } else { turn(at, last) / turn(first, last) }
}

#[cfg(test)]
mod tests {
    use graticule_shared::grid::healpix::Healpix;

    use super::*;

    fn regular() -> Grid {
        let y = Axis::new((0..19).map(|i| 90.0 - f64::from(i) * 10.0).collect()).unwrap();
        let x = Axis::longitude((0..36).map(|i| f64::from(i) * 10.0).collect()).unwrap();
        Grid { shape: vec![19, 36], kind: GridKind::Axes(Arc::new((y, x))) }
    }

    #[tokio::test]
    async fn a_window_across_the_seam_runs_from_west_to_east() {
        let found = regular().within(&Region::of_box([-15.0, -10.0, 20.0, 10.0])).await.unwrap().unwrap();
        let Domain::Grid { latitude, longitude, outside } = found.domain else { panic!("no grid") };
        assert_eq!((latitude, longitude), (vec![10.0, 0.0, -10.0], vec![-10.0, 0.0, 10.0, 20.0]));
        assert_eq!(outside, None);
        assert_eq!(found.at, Where::Window { rows: vec![8, 9, 10], columns: vec![35, 0, 1, 2] });
        let area = |i| found.areas.weight(i);
        assert!(area(4) > area(0) && (area(0) - area(8)).abs() < 1e-12);
    }

    #[tokio::test]
    async fn all_cells_together_are_the_sphere_on_every_grid() {
        let world = Region::of_box([-180.0, -90.0, 180.0, 90.0]);
        for grid in [
            regular(),
            Grid {
                shape: vec![768],
                kind: GridKind::Found(Arc::new(Locator::Healpix(Healpix::new(8, true).unwrap()))),
            },
            Grid {
                shape: vec![300],
                kind: GridKind::Found(Arc::new(Locator::Healpix(Healpix::new(5, false).unwrap()))),
            },
        ] {
            let found = grid.within(&world).await.unwrap().unwrap();
            assert_eq!(found.at.count() as u64, grid.shape.iter().product::<u64>());
            let sum: f64 = (0..found.at.count()).map(|i| found.areas.weight(i)).sum();
            assert!((sum - 4.0 * std::f64::consts::PI).abs() < 1e-9, "{sum}");
        }
    }

    #[tokio::test]
    async fn quarters_of_healpix_find_what_a_search_of_all_finds() {
        for nested in [true, false] {
            let h = Healpix::new(32, nested).unwrap();
            let grid = Grid { shape: vec![h.cells()], kind: GridKind::Found(Arc::new(Locator::Healpix(h))) };
            for b in [[170.0, -20.0, -170.0, 30.0], [-10.0, 80.0, 200.0, 90.0], [30.0, -89.0, 60.0, -80.0]] {
                let region = Region::of_box(b);
                let found = grid.within(&region).await.unwrap().unwrap();
                let inside = |c: &u64| h.place(*c).is_some_and(|(x, y)| region.contains(x, y));
                let all: Vec<u64> = (0..h.cells()).filter(inside).collect();
                assert_eq!(found.at, Where::List(all), "{b:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_region_between_centres_is_the_cell_it_lies_in() {
        let found = regular().within(&Region::of_box([1.0, 1.0, 2.0, 2.0])).await.unwrap().unwrap();
        assert_eq!(found.at, Where::Window { rows: vec![9], columns: vec![0] });
    }

    #[test]
    fn four_neighbours_are_weighed_by_nearness_across_the_seam_too() {
        let grid = regular();
        let at = |lon, lat| grid.around(grid.cell(lon, lat).unwrap(), lon, lat).unwrap();
        let [a, b, c, d] = at(5.0, 85.0);
        assert_eq!(([a.0, b.0, c.0, d.0], [a.1, b.1, c.1, d.1]), ([0, 1, 36, 37], [0.25; 4]));
        let [a, b, ..] = at(357.5, 90.0);
        assert_eq!((a.0, b.0), (35, 0));
        assert!((a.1 - 0.25).abs() < 1e-12 && (b.1 - 0.75).abs() < 1e-12, "{a:?} {b:?}");
        let [a, b, ..] = at(-2.5, 90.0);
        assert!((a.0, b.0) == (35, 0) && (b.1 - 0.75).abs() < 1e-12, "{a:?} {b:?}");
    }
}
