//! A picture before anything is drawn: so many pixels over a box of a reference system.

use std::ops::Range;

use crate::crs::{Crs, METRES_PER_DEGREE};
use crate::grid::sphere::{chord, chord_angle_deg, unit_vector};

/// Pixels run right and down from the upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub crs: Crs,
    /// West, south, east, north in units of the system; outer edges of the pixels.
    pub bbox: [f64; 4],
    pub width: u32,
    pub height: u32,
}

impl Frame {
    /// x of a point counted in pixels from the left edge; 0.5 is the middle of the first pixel.
    fn x(&self, i: f64) -> f64 {
        self.bbox[0] + (self.bbox[2] - self.bbox[0]) * (i / f64::from(self.width.max(1)))
    }

    fn y(&self, j: f64) -> f64 {
        self.bbox[3] - (self.bbox[3] - self.bbox[1]) * (j / f64::from(self.height.max(1)))
    }

    /// Longitude of the middle of each column, where the system is separable.
    pub fn longitudes(&self) -> Vec<f64> {
        (0..self.width).map(|i| self.crs.longitude(self.x(f64::from(i) + 0.5))).collect()
    }

    /// Latitude of the middle of each row, NaN beyond the map, where the system is separable.
    pub fn latitudes(&self) -> Vec<f64> {
        let of = |j: u32| self.crs.latitude(self.y(f64::from(j) + 0.5)).unwrap_or(f64::NAN);
        (0..self.height).map(of).collect()
    }

    /// Longitude and latitude of a point counted in pixels; `None` beside the Earth.
    pub fn place(&self, i: f64, j: f64) -> Option<(f64, f64)> {
        self.crs.place(self.x(i), self.y(j))
    }

    /// Degrees of longitude on the equator that are as wide as a pixel, of its shorter side.
    ///
    /// The same for all tiles of a matrix, as the browser's for all places of a zoom.
    pub fn degrees_per_px(&self) -> f64 {
        let [west, south, east, north] = self.bbox;
        let wide = (east - west) / f64::from(self.width.max(1));
        let high = (north - south) / f64::from(self.height.max(1));
        wide.min(high).abs() * self.crs.metres_per_unit() / METRES_PER_DEGREE
    }

    /// Some of its columns and rows, counted from the upper left corner: each pixel stays what it is.
    pub fn part(&self, columns: Range<u32>, rows: Range<u32>) -> Self {
        let [_, south, east, _] = self.bbox;
        // The far edges are as they were given, not as they are computed.
        let x = |i: u32| if i == self.width { east } else { self.x(f64::from(i)) };
        let y = |j: u32| if j == self.height { south } else { self.y(f64::from(j)) };
        Self {
            crs: self.crs.clone(),
            bbox: [x(columns.start), y(rows.end), x(columns.end), y(rows.start)],
            width: columns.end.saturating_sub(columns.start),
            height: rows.end.saturating_sub(rows.start),
        }
    }

    /// How wide a pixel is on the Earth at a point, in radians; `None` beside the Earth.
    pub fn pixel_angle(&self, i: f64, j: f64) -> Option<f64> {
        let at = |i: f64, j: f64| self.place(i, j).map(|(lon, lat)| unit_vector(lon, lat));
        let here = at(i, j)?;
        let beside = [at(i + 1.0, j).or_else(|| at(i - 1.0, j)), at(i, j + 1.0).or_else(|| at(i, j - 1.0))];
        let angles = beside.into_iter().flatten().map(|p| chord_angle_deg(chord(here, p)).to_radians());
        angles.reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::TileMatrixSet;

    #[test]
    fn columns_and_rows_are_the_middles_of_pixels() {
        let frame = Frame { crs: Crs::CRS84, bbox: [-180.0, -90.0, 180.0, 90.0], width: 360, height: 180 };
        assert_eq!(frame.longitudes()[0], -179.5);
        assert_eq!(frame.latitudes()[179], -89.5);
        assert_eq!(frame.place(0.5, 0.5), Some((-179.5, 89.5)));
        assert_eq!(frame.degrees_per_px(), 1.0);
        let beyond = Frame { bbox: [170.0, 80.0, 190.0, 100.0], width: 20, height: 20, ..frame };
        assert_eq!(beyond.longitudes()[19], 189.5);
        assert!(beyond.latitudes()[0].is_nan() && beyond.latitudes()[19] == 80.5);
    }

    #[test]
    fn a_part_has_the_pixels_of_the_whole() {
        let whole = Frame { crs: Crs::CRS84, bbox: [-10.1, 0.3, 20.7, 9.9], width: 7, height: 3 };
        let part = whole.part(2..7, 1..3);
        assert_eq!((part.width, part.height, part.bbox[2], part.bbox[1]), (5, 2, 20.7, 0.3));
        for (own, all) in part.longitudes().iter().zip(&whole.longitudes()[2..]) {
            assert!((own - all).abs() < 1e-12);
        }
        for (own, all) in part.latitudes().iter().zip(&whole.latitudes()[1..]) {
            assert!((own - all).abs() < 1e-12);
        }
        assert_eq!(whole.part(0..7, 0..3), whole);
    }

    #[test]
    fn a_tile_of_mercator_has_the_browsers_pixels() {
        let frame = TileMatrixSet::find("WebMercatorQuad").unwrap().frame(3, 2, 5).unwrap();
        assert!((frame.degrees_per_px() - 360.0 / 2048.0).abs() < 1e-12);
        let world = 256.0 * 8.0;
        let lon = (5.0 * 256.0 + 100.5) / world * 360.0 - 180.0;
        let lat = crate::raster::mercator_latitude_deg((2.0 * 256.0 + 31.5) / world);
        assert!((frame.longitudes()[100] - lon).abs() < 1e-11);
        assert!((frame.latitudes()[31] - lat).abs() < 1e-11);
        let (a, b) = frame.place(100.5, 31.5).unwrap();
        assert!((a - lon).abs() < 1e-11 && (b - lat).abs() < 1e-11);
        let angle = frame.pixel_angle(100.5, 31.5).unwrap().to_degrees();
        assert!((angle / (360.0 / world * lat.to_radians().cos()) - 1.0).abs() < 0.01, "{angle}");
    }

    #[test]
    fn the_corners_of_a_polar_picture_are_places_and_so_is_its_middle() {
        let frame = TileMatrixSet::find("UPSArcticWGS84Quad").unwrap().frame(0, 0, 0).unwrap();
        let (_, lat) = frame.place(128.0, 128.0).unwrap();
        assert!((lat - 90.0).abs() < 1e-6);
        assert!(frame.place(0.5, 0.5).is_some_and(|(_, lat)| lat < 0.0));
        assert!(frame.pixel_angle(128.0, 128.0).is_some());
    }
}
