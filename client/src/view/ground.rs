//! Grids that are not on one-dimensional latitudes and longitudes: where their
//! parts lie, and which of them a view needs.

use graticule_shared::grid::locate::ProjectedGrid;
use graticule_shared::grid::sphere::{place_of, unit_vector};
use graticule_shared::level;
use graticule_shared::raster::{Camera, Projection};

use crate::view::cap::{Cap, angle};
use crate::view::levels::{Grid, PageId};
use crate::view::mesh::bend;
use crate::view::overview::Overview;
use crate::view::plan::{Plan, nearest_first};

/// A drawn cell corner may lie this many cells from its place, or device pixels where cells are larger.
const BEND: f64 = 0.1;
/// Cells along a side of the largest quadrilateral of a mesh.
const MAX_STEP: u32 = 64;
/// A quadrilateral of a curvilinear grid may be this many device pixels wide.
const STEP_PX: f64 = 4.0;
/// Curvilinear grids bend as they like: no quadrilateral is larger than this.
const MAX_BENT_STEP: u32 = 16;

/// Where the cells of a variable lie.
pub enum Ground {
    Projected(ProjectedGrid),
    Curvilinear(Overview),
}

impl Ground {
    /// The corner before row and column of level 0, as a unit vector; fractions
    /// between corners. Curvilinear corners are in the store, not here.
    pub fn corner(&self, row: f64, column: f64) -> Option<[f64; 3]> {
        let Self::Projected(grid) = self else { return None };
        let (y, x, projection) = grid.parts();
        let edge = |axis: &graticule_shared::axis::Axis, at: f64| {
            let at = at.clamp(0.0, axis.len() as f64);
            let (i, part) = (at.floor(), at.fract());
            let a = axis.edge(i as usize);
            if part == 0.0 { a } else { a + (axis.edge(i as usize + 1) - a) * part }
        };
        let (longitude, latitude) = projection.inverse(edge(x, column), edge(y, row))?;
        (longitude.is_finite() && latitude.is_finite()).then(|| unit_vector(longitude, latitude))
    }

    /// Around these rows and columns of level 0.
    pub fn cap(&self, rows: [f64; 2], columns: [f64; 2]) -> Option<Cap> {
        let Self::Curvilinear(overview) = self else {
            const N: u32 = 4;
            let at = |r: [f64; 2], i: u32| r[0] + (r[1] - r[0]) * f64::from(i) / f64::from(N);
            let points: Vec<[f64; 3]> = (0..=N)
                .flat_map(|i| (0..=N).map(move |j| (i, j)))
                .filter_map(|(i, j)| self.corner(at(rows, i), at(columns, j)))
                .collect();
            let cap = Cap::around_points(points.iter().copied())?;
            // Between the samples edges bend, and where samples fall beside the Earth some cells may not.
            let spread = if points.len() < 25 { 1.5 } else { 1.15 };
            return Some(Cap { radius: (cap.radius * spread).min(std::f64::consts::PI), ..cap });
        };
        overview.cap(rows, columns)
    }

    /// Middle, and width and height of the box around it, longitudes before
    /// latitudes, in degrees.
    pub fn bounds(&self) -> Option<([f64; 2], [f64; 2])> {
        match self {
            Self::Projected(grid) => {
                let (y, x, _) = grid.parts();
                let poles = [90.0, -90.0].map(|pole| grid.cell(0.0, pole).is_some());
                const N: u32 = 32;
                let at = |n: usize, i: u32| n as f64 * f64::from(i) / f64::from(N);
                let all = (0..=N).flat_map(|i| (0..=N).map(move |j| (i, j)));
                let points = all.filter_map(|(i, j)| self.corner(at(y.len(), i), at(x.len(), j)));
                let points: Vec<_> = points.collect();
                bounds(points.iter().copied(), poles.contains(&true))
            }
            Self::Curvilinear(overview) => bounds(overview.places(), false),
        }
    }

    /// How wide a cell of level 0 is at a place, in radians; `None` beside the grid.
    fn around(&self, place: [f64; 3]) -> Option<f64> {
        match self {
            Self::Projected(grid) => {
                let (longitude, latitude) = place_of(place)?;
                let (row, column) = grid.cell(longitude, latitude)?;
                let (r, c) = (row as f64, column as f64);
                let corner = |dr: f64, dc: f64| self.corner(r + dr, c + dc);
                let (a, b) = (corner(0.0, 0.0)?, corner(1.0, 1.0)?);
                Some(angle(a, b) / std::f64::consts::SQRT_2)
            }
            Self::Curvilinear(overview) => {
                let (y, x, off) = overview.nearest(place)?;
                let width = overview.spacing(y, x)?;
                (off <= width).then(|| width / overview.factor[0].max(overview.factor[1]))
            }
        }
    }

