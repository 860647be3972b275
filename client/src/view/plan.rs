//! Which pages a view needs, the middle of the screen first.

use std::collections::HashMap;

use graticule_shared::axis::Axis;
use graticule_shared::level;
use graticule_shared::raster::{Camera, Cell, Projection};

use crate::view::levels::{Grid, PageId};

/// Points of the globe are tried this many pixels apart.
const GLOBE_STEP_PX: f64 = 6.0;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The level to show.
    pub level: usize,
    /// Its pages in view, those nearest the middle first.
    pub pages: Vec<PageId>,
    /// The coarsest level's pages in view: background while the others load.
    pub background: Vec<PageId>,
}

/// The coarsest level that still has a cell for each device pixel; the finest
/// where none has.
pub fn level_for(camera: &Camera, ratio: f64, grids: &[Grid], x_axis: &Axis) -> usize {
    let (a, b) = x_axis.edges();
    let cell_deg = (b - a).abs() / x_axis.len().max(1) as f64;
    let pixel_deg = camera.degrees_per_px() / ratio;
    level::coarsest(cell_deg, pixel_deg, grids.iter().map(|g| g.factor[1]))
}

/// `columns` and `rows` are the Mercator tables of the view; unused on the globe.
pub fn plan(
    camera: &Camera,
    ratio: f64,
    grids: &[Grid],
    axes: (&Axis, &Axis),
    columns: &[Cell],
    rows: &[Cell],
) -> Plan {
    if grids.is_empty() {
        return Plan::default();
    }
    let level = level_for(camera, ratio, grids, axes.1);
    let coarsest = grids.len() - 1;
    let visible = |level: usize| match camera.projection {
        Projection::Mercator => mercator_pages(level, &grids[level], columns, rows),
        Projection::Globe => globe_pages(level, &grids[level], camera, axes),
    };
    let pages = visible(level);
    let background = if coarsest == level { Vec::new() } else { visible(coarsest) };
    Plan { level, pages, background }
}

/// For each page along an axis, how near to the middle of the screen it comes.
fn spans(grid: &Grid, axis: usize, cells: &[Cell]) -> Vec<(u32, f32)> {
    let middle = cells.len() as f32 / 2.0;
    let mut out: Vec<(u32, f32)> = Vec::new();
    for (i, c) in cells.iter().enumerate().filter(|(_, c)| c.index >= 0.0) {
        let page = grid.page_at(axis, grid.cell(axis, c.index as u32));
        let off = (i as f32 - middle).abs();
        match out.iter_mut().rev().find(|(p, _)| *p == page) {
            Some((_, least)) => *least = least.min(off),
            None => out.push((page, off)),
        }
    }
    out
}

fn mercator_pages(level: usize, grid: &Grid, columns: &[Cell], rows: &[Cell]) -> Vec<PageId> {
    let (ys, xs) = (spans(grid, 0, rows), spans(grid, 1, columns));
    let mut found: Vec<(f32, PageId)> = Vec::with_capacity(ys.len() * xs.len());
    for (y, off_y) in &ys {
        for (x, off_x) in &xs {
            found.push((off_y.hypot(*off_x), PageId { level: level as u8, y: *y, x: *x }));
        }
    }
    nearest_first(found)
}

fn globe_pages(level: usize, grid: &Grid, camera: &Camera, (y_axis, x_axis): (&Axis, &Axis)) -> Vec<PageId> {
    let mut found: HashMap<PageId, f32> = HashMap::new();
    let steps = |px: f64| (px / GLOBE_STEP_PX).ceil() as u32;
    for j in 0..=steps(camera.height_px) {
        for i in 0..=steps(camera.width_px) {
            let (x, y) = (f64::from(i) * GLOBE_STEP_PX, f64::from(j) * GLOBE_STEP_PX);
            let Some((longitude, latitude)) = camera.unproject(x, y) else { continue };
            let (Some(row), Some(column)) = (y_axis.cell(latitude), x_axis.cell(longitude)) else { continue };
            let page = PageId {
                level: level as u8,
                y: grid.page_at(0, grid.cell(0, row as u32)),
                x: grid.page_at(1, grid.cell(1, column as u32)),
            };
            let off = (x - camera.width_px / 2.0).hypot(y - camera.height_px / 2.0) as f32;
            found.entry(page).and_modify(|least| *least = least.min(off)).or_insert(off);
        }
    }
    nearest_first(found.into_iter().map(|(page, off)| (off, page)).collect())
}

pub fn nearest_first(mut found: Vec<(f32, PageId)>) -> Vec<PageId> {
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, page)| page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::levels::number_pages;
    use graticule_shared::raster::{mercator_columns, mercator_rows};

    fn world() -> (Axis, Axis, Vec<Grid>) {
        let lat = Axis::new((0..720).map(|i| -89.875 + f64::from(i) * 0.25).collect()).unwrap();
        let lon = Axis::longitude((0..1440).map(|i| -179.875 + f64::from(i) * 0.25).collect()).unwrap();
        let grid = |k: u32| {
            let f = f64::from(1 << k);
            Grid::new([720u64.div_ceil(1 << k), 1440u64.div_ceil(1 << k)], [f, f], [128, 128]).unwrap()
        };
        let (grids, _) = number_pages((0..3).map(grid).collect(), 1 << 20);
        (lat, lon, grids)
    }

    fn plan_at(projection: Projection, longitude_deg: f64, zoom: f64) -> Plan {
        let (lat, lon, grids) = world();
        let camera =
            Camera { projection, longitude_deg, latitude_deg: 0.0, zoom, width_px: 800.0, height_px: 600.0 };
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        mercator_columns(&camera, 1.0, 800, &lon, &mut columns);
        mercator_rows(&camera, 1.0, 600, &lat, &mut rows);
        plan(&camera, 1.0, &grids, (&lat, &lon), &columns, &rows)
    }

    #[test]
    fn the_level_has_a_cell_for_each_pixel() {
        assert_eq!(plan_at(Projection::Mercator, 0.0, 0.5).level, 1);
        assert_eq!(plan_at(Projection::Mercator, 0.0, 1.5).level, 0);
        assert_eq!(plan_at(Projection::Mercator, 0.0, 9.0).level, 0);
        assert_eq!(plan_at(Projection::Globe, 0.0, -1.0).level, 2);
    }

    #[test]
    fn across_the_antimeridian_both_ends_of_the_grid_are_wanted() {
        let p = plan_at(Projection::Mercator, 180.0, 5.0);
        let xs: std::collections::BTreeSet<u32> = p.pages.iter().map(|p| p.x).collect();
        assert!(xs.contains(&0) && xs.contains(&11), "{xs:?}");
        assert!(xs.len() <= 3);
    }

    #[test]
    fn the_middle_of_the_screen_comes_first() {
        let p = plan_at(Projection::Mercator, 40.0, 3.0);
        let middle = PageId { level: 0, y: 360 / 128, x: ((40.0f64 + 180.0) * 4.0) as u32 / 128 };
        assert!(p.pages[..2].contains(&middle), "{:?}", p.pages);
        assert!(!p.background.is_empty() && p.background.iter().all(|b| b.level == 2));
    }

    #[test]
    fn a_globe_wants_the_near_side_only() {
        let p = plan_at(Projection::Globe, 0.0, 1.5);
        assert!(p.pages.iter().all(|p| (2..=9).contains(&p.x)), "{:?}", p.pages);
        assert!(p.pages.len() > 10);
    }
}
