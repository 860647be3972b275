//! Longitude and latitude about another pole (CF appendix F "Rotated pole").

use super::super::sphere::{place_of, unit_vector};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RotatedPole {
    /// The meridian opposite the pole's, in degrees: where rotated longitude 0 lies.
    meridian: f64,
    sin: f64,
    cos: f64,
    /// `north_pole_grid_longitude`.
    turn: f64,
}

impl RotatedPole {
    /// The rotated pole's place, and the true north pole's rotated longitude, in degrees.
    pub fn new(pole_longitude: f64, pole_latitude: f64, north_pole_grid_longitude: f64) -> Self {
        let (sin, cos) = pole_latitude.to_radians().sin_cos();
        Self { meridian: pole_longitude + 180.0, sin, cos, turn: north_pole_grid_longitude }
    }

    /// Degrees to degrees.
    pub fn forward(&self, longitude: f64, latitude: f64) -> (f64, f64) {
        let [x, y, z] = unit_vector(longitude - self.meridian, latitude);
        let turned = [x * self.sin + z * self.cos, y, z * self.sin - x * self.cos];
        let (lon, lat) = place_of(turned).unwrap_or_default();
        (lon + self.turn, lat)
    }

    /// Degrees to degrees.
    pub fn inverse(&self, longitude: f64, latitude: f64) -> (f64, f64) {
        let [x, y, z] = unit_vector(longitude - self.turn, latitude);
        let turned = [x * self.sin - z * self.cos, y, x * self.cos + z * self.sin];
        let (lon, lat) = place_of(turned).unwrap_or_default();
        (lon + self.meridian, lat)
    }
}
