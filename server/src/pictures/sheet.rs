//! Which level a picture is drawn from, and the cell of that level under each pixel.

use std::sync::Arc;

use graticule_shared::axis::Axis;
use graticule_shared::crs::Crs;
use graticule_shared::cube::{Level, Variable};
use graticule_shared::frame::Frame;
use graticule_shared::grid::{Edges, Finder, Horizontal, Locator};
use graticule_shared::level;

use super::Heavy;
use crate::edr;
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

/// No cell.
pub const NONE: u32 = u32::MAX;
/// Places along a side at which cells are measured against pixels.
const MEASURED: u32 = 7;

/// Rows and columns of one level, as pixels see them. Of a list of cells the row is 0.
pub struct Sheet {
    /// Which of the variable's levels.
    pub level: usize,
    pub places: Places,
}

pub enum Places {
    /// A row for each row of pixels, a column for each column.
    Table { rows: Vec<u32>, columns: Vec<u32> },
    /// Row and column of each pixel, row by row.
    Each(Vec<[u32; 2]>),
}

impl Heavy for Sheet {
    fn bytes(&self) -> usize {
        match &self.places {
            Places::Table { rows, columns } => 4 * (rows.len() + columns.len()),
            Places::Each(all) => 8 * all.len(),
        }
    }
}

/// Cells of a level by those of the level whose axes are at hand.
#[derive(Clone, Copy)]
struct Coarser {
    factor: [f64; 2],
    size: [u64; 2],
}

impl Coarser {
    fn of(level: &Level, finest: &Level) -> Self {
        let factor = [level.factor_y / finest.factor_y, level.factor_x / finest.factor_x];
        Self { factor, size: [level.rows, level.columns] }
    }

    fn cell(&self, axis: usize, index: usize) -> u32 {
        let last = self.size[axis].saturating_sub(1);
        u32::try_from(((index as f64 / self.factor[axis]) as u64).min(last)).unwrap_or(NONE)
    }
}

/// True where each pixel's cell must be searched for.
pub fn is_searched(variable: &Variable, frame: &Frame) -> bool {
    !(frame.crs.is_separable() && matches!(variable.horizontal(), Some(Horizontal::Separable { .. })))
}

