//! From a pixel to a place to a cell to a colour.
//!
//! The browser's shader and whatever the server draws must agree on which cell a
//! pixel shows. What decides it is here: projections between screen and
//! longitude/latitude, and the tables that the shader reads for Web Mercator,
//! where a column of pixels is one longitude and a row of pixels one latitude.
//! Computed in float64, so that no zoom is too deep for the shader's float32.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use crate::axis::Axis;
use crate::colormap::{self, Lut, Stretch};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Projection {
    #[default]
    Mercator,
    /// Orthographic: the Earth from far away.
    Globe,
}

/// Width of the world in CSS pixels at zoom 0.
pub const TILE_PX: f64 = 512.0;
/// Where Web Mercator's square ends.
pub const MERCATOR_LATITUDE_DEG: f64 = 85.051_128_779_806_59;

/// A screen looking at the Earth. Pixels run right and down from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    pub projection: Projection,
    pub longitude_deg: f64,
    pub latitude_deg: f64,
    pub zoom: f64,
    pub width_px: f64,
    pub height_px: f64,
}

impl Camera {
    /// Width of the world in pixels.
    pub fn world_px(&self) -> f64 {
        TILE_PX * self.zoom.exp2()
    }

    /// Radius of the globe in pixels: at its centre a degree is as long as on the
    /// Mercator map's equator.
    pub fn radius_px(&self) -> f64 {
        self.world_px() / TAU
    }

    /// Degrees of longitude in a pixel (on the globe: at its centre, on the equator).
    pub fn degrees_per_px(&self) -> f64 {
        360.0 / self.world_px()
    }

    /// Longitude and latitude under a pixel; `None` beside the Earth. Longitudes
    /// of a Mercator map run on past the antimeridian.
    pub fn unproject(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (dx, dy) = (x - self.width_px / 2.0, y - self.height_px / 2.0);
        match self.projection {
            Projection::Mercator => {
                let world = self.world_px();
                let v = mercator_y(self.latitude_deg) + dy / world;
                (0.0..=1.0).contains(&v).then(|| {
                    let longitude = self.longitude_deg + dx / world * 360.0;
                    (longitude, mercator_latitude_deg(v))
                })
            }
            Projection::Globe => {
                let (x, y) = (dx / self.radius_px(), -dy / self.radius_px());
                let z = (1.0 - x * x - y * y).max(0.0).sqrt();
                if x * x + y * y > 1.0 {
                    return None;
                }
                let (sin, cos) = self.latitude_deg.to_radians().sin_cos();
                let latitude = (y * cos + z * sin).clamp(-1.0, 1.0).asin();
                let longitude = x.atan2(z * cos - y * sin);
                Some((self.longitude_deg + longitude.to_degrees(), latitude.to_degrees()))
            }
        }
    }

    /// The pixel of a place; on a Mercator map that of its copy nearest the
    /// centre. `None` on the far side of the globe.
    pub fn project(&self, longitude_deg: f64, latitude_deg: f64) -> Option<(f64, f64)> {
        let turn = longitude_deg - self.longitude_deg;
        let turn = turn - (turn / 360.0).round() * 360.0;
        let (x, y) = match self.projection {
            Projection::Mercator => {
                let world = self.world_px();
                let down = mercator_y(latitude_deg) - mercator_y(self.latitude_deg);
                (turn / 360.0 * world, down * world)
            }
            Projection::Globe => {
                let (sin0, cos0) = self.latitude_deg.to_radians().sin_cos();
                let (sin, cos) = latitude_deg.to_radians().sin_cos();
                let (sin_turn, cos_turn) = turn.to_radians().sin_cos();
                if sin0 * sin + cos0 * cos * cos_turn < 0.0 {
                    return None;
                }
                let r = self.radius_px();
                (r * cos * sin_turn, -r * (cos0 * sin - sin0 * cos * cos_turn))
            }
        };
        Some((self.width_px / 2.0 + x, self.height_px / 2.0 + y))
    }
}

/// From 0 at the map's upper edge to 1 at its lower.
pub fn mercator_y(latitude_deg: f64) -> f64 {
    let lat = latitude_deg.clamp(-MERCATOR_LATITUDE_DEG, MERCATOR_LATITUDE_DEG).to_radians();
    0.5 - (PI / 4.0 + lat / 2.0).tan().ln() / TAU
}

pub fn mercator_latitude_deg(y: f64) -> f64 {
    (2.0 * ((0.5 - y) * TAU).exp().atan() - FRAC_PI_2).to_degrees()
}

/// A cell of an axis and how far into it, 0 to 1 in axis order; index -1 beside the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Cell {
    pub index: f32,
    pub fraction: f32,
}

impl Cell {
    pub const NONE: Cell = Cell { index: -1.0, fraction: 0.0 };

