//! HEALPix: twelve diamonds of the sphere, each cut into `nside` x `nside` cells of
//! one area (K. M. Górski et al., ApJ 622:759, 2005; the formulas of its reference
//! implementation).

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use serde_json::{Map, Value};

use super::projection::number;

/// Row of each face's southernmost corner, and its column, in units of `nside` / of a quarter turn.
const ROWS: [i64; 12] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
const COLUMNS: [i64; 12] = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healpix {
    /// Cells along a face's side: a power of two where nested.
    nside: u32,
    nested: bool,
}

impl Healpix {
    /// # Errors
    /// A side of 0 or beyond 2^24, or a nested one that is no power of two.
    pub fn new(nside: u32, nested: bool) -> Result<Self, String> {
        if nside == 0 || nside > 1 << 24 {
            return Err(format!("a HEALPix nside of {nside}; 1 to 2^24 are read"));
        }
        if nested && !nside.is_power_of_two() {
            return Err(format!("a nested HEALPix grid with nside {nside}, which is no power of two"));
        }
        Ok(Self { nside, nested })
    }

    /// From a grid mapping variable: `refinement_level` and `indexing_scheme` (CF 1.13, appendix F),
    /// or the older `healpix_nside`, `healpix_order`.
    ///
    /// # Errors
    /// No level or order, an unknown order.
    pub fn from_attributes(a: &Map<String, Value>) -> Result<Self, String> {
        let level = ["refinement_level", "healpix_level"].iter().find_map(|k| number(a, k));
        let side = ["healpix_nside", "nside"].iter().find_map(|k| number(a, k));
        let nside = match (level, side) {
            (Some(l), _) if (0.0..=24.0).contains(&l) => 1u32 << l as u32,
            (None, Some(n)) if (1.0..=16_777_216.0).contains(&n) => n as u32,
            _ => return Err("healpix: no usable refinement_level or healpix_nside".to_owned()),
        };
        let order = ["indexing_scheme", "healpix_order", "order"].iter().find_map(|k| a.get(*k)?.as_str());
        match order.map(str::to_ascii_lowercase).as_deref() {
            Some("nested" | "nest") => Self::new(nside, true),
            Some("ring") => Self::new(nside, false),
            other => {
                Err(format!("healpix: an indexing_scheme of {other:?}; expected \"nested\" or \"ring\""))
            }
        }
    }

    pub fn cells(&self) -> u64 {
        12 * u64::from(self.nside) * u64::from(self.nside)
    }

    /// The angle in degrees that a cell of square shape would span.
    pub fn spacing_deg(&self) -> f64 {
        (4.0 * PI / self.cells() as f64).sqrt().to_degrees()
    }

    /// Centre of a cell: longitude (0 to 360) and latitude in degrees.
    pub fn place(&self, cell: u64) -> Option<(f64, f64)> {
        if cell >= self.cells() {
            return None;
        }
        let (z, phi) = if self.nested { self.nested_centre(cell) } else { self.ring_centre(cell) };
        Some((phi.to_degrees(), z.clamp(-1.0, 1.0).asin().to_degrees()))
    }

    /// Height above the equator's plane and longitude, from the ring and the place in it.
    fn centre(&self, ring: i64, column: f64, at: i64) -> (f64, f64) {
        let n = i64::from(self.nside);
        let side = n as f64;
        let z = match () {
            () if ring < n => 1.0 - (ring * ring) as f64 / (3.0 * side * side),
            () if ring > 3 * n => ((4 * n - ring) * (4 * n - ring)) as f64 / (3.0 * side * side) - 1.0,
            () => (2 * n - ring) as f64 * 2.0 / (3.0 * side),
        };
        (z, (column * FRAC_PI_2 / at as f64).rem_euclid(TAU))
    }

    /// Rings of cells of one latitude, from north to south.
    pub fn rings(&self) -> u64 {
        4 * u64::from(self.nside) - 1
    }

    /// Of a ring, counted from 1: its cells, how many cells its first one is from the meridian of
    /// Greenwich, and its height above the equator's plane.
    pub fn ring(&self, ring: u64) -> Option<(u64, f64, f64)> {
        if ring == 0 || ring > self.rings() {
            return None;
        }
        let (n, r) = (u64::from(self.nside), ring);
        let in_quarter = r.min(n).min(4 * n - r);
        let is_cap = r < n || r > 3 * n;
        let shift = if is_cap || (r - n).is_multiple_of(2) { 0.5 } else { 0.0 };
        Some((4 * in_quarter, shift, self.centre(r as i64, 0.0, 1).0))
    }

