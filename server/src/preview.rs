//! A small picture of a collection: what a page shows until the map itself is
//! there, and what a catalog shows beside a title.
//!
//! The map of all of a variable's grid, whatever kind of grid it is, so small that the coarsest
//! level has a cell for each pixel: its cost depends on no request.

use std::sync::Arc;

use graticule_shared::axis::Axis;
use graticule_shared::crs::Crs;
use graticule_shared::cube::Variable;
use graticule_shared::frame::Frame;
use graticule_shared::grid::Horizontal;

use crate::edr::axes;
use crate::opened::Opened;
use crate::pictures::select::{self, Choice};
use crate::pictures::style::Asked;
use crate::pictures::{self, Format, MAX_BYTES, Pictures, coarsest, step_bytes};
use crate::problem::{Answer, Kind, Problem};

/// Pixels along the longer side; of a regular grid no more than the level has cells, since whoever
/// shows it larger smooths it better.
const LONGEST_PX: u32 = 512;
/// Nobody recognises less.
const FEWEST_PX: u32 = 16;
/// What has no width is shown as wide as this.
const LEAST_DEG: f64 = 1e-3;

/// What may be chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub variable: Option<String>,
    pub colormap: Option<String>,
    /// Low and high end in the stored unit.
    pub clim: Option<(f64, f64)>,
}

/// True where a variable has a small picture: a place, and a coarsest level of which one step is
/// no more than one picture may read.
pub fn is_pictured(opened: &Opened, variable: &Variable) -> bool {
    opened.is_placed(variable) && level_bytes(opened, variable).is_some_and(|bytes| bytes <= MAX_BYTES)
}

fn level_bytes(opened: &Opened, variable: &Variable) -> Option<u64> {
    let array = opened.array(&coarsest(opened, variable)?.array).ok()?;
    let grid = coarsest(opened, variable)?.horizontal.as_ref().map_or(2, Horizontal::rank);
    Some(step_bytes(array, array.shape.len().saturating_sub(grid)))
}

/// A PNG with a transparent ground; the first step of every other dimension.
///
/// # Errors
/// No variable that can be drawn, an unknown one, an unknown colour scale, or a
/// coarsest level too large to be drawn at once.
pub async fn png(pictures: &Pictures, opened: &Arc<Opened>, request: &Request) -> Answer<Arc<Vec<u8>>> {
    let variable = chosen(opened, request.variable.as_deref())?;
    let bbox = bbox(opened, variable).await?;
    let mut longest = longest_px(opened, variable);
    loop {
        let asked = pictures::Request {
            variable: Some(variable.path.clone()),
            choice: Choice::default(),
            frame: frame(bbox, longest),
            style: Asked { colormap: request.colormap.clone(), clim: request.clim, ..Asked::default() },
            format: Format::Png,
            ground: None,
            only: None,
        };
        match pictures.draw(opened, &asked).await {
            // A finer level has a cell for each of so many pixels: the coarsest has for fewer.
            Err(problem) if problem.kind == Kind::TooLarge && longest > FEWEST_PX => longest /= 2,
            answer => return answer,
        }
    }
}

/// The variable of this name, else the one to begin with of those that can be drawn.
fn chosen<'a>(opened: &'a Opened, name: Option<&str>) -> Answer<&'a Variable> {
    let first = || opened.cube.principal(|v| is_pictured(opened, v));
    if let (None, Some(variable)) = (name, first()) {
        return Ok(variable);
    }
    let variable = select::variable(opened, name)?;
    if is_pictured(opened, variable) {
        return Ok(variable);
    }
    let bytes = level_bytes(opened, variable).unwrap_or(u64::MAX);
    Err(Problem::new(
        Kind::TooLarge,
        format!(
            "{}: the coarsest level takes {bytes} bytes of decoded blocks, more than the {MAX_BYTES} of one picture: ingest it with a pyramid",
            variable.path
        ),
    ))
}

