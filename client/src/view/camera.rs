//! Moving the camera: the ground under the pointer stays under the pointer.

use graticule_shared::raster::{Camera, Projection, TILE_PX, mercator_latitude_deg, mercator_y};

const MAX_ZOOM: f64 = 20.0;

/// Wraps a longitude to -180..180.
pub fn wrap_longitude_deg(longitude: f64) -> f64 {
    let wrapped = longitude - (longitude / 360.0).round() * 360.0;
    if wrapped.is_finite() { wrapped } else { 0.0 }
}

/// The zoom at which the whole Earth just fills (Mercator) or fits (globe).
pub fn whole_earth_zoom(projection: Projection, width_px: f64, height_px: f64) -> f64 {
    let zoom = match projection {
        Projection::Mercator => (height_px / TILE_PX).log2(),
        Projection::Globe => (0.86 * width_px.min(height_px) * std::f64::consts::PI / TILE_PX).log2(),
    };
    if zoom.is_finite() { zoom } else { 0.0 }
}

/// Holds the camera within what can be shown: no band above or below a Mercator map.
pub fn limit(camera: &mut Camera) {
    let whole = whole_earth_zoom(camera.projection, camera.width_px, camera.height_px);
    let lowest = if camera.projection == Projection::Globe { whole - 1.5 } else { whole };
    camera.zoom = if camera.zoom.is_finite() { camera.zoom.clamp(lowest, MAX_ZOOM) } else { lowest };
    camera.longitude_deg = wrap_longitude_deg(camera.longitude_deg);
    if !camera.latitude_deg.is_finite() {
        camera.latitude_deg = 0.0;
    }
    match camera.projection {
        Projection::Mercator => {
            let half = (camera.height_px / 2.0 / camera.world_px()).min(0.5);
            let y = mercator_y(camera.latitude_deg).clamp(half, 1.0 - half);
            camera.latitude_deg = mercator_latitude_deg(y);
        }
        Projection::Globe => camera.latitude_deg = camera.latitude_deg.clamp(-90.0, 90.0),
    }
}

/// Turns the Earth so that the place `(longitude, latitude)` lies under the pixel.
pub fn put_under(camera: &mut Camera, (longitude_deg, latitude_deg): (f64, f64), (x, y): (f64, f64)) {
    let (dx, dy) = (x - camera.width_px / 2.0, y - camera.height_px / 2.0);
    match camera.projection {
        Projection::Mercator => {
            let world = camera.world_px();
            camera.longitude_deg = longitude_deg - dx / world * 360.0;
            camera.latitude_deg = mercator_latitude_deg(mercator_y(latitude_deg) - dy / world);
        }
        Projection::Globe => {
            let (u, v) = (dx / camera.radius_px(), -dy / camera.radius_px());
            let w = (1.0 - u * u - v * v).max(0.0).sqrt();
            // sin(latitude) = v cos(centre) + w sin(centre), solved for the centre; north stays up.
            let amplitude = v.hypot(w).max(1e-9);
            let angle = (latitude_deg.to_radians().sin() / amplitude).clamp(-1.0, 1.0).asin();
            let tilt = v.atan2(w);
            let solutions = [angle - tilt, std::f64::consts::PI - angle - tilt];
            let old = camera.latitude_deg.to_radians();
            let turn = |a: f64| {
                (a - old + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI
            };
            let nearest = if turn(solutions[0]).abs() <= turn(solutions[1]).abs() {
                solutions[0]
            } else {
                solutions[1]
            };
            let centre =
                (old + turn(nearest)).clamp(-std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_2);
            let (sin, cos) = centre.sin_cos();
            camera.latitude_deg = centre.to_degrees();
            camera.longitude_deg = longitude_deg - u.atan2(w * cos - v * sin).to_degrees();
        }
    }
}

/// Moves the ground by pixels; `pointer` is where it is held now.
pub fn pan(camera: &mut Camera, dx: f64, dy: f64, pointer: Option<(f64, f64)>) {
    let middle = (camera.width_px / 2.0, camera.height_px / 2.0);
    let to = pointer.unwrap_or((middle.0 + dx, middle.1 + dy));
    match camera.unproject(to.0 - dx, to.1 - dy) {
        Some(place)
            if camera.projection == Projection::Mercator || camera.unproject(to.0, to.1).is_some() =>
        {
            put_under(camera, place, to);
        }
        // Held beside the globe: it turns as if held at its middle.
        _ => {
            let degrees = camera.degrees_per_px();
            camera.longitude_deg -= dx * degrees;
            camera.latitude_deg += dy * degrees;
        }
    }
    limit(camera);
}

/// Multiplies the scale by `2^delta`; the place under the pixel stays there.
pub fn zoom(camera: &mut Camera, delta: f64, x: f64, y: f64) {
    let place = camera.unproject(x, y);
    camera.zoom += if delta.is_finite() { delta } else { 0.0 };
    let latitude = camera.latitude_deg;
    limit(camera);
    // The limits may have moved the map before the place is put back.
    camera.latitude_deg = latitude;
    if let Some(place) = place {
        let inside = camera.projection == Projection::Mercator || camera.unproject(x, y).is_some();
        if inside {
            put_under(camera, place, (x, y));
        }
    }
    limit(camera);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(projection: Projection) -> Camera {
        Camera {
            projection,
            longitude_deg: 170.0,
            latitude_deg: 20.0,
            zoom: 4.0,
            width_px: 900.0,
            height_px: 700.0,
        }
    }

    fn same_place(a: (f64, f64), b: (f64, f64)) {
        assert!(wrap_longitude_deg(a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6, "{a:?} {b:?}");
    }

    #[test]
    fn the_ground_stays_under_the_pointer_while_panning() {
        for projection in [Projection::Mercator, Projection::Globe] {
            let mut c = camera(projection);
            let held = c.unproject(300.0, 400.0).unwrap();
            pan(&mut c, 150.0, -60.0, Some((450.0, 340.0)));
            same_place(c.unproject(450.0, 340.0).unwrap(), held);
        }
    }

    #[test]
    fn the_place_under_the_pointer_stays_while_zooming() {
        for projection in [Projection::Mercator, Projection::Globe] {
            let mut c = camera(projection);
            let held = c.unproject(600.0, 200.0).unwrap();
            zoom(&mut c, 1.5, 600.0, 200.0);
            same_place(c.unproject(600.0, 200.0).unwrap(), held);
            assert_eq!(c.zoom, 5.5);
        }
    }

    #[test]
    fn a_mercator_map_shows_no_band_beyond_its_edge() {
        let mut c = camera(Projection::Mercator);
        zoom(&mut c, -30.0, 10.0, 10.0);
        assert!(c.world_px() >= c.height_px - 1e-9);
        assert!(c.unproject(450.0, 0.5).is_some() && c.unproject(450.0, 699.5).is_some());
        pan(&mut c, 0.0, 5000.0, Some((450.0, 350.0)));
        assert!(c.unproject(450.0, 0.5).is_some());
        assert!((-180.0..=180.0).contains(&c.longitude_deg));
    }

    #[test]
    fn nonsense_leaves_a_camera_that_can_be_drawn() {
        let mut c = camera(Projection::Globe);
        c.longitude_deg = f64::NAN;
        c.latitude_deg = f64::INFINITY;
        c.zoom = f64::NAN;
        limit(&mut c);
        assert!(c.longitude_deg.is_finite() && c.latitude_deg.is_finite() && c.zoom.is_finite());
        pan(&mut c, 1e9, -1e9, None);
        assert!(c.unproject(450.0, 350.0).is_some());
    }
}
