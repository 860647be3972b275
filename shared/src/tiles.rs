//! Tile matrix sets (OGC 17-083r4, Two Dimensional Tile Matrix Set 2.0): the registered
//! ones that this server draws, as OGC's registry defines them.

use crate::crs::{Crs, MERCATOR_HALF_M};
use crate::frame::Frame;

/// Pixels along a side of a tile.
pub const TILE_PX: u32 = 256;
/// Side of a pixel on the screen, by which a scale denominator is counted (OGC 17-083r4 section 6.1).
const PIXEL_M: f64 = 0.000_28;

/// Square tiles; each matrix has twice the columns and rows of the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TileMatrixSet {
    pub id: &'static str,
    pub title: &'static str,
    crs: &'static str,
    /// x and y of the upper left corner.
    pub origin: [f64; 2],
    /// Width of a tile of matrix 0 in units of the system.
    span: f64,
    /// Columns and rows of matrix 0.
    first: [u32; 2],
    /// The last matrix.
    pub greatest: u8,
    pub well_known_scale_set: Option<&'static str>,
}

/// UPS: the pole lies at 2,000,000 m; 16,440,759.350252 m around it reach well past the equator.
const UPS_ORIGIN: [f64; 2] = [-14_440_759.350_252, 18_440_759.350_252];
const UPS_SPAN: f64 = 32_881_518.700_504;

pub const SETS: [TileMatrixSet; 4] = [
    TileMatrixSet {
        id: "WebMercatorQuad",
        title: "Google Maps Compatible for the World",
        crs: "EPSG:3857",
        origin: [-MERCATOR_HALF_M, MERCATOR_HALF_M],
        span: 2.0 * MERCATOR_HALF_M,
        first: [1, 1],
        greatest: 24,
        well_known_scale_set: Some("http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible"),
    },
    TileMatrixSet {
        id: "WorldCRS84Quad",
        title: "CRS84 for the World",
        crs: "OGC:CRS84",
        origin: [-180.0, 90.0],
        span: 180.0,
        first: [2, 1],
        greatest: 17,
        well_known_scale_set: Some("http://www.opengis.net/def/wkss/OGC/1.0/GoogleCRS84Quad"),
    },
    TileMatrixSet {
        id: "UPSArcticWGS84Quad",
        title: "Universal Polar Stereographic WGS 84 Quad for Arctic",
        crs: "EPSG:5041",
        origin: UPS_ORIGIN,
        span: UPS_SPAN,
        first: [1, 1],
        greatest: 24,
        well_known_scale_set: None,
    },
    TileMatrixSet {
        id: "UPSAntarcticWGS84Quad",
        title: "Universal Polar Stereographic WGS 84 Quad for Antarctic",
        crs: "EPSG:5042",
        origin: UPS_ORIGIN,
        span: UPS_SPAN,
        first: [1, 1],
        greatest: 24,
        well_known_scale_set: None,
    },
];

impl TileMatrixSet {
    pub fn find(id: &str) -> Option<&'static Self> {
        SETS.iter().find(|s| s.id == id)
    }

    pub fn uri(&self) -> String {
        format!("http://www.opengis.net/def/tilematrixset/OGC/1.0/{}", self.id)
    }

    pub fn crs(&self) -> Crs {
        Crs::parse(self.crs).unwrap_or(Crs::CRS84)
    }

    /// Columns and rows of a matrix.
    pub fn size(&self, matrix: u8) -> [u32; 2] {
        self.first.map(|n| n << matrix.min(self.greatest))
    }

    /// Width of a pixel of a matrix in units of the system.
    pub fn cell_size(&self, matrix: u8) -> f64 {
        self.span / f64::from(TILE_PX) / f64::from(1u32 << matrix.min(self.greatest))
    }

    pub fn scale_denominator(&self, matrix: u8) -> f64 {
        self.cell_size(matrix) * self.crs().metres_per_unit() / PIXEL_M
    }

    /// x of the left and the right, y of the lower and the upper side of all tiles: west, south, east, north.
    pub fn bbox(&self) -> [f64; 4] {
        let [x, y] = self.origin;
        let [columns, rows] = self.first.map(f64::from);
        [x, y - self.span * rows, x + self.span * columns, y]
    }

    /// The picture that a tile is; `None` where the set has no such tile.
    pub fn frame(&self, matrix: u8, row: u32, column: u32) -> Option<Frame> {
        let [columns, rows] = self.size(matrix);
        if matrix > self.greatest || row >= rows || column >= columns {
            return None;
        }
        let span = self.span / f64::from(1u32 << matrix);
        let [x, y] = self.origin;
        let (west, north) = (x + f64::from(column) * span, y - f64::from(row) * span);
        Some(Frame {
            crs: self.crs(),
            bbox: [west, north - span, west + span, north],
            width: TILE_PX,
            height: TILE_PX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_those_of_the_registry() {
        for (id, matrix, scale, columns) in [
            ("WebMercatorQuad", 0, 559_082_264.028_717, 1),
            ("WebMercatorQuad", 24, 33.323_899_747_652_8, 1 << 24),
            ("WorldCRS84Quad", 0, 279_541_132.014_358, 2),
            ("WorldCRS84Quad", 17, 2_132.729_583_849_78, 262_144),
            ("UPSArcticWGS84Quad", 0, 458_726_544.4, 1),
            ("UPSAntarcticWGS84Quad", 12, 111_993.785_2, 4096),
        ] {
            let set = TileMatrixSet::find(id).unwrap();
            let found = set.scale_denominator(matrix);
            assert!((found / scale - 1.0).abs() < 1e-8, "{id} {matrix}: {found}");
            assert_eq!(set.size(matrix)[0], columns);
        }
        assert!(TileMatrixSet::find("Nowhere").is_none());
    }

    #[test]
    fn tiles_meet_and_end_where_the_set_ends() {
        for set in &SETS {
            let [columns, rows] = set.size(3);
            let last = set.frame(3, rows - 1, columns - 1).unwrap();
            let [_, south, east, _] = set.bbox();
            assert!((last.bbox[1] - south).abs() < 1e-6 && (last.bbox[2] - east).abs() < 1e-6, "{}", set.id);
            let (a, b) = (set.frame(3, 1, 1).unwrap(), set.frame(3, 1, 2).unwrap());
            assert!((a.bbox[2] - b.bbox[0]).abs() < 1e-6);
            assert_eq!(set.frame(3, rows, 0), None);
            assert_eq!(set.frame(3, 0, columns), None);
            assert_eq!(set.frame(set.greatest + 1, 0, 0), None);
        }
    }
}
