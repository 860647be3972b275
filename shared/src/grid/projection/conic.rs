//! Cones: Lambert conformal (Snyder chapter 15) and Albers equal-area (chapter 14).

use super::ellipsoid::Ellipsoid;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LambertConic {
    n: f64,
    f: f64,
    rho0: f64,
}

impl LambertConic {
    /// Parallels and latitude of origin in radians; `None` where they make no cone.
    pub fn new(e: &Ellipsoid, parallels: (f64, f64), lat0: f64, scale: f64) -> Option<Self> {
        let (p1, p2) = parallels;
        let n = if (p1 - p2).abs() < 1e-10 {
            p1.sin()
        } else {
            (e.m(p1) / e.m(p2)).ln() / (e.t(p1) / e.t(p2)).ln()
        };
        let f = scale * e.m(p1) / (n * e.t(p1).powf(n));
        let rho0 = f * e.t(lat0).powf(n);
        (n.abs() > 1e-9 && f.is_finite() && rho0.is_finite()).then_some(Self { n, f, rho0 })
    }

    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> (f64, f64) {
        let rho = self.f * e.t(phi).powf(self.n);
        let (sin, cos) = (self.n * lam).sin_cos();
        (rho * sin, self.rho0 - rho * cos)
    }

    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        let sign = self.n.signum();
        let down = self.rho0 - y;
        let rho = sign * x.hypot(down);
        let lam = (sign * x).atan2(sign * down) / self.n;
        Some((lam, e.latitude_of_t((rho / self.f).powf(1.0 / self.n))))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Albers {
    n: f64,
    c: f64,
    rho0: f64,
}

impl Albers {
    /// Parallels and latitude of origin in radians; `None` where they make no cone.
    pub fn new(e: &Ellipsoid, (p1, p2): (f64, f64), lat0: f64) -> Option<Self> {
        let n = if (p1 - p2).abs() < 1e-10 {
            p1.sin()
        } else {
            (e.m(p1).powi(2) - e.m(p2).powi(2)) / (e.q(p2) - e.q(p1))
        };
        let c = e.m(p1).powi(2) + n * e.q(p1);
        let rho0 = (c - n * e.q(lat0)).sqrt() / n;
        (n.abs() > 1e-9 && rho0.is_finite()).then_some(Self { n, c, rho0 })
    }

    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> (f64, f64) {
        let rho = (self.c - self.n * e.q(phi)).max(0.0).sqrt() / self.n;
        let (sin, cos) = (self.n * lam).sin_cos();
        (rho * sin, self.rho0 - rho * cos)
    }

    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        let sign = self.n.signum();
        let down = self.rho0 - y;
        let rho = x.hypot(down);
        let phi = e.latitude_of_q((self.c - (rho * self.n).powi(2)) / self.n)?;
        Some(((sign * x).atan2(sign * down) / self.n, phi))
    }
}
