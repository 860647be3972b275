//! Transverse Mercator by Krüger's series to the fourth order of the third
//! flattening (C. F. F. Karney, "Transverse Mercator with an accuracy of a few
//! nanometers", J. Geodesy 85, 2011, equations 35 and 36): below a millimetre
//! within 60 degrees of the central meridian.

use super::ellipsoid::Ellipsoid;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransverseMercator {
    /// Scale factor times the rectifying radius.
    radius: f64,
    /// Northing of the latitude of origin.
    y0: f64,
    alpha: [f64; 4],
    beta: [f64; 4],
}

impl TransverseMercator {
    pub fn new(e: &Ellipsoid, lat0: f64, k0: f64) -> Self {
        let flat = 1.0 - (1.0 - e.e2).sqrt();
        let n = flat / (2.0 - flat);
        let (n2, n3, n4) = (n * n, n.powi(3), n.powi(4));
        let mut made = Self {
            radius: k0 / (1.0 + n) * (1.0 + n2 / 4.0 + n4 / 64.0),
            y0: 0.0,
            alpha: [
                n / 2.0 - 2.0 / 3.0 * n2 + 5.0 / 16.0 * n3 + 41.0 / 180.0 * n4,
                13.0 / 48.0 * n2 - 3.0 / 5.0 * n3 + 557.0 / 1440.0 * n4,
                61.0 / 240.0 * n3 - 103.0 / 140.0 * n4,
                49561.0 / 161_280.0 * n4,
            ],
            beta: [
                n / 2.0 - 2.0 / 3.0 * n2 + 37.0 / 96.0 * n3 - n4 / 360.0,
                n2 / 48.0 + n3 / 15.0 - 437.0 / 1440.0 * n4,
                17.0 / 480.0 * n3 - 37.0 / 840.0 * n4,
                4397.0 / 161_280.0 * n4,
            ],
        };
        made.y0 = made.forward(e, 0.0, lat0).1;
        made
    }

    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> (f64, f64) {
        let tau = (-e.t(phi).ln()).sinh();
        let (sin, cos) = lam.sin_cos();
        let (xi1, eta1) = (tau.atan2(cos), (sin / tau.hypot(cos)).asinh());
        let (mut xi, mut eta) = (xi1, eta1);
        for (j, a) in (1..).zip(self.alpha) {
            let j = 2.0 * f64::from(j);
            xi += a * (j * xi1).sin() * (j * eta1).cosh();
            eta += a * (j * xi1).cos() * (j * eta1).sinh();
        }
        (self.radius * eta, self.radius * xi - self.y0)
    }

    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        let (xi, eta) = ((y + self.y0) / self.radius, x / self.radius);
        let (mut xi1, mut eta1) = (xi, eta);
        for (j, b) in (1..).zip(self.beta) {
            let j = 2.0 * f64::from(j);
            xi1 -= b * (j * xi).sin() * (j * eta).cosh();
            eta1 -= b * (j * xi).cos() * (j * eta).sinh();
        }
        let tau = xi1.sin() / eta1.sinh().hypot(xi1.cos());
        Some((eta1.sinh().atan2(xi1.cos()), e.latitude_of_t((-tau.asinh()).exp())))
    }
}