    /// The median width of a cell of level 0 in view, in device pixels; `None`
    /// where the view shows none.
    pub fn cell_px(&self, camera: &Camera, ratio: f64) -> Option<f64> {
        const N: u32 = 7;
        let mut widths: Vec<f64> = (0..N * N)
            .filter_map(|i| {
                let at = |k: u32, size: f64| (f64::from(k) + 0.5) / f64::from(N) * size;
                let (longitude, latitude) =
                    camera.unproject(at(i % N, camera.width_px), at(i / N, camera.height_px))?;
                let width = self.around(unit_vector(longitude, latitude))?;
                let stretch = match camera.projection {
                    Projection::Mercator => 1.0 / latitude.to_radians().cos().max(1e-3),
                    Projection::Globe => 1.0,
                };
                Some(width * camera.radius_px() * stretch * ratio)
            })
            .collect();
        widths.sort_unstable_by(f64::total_cmp);
        widths.get(widths.len() / 2).copied()
    }

    /// Rows and columns of a level that the edge of the grid does not cut short.
    pub fn whole(&self, grid: &Grid) -> [u32; 2] {
        let Self::Projected(projected) = self else { return grid.cells };
        let (y, x, _) = projected.parts();
        let whole = |d: usize, len: usize| ((len as f64 / grid.factor[d] + 1e-6) as u32).min(grid.cells[d]);
        [whole(0, y.len()), whole(1, x.len())]
    }

    /// Cells along a side of a mesh's quadrilaterals, the same for all pages of a
    /// level so that they meet without gaps. `cell_px`: width of a cell of the
    /// level in device pixels.
    pub fn step(&self, grid: &Grid, globe: bool, cell_px: f64) -> u32 {
        if matches!(self, Self::Curvilinear(_)) {
            let most = (STEP_PX / cell_px.max(1e-3)).max(1.0) as u32;
            return (1 << most.ilog2()).min(MAX_BENT_STEP);
        }
        let most = BEND / cell_px.max(1.0);
        let fits = |step: u32| {
            let reach = f64::from(step);
            let last = self.whole(grid).map(|n| (f64::from(n) - reach).max(0.0));
            const N: u32 = 8;
            (0..=N * N + 2 * N).all(|i| {
                let (y, x) = (f64::from(i / (N + 1)) / f64::from(N), f64::from(i % (N + 1)) / f64::from(N));
                let corner = |r: f64, c: f64| self.corner(r * grid.factor[0], c * grid.factor[1]);
                let at = [last[0] * y, last[1] * x];
                // A Mercator map ends before the poles, where it bends without end.
                let shown = globe || corner(at[0], at[1]).is_none_or(|p| p[2].abs() < 0.9963);
                !shown || bend(corner, at, reach, globe).is_none_or(|b| b <= most)
            })
        };
        let mut step = MAX_STEP;
        while step > 1 && !fits(step) {
            step /= 2;
        }
        step
    }

    /// Level and pages of a view, as [`crate::view::plan::plan`] decides them for
    /// grids on latitude and longitude.
    pub fn plan(&self, camera: &Camera, ratio: f64, grids: &[Grid]) -> Plan {
        let Some(coarsest) = grids.len().checked_sub(1) else { return Plan::default() };
        let level = match self.cell_px(camera, ratio) {
            Some(px) => level::coarsest(px, 1.0, grids.iter().map(|g| g.factor[0].max(g.factor[1]))),
            None => coarsest,
        };
        let pages = self.pages(level, &grids[level], camera);
        let background =
            if coarsest == level { Vec::new() } else { self.pages(coarsest, &grids[coarsest], camera) };
        Plan { level, pages, background }
    }

