//! Map projections, there and back, from CF grid mapping attributes (CF appendix F).
//!
//! Formulas are Snyder's ("Map Projections: A Working Manual", USGS PP 1395), on
//! the ellipsoid wherever the projection has an ellipsoidal form; the tests hold
//! them against PROJ.

mod azimuthal;
mod conic;
mod ellipsoid;
mod geostationary;
mod rotated;
#[cfg(test)]
mod tests;
mod transverse;

use std::f64::consts::{FRAC_PI_2, PI};

use serde_json::{Map, Value};

use super::sphere::wrap_longitude;
use crate::zarr::json_number;
use azimuthal::{LambertAzimuthal, PolarStereographic, Stereographic};
use conic::{Albers, LambertConic};
pub use ellipsoid::Ellipsoid;
use geostationary::Geostationary;
use rotated::RotatedPole;
use transverse::TransverseMercator;

/// A usable number among attributes, scalar or a list's first.
pub(crate) fn number(attributes: &Map<String, Value>, key: &str) -> Option<f64> {
    match attributes.get(key)? {
        Value::Array(list) => json_number(list.first()?),
        v => json_number(v),
    }
    .filter(|v| v.is_finite())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Rotated(RotatedPole),
    LambertConic(LambertConic),
    Albers(Albers),
    PolarStereographic(PolarStereographic),
    Stereographic(Stereographic),
    LambertAzimuthal(LambertAzimuthal),
    /// Scale factor at the equator.
    Mercator(f64),
    /// Scale factor at the equator.
    CylindricalEqualArea(f64),
    TransverseMercator(TransverseMercator),
    Geostationary(Geostationary),
    Sinusoidal,
}

/// What a projection's own coordinates are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Metres on a plane.
    Metres,
    /// Scan angles of a satellite, in radians.
    ScanAngles,
    /// Longitude and latitude about another pole, in degrees.
    RotatedDegrees,
}

/// A map projection with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    name: String,
    kind: Kind,
    ellipsoid: Ellipsoid,
    /// Degrees.
    lon0: f64,
    false_x: f64,
    false_y: f64,
    /// Height above the ellipsoid of a satellite.
    height: f64,
}

