//! Where cells are, worked out from CF coordinates and grid mappings alone, by
//! another hand's projections.

#![allow(dead_code)]

use graticule_formats::{AttrValue, Source, Variable};

/// Relative, or absolute below 1.
pub fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-6 * want.abs().max(1.0)
}

pub fn text<'a>(v: &'a Variable, name: &str) -> &'a str {
    v.attribute(name).and_then(AttrValue::as_text).unwrap_or_default()
}

pub fn number(v: &Variable, name: &str) -> Option<f64> {
    v.attribute(name).and_then(AttrValue::as_f64)
}

/// All values of a variable as float64.
pub fn values(source: &dyn Source, path: &str) -> Vec<f64> {
    let v = source.header().variables.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("no {path}"));
    let bytes = source.read(path, &vec![0; v.shape.len()], &v.shape).unwrap_or_else(|e| panic!("{e}"));
    v.dtype.to_f64_vec(&bytes)
}

/// Latitude and longitude of cell `i` of a variable, by its CF coordinates alone.
pub fn position(source: &dyn Source, v: &Variable, i: usize) -> (f64, f64) {
    let n = v.dims.len();
    if v.dims[n - 1].starts_with("cell") {
        let one = |path: &str| {
            let bytes = source.read(path, &[i as u64], &[1]).expect("a coordinate");
            f64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
        };
        return (one("latitude"), one("longitude"));
    }
    let columns = v.shape[n - 1] as usize;
    let (y, x) = (values(source, &v.dims[n - 2])[i / columns], values(source, &v.dims[n - 1])[i % columns]);
    let mapping = text(v, "grid_mapping");
    let m = source.header().variables.iter().find(|m| m.path == mapping).expect("a grid mapping");
    let of = |name: &str| number(m, name).unwrap_or(0.0);
    let earth = match number(m, "earth_radius") {
        Some(r) => format!("+R={r}"),
        None => format!("+a={} +b={}", of("semi_major_axis"), of("semi_minor_axis")),
    };
    let parallels = m.attribute("standard_parallel").map(AttrValue::to_f64_vec).unwrap_or_default();
    let projection = match text(m, "grid_mapping_name") {
        "latitude_longitude" => return (y, x),
        "rotated_latitude_longitude" => {
            return unrotated(y, x, of("grid_north_pole_latitude"), of("grid_north_pole_longitude"));
        }
        "lambert_conformal_conic" => format!(
            "+proj=lcc +lat_1={} +lat_2={} +lat_0={} +lon_0={}",
            parallels[0],
            parallels.last().expect("a parallel"),
            of("latitude_of_projection_origin"),
            of("longitude_of_central_meridian")
        ),
        "polar_stereographic" => format!(
            "+proj=stere +lat_0={} +lat_ts={} +lon_0={}",
            of("latitude_of_projection_origin"),
            parallels[0],
            of("straight_vertical_longitude_from_pole")
        ),
        "albers_conical_equal_area" => format!(
            "+proj=aea +lat_1={} +lat_2={} +lat_0={} +lon_0={}",
            parallels[0],
            parallels.last().expect("a parallel"),
            of("latitude_of_projection_origin"),
            of("longitude_of_central_meridian")
        ),
        "lambert_azimuthal_equal_area" => format!(
            "+proj=laea +lat_0={} +lon_0={}",
            of("latitude_of_projection_origin"),
            of("longitude_of_projection_origin")
        ),
        "geostationary" => return seen(y, x, &of),
        "mercator" => {
            format!("+proj=merc +lat_ts={} +lon_0={}", parallels[0], of("longitude_of_projection_origin"))
        }
        other => panic!("a grid mapping {other}"),
    };
    let from = proj4rs::Proj::from_proj_string(&format!("{projection} {earth} +units=m +no_defs"))
        .unwrap_or_else(|e| panic!("{projection}: {e}"));
    let to = proj4rs::Proj::from_proj_string(&format!("+proj=longlat {earth} +no_defs")).expect("longlat");
    let mut point = (x, y, 0.0);
    proj4rs::transform::transform(&from, &to, &mut point).expect("a position");
    (point.1.to_degrees(), point.0.to_degrees())
}

/// From rotated to geographic coordinates, by rotations of vectors.
fn unrotated(rlat: f64, rlon: f64, pole_lat: f64, pole_lon: f64) -> (f64, f64) {
    let (sin_lat, cos_lat) = rlat.to_radians().sin_cos();
    let (sin_lon, cos_lon) = rlon.to_radians().sin_cos();
    let (x, y, z) = (cos_lat * cos_lon, cos_lat * sin_lon, sin_lat);
    let (sin, cos) = pole_lat.to_radians().sin_cos();
    // Axes of the rotated frame, in a frame with the pole's meridian in the plane of x and z.
    let (u, v, w) = (-x * sin + z * cos, -y, x * cos + z * sin);
    (w.asin().to_degrees(), v.atan2(u).to_degrees() + pole_lon)
}

pub fn near_on_the_globe(got: (f64, f64), want: (f64, f64)) -> bool {
    let turn = (got.1 - want.1 + 540.0).rem_euclid(360.0) - 180.0;
    // To 1e-6, or as precise as a header in millidegrees allows.
    let slack = 1e-6 * want.1.abs().max(1.0);
    (got.0 - want.0).abs() <= 1e-6 * want.0.abs().max(1.0) && turn.abs() <= slack
}

/// What a scanning angle sees (CGMS LRIT/HRIT Global Specification 4.4.3.2).
fn seen(y: f64, x: f64, of: &dyn Fn(&str) -> f64) -> (f64, f64) {
    let (a, b) = (of("semi_major_axis"), of("semi_minor_axis"));
    let (h, ratio) = (of("perspective_point_height") + a, (a / b) * (a / b));
    let (cos_x, cos_y) = (x.cos(), y.cos());
    let k = cos_y * cos_y + ratio * y.sin() * y.sin();
    let along = h * cos_x * cos_y;
    let s = (along - (along * along - k * (h * h - a * a)).sqrt()) / k;
    let (s1, s2, s3) = (h - s * cos_x * cos_y, s * x.sin() * cos_y, s * y.sin());
    let lat = (ratio * s3 / (s1 * s1 + s2 * s2).sqrt()).atan();
    (lat.to_degrees(), (s2 / s1).atan().to_degrees() + of("longitude_of_projection_origin"))
}