    /// A level's pages in view, the middle of the screen first.
    pub fn pages(&self, level: usize, grid: &Grid, camera: &Camera) -> Vec<PageId> {
        let mut found = Vec::new();
        let mut open = vec![([0, grid.pages[0]], [0, grid.pages[1]])];
        while let Some((rows, columns)) = open.pop() {
            if rows[0] >= rows[1] || columns[0] >= columns[1] {
                continue;
            }
            let Some(cap) = self.pages_cap(grid, rows, columns).filter(|c| c.is_in_view(camera)) else {
                continue;
            };
            if rows[1] - rows[0] == 1 && columns[1] - columns[0] == 1 {
                let (y, x) = (rows[0], columns[0]);
                if self.shows(grid, y, x, camera) {
                    let at = place_of(cap.centre).and_then(|(lon, lat)| camera.project(lon, lat));
                    let off = at.map_or(f64::MAX, |(px, py)| {
                        (px - camera.width_px / 2.0).hypot(py - camera.height_px / 2.0)
                    });
                    found.push((off as f32, PageId { level: level as u8, y, x }));
                }
                continue;
            }
            let (y, x) = (rows[0].midpoint(rows[1]), columns[0].midpoint(columns[1]));
            for rows in [[rows[0], y], [y, rows[1]]] {
                for columns in [[columns[0], x], [x, columns[1]]] {
                    open.push((rows, columns));
                }
            }
        }
        nearest_first(found)
    }

    /// Whether a quarter of a page is in view: the cap of a whole one is loose.
    fn shows(&self, grid: &Grid, y: u32, x: u32, camera: &Camera) -> bool {
        let [top, left] = grid.page_origin(y, x);
        let size = grid.cut(PageId { level: 0, y, x }).size;
        const PARTS: u32 = 4;
        (0..PARTS * PARTS).any(|i| {
            let range = |first: u32, n: u32, i: u32, factor: f64| {
                let part = f64::from(n) / f64::from(PARTS);
                [0, 1].map(|k| (f64::from(first) + part * f64::from(i + k)) * factor)
            };
            let rows = range(top, size[0], i / PARTS, grid.factor[0]);
            let columns = range(left, size[1], i % PARTS, grid.factor[1]);
            self.cap(rows, columns).is_some_and(|c| c.is_in_view(camera))
        })
    }

    /// Around a rectangle of pages.
    fn pages_cap(&self, grid: &Grid, rows: [u32; 2], columns: [u32; 2]) -> Option<Cap> {
        let first = grid.page_origin(rows[0], columns[0]);
        let last = grid.page_origin(rows[1] - 1, columns[1] - 1);
        let size = grid.cut(PageId { level: 0, y: rows[1] - 1, x: columns[1] - 1 }).size;
        let range =
            |d: usize| [f64::from(first[d]) * grid.factor[d], f64::from(last[d] + size[d]) * grid.factor[d]];
        self.cap(range(0), range(1))
    }
}

