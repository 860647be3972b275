//! Planes: polar and oblique stereographic (Snyder chapter 21), Lambert azimuthal
//! equal-area (chapter 24).

use std::f64::consts::FRAC_PI_2;

use super::ellipsoid::Ellipsoid;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolarStereographic {
    south: bool,
    scale: f64,
}

impl PolarStereographic {
    /// True to scale at a latitude (radians).
    pub fn true_at(e: &Ellipsoid, south: bool, latitude: f64) -> Self {
        let at = latitude.abs();
        if FRAC_PI_2 - at < 1e-9 {
            return Self::with_factor(e, south, 1.0);
        }
        Self { south, scale: e.m(at) / e.t(at) }
    }

    /// With a scale factor at the pole.
    pub fn with_factor(e: &Ellipsoid, south: bool, k0: f64) -> Self {
        let e = e.e();
        let at_pole = 2.0 / ((1.0 + e).powf(1.0 + e) * (1.0 - e).powf(1.0 - e)).sqrt();
        Self { south, scale: k0 * at_pole }
    }

    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> (f64, f64) {
        let rho = self.scale * e.t(if self.south { -phi } else { phi });
        (rho * lam.sin(), if self.south { rho * lam.cos() } else { -rho * lam.cos() })
    }

    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        let phi = e.latitude_of_t(x.hypot(y) / self.scale);
        Some(if self.south { (x.atan2(y), -phi) } else { (x.atan2(-y), phi) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stereographic {
    /// Conformal latitude of the origin: sine and cosine.
    sin0: f64,
    cos0: f64,
    scale: f64,
}

fn conformal(e: &Ellipsoid, phi: f64) -> f64 {
    FRAC_PI_2 - 2.0 * e.t(phi).atan()
}

impl Stereographic {
    pub fn new(e: &Ellipsoid, lat0: f64, k0: f64) -> Self {
        let (sin0, cos0) = conformal(e, lat0).sin_cos();
        Self { sin0, cos0, scale: 2.0 * k0 * e.m(lat0) }
    }

    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> (f64, f64) {
        let (sin, cos) = conformal(e, phi).sin_cos();
        let k = self.scale / (self.cos0 * (1.0 + self.sin0 * sin + self.cos0 * cos * lam.cos()));
        (k * cos * lam.sin(), k * (self.cos0 * sin - self.sin0 * cos * lam.cos()))
    }

    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        let rho = x.hypot(y);
        let c = 2.0 * (rho * self.cos0).atan2(self.scale);
        let (sin, cos) = c.sin_cos();
        let lift = if rho > 0.0 { y * sin * self.cos0 / rho } else { 0.0 };
        let chi = (cos * self.sin0 + lift).clamp(-1.0, 1.0).asin();
        let lam = (x * sin).atan2(rho * self.cos0 * cos - y * self.sin0 * sin);
        let t = (std::f64::consts::FRAC_PI_4 - chi / 2.0).tan();
        Some((if rho > 0.0 { lam } else { 0.0 }, e.latitude_of_t(t)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LambertAzimuthal {
    qp: f64,
    /// 1 or -1 where the origin is a pole.
    pole: Option<f64>,
    sin0: f64,
    cos0: f64,
    rq: f64,
    d: f64,
}

impl LambertAzimuthal {
    pub fn new(e: &Ellipsoid, lat0: f64) -> Self {
        let qp = e.q(FRAC_PI_2);
        let beta0 = (e.q(lat0) / qp).clamp(-1.0, 1.0).asin();
        let pole = (FRAC_PI_2 - lat0.abs() < 1e-9).then(|| lat0.signum());
        let rq = (qp / 2.0).sqrt();
        let d = if pole.is_some() { 1.0 } else { e.m(lat0) / (rq * beta0.cos()) };
        Self { qp, pole, sin0: beta0.sin(), cos0: beta0.cos(), rq, d }
    }

    pub fn forward(&self, e: &Ellipsoid, lam: f64, phi: f64) -> Option<(f64, f64)> {
        let q = e.q(phi);
        if let Some(sign) = self.pole {
            let rho = (self.qp - sign * q).max(0.0).sqrt();
            return Some((rho * lam.sin(), -sign * rho * lam.cos()));
        }
        let sin = (q / self.qp).clamp(-1.0, 1.0);
        let cos = (1.0 - sin * sin).max(0.0).sqrt();
        let under = 1.0 + self.sin0 * sin + self.cos0 * cos * lam.cos();
        // The place opposite the origin is the whole rim.
        (under > 1e-12).then(|| {
            let b = self.rq * (2.0 / under).sqrt();
            (b * self.d * cos * lam.sin(), b / self.d * (self.cos0 * sin - self.sin0 * cos * lam.cos()))
        })
    }

    pub fn inverse(&self, e: &Ellipsoid, x: f64, y: f64) -> Option<(f64, f64)> {
        if let Some(sign) = self.pole {
            let phi = e.latitude_of_q(sign * (self.qp - (x * x + y * y)))?;
            return Some((x.atan2(-sign * y), phi));
        }
        let (x, y) = (x / self.d, y * self.d);
        let rho = x.hypot(y);
        let half = rho / (2.0 * self.rq);
        if half > 1.0 {
            return None;
        }
        let (sin, cos) = (2.0 * half.asin()).sin_cos();
        let lift = if rho > 0.0 { y * sin * self.cos0 / rho } else { 0.0 };
        let phi = e.latitude_of_q(self.qp * (cos * self.sin0 + lift))?;
        let lam = (x * sin).atan2(rho * self.cos0 * cos - y * self.sin0 * sin);
        Some((if rho > 0.0 { lam } else { 0.0 }, phi))
    }
}
