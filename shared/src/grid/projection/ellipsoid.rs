//! The figure of the Earth, and the auxiliary latitudes that projections are
//! built from (J. P. Snyder, "Map Projections: A Working Manual", USGS PP 1395,
//! chapter 3). Latitudes here are in radians, lengths in semi-major axes.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

use serde_json::{Map, Value};

use super::number;

/// An ellipsoid of revolution; a sphere where `e2` is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ellipsoid {
    /// Semi-major axis in metres.
    pub a: f64,
    /// Square of the first eccentricity.
    pub e2: f64,
}

impl Ellipsoid {
    pub const WGS84: Self = Self { a: 6_378_137.0, e2: 0.006_694_379_990_141_316 };

    /// From CF grid mapping attributes (appendix F, table F.1); WGS 84 where they say nothing,
    /// as PROJ and GDAL read such files.
    pub fn from_attributes(attributes: &Map<String, Value>) -> Self {
        let size = |k: &str| number(attributes, k).filter(|v| (1e3..1e9).contains(v));
        if let Some(a) = size("earth_radius") {
            return Self { a, e2: 0.0 };
        }
        let Some(a) = size("semi_major_axis") else { return Self::WGS84 };
        if let Some(b) = size("semi_minor_axis").filter(|b| *b <= a) {
            return Self { a, e2: 1.0 - (b / a) * (b / a) };
        }
        match number(attributes, "inverse_flattening") {
            Some(f) if f > 1.0 => Self { a, e2: (2.0 - 1.0 / f) / f },
            _ => Self { a, e2: 0.0 },
        }
    }

    pub fn e(&self) -> f64 {
        self.e2.max(0.0).sqrt()
    }

    /// Radius of the parallel (Snyder 14-15).
    pub fn m(&self, phi: f64) -> f64 {
        phi.cos() / (1.0 - self.e2 * phi.sin().powi(2)).sqrt()
    }

    /// Tangent of half the conformal colatitude (Snyder 15-9).
    pub fn t(&self, phi: f64) -> f64 {
        let s = self.e() * phi.sin();
        (FRAC_PI_4 - phi / 2.0).tan() / ((1.0 - s) / (1.0 + s)).powf(self.e() / 2.0)
    }

    /// The latitude whose [`Ellipsoid::t`] this is (Snyder 7-9).
    pub fn latitude_of_t(&self, t: f64) -> f64 {
        let e = self.e();
        let mut phi = FRAC_PI_2 - 2.0 * t.atan();
        for _ in 0..20 {
            let s = e * phi.sin();
            let next = FRAC_PI_2 - 2.0 * (t * ((1.0 - s) / (1.0 + s)).powf(e / 2.0)).atan();
            let done = (next - phi).abs() < 1e-14;
            phi = next;
            if done {
                break;
            }
        }
        phi
    }

    /// Twice the sine of the authalic latitude, not normalised (Snyder 3-12).
    pub fn q(&self, phi: f64) -> f64 {
        let (e, sin) = (self.e(), phi.sin());
        if e < 1e-9 {
            return 2.0 * sin;
        }
        let s = e * sin;
        (1.0 - self.e2) * (sin / (1.0 - s * s) + (2.0 * s.atanh()) / (2.0 * e))
    }

    /// The latitude whose [`Ellipsoid::q`] this is (Snyder 3-18, then Newton's 3-16).
    pub fn latitude_of_q(&self, q: f64) -> Option<f64> {
        let sin = q / self.q(FRAC_PI_2);
        if sin.is_nan() || sin.abs() > 1.0 + 1e-9 {
            return None;
        }
        let beta = sin.clamp(-1.0, 1.0).asin();
        let (e2, e4, e6) = (self.e2, self.e2.powi(2), self.e2.powi(3));
        let mut phi = beta
            + (e2 / 3.0 + 31.0 * e4 / 180.0 + 517.0 * e6 / 5040.0) * (2.0 * beta).sin()
            + (23.0 * e4 / 360.0 + 251.0 * e6 / 3780.0) * (4.0 * beta).sin()
            + 761.0 * e6 / 45360.0 * (6.0 * beta).sin();
        for _ in 0..2 {
            // Close to a pole the series is better than a division by nothing.
            if phi.cos() > 1e-3 && self.e2 > 0.0 {
                let w = 1.0 - self.e2 * phi.sin().powi(2);
                phi += (q - self.q(phi)) * w * w / (2.0 * phi.cos() * (1.0 - self.e2));
            }
        }
        Some(phi)
    }

    /// Distance along the meridian from the equator (Snyder 3-21).
    pub fn meridian(&self, phi: f64) -> f64 {
        let (e2, e4, e6) = (self.e2, self.e2.powi(2), self.e2.powi(3));
        (1.0 - e2 / 4.0 - 3.0 * e4 / 64.0 - 5.0 * e6 / 256.0) * phi
            - (3.0 * e2 / 8.0 + 3.0 * e4 / 32.0 + 45.0 * e6 / 1024.0) * (2.0 * phi).sin()
            + (15.0 * e4 / 256.0 + 45.0 * e6 / 1024.0) * (4.0 * phi).sin()
            - 35.0 * e6 / 3072.0 * (6.0 * phi).sin()
    }

    /// The latitude at a distance along the meridian (Newton on [`Ellipsoid::meridian`]).
    pub fn latitude_of_meridian(&self, distance: f64) -> f64 {
        let mut phi = distance / (1.0 - self.e2 / 4.0);
        for _ in 0..8 {
            let w = 1.0 - self.e2 * phi.sin().powi(2);
            let radius = (1.0 - self.e2) / (w * w.sqrt());
            let step = (distance - self.meridian(phi)) / radius;
            phi += step;
            if step.abs() < 1e-14 {
                break;
            }
        }
        phi
    }
}
