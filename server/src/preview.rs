//! A small picture of a collection: what a page shows until the map itself is
//! there, and what a catalog shows beside a title.
//!
//! Drawn from the coarsest level only, so that its cost depends on no request:
//! one plane of at most [`MAX_CELLS`]. Cells, colours and the range are found by
//! the rules that the map obeys (`shared::raster`, `colormap`, `range`).

use std::sync::Arc;

use graticule_shared::axis::Axis;
use graticule_shared::colormap;
use graticule_shared::cube::Variable;
use graticule_shared::grid::Horizontal;
use graticule_shared::raster::plate;

use crate::edr::axes;
use crate::opened::{Opened, element_size, unravel};
use crate::pictures::encode::{Format, picture};
use crate::pictures::first_range;
use crate::pictures::paint::{NO_DATA, State};
use crate::pictures::style::{self, Asked, Style};
use crate::problem::{Answer, Kind, Problem};

/// Pixels along the longer side; no more than the level has cells, since whoever
/// shows it larger smooths it better.
const LONGEST_PX: u32 = 512;
/// A coarsest level with more cells has no pyramid that deserves the name.
const MAX_CELLS: u64 = 1 << 22;
/// Of one decoded block, which may hold more steps than the one drawn.
const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// What may be chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub variable: Option<String>,
    pub colormap: Option<String>,
    /// Low and high end in the stored unit.
    pub clim: Option<(f64, f64)>,
}

/// The plane drawn: NaN where there is no data.
struct Plane {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

/// A PNG with a transparent ground; the first step of every other dimension.
///
/// # Errors
/// No variable that can be drawn, an unknown one, an unknown colour scale, or a
/// coarsest level too large to be drawn at once.
pub async fn png(opened: &Arc<Opened>, request: &Request) -> Answer<Vec<u8>> {
    let variable = chosen(opened, request.variable.as_deref())?;
    let asked = Asked { colormap: request.colormap.clone(), clim: request.clim, ..Asked::default() };
    let name = asked.colormap.clone().unwrap_or_else(|| style::default_colormap(variable).to_owned());
    let lut = style::lut(&name)?;
    let (y, x) = places(opened, variable).await?;
    let plane = read(opened, variable).await?;
    let ends = match asked.clim {
        Some(ends) => ends,
        None => first_range(opened, variable, &name).await?,
    };
    let style = Style::new(name, lut, ends, &asked)?;
    let own = matches!(variable.horizontal(), Some(Horizontal::Cells(_)));
    let last = variable.levels.last().filter(|_| !own);
    let factor = last.map_or((1.0, 1.0), |l| (l.factor_y, l.factor_x));
    // A cell of the coarse level covers `factor` cells of the axis.
    let coarse = |cells: Vec<Option<usize>>, factor: f64, len: usize| -> Vec<Option<usize>> {
        let of = |i: usize| ((i as f64 / factor) as usize).min(len.saturating_sub(1));
        cells.into_iter().map(|c| c.map(of)).collect()
    };
    let (rows, columns) = plate((&y, &x), LONGEST_PX.min(plane.rows.max(plane.columns) as u32));
    let rows = coarse(rows, factor.0, plane.rows);
    let columns = coarse(columns, factor.1, plane.columns);
    let at = |row: Option<usize>, column: Option<usize>| {
        let v = plane.values.get(row? * plane.columns + column?).filter(|v| v.is_finite())?;
        Some(State::from(colormap::index(*v, style.low, style.high, style.stretch)))
    };
    let states: Vec<State> = rows
        .iter()
        .flat_map(|r| columns.iter().map(move |c| (*r, *c)))
        .map(|(r, c)| at(r, c).unwrap_or(NO_DATA))
        .collect();
    let size = [columns.len() as u32, rows.len() as u32];
    picture(&states, size, &style, None, Format::Png).map_err(Problem::internal)
}

/// Axes of the finest level; of a list of cells those of the level that is drawn.
async fn places(opened: &Arc<Opened>, variable: &Variable) -> Answer<(Axis, Axis)> {
    let level = variable.levels.last().and_then(|l| l.horizontal.as_ref());
    match (variable.horizontal(), level) {
        (Some(Horizontal::Cells(_)), Some(Horizontal::Separable { latitude, longitude })) => {
            let y = opened.axis_values(latitude).await.map_err(Problem::internal)?;
            let x = opened.axis_values(longitude).await.map_err(Problem::internal)?;
            Ok((
                Axis::new(y.to_vec()).map_err(Problem::internal)?,
                Axis::longitude(x.to_vec()).map_err(Problem::internal)?,
            ))
        }
        _ => axes(opened, variable).await,
    }
}

fn readable(opened: &Opened) -> impl Iterator<Item = &Variable> {
    opened.cube.variables.iter().filter(|v| opened.is_pictured(v))
}

fn chosen<'a>(opened: &'a Opened, name: Option<&str>) -> Answer<&'a Variable> {
    let Some(name) = name else {
        return opened.cube.principal(|v| opened.is_pictured(v)).ok_or_else(|| {
            Problem::not_found(
                "this collection has no variable whose coarsest level is a regular grid of latitude and longitude, of which a picture is drawn",
            )
        });
    };
    let known = || readable(opened).map(|v| v.path.as_str()).collect::<Vec<_>>().join(", ");
    readable(opened)
        .find(|v| v.path == name)
        .ok_or_else(|| Problem::parameter("variable", name, format!("expected one of {}", known())))
}

async fn read(opened: &Arc<Opened>, variable: &Variable) -> Answer<Plane> {
    let level = variable.levels.last().ok_or_else(|| Problem::internal("a variable without levels"))?;
    let array = opened.array(&level.array).map_err(Problem::internal)?;
    let block = array.block_shape().to_vec();
    let (&[.., rows, columns], &[.., tall, wide]) = (array.shape.as_slice(), block.as_slice()) else {
        return Err(Problem::internal(format!("{}: fewer than two dimensions", level.array)));
    };
    let cells = rows.saturating_mul(columns);
    let bytes = block.iter().fold(element_size(array) as u64, |n, len| n.saturating_mul(*len));
    if cells > MAX_CELLS || bytes > MAX_BLOCK_BYTES {
        return Err(Problem::new(
            Kind::TooLarge,
            format!(
                "{}: the coarsest level has {rows} x {columns} cells in blocks of {bytes} bytes; a picture is drawn of at most {MAX_CELLS} cells and blocks of {MAX_BLOCK_BYTES} bytes: ingest it with a pyramid",
                level.array
            ),
        ));
    }
    let mut values = vec![f64::NAN; cells as usize];
    let grid = [rows.div_ceil(tall.max(1)), columns.div_ceil(wide.max(1))];
    let dtype = variable.packing.read_as();
    for flat in 0..grid[0] * grid[1] {
        let [by, bx] = unravel(flat, &grid)[..] else { continue };
        let mut index = vec![0; block.len() - 2];
        index.extend([by, bx]);
        let bytes = opened.snapshot.read_block(array, &index).await?;
        for r in 0..tall.min(rows - by * tall) {
            for c in 0..wide.min(columns - bx * wide) {
                let value = dtype
                    .get_f64(&bytes, (r * wide + c) as usize)
                    .and_then(|raw| variable.packing.value(raw));
                let at = (by * tall + r) * columns + bx * wide + c;
                if let (Some(slot), Some(v)) = (values.get_mut(at as usize), value) {
                    *slot = v;
                }
            }
        }
    }
    Ok(Plane { rows: rows as usize, columns: columns as usize, values })
}