impl Projection {
    /// From a grid mapping variable's attributes.
    ///
    /// # Errors
    /// A grid mapping that is not read, or one that lacks what it needs, in words.
    pub fn from_attributes(attributes: &Map<String, Value>) -> Result<Self, String> {
        let Some(name) = attributes.get("grid_mapping_name").and_then(Value::as_str) else {
            return Err("no grid_mapping_name".to_owned());
        };
        let given = |keys: &[&str]| keys.iter().find_map(|k| number(attributes, k));
        let need = |keys: &[&str]| given(keys).ok_or_else(|| format!("{name}: no {}", keys.join(" or ")));
        let radians = |keys: &[&str], default: f64| given(keys).unwrap_or(default).to_radians();
        let e = Ellipsoid::from_attributes(attributes);
        let lat0 = || radians(&["latitude_of_projection_origin"], 0.0);
        let factor = || given(&["scale_factor_at_projection_origin", "scale_factor_at_central_meridian"]);
        const MERIDIANS: [&str; 3] = [
            "longitude_of_central_meridian",
            "longitude_of_projection_origin",
            "straight_vertical_longitude_from_pole",
        ];
        let parallels = || -> Result<(f64, f64), String> {
            let list: Vec<f64> = match attributes.get("standard_parallel") {
                Some(Value::Array(list)) => list.iter().filter_map(json_number).collect(),
                Some(v) => json_number(v).into_iter().collect(),
                None => Vec::new(),
            };
            let first = list.first().copied().or_else(|| given(&["latitude_of_projection_origin"]));
            let first = first.ok_or_else(|| format!("{name}: no standard_parallel"))?;
            Ok((first.to_radians(), list.get(1).copied().unwrap_or(first).to_radians()))
        };
        let no_cone = || format!("{name}: its parallels make no cone");
        let mut height = 0.0;
        let kind = match name {
            "rotated_latitude_longitude" => {
                let pole = RotatedPole::new(
                    need(&["grid_north_pole_longitude"])?,
                    need(&["grid_north_pole_latitude"])?,
                    given(&["north_pole_grid_longitude"]).unwrap_or(0.0),
                );
                Kind::Rotated(pole)
            }
            "lambert_conformal_conic" => {
                let at = given(&["latitude_of_projection_origin"]).map_or(parallels()?.0, f64::to_radians);
                let cone = LambertConic::new(&e, parallels()?, at, factor().unwrap_or(1.0));
                Kind::LambertConic(cone.ok_or_else(no_cone)?)
            }
            "albers_conical_equal_area" => {
                Kind::Albers(Albers::new(&e, parallels()?, lat0()).ok_or_else(no_cone)?)
            }
            "polar_stereographic" | "stereographic" | "oblique_stereographic" => {
                let origin = lat0();
                if FRAC_PI_2 - origin.abs() < 1e-9 || name == "polar_stereographic" {
                    let parallel = given(&["standard_parallel"]);
                    let south = origin < 0.0 || (origin == 0.0 && parallel.is_some_and(|p| p < 0.0));
                    Kind::PolarStereographic(match (factor(), parallel) {
                        (Some(k0), _) => PolarStereographic::with_factor(&e, south, k0),
                        (None, Some(p)) => PolarStereographic::true_at(&e, south, p.to_radians()),
                        (None, None) => PolarStereographic::with_factor(&e, south, 1.0),
                    })
                } else {
                    Kind::Stereographic(Stereographic::new(&e, origin, factor().unwrap_or(1.0)))
                }
            }
            "lambert_azimuthal_equal_area" => Kind::LambertAzimuthal(LambertAzimuthal::new(&e, lat0())),
            "mercator" | "lambert_cylindrical_equal_area" => {
                let k0 = match (given(&["standard_parallel"]), factor()) {
                    (Some(p), _) => e.m(p.to_radians()),
                    (None, k0) => k0.unwrap_or(1.0),
                };
                if k0 <= 0.0 {
                    return Err(format!("{name}: its scale is {k0}"));
                }
                if name == "mercator" { Kind::Mercator(k0) } else { Kind::CylindricalEqualArea(k0) }
            }
            "transverse_mercator" => {
                let k0 = factor().filter(|k| *k > 0.0).unwrap_or(1.0);
                Kind::TransverseMercator(TransverseMercator::new(&e, lat0(), k0))
            }
            "geostationary" => {
                height = need(&["perspective_point_height"])?;
                if height <= 0.0 {
                    return Err(format!("{name}: a perspective_point_height of {height}"));
                }
                let axis = |k: &str| attributes.get(k).and_then(Value::as_str);
                let sweeps_x = axis("sweep_angle_axis") == Some("x") || axis("fixed_angle_axis") == Some("y");
                Kind::Geostationary(Geostationary::new(&e, height, sweeps_x))
            }
            "sinusoidal" => Kind::Sinusoidal,
            other => return Err(format!("the grid mapping {other:?} is not one that is read")),
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            ellipsoid: e,
            lon0: given(&MERIDIANS).unwrap_or(0.0),
            false_x: given(&["false_easting"]).unwrap_or(0.0),
            false_y: given(&["false_northing"]).unwrap_or(0.0),
            height,
        })
    }

    /// The CF name, such as `lambert_conformal_conic`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn plane(&self) -> Plane {
        match self.kind {
            Kind::Rotated(_) => Plane::RotatedDegrees,
            Kind::Geostationary(_) => Plane::ScanAngles,
            _ => Plane::Metres,
        }
    }

    /// Height of a satellite above the ellipsoid in metres: what scan angles are
    /// multiplied by where a file gives them in metres.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// Width of the whole Earth along x, where the map repeats after it.
    pub fn period(&self) -> Option<f64> {
        match self.kind {
            Kind::Rotated(_) => Some(360.0),
            Kind::Mercator(k0) | Kind::CylindricalEqualArea(k0) => Some(2.0 * PI * k0 * self.ellipsoid.a),
            _ => None,
        }
    }

    /// From longitude and latitude in degrees to x and y in the units of
    /// [`Projection::plane`]; `None` where the projection shows no such place.
    pub fn forward(&self, longitude: f64, latitude: f64) -> Option<(f64, f64)> {
        if !longitude.is_finite() || latitude.is_nan() || latitude.abs() > 90.0 {
            return None;
        }
        if let Kind::Rotated(r) = &self.kind {
            return Some(r.forward(longitude, latitude));
        }
        let e = &self.ellipsoid;
        let (lam, phi) = (wrap_longitude(longitude - self.lon0).to_radians(), latitude.to_radians());
        let (x, y) = match &self.kind {
            Kind::Rotated(_) => return None,
            Kind::Geostationary(g) => return g.forward(e, lam, phi),
            Kind::LambertConic(c) => c.forward(e, lam, phi),
            Kind::Albers(c) => c.forward(e, lam, phi),
            Kind::PolarStereographic(p) => p.forward(e, lam, phi),
            Kind::Stereographic(p) => p.forward(e, lam, phi),
            Kind::LambertAzimuthal(p) => p.forward(e, lam, phi)?,
            Kind::Mercator(k0) => (k0 * lam, -k0 * e.t(phi).ln()),
            Kind::CylindricalEqualArea(k0) => (k0 * lam, e.q(phi) / (2.0 * k0)),
            Kind::TransverseMercator(t) => t.forward(e, lam, phi),
            Kind::Sinusoidal => (e.m(phi) * lam, e.meridian(phi)),
        };
        let (x, y) = (e.a * x + self.false_x, e.a * y + self.false_y);
        // A conformal map puts the far pole at infinity, rounding puts it just short of that.
        (x.is_finite() && y.is_finite() && x.abs() < 1e12 && y.abs() < 1e12).then_some((x, y))
    }

    /// From x and y in the units of [`Projection::plane`] to longitude
    /// (-180 <= x < 180) and latitude in degrees; `None` beside the map.
    pub fn inverse(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        if !x.is_finite() || !y.is_finite() {
            return None;
        }
        if let Kind::Rotated(r) = &self.kind {
            if y.abs() > 90.0 + 1e-6 {
                return None;
            }
            let (lon, lat) = r.inverse(x, y.clamp(-90.0, 90.0));
            return Some((wrap_longitude(lon), lat));
        }
        let e = &self.ellipsoid;
        let (u, v) = ((x - self.false_x) / e.a, (y - self.false_y) / e.a);
        let (lam, phi) = match &self.kind {
            Kind::Rotated(_) => return None,
            Kind::Geostationary(g) => g.inverse(e, x, y)?,
            Kind::LambertConic(c) => c.inverse(e, u, v)?,
            Kind::Albers(c) => c.inverse(e, u, v)?,
            Kind::PolarStereographic(p) => p.inverse(e, u, v)?,
            Kind::Stereographic(p) => p.inverse(e, u, v)?,
            Kind::LambertAzimuthal(p) => p.inverse(e, u, v)?,
            Kind::Mercator(k0) => (u / k0, e.latitude_of_t((-v / k0).exp())),
            Kind::CylindricalEqualArea(k0) => (u / k0, e.latitude_of_q(2.0 * v * k0)?),
            Kind::TransverseMercator(t) => t.inverse(e, u, v)?,
            Kind::Sinusoidal => {
                let phi = e.latitude_of_meridian(v);
                if phi.abs() > FRAC_PI_2 + 1e-9 {
                    return None;
                }
                let phi = phi.clamp(-FRAC_PI_2, FRAC_PI_2);
                let m = e.m(phi);
                (if m > 1e-12 { u / m } else { 0.0 }, phi)
            }
        };
        // Beyond half a turn lies no place, or one that has been already; a cylinder may be unrolled further.
        let farthest = if self.period().is_some() { 3.0 * PI } else { PI };
        (lam.abs() <= farthest + 1e-9 && phi.abs() <= FRAC_PI_2 + 1e-9)
            .then(|| (wrap_longitude(lam.to_degrees() + self.lon0), phi.to_degrees().clamp(-90.0, 90.0)))
    }
}