fn bounds(
    points: impl Iterator<Item = [f64; 3]> + Clone,
    around_a_pole: bool,
) -> Option<([f64; 2], [f64; 2])> {
    let (first, _) = place_of(Cap::around_points(points.clone())?.centre)?;
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for (longitude, latitude) in points.filter_map(place_of) {
        let turn = longitude - first;
        let at = [turn - (turn / 360.0).round() * 360.0, latitude];
        for d in 0..2 {
            (low[d], high[d]) = (low[d].min(at[d]), high[d].max(at[d]));
        }
    }
    let width = if around_a_pole { 360.0 } else { high[0] - low[0] };
    Some(([first + (low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0], [width, high[1] - low[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::grid::Projected;
    use graticule_shared::grid::projection::Projection as MapProjection;
    use serde_json::json;

    /// 2000 by 1600 cells of 3 km about (10 E, 50 N), in pages of 200 by 200 and two coarser levels.
    fn lambert() -> (Ground, Vec<Grid>) {
        let attributes = json!({"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": 50.0,
            "longitude_of_central_meridian": 10.0, "latitude_of_projection_origin": 50.0, "earth_radius": 6371229.0});
        let projection = MapProjection::from_attributes(attributes.as_object().unwrap()).unwrap();
        let named = |n: &str| n.to_owned();
        let grid = Projected { y: named("y"), x: named("x"), mapping: named("crs"), projection, unit: 1.0 };
        let axis = |n: i32| -> Vec<f64> { (0..n).map(|i| f64::from(2 * i - n + 1) * 1500.0).collect() };
        let grids = (0..3)
            .map(|k: u32| {
                let f = f64::from(1 << k);
                Grid::new([1600u64.div_ceil(1 << k), 2000u64.div_ceil(1 << k)], [f, f], [200, 200]).unwrap()
            })
            .collect();
        (Ground::Projected(ProjectedGrid::new(&grid, &axis(1600), &axis(2000)).unwrap()), grids)
    }

    fn camera(projection: Projection, zoom: f64) -> Camera {
        Camera {
            projection,
            longitude_deg: 15.0,
            latitude_deg: 55.0,
            zoom,
            width_px: 800.0,
            height_px: 600.0,
        }
    }

    #[test]
    fn a_grid_that_a_level_does_not_divide_has_as_large_steps_as_one_that_it_does() {
        let (ground, grids) = lambert();
        let Ground::Projected(p) = &ground else { panic!() };
        let (_, _, projection) = p.parts();
        let grid = Projected {
            y: "y".to_owned(),
            x: "x".to_owned(),
            mapping: "crs".to_owned(),
            projection: projection.clone(),
            unit: 1.0,
        };
        let axis = |n: i32| -> Vec<f64> { (0..n).map(|i| f64::from(2 * i - n + 1) * 1500.0).collect() };
        let odd = Ground::Projected(ProjectedGrid::new(&grid, &axis(1599), &axis(1999)).unwrap());
        assert_eq!(odd.whole(&grids[1]), [799, 999]);
        assert_eq!(ground.whole(&grids[1]), [800, 1000]);
        assert_eq!(odd.step(&grids[1], false, 1.0), ground.step(&grids[1], false, 1.0));
        assert!(ground.step(&grids[1], false, 1.0) > 4);
    }

    #[test]
    fn exactly_the_pages_that_pixels_show_are_planned_and_hardly_more() {
        let (ground, grids) = lambert();
        let Ground::Projected(p) = &ground else { panic!() };
        for projection in [Projection::Mercator, Projection::Globe] {
            for zoom in [3.0, 5.0, 8.0] {
                let c = camera(projection, zoom);
                let plan = ground.plan(&c, 1.0, &grids);
                let grid = &grids[plan.level];
                let mut shown = std::collections::BTreeSet::new();
                for i in 0..200 * 150 {
                    let (x, y) = (f64::from(i % 200) * 4.0, f64::from(i / 200) * 4.0);
                    let Some((lon, lat)) = c.unproject(x, y) else { continue };
                    let Some((row, column)) = p.cell(lon, lat) else { continue };
                    let y = grid.page_at(0, grid.cell(0, row as u32));
                    let x = grid.page_at(1, grid.cell(1, column as u32));
                    shown.insert(PageId { level: plan.level as u8, y, x });
                }
                assert!(shown.iter().all(|s| plan.pages.contains(s)), "{projection:?} {zoom}");
                assert!(
                    plan.pages.len() <= shown.len() * 5 / 4 + 4,
                    "{projection:?} {zoom}: {} pages for {}",
                    plan.pages.len(),
                    shown.len()
                );
            }
        }
    }

    #[test]
    fn the_level_has_a_cell_for_each_pixel() {
        let (ground, grids) = lambert();
        // At 55 N a pixel of zoom 4 is 2.8 km, of zoom 3 5.6 km, of zoom 2 11 km.
        for (zoom, level) in [(1.0, 2), (2.9, 1), (3.9, 0), (9.0, 0)] {
            assert_eq!(ground.plan(&camera(Projection::Mercator, zoom), 1.0, &grids).level, level, "{zoom}");
        }
    }

    #[test]
    fn a_smooth_projection_needs_few_corners() {
        let (ground, grids) = lambert();
        let step = ground.step(&grids[0], false, 1.0);
        assert!((4..64).contains(&step), "{step}");
        assert!(ground.step(&grids[0], false, 16.0) < step);
        let corner = |r: f64, c: f64| ground.corner(r, c);
        for at in [[3.0, 5.0], [1500.0, 1900.0], [800.0, 1000.0]] {
            assert!(bend(corner, at, f64::from(step), false).unwrap() <= 2.0 * BEND);
        }
    }

    #[test]
    fn beside_the_grid_nothing_is_wanted() {
        let (ground, grids) = lambert();
        let c = Camera { longitude_deg: -120.0, ..camera(Projection::Mercator, 5.0) };
        assert_eq!(ground.plan(&c, 1.0, &grids).pages, []);
    }
}