    /// The last ring whose centres are not south of a height; 0 north of all.
    pub fn ring_above(&self, z: f64) -> u64 {
        let side = f64::from(self.nside);
        let n = u64::from(self.nside);
        if z.abs() <= 2.0 / 3.0 {
            return (side * (2.0 - 1.5 * z)) as u64;
        }
        let from_pole = (side * (3.0 * (1.0 - z.abs())).sqrt()) as u64;
        if z > 0.0 { from_pole } else { 4 * n - from_pole - 1 }
    }

    fn nested_centre(&self, cell: u64) -> (f64, f64) {
        let n = i64::from(self.nside);
        let face = (cell / (n * n) as u64) as usize;
        let within = cell % (n * n) as u64;
        let (x, y) = (compact(within), compact(within >> 1));
        let ring = ROWS[face] * n - x - y - 1;
        let quarter = if ring < n {
            ring
        } else if ring > 3 * n {
            4 * n - ring
        } else {
            n
        };
        // Every other equatorial ring begins half a cell in, which x - y has in it.
        self.centre(ring, (COLUMNS[face] * quarter + x - y) as f64 / 2.0, quarter)
    }

    fn ring_centre(&self, cell: u64) -> (f64, f64) {
        let n = i64::from(self.nside);
        let (cell, all) = (cell as i64, self.cells() as i64);
        let cap = 2 * n * (n - 1);
        if cell < cap {
            let ring = (1 + isqrt(1 + 2 * cell)) / 2;
            let at = cell + 1 - 2 * ring * (ring - 1);
            self.centre(ring, at as f64 - 0.5, ring)
        } else if cell < all - cap {
            let ring = (cell - cap) / (4 * n) + n;
            let at = (cell - cap) % (4 * n);
            let odd = if (ring + n) & 1 == 1 { 0.0 } else { 0.5 };
            self.centre(ring, at as f64 + odd, n)
        } else {
            let from_end = all - cell;
            let ring = (1 + isqrt(2 * from_end - 1)) / 2;
            let at = 4 * ring + 1 - (from_end - 2 * ring * (ring - 1));
            self.centre(4 * n - ring, at as f64 - 0.5, ring)
        }
    }

    /// The cell that a place lies in.
    pub fn cell(&self, longitude: f64, latitude: f64) -> Option<u64> {
        if !longitude.is_finite() || latitude.is_nan() || latitude.abs() > 90.0 {
            return None;
        }
        let n = i64::from(self.nside);
        let side = n as f64;
        let z = latitude.to_radians().sin();
        // Quarter turns, 0 <= t < 4.
        let t = (longitude.to_radians() / FRAC_PI_2).rem_euclid(4.0).min(4.0 - 1e-15);
        let (face, x, y) = if z.abs() <= 2.0 / 3.0 {
            let (a, b) = (side * (0.5 + t), side * z * 0.75);
            let (up, down) = ((a - b).floor() as i64, (a + b).floor() as i64);
            let (fu, fd) = (up.div_euclid(n), down.div_euclid(n));
            let face = match fu.cmp(&fd) {
                std::cmp::Ordering::Equal => (fu & 3) + 4,
                std::cmp::Ordering::Less => fu & 3,
                std::cmp::Ordering::Greater => (fd & 3) + 8,
            };
            (face, down.rem_euclid(n), n - 1 - up.rem_euclid(n))
        } else {
            let quarter = (t.floor() as i64).min(3);
            let inside = t - quarter as f64;
            // 1 - |z|, without cancellation close to the poles.
            let half = ((90.0 - latitude.abs()) / 2.0).to_radians().sin();
            let away = side * (6.0 * half * half).sqrt();
            let up = ((inside * away).floor() as i64).min(n - 1);
            let down = (((1.0 - inside) * away).floor() as i64).min(n - 1);
            if z >= 0.0 { (quarter, n - 1 - down, n - 1 - up) } else { (quarter + 8, up, down) }
        };
        let nested = face as u64 * (n * n) as u64 + spread(x) + (spread(y) << 1);
        Some(if self.nested { nested } else { self.ring_index(face as usize, x, y) })
    }

    fn ring_index(&self, face: usize, x: i64, y: i64) -> u64 {
        let n = i64::from(self.nside);
        let ring = ROWS[face] * n - x - y - 1;
        let (quarter, before, odd) = if ring < n {
            (ring, 2 * ring * (ring - 1), 0)
        } else if ring > 3 * n {
            let r = 4 * n - ring;
            (r, self.cells() as i64 - 2 * (r + 1) * r, 0)
        } else {
            (n, 2 * n * (n - 1) + (ring - n) * 4 * n, (ring - n) & 1)
        };
        let at = (COLUMNS[face] * quarter + x - y + 1 + odd) / 2;
        let at = if at > 4 * n {
            at - 4 * n
        } else if at < 1 {
            at + 4 * n
        } else {
            at
        };
        (before + at - 1) as u64
    }
}