fn longest_px(opened: &Opened, variable: &Variable) -> u32 {
    match coarsest(opened, variable) {
        Some(level) if matches!(level.horizontal, Some(Horizontal::Separable { .. })) => {
            u32::try_from(level.rows.max(level.columns)).unwrap_or(u32::MAX).clamp(1, LONGEST_PX)
        }
        // Cells that lean, and cells in no order, need more pixels than there are of them.
        _ => LONGEST_PX,
    }
}

/// A degree of longitude is as long as one of latitude (equirectangular).
fn frame(bbox: [f64; 4], longest: u32) -> Frame {
    let [west, south, east, north] = bbox;
    let per_px = (north - south).max(east - west) / f64::from(longest);
    let count = |span: f64| ((span / per_px).round() as u32).clamp(1, longest);
    Frame { crs: Crs::CRS84, bbox, width: count(east - west), height: count(north - south) }
}

/// West, south, east and north of a variable's grid, from -180 where it closes around the globe;
/// east is beyond 180 across the antimeridian.
async fn bbox(opened: &Arc<Opened>, variable: &Variable) -> Answer<[f64; 4]> {
    let level = coarsest(opened, variable).and_then(|l| l.horizontal.as_ref());
    let found = match (variable.horizontal(), level) {
        // The levels of a list are regular, and cover it.
        (Some(Horizontal::Cells(_)), Some(Horizontal::Separable { latitude, longitude })) => {
            let y = opened.axis_values(latitude).await.map_err(Problem::of)?;
            let x = opened.axis_values(longitude).await.map_err(Problem::of)?;
            Some(spanned(
                &Axis::new(y.to_vec()).map_err(Problem::internal)?,
                &Axis::longitude(x.to_vec()).map_err(Problem::internal)?,
            ))
        }
        (Some(Horizontal::Separable { .. }), _) => {
            let (y, x) = axes(opened, variable).await?;
            Some(spanned(&y, &x))
        }
        (Some(grid), _) => opened.locator(grid).await.map_err(Problem::of)?.extent().bbox(),
        (None, _) => None,
    };
    let Some([west, south, east, north]) = found else {
        return Err(Problem::not_found(format!("no cell of {} has a place", variable.path)));
    };
    let east = if west > east { east + 360.0 } else { east };
    let widened = |a: f64, b: f64| if b - a < LEAST_DEG { (a - LEAST_DEG, b + LEAST_DEG) } else { (a, b) };
    let ((west, east), (south, north)) = (widened(west, east), widened(south, north));
    Ok([west, south.max(-90.0), east, north.min(90.0)])
}

fn spanned(y: &Axis, x: &Axis) -> [f64; 4] {
    let ends = |axis: &Axis| {
        let (a, b) = axis.edges();
        (a.min(b), a.max(b))
    };
    let (south, north) = ends(y);
    let (west, east) = if x.wraps() { (-180.0, 180.0) } else { ends(x) };
    [west, south.max(-90.0), east, north.min(90.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_spans_its_axes_from_the_date_line_where_they_close() {
        let lat = Axis::new((0..18).map(|i| -85.0 + f64::from(i) * 10.0).collect()).unwrap();
        let lon = Axis::longitude((0..36).map(|i| 5.0 + f64::from(i) * 10.0).collect()).unwrap();
        let globe = frame(spanned(&lat, &lon), 36);
        assert_eq!((globe.bbox, globe.width, globe.height), ([-180.0, -90.0, 180.0, 90.0], 36, 18));
        let near = Axis::longitude(vec![350.0, 355.0, 360.0, 365.0]).unwrap();
        let tall = frame(spanned(&lat, &near), 90);
        assert_eq!((tall.width, tall.height), (10, 90));
        assert_eq!((tall.bbox[0], tall.bbox[2]), (347.5, 367.5));
    }

    #[test]
    fn the_thinnest_box_has_a_pixel() {
        let line = frame([0.0, 10.0, 100.0, 10.001], 512);
        assert_eq!((line.width, line.height), (512, 1));
    }
}
