//! Map projections forward, to place the first point of a grid; formulas of
//! J. P. Snyder, "Map Projections: A Working Manual" (USGS PP 1395), which hold for
//! the sphere too. Everything after the first point is CF's business.

use super::super::octets::{Result, Section};
use super::{Attributes, number, text};
use crate::AttrValue;
use graticule_shared::dtype::DataType;

/// Size and shape, in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Earth {
    Sphere(f64),
    /// Semi-major and semi-minor axis.
    Spheroid(f64, f64),
}

impl Earth {
    /// Code Table 3.2, octets 15 to 30 of GRIB2 section 3.
    pub(super) fn edition2(s: &Section<'_>) -> Result<Self> {
        let code = s.u8(15)?;
        let given = |octet: usize, unit: f64| -> Result<f64> {
            s.scaled(octet)?
                .map(|v| v * unit)
                .filter(|v| (1e6..1e8).contains(v))
                .ok_or_else(|| s.fault(octet, "no usable size of the earth, which shape code says is given"))
        };
        Ok(match code {
            0 => Earth::Sphere(6_367_470.0),
            1 => Earth::Sphere(given(16, 1.0)?),
            2 => Earth::Spheroid(6_378_160.0, 6_356_775.0),
            3 => Earth::Spheroid(given(21, 1e3)?, given(26, 1e3)?),
            4 => Earth::Spheroid(6_378_137.0, 6_356_752.314_140_356),
            5 | 10 => Earth::Spheroid(6_378_137.0, 6_356_752.314_245_179),
            6 => Earth::Sphere(6_371_229.0),
            7 => Earth::Spheroid(given(21, 1.0)?, given(26, 1.0)?),
            8 => Earth::Sphere(6_371_200.0),
            9 => Earth::Spheroid(6_377_563.396, 6_356_256.909),
            n => return Err(s.fault(15, format!("shape of the earth {n}; 0 to 10 are read"))),
        })
    }

    /// GRIB1 Code Table 7, bit 2.
    pub(super) fn edition1(flags: u8) -> Self {
        if flags & 0x40 != 0 { Earth::Spheroid(6_378_160.0, 6_356_775.0) } else { Earth::Sphere(6_367_470.0) }
    }

    /// Semi-major and semi-minor axis.
    pub(super) fn axes(self) -> (f64, f64) {
        match self {
            Earth::Sphere(r) => (r, r),
            Earth::Spheroid(a, b) => (a, b),
        }
    }

    fn eccentricity(self) -> f64 {
        let (a, b) = self.axes();
        (1.0 - (b / a) * (b / a)).max(0.0).sqrt()
    }

    pub(super) fn attributes(self) -> Attributes {
        match self {
            Earth::Sphere(r) => vec![number("earth_radius", r)],
            Earth::Spheroid(a, b) => vec![number("semi_major_axis", a), number("semi_minor_axis", b)],
        }
    }

    pub(super) fn mapping(self, name: &str) -> Option<Attributes> {
        let mut all = vec![text("grid_mapping_name", name)];
        all.extend(self.attributes());
        Some(all)
    }
}

/// Parameters in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Projection {
    Lambert { lat0: f64, lon0: f64, parallels: (f64, f64) },
    Albers { lat0: f64, lon0: f64, parallels: (f64, f64) },
    PolarStereographic { south: bool, lon0: f64, true_scale: f64 },
    Mercator { lon0: f64, true_scale: f64 },
    LambertAzimuthal { lat0: f64, lon0: f64 },
    TransverseMercator { lat0: f64, lon0: f64, scale: f64, false_x: f64, false_y: f64 },
}

/// Shortest way around from one longitude to another, in radians.
fn turn(lon0: f64, lon: f64) -> f64 {
    let d = (lon - lon0).rem_euclid(360.0);
    if d > 180.0 { d - 360.0 } else { d }.to_radians()
}

fn m(e: f64, phi: f64) -> f64 {
    phi.cos() / (1.0 - (e * phi.sin()).powi(2)).sqrt()
}

fn t(e: f64, phi: f64) -> f64 {
    let s = e * phi.sin();
    (std::f64::consts::FRAC_PI_4 - phi / 2.0).tan() / ((1.0 - s) / (1.0 + s)).powf(e / 2.0)
}