/// Every other bit, from the lowest on.
fn compact(v: u64) -> i64 {
    (0..32).fold(0, |out, i| out | ((v >> (2 * i) & 1) << i)) as i64
}

fn spread(v: i64) -> u64 {
    (0..32).fold(0, |out, i| out | ((v as u64 >> i & 1) << (2 * i)))
}

fn isqrt(v: i64) -> i64 {
    let mut r = (v as f64).sqrt() as i64;
    while r * r > v {
        r -= 1;
    }
    while (r + 1) * (r + 1) <= v {
        r += 1;
    }
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `healpy.pix2ang(nside, cell, nest, lonlat=True)`, healpy 1.19, to 1e-9 degrees.
    fn known() -> Vec<(u32, bool, Vec<(u64, f64, f64)>)> {
        vec![
            (
                1,
                true,
                vec![
                    (0, 45.0, 41.810314896),
                    (1, 135.0, 41.810314896),
                    (4, 0.0, 0.0),
                    (6, 180.0, 0.0),
                    (11, 315.0, -41.810314896),
                ],
            ),
            (
                4,
                true,
                vec![
                    (0, 45.0, 9.594068227),
                    (1, 56.25, 19.471220634),
                    (5, 78.75, 41.810314896),
                    (27, 105.0, 54.340912304),
                    (64, 0.0, -30.0),
                    (99, 180.0, -9.594068227),
                    (128, 45.0, -78.284147605),
                    (184, 285.0, -54.340912304),
                ],
            ),
            (
                4,
                false,
                vec![
                    (0, 45.0, 78.284147605),
                    (5, 67.5, 66.443535691),
                    (27, 78.75, 41.810314896),
                    (64, 191.25, 19.471220634),
                    (128, 191.25, -19.471220634),
                    (191, 315.0, -78.284147605),
                ],
            ),
            (
                8,
                false,
                vec![(109, 327.857142857, 48.141207794), (384, 185.625, 0.0), (760, 202.5, -78.284147605)],
            ),
            (
                1024,
                true,
                vec![
                    (5, 45.131835937, 0.149207928),
                    (1797558, 108.012295082, 56.064457535),
                    (6291459, 180.0, -41.660352844),
                    (12582904, 314.912109375, -0.186510028),
                ],
            ),
            (
                3,
                false,
                vec![
                    (15, 105.0, 41.810314896),
                    (36, 15.0, 12.839588407),
                    (72, 0.0, -26.387799961),
                    (107, 315.0, -74.357528987),
                ],
            ),
        ]
    }

    #[test]
    fn centres_and_cells_are_those_of_the_reference_implementation() {
        for (nside, nested, cells) in known() {
            let grid = Healpix::new(nside, nested).unwrap();
            for (cell, lon, lat) in cells {
                let (x, y) = grid.place(cell).unwrap();
                let turn = (x - lon + 180.0).rem_euclid(360.0) - 180.0;
                assert!(
                    turn.abs() < 1e-8 && (y - lat).abs() < 1e-8,
                    "{grid:?} {cell}: {x} {y}, expected {lon} {lat}"
                );
            }
        }
    }

    #[test]
    fn every_centre_lies_in_its_own_cell() {
        for (nside, nested) in [(1, true), (2, false), (8, true), (16, true), (7, false), (16, false)] {
            let grid = Healpix::new(nside, nested).unwrap();
            for cell in 0..grid.cells() {
                let (lon, lat) = grid.place(cell).unwrap();
                assert_eq!(grid.cell(lon, lat), Some(cell), "{grid:?}: {lon} {lat}");
            }
            assert_eq!(grid.place(grid.cells()), None);
            assert!(grid.cell(0.0, 90.0).is_some() && grid.cell(0.0, -90.0).is_some());
        }
    }

    #[test]
    fn grids_that_cannot_be_are_refused() {
        assert!(
            Healpix::new(0, true).is_err()
                && Healpix::new(3, true).is_err()
                && Healpix::new(3, false).is_ok()
        );
        let from = |v: Value| Healpix::from_attributes(v.as_object().unwrap());
        let ok = from(serde_json::json!({"refinement_level": 3, "indexing_scheme": "nested"})).unwrap();
        assert_eq!(ok.cells(), 768);
        assert!(from(serde_json::json!({"refinement_level": 60, "indexing_scheme": "ring"})).is_err());
        assert!(from(serde_json::json!({"healpix_nside": 8})).unwrap_err().contains("indexing_scheme"));
    }
}