/// Finds level and cells.
///
/// # Errors
/// Coordinates that do not read.
pub async fn make(opened: &Arc<Opened>, variable: &Variable, frame: &Frame) -> Answer<Sheet> {
    let usable: Vec<usize> = usable(opened, variable);
    let levels = &variable.levels;
    let at = |i: usize| levels.get(i).ok_or_else(|| Problem::internal("a variable without levels"));
    match variable.horizontal() {
        None => Err(Problem::internal("a variable without a grid")),
        Some(Horizontal::Separable { .. }) => {
            let (y, x) = edr::axes(opened, variable).await?;
            let factors: Vec<f64> = usable.iter().filter_map(|i| Some(levels.get(*i)?.factor_x)).collect();
            let found = level::coarsest(cell_width(&x), frame.degrees_per_px(), factors.into_iter());
            let level = usable.get(found).copied().unwrap_or(0);
            let coarser = Coarser::of(at(level)?, at(0)?);
            Ok(Sheet { level, places: on_axes(frame.clone(), y, x, coarser).await? })
        }
        Some(grid @ Horizontal::Cells(_)) => {
            // Coarser levels are regular grids, whose factors count from the first of them.
            let regular: Vec<usize> = usable
                .into_iter()
                .filter(|i| {
                    matches!(
                        levels.get(*i).and_then(|l| l.horizontal.as_ref()),
                        Some(Horizontal::Separable { .. })
                    )
                })
                .collect();
            if let Some(first) = regular.first().and_then(|i| levels.get(*i))
                && let Some(Horizontal::Separable { latitude, longitude }) = &first.horizontal
            {
                let axis = |path: String| async move { opened.axis_values(&path).await.map_err(Problem::of) };
                let y = Axis::new(axis(latitude.clone()).await?.to_vec()).map_err(Problem::internal)?;
                let x =
                    Axis::longitude(axis(longitude.clone()).await?.to_vec()).map_err(Problem::internal)?;
                let factors: Vec<f64> =
                    regular.iter().filter_map(|i| Some(levels.get(*i)?.factor_x / first.factor_x)).collect();
                let found = level::fitting(cell_width(&x), frame.degrees_per_px(), factors.into_iter());
                if let Some(level) = found.and_then(|i| regular.get(i)).copied() {
                    let coarser = Coarser::of(at(level)?, first);
                    return Ok(Sheet { level, places: on_axes(frame.clone(), y, x, coarser).await? });
                }
            }
            let locator = opened.locator(grid).await.map_err(Problem::of)?;
            let frame = frame.clone();
            let each = tokio::task::spawn_blocking(move || {
                let mut finder = Finder::new(&locator);
                each(&frame, |lon, lat| Some([0, u32::try_from(finder.cell(lon, lat)?[1]).ok()?]))
            });
            Ok(Sheet { level: 0, places: each.await.map_err(Problem::internal)? })
        }
        Some(grid) => {
            let locator = opened.locator(grid).await.map_err(Problem::of)?;
            let coarser = coarser_levels(variable, &usable);
            let frame = frame.clone();
            let made = tokio::task::spawn_blocking(move || {
                let (level, coarser) = level_of(&frame, &locator, &coarser)?;
                let cells = |find: &mut dyn FnMut(f64, f64) -> Option<[u64; 2]>| {
                    each(&frame, |lon, lat| {
                        let [row, column] = find(lon, lat)?;
                        Some([coarser.cell(0, row as usize), coarser.cell(1, column as usize)])
                    })
                };
                let places = if level == 0 {
                    let mercator = frame.crs == Crs::WEB_MERCATOR;
                    let mut drawn =
                        locator.drawn(if mercator { Edges::Mercator } else { Edges::GreatCircles });
                    cells(&mut |lon, lat| drawn.cell(lon, lat))
                } else {
                    // Several cells a pixel: it is one of them.
                    let mut finder = Finder::new(&locator);
                    cells(&mut |lon, lat| finder.cell(lon, lat))
                };
                Some(Sheet { level, places })
            });
            let made = made.await.map_err(Problem::internal)?;
            made.ok_or_else(|| Problem::internal("a variable without levels"))
        }
    }
}

fn coarser_levels(variable: &Variable, usable: &[usize]) -> Vec<(usize, Coarser)> {
    let levels = &variable.levels;
    let of = |i: &usize| Some((*i, Coarser::of(levels.get(*i)?, levels.first()?)));
    usable.iter().filter_map(of).collect()
}

/// Of a grid whose cells are not all alike, by those in the middle of their order.
fn level_of(frame: &Frame, locator: &Locator, coarser: &[(usize, Coarser)]) -> Option<(usize, Coarser)> {
    let factors: Vec<f64> = coarser.iter().map(|(_, c)| c.factor[0].max(c.factor[1])).collect();
    let found = match cell_px(frame, locator) {
        Some(px) => level::coarsest(px, 1.0, factors.into_iter()),
        // Nothing of the grid is there.
        None => factors.len().saturating_sub(1),
    };
    coarser.get(found).copied()
}

/// Whether each of these, whose pixels are alike, would be drawn from this level.
///
/// # Errors
/// Coordinates that do not read.
pub async fn is_level_of_all(
    opened: &Arc<Opened>,
    variable: &Variable,
    level: usize,
    frames: &[Frame],
) -> Answer<bool> {
    let usable = usable(opened, variable);
    let Some(grid @ (Horizontal::Projected(_) | Horizontal::Curvilinear { .. })) = variable.horizontal()
    else {
        // Where all cells are of one width, the width of pixels alone decides.
        return Ok(true);
    };
    if usable.len() < 2 {
        return Ok(true);
    }
    let locator = opened.locator(grid).await.map_err(Problem::of)?;
    let (coarser, frames) = (coarser_levels(variable, &usable), frames.to_vec());
    let same =
        move || frames.iter().all(|f| level_of(f, &locator, &coarser).is_some_and(|(l, _)| l == level));
    tokio::task::spawn_blocking(same).await.map_err(Problem::internal)
}