fn q(e: f64, phi: f64) -> f64 {
    let sin = phi.sin();
    if e < 1e-9 {
        return 2.0 * sin;
    }
    let s = e * sin;
    (1.0 - e * e) * (sin / (1.0 - s * s) - ((1.0 - s) / (1.0 + s)).ln() / (2.0 * e))
}

impl Projection {
    /// Metres from the origin; `None` where the parameters make no map.
    pub(super) fn forward(&self, earth: &Earth, lat: f64, lon: f64) -> Option<(f64, f64)> {
        let (a, _) = earth.axes();
        let e = earth.eccentricity();
        let phi = lat.to_radians();
        let (x, y) = match *self {
            Projection::Lambert { lat0, lon0, parallels: (p1, p2) } => {
                let (p1, p2) = (p1.to_radians(), p2.to_radians());
                let n = if (p1 - p2).abs() < 1e-9 {
                    p1.sin()
                } else {
                    (m(e, p1) / m(e, p2)).ln() / (t(e, p1) / t(e, p2)).ln()
                };
                let f = m(e, p1) / (n * t(e, p1).powf(n));
                let rho = |phi: f64| a * f * t(e, phi).powf(n);
                let angle = n * turn(lon0, lon);
                let r = rho(phi);
                (r * angle.sin(), rho(lat0.to_radians()) - r * angle.cos())
            }
            Projection::Albers { lat0, lon0, parallels: (p1, p2) } => {
                let (p1, p2) = (p1.to_radians(), p2.to_radians());
                let n = if (p1 - p2).abs() < 1e-9 {
                    p1.sin()
                } else {
                    (m(e, p1).powi(2) - m(e, p2).powi(2)) / (q(e, p2) - q(e, p1))
                };
                let c = m(e, p1).powi(2) + n * q(e, p1);
                let rho = |phi: f64| a * (c - n * q(e, phi)).sqrt() / n;
                let angle = n * turn(lon0, lon);
                let r = rho(phi);
                (r * angle.sin(), rho(lat0.to_radians()) - r * angle.cos())
            }
            Projection::PolarStereographic { south, lon0, true_scale } => {
                let phi = if south { -phi } else { phi };
                let at = true_scale.abs().to_radians();
                let scale = if (true_scale.abs() - 90.0).abs() < 1e-9 {
                    2.0 / ((1.0 + e).powf(1.0 + e) * (1.0 - e).powf(1.0 - e)).sqrt()
                } else {
                    m(e, at) / t(e, at)
                };
                let (r, angle) = (a * scale * t(e, phi), turn(lon0, lon));
                (r * angle.sin(), if south { r * angle.cos() } else { -r * angle.cos() })
            }
            Projection::Mercator { lon0, true_scale } => {
                let k = a * m(e, true_scale.to_radians());
                (k * turn(lon0, lon), -k * t(e, phi).ln())
            }
            Projection::LambertAzimuthal { lat0, lon0 } => {
                let qp = q(e, std::f64::consts::FRAC_PI_2);
                let angle = turn(lon0, lon);
                if (lat0.abs() - 90.0).abs() < 1e-9 {
                    let sign = lat0.signum();
                    let r = a * (qp - sign * q(e, phi)).max(0.0).sqrt();
                    (r * angle.sin(), -sign * r * angle.cos())
                } else {
                    let (b0, b) = ((q(e, lat0.to_radians()) / qp).asin(), (q(e, phi) / qp).asin());
                    let rq = a * (qp / 2.0).sqrt();
                    let d = a * m(e, lat0.to_radians()) / (rq * b0.cos());
                    let cos = b.cos() * angle.cos();
                    let k = rq * (2.0 / (1.0 + b0.sin() * b.sin() + b0.cos() * cos)).sqrt();
                    (k * d * b.cos() * angle.sin(), k / d * (b0.cos() * b.sin() - b0.sin() * cos))
                }
            }
            // Its grids say where they begin in metres.
            Projection::TransverseMercator { .. } => return None,
        };
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    /// CF Appendix F.
    pub(super) fn mapping(&self, earth: &Earth) -> Attributes {
        let conic = |name: &str, lat0: f64, lon0: f64, (p1, p2): (f64, f64)| {
            let parallels = if p1 == p2 { vec![p1] } else { vec![p1, p2] };
            vec![
                text("grid_mapping_name", name),
                ("standard_parallel", AttrValue::Floats(DataType::Float64, parallels)),
                number("longitude_of_central_meridian", lon0),
                number("latitude_of_projection_origin", lat0),
            ]
        };
        let (mut all, (false_x, false_y)) = match *self {
            Projection::Lambert { lat0, lon0, parallels } => {
                (conic("lambert_conformal_conic", lat0, lon0, parallels), (0.0, 0.0))
            }
            Projection::Albers { lat0, lon0, parallels } => {
                (conic("albers_conical_equal_area", lat0, lon0, parallels), (0.0, 0.0))
            }
            Projection::PolarStereographic { south, lon0, true_scale } => {
                let parallel = if south { -true_scale.abs() } else { true_scale.abs() };
                let all = vec![
                    text("grid_mapping_name", "polar_stereographic"),
                    number("straight_vertical_longitude_from_pole", lon0),
                    number("latitude_of_projection_origin", if south { -90.0 } else { 90.0 }),
                    number("standard_parallel", parallel),
                ];
                (all, (0.0, 0.0))
            }
            Projection::Mercator { lon0, true_scale } => {
                let all = vec![
                    text("grid_mapping_name", "mercator"),
                    number("longitude_of_projection_origin", lon0),
                    number("standard_parallel", true_scale),
                ];
                (all, (0.0, 0.0))
            }
            Projection::LambertAzimuthal { lat0, lon0 } => {
                let all = vec![
                    text("grid_mapping_name", "lambert_azimuthal_equal_area"),
                    number("longitude_of_projection_origin", lon0),
                    number("latitude_of_projection_origin", lat0),
                ];
                (all, (0.0, 0.0))
            }
            Projection::TransverseMercator { lat0, lon0, scale, false_x, false_y } => {
                let all = vec![
                    text("grid_mapping_name", "transverse_mercator"),
                    number("scale_factor_at_central_meridian", scale),
                    number("longitude_of_central_meridian", lon0),
                    number("latitude_of_projection_origin", lat0),
                ];
                (all, (false_x, false_y))
            }
        };
        all.extend([number("false_easting", false_x), number("false_northing", false_y)]);
        all.extend(earth.attributes());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked examples of Snyder's Appendix A, on the Clarke 1866 ellipsoid or a sphere.
    #[test]
    fn the_manual_s_own_examples() {
        let clarke = Earth::Spheroid(6_378_206.4, 6_356_583.8);
        let near = |got: Option<(f64, f64)>, want: (f64, f64)| {
            let (x, y) = got.expect("a point");
            assert!((x - want.0).abs() < 0.2 && (y - want.1).abs() < 0.2, "{x} {y}, not {want:?}");
        };
        let parallels = (33.0, 45.0);
        let lambert = Projection::Lambert { lat0: 23.0, lon0: -96.0, parallels };
        near(lambert.forward(&clarke, 35.0, -75.0), (1_894_410.9, 1_564_649.5));
        let albers = Projection::Albers { lat0: 23.0, lon0: -96.0, parallels: (29.5, 45.5) };
        near(albers.forward(&clarke, 35.0, -75.0), (1_885_472.7, 1_535_925.0));
        let mercator = Projection::Mercator { lon0: -180.0, true_scale: 0.0 };
        near(mercator.forward(&clarke, 35.0, -75.0), (11_688_673.7, 4_139_145.6));
        let international = Earth::Spheroid(6_378_388.0, 6_356_911.946_127_947);
        let polar = Projection::PolarStereographic { south: true, lon0: -100.0, true_scale: -71.0 };
        near(polar.forward(&international, -75.0, 150.0), (-1_540_033.6, -560_526.4));
        let azimuthal = Projection::LambertAzimuthal { lat0: 40.0, lon0: -100.0 };
        near(azimuthal.forward(&clarke, 30.0, -110.0), (-965_932.1, -1_056_814.9));
    }
}
