//! Round pieces of the Earth: what a page covers, and whether a view shows it.
//!
//! A circle on the sphere has no antimeridian and no pole to mind. It encloses a
//! page loosely; what is too loose is cut in four until it is not.

use graticule_shared::grid::sphere::{dot, minus, place_of, plus, unit, unit_vector};
use graticule_shared::raster::{Camera, Projection, mercator_y};

/// All places within `radius` (radians) of `centre` (a unit vector).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cap {
    pub centre: [f64; 3],
    pub radius: f64,
}

/// The angle between two unit vectors in radians, exact for small ones too.
pub fn angle(a: [f64; 3], b: [f64; 3]) -> f64 {
    let d = minus(a, b);
    2.0 * (dot(d, d).sqrt() / 2.0).min(1.0).asin()
}

impl Cap {
    /// The Earth.
    pub const WHOLE: Cap = Cap { centre: [0.0, 0.0, 1.0], radius: std::f64::consts::PI };

    /// Around caps or, with radius 0, around points; `None` around none.
    pub fn around(caps: impl Iterator<Item = Cap> + Clone) -> Option<Cap> {
        let mut sum = [0.0; 3];
        let mut any = false;
        for c in caps.clone() {
            sum = plus(sum, c.centre);
            any = true;
        }
        if !any {
            return None;
        }
        let Some(centre) = unit(sum) else { return Some(Self::WHOLE) };
        let radius = caps.map(|c| angle(centre, c.centre) + c.radius).fold(0.0, f64::max);
        Some(Cap { centre, radius: radius.min(std::f64::consts::PI) })
    }

    pub fn around_points(points: impl Iterator<Item = [f64; 3]> + Clone) -> Option<Cap> {
        Self::around(points.map(|centre| Cap { centre, radius: 0.0 }))
    }

    /// The least angle between a place and this cap, in radians.
    pub fn distance(&self, place: [f64; 3]) -> f64 {
        (angle(self.centre, place) - self.radius).max(0.0)
    }

    /// False only where no pixel of the view lies in it.
    pub fn is_in_view(&self, camera: &Camera) -> bool {
        match camera.projection {
            Projection::Mercator => self.is_on_map(camera),
            Projection::Globe => self.is_on_globe(camera),
        }
    }

    fn is_on_map(&self, camera: &Camera) -> bool {
        let Some((longitude, latitude)) = place_of(self.centre) else { return true };
        let (r, world) = (self.radius.to_degrees(), camera.world_px());
        let (north, south) = (mercator_y(latitude + r), mercator_y(latitude - r));
        let (middle, half) = (mercator_y(camera.latitude_deg), camera.height_px / world / 2.0);
        if north >= middle + half || south <= middle - half {
            return false;
        }
        if latitude.abs() + r >= 90.0 {
            return true;
        }
        let reach = (self.radius.sin() / latitude.to_radians().cos()).clamp(0.0, 1.0).asin().to_degrees();
        let turn = longitude - camera.longitude_deg;
        let off = (turn - (turn / 360.0).round() * 360.0).abs();
        off <= reach + camera.width_px / world * 180.0
    }

    fn is_on_globe(&self, camera: &Camera) -> bool {
        let [x, y, z] = Frame::of(camera).turn(self.centre);
        if z.clamp(-1.0, 1.0).acos() - self.radius > std::f64::consts::FRAC_PI_2 {
            return false;
        }
        let radius = camera.radius_px();
        let reach = radius * 2.0 * (self.radius.min(std::f64::consts::PI) / 2.0).sin();
        (x * radius).abs() <= camera.width_px / 2.0 + reach
            && (y * radius).abs() <= camera.height_px / 2.0 + reach
    }
}

/// The Earth turned towards the eye: right, up and near.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub right: [f64; 3],
    pub up: [f64; 3],
    pub near: [f64; 3],
}

impl Frame {
    pub fn of(camera: &Camera) -> Self {
        let (sin_lon, cos_lon) = camera.longitude_deg.to_radians().sin_cos();
        let (sin, cos) = camera.latitude_deg.to_radians().sin_cos();
        Self {
            right: [-sin_lon, cos_lon, 0.0],
            up: [-sin * cos_lon, -sin * sin_lon, cos],
            near: unit_vector(camera.longitude_deg, camera.latitude_deg),
        }
    }

    pub fn turn(&self, place: [f64; 3]) -> [f64; 3] {
        [dot(self.right, place), dot(self.up, place), dot(self.near, place)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(projection: Projection, longitude_deg: f64, latitude_deg: f64, zoom: f64) -> Camera {
        Camera { projection, longitude_deg, latitude_deg, zoom, width_px: 800.0, height_px: 600.0 }
    }

    fn cap(longitude: f64, latitude: f64, degrees: f64) -> Cap {
        Cap { centre: unit_vector(longitude, latitude), radius: degrees.to_radians() }
    }

    #[test]
    fn every_pixel_in_a_cap_makes_it_visible() {
        for projection in [Projection::Mercator, Projection::Globe] {
            for (lon, lat, zoom) in [(0.0, 0.0, 1.5), (179.0, 60.0, 4.0), (-170.0, -80.0, 3.0)] {
                let c = camera(projection, lon, lat, zoom);
                let mut seen = 0;
                for i in 0..2000 {
                    let cap = cap(f64::from(i * 37 % 360), f64::from(i * 13 % 181) - 90.0, f64::from(i % 20));
                    let shown = (0..=40).any(|y| {
                        (0..=40).any(|x| {
                            let at = c.unproject(f64::from(x) * 20.0, f64::from(y) * 15.0);
                            at.is_some_and(|(lon, lat)| cap.distance(unit_vector(lon, lat)) == 0.0)
                        })
                    });
                    seen += u32::from(shown);
                    assert!(!shown || cap.is_in_view(&c), "{projection:?} {cap:?}");
                }
                assert!(seen > 20);
            }
        }
    }

    #[test]
    fn what_is_behind_or_beside_is_not_in_view() {
        let globe = camera(Projection::Globe, 0.0, 0.0, 1.0);
        assert!(!cap(180.0, 0.0, 50.0).is_in_view(&globe));
        let near = camera(Projection::Mercator, 10.0, 50.0, 6.0);
        assert!(!cap(20.0, 50.0, 1.0).is_in_view(&near));
        assert!(!cap(10.0, 60.0, 1.0).is_in_view(&near));
        assert!(cap(370.0, 50.0, 1.0).is_in_view(&near));
    }

    #[test]
    fn a_cap_around_points_holds_them_all() {
        let points: Vec<_> =
            (0..50).map(|i| unit_vector(170.0 + f64::from(i), 80.0 - f64::from(i % 7))).collect();
        let c = Cap::around_points(points.iter().copied()).unwrap();
        assert!(points.iter().all(|p| c.distance(*p) < 1e-12));
        assert!(c.radius < 0.3);
        assert_eq!(Cap::around_points([].into_iter()), None);
    }
}