/// The level that is drawn where pixels are as large as can be.
pub fn coarsest<'a>(opened: &Opened, variable: &'a Variable) -> Option<&'a Level> {
    let list = matches!(variable.horizontal(), Some(Horizontal::Cells(_)));
    let mut all = usable(opened, variable).into_iter().filter_map(|i| variable.levels.get(i));
    let regular = |l: &&Level| !list || matches!(l.horizontal, Some(Horizontal::Separable { .. }));
    all.rfind(regular).or(variable.levels.first())
}

/// Levels that hold the same kind of numbers as the finest, as the browser picks them.
fn usable(opened: &Opened, variable: &Variable) -> Vec<usize> {
    let same = |path: &str| opened.array(path).is_ok_and(|a| a.dtype == Some(variable.packing.dtype));
    let all = variable.levels.iter().enumerate();
    all.filter(|(i, l)| *i == 0 || same(&l.array)).map(|(i, _)| i).collect()
}

/// Degrees from edge to edge of a mean cell.
fn cell_width(x: &Axis) -> f64 {
    let (a, b) = x.edges();
    (b - a).abs() / x.len().max(1) as f64
}

async fn on_axes(frame: Frame, y: Axis, x: Axis, coarser: Coarser) -> Answer<Places> {
    let cell = move |axis: &Axis, n: usize, at: f64| axis.cell(at).map_or(NONE, |i| coarser.cell(n, i));
    if frame.crs.is_separable() {
        let rows = frame.latitudes().into_iter().map(|lat| cell(&y, 0, lat)).collect();
        let columns = frame.longitudes().into_iter().map(|lon| cell(&x, 1, lon)).collect();
        return Ok(Places::Table { rows, columns });
    }
    let made = tokio::task::spawn_blocking(move || {
        each(&frame, |lon, lat| {
            let found = [cell(&y, 0, lat), cell(&x, 1, lon)];
            (!found.contains(&NONE)).then_some(found)
        })
    });
    made.await.map_err(Problem::internal)
}

fn each(frame: &Frame, mut find: impl FnMut(f64, f64) -> Option<[u32; 2]>) -> Places {
    let none = [NONE; 2];
    let mut out = Vec::with_capacity(frame.width as usize * frame.height as usize);
    if frame.crs.is_separable() {
        let longitudes = frame.longitudes();
        for lat in frame.latitudes() {
            out.extend(longitudes.iter().map(|lon| find(*lon, lat).unwrap_or(none)));
        }
    } else {
        for j in 0..frame.height {
            for i in 0..frame.width {
                let place = frame.place(f64::from(i) + 0.5, f64::from(j) + 0.5);
                out.push(place.and_then(|(lon, lat)| find(lon, lat)).unwrap_or(none));
            }
        }
    }
    Places::Each(out)
}

/// The median width of a cell of the finest level, in pixels; `None` where the picture shows none.
fn cell_px(frame: &Frame, locator: &Locator) -> Option<f64> {
    let mut widths: Vec<f64> = (0..MEASURED * MEASURED)
        .filter_map(|n| {
            let at = |k: u32, size: u32| (f64::from(k) + 0.5) / f64::from(MEASURED) * f64::from(size);
            let (i, j) = (at(n % MEASURED, frame.width), at(n / MEASURED, frame.height));
            let (lon, lat) = frame.place(i, j)?;
            let found = locator.locate(lon, lat)?;
            let &[row, column] = found.index.as_slice() else { return None };
            let px = locator.width(row as usize, column as usize)? / frame.pixel_angle(i, j)?;
            px.is_finite().then_some(px)
        })
        .collect();
    widths.sort_unstable_by(f64::total_cmp);
    widths.get(widths.len() / 2).copied()
}
