//! The view from a geostationary satellite: x and y are its scan angles in
//! radians (CF appendix F "Geostationary projection"; CGMS LRIT/HRIT Global
//! Specification 4.4.3.2).

use super::ellipsoid::Ellipsoid;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geostationary {
    /// Distance of the satellite from the Earth's centre, in semi-major axes.
    distance: f64,
    /// The instrument's inner gimbal sweeps along x (GOES) instead of y (Meteosat).
    sweeps_x: bool,
}

impl Geostationary {
    pub fn new(e: &Ellipsoid, height_m: f64, sweeps_x: bool) -> Self {
        Self { distance: 1.0 + height_m / e.a, sweeps_x }
    }

    /// `None` beyond the limb.
    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> Option<(f64, f64)> {
        let polar2 = 1.0 - e.e2;
        // Geocentric latitude, and the radius there.
        let phi = (polar2 * phi.tan()).atan();
        let r = polar2.sqrt() / (polar2.sqrt() * phi.cos()).hypot(phi.sin());
        let (vx, vy, vz) = (r * lam.cos() * phi.cos(), r * lam.sin() * phi.cos(), r * phi.sin());
        let down = self.distance - vx;
        if down * vx - vy * vy - vz * vz / polar2 < 0.0 {
            return None;
        }
        Some(if self.sweeps_x {
            ((vy / vz.hypot(down)).atan(), (vz / down).atan())
        } else {
            ((vy / down).atan(), (vz / vy.hypot(down)).atan())
        })
    }

    /// `None` beside the disk.
    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        let polar2 = 1.0 - e.e2;
        let (vy, vz) = if self.sweeps_x {
            (x.tan() * y.tan().hypot(1.0), y.tan())
        } else {
            (x.tan(), y.tan() * x.tan().hypot(1.0))
        };
        let a = vy * vy + vz * vz / polar2 + 1.0;
        let b = -2.0 * self.distance;
        let det = b * b - 4.0 * a * (self.distance * self.distance - 1.0);
        if det.is_nan() || det < 0.0 {
            return None;
        }
        let k = (-b - det.sqrt()) / (2.0 * a);
        let (vx, vy, vz) = (self.distance - k, vy * k, vz * k);
        let lam = vy.atan2(vx);
        Some((lam, (vz * lam.cos() / vx / polar2).atan()))
    }
}