    fn of(axis: &Axis, coordinate: f64) -> Cell {
        // Indices up to 2^24 are exact in float32; no axis is longer.
        axis.locate(coordinate)
            .map_or(Cell::NONE, |(i, f)| Cell { index: i as f32, fraction: (f as f32).clamp(0.0, 0.999_999) })
    }
}

/// The cell of each column of device pixels of a Mercator map.
pub fn mercator_columns(camera: &Camera, ratio: f64, count: u32, axis: &Axis, out: &mut Vec<Cell>) {
    let world = camera.world_px();
    out.clear();
    out.extend((0..count).map(|i| {
        let x = (f64::from(i) + 0.5) / ratio - camera.width_px / 2.0;
        Cell::of(axis, camera.longitude_deg + x / world * 360.0)
    }));
}

/// The cell of each row of device pixels of a Mercator map.
pub fn mercator_rows(camera: &Camera, ratio: f64, count: u32, axis: &Axis, out: &mut Vec<Cell>) {
    let (world, centre) = (camera.world_px(), mercator_y(camera.latitude_deg));
    out.clear();
    out.extend((0..count).map(|i| {
        let v = centre + ((f64::from(i) + 0.5) / ratio - camera.height_px / 2.0) / world;
        if (0.0..=1.0).contains(&v) { Cell::of(axis, mercator_latitude_deg(v)) } else { Cell::NONE }
    }));
}

/// How values become colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    pub low: f64,
    pub high: f64,
    pub stretch: Stretch,
}

/// What a pixel shows: the shader's twin. `value` reads a cell (row, column).
pub fn pixel(
    camera: &Camera,
    (y_axis, x_axis): (&Axis, &Axis),
    (x, y): (f64, f64),
    value: impl Fn(usize, usize) -> Option<f64>,
    ramp: Ramp,
    lut: &Lut,
) -> Option<[u8; 3]> {
    let (longitude, latitude) = camera.unproject(x, y)?;
    let v = value(y_axis.cell(latitude)?, x_axis.cell(longitude)?)?;
    Some(lut[usize::from(colormap::index(v, ramp.low, ramp.high, ramp.stretch))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(projection: Projection) -> Camera {
        Camera {
            projection,
            longitude_deg: 12.0,
            latitude_deg: 40.0,
            zoom: 3.0,
            width_px: 800.0,
            height_px: 600.0,
        }
    }

    #[test]
    fn places_go_to_the_screen_and_back() {
        for projection in [Projection::Mercator, Projection::Globe] {
            let c = camera(projection);
            for (x, y) in [(400.0, 300.0), (10.0, 20.0), (700.0, 590.0), (333.3, 444.4)] {
                let (lon, lat) = c.unproject(x, y).unwrap();
                let (u, v) = c.project(lon, lat).unwrap();
                assert!((u - x).abs() < 1e-6 && (v - y).abs() < 1e-6, "{projection:?} {x} {y}: {u} {v}");
            }
        }
    }

    #[test]
    fn beside_the_globe_and_behind_it_is_nothing() {
        let c = Camera { zoom: 1.0, ..camera(Projection::Globe) };
        assert_eq!(c.unproject(1.0, 1.0), None);
        assert_eq!(c.project(-168.0, -40.0), None);
    }

    #[test]
    fn the_mercator_tables_name_the_cells_that_unprojecting_names() {
        let c = camera(Projection::Mercator);
        let lon = Axis::longitude((0..1440).map(|i| 0.125 + f64::from(i) * 0.25).collect()).unwrap();
        let lat = Axis::new((0..720).map(|i| 89.875 - f64::from(i) * 0.25).collect()).unwrap();
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        mercator_columns(&c, 2.0, 1600, &lon, &mut columns);
        mercator_rows(&c, 2.0, 1200, &lat, &mut rows);
        for (i, j) in [(0usize, 0usize), (800, 600), (1599, 1199), (3, 900)] {
            let (x, y) = ((i as f64 + 0.5) / 2.0, (j as f64 + 0.5) / 2.0);
            let (lo, la) = c.unproject(x, y).unwrap();
            assert_eq!(lon.cell(lo), Some(columns[i].index as usize));
            assert_eq!(lat.cell(la), Some(rows[j].index as usize));
        }
    }

    #[test]
    fn a_pixel_has_the_colour_of_its_cells_value() {
        let c = camera(Projection::Mercator);
        let axis = |v: Vec<f64>| Axis::new(v).unwrap();
        let (lat, lon) = (axis(vec![30.0, 40.0, 50.0]), axis(vec![0.0, 10.0, 20.0]));
        let lut = colormap::lut("viridis").unwrap();
        let ramp = Ramp { low: 0.0, high: 9.0, stretch: Stretch::Linear };
        let value = |r: usize, q: usize| (r == 1).then_some((r * 3 + q) as f64);
        let at = |x, y| pixel(&c, (&lat, &lon), (x, y), value, ramp, &lut);
        assert_eq!(at(400.0, 300.0), Some(lut[113]));
        assert_eq!(at(400.0, 100.0), None);
    }
}
