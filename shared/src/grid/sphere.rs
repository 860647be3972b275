//! Places on the sphere: longitudes, unit vectors, the angle between two places.

/// Longitude within -180 <= x < 180 (OGC CRS84).
pub fn wrap_longitude(longitude_deg: f64) -> f64 {
    if (-180.0..180.0).contains(&longitude_deg) {
        return longitude_deg;
    }
    let w = (longitude_deg + 180.0).rem_euclid(360.0) - 180.0;
    // Whole degrees stay whole: the sum above rounds.
    if (w - w.round()).abs() < 1e-9 { w.round() } else { w }
}

/// True where both are numbers that name a place: latitude within the poles
/// (to a float32's rounding), longitude within two turns either way.
pub fn is_place(longitude_deg: f64, latitude_deg: f64) -> bool {
    latitude_deg.abs() <= 90.001 && longitude_deg.abs() <= 720.0
}

/// The unit vector of a place: x through longitude 0 on the equator, z through the north pole.
pub fn unit_vector(longitude_deg: f64, latitude_deg: f64) -> [f64; 3] {
    let (sin_lon, cos_lon) = longitude_deg.to_radians().sin_cos();
    let (sin_lat, cos_lat) = latitude_deg.clamp(-90.0, 90.0).to_radians().sin_cos();
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

/// Longitude and latitude in degrees of a vector of any length; `None` for (almost) none.
pub fn place_of([x, y, z]: [f64; 3]) -> Option<(f64, f64)> {
    let flat = x.hypot(y);
    (flat.hypot(z) > 1e-12).then(|| (y.atan2(x).to_degrees(), z.atan2(flat).to_degrees()))
}

pub fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub fn cross([a, b, c]: [f64; 3], [p, q, r]: [f64; 3]) -> [f64; 3] {
    [b * r - c * q, c * p - a * r, a * q - b * p]
}

pub fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub fn plus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub fn times(a: [f64; 3], s: f64) -> [f64; 3] {
    a.map(|v| v * s)
}

/// Length one; `None` for (almost) no length.
pub fn unit(a: [f64; 3]) -> Option<[f64; 3]> {
    let length = dot(a, a).sqrt();
    (length > 1e-12).then(|| times(a, 1.0 / length))
}

/// Length of the chord between two unit vectors.
pub fn chord(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(p, q)| (p - q) * (p - q)).sum::<f64>().sqrt()
}

/// The angle in degrees that a chord of the unit sphere spans.
pub fn chord_angle_deg(chord: f64) -> f64 {
    2.0 * (chord / 2.0).clamp(0.0, 1.0).asin().to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_go_there_and_back() {
        for (lon, lat) in [(0.0, 0.0), (179.5, -60.0), (-45.25, 89.0), (12.0, 90.0)] {
            let (x, y) = place_of(unit_vector(lon, lat)).unwrap();
            assert!((x - lon).abs() < 1e-9 && (y - lat).abs() < 1e-9, "{lon} {lat}: {x} {y}");
        }
        assert_eq!(place_of([0.0; 3]), None);
    }

    #[test]
    fn longitudes_are_wrapped_as_crs84_has_them() {
        assert_eq!(wrap_longitude(260.0), -100.0);
        assert_eq!(wrap_longitude(180.0), -180.0);
        assert_eq!(wrap_longitude(359.875), -0.125);
        assert!((chord_angle_deg(chord(unit_vector(0.0, 0.0), unit_vector(0.0, 90.0))) - 90.0).abs() < 1e-9);
    }
}
