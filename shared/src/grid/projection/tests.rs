//! Against PROJ.

use serde_json::{Value, json};

use super::*;

/// Attributes, then longitude, latitude, x, y as pyproj 3.7.2 (PROJ 9.5.1) computes them with the same
/// parameters (`+proj=lcc`, `aea`, `stere`, `merc`, `laea`, `tmerc`, `geos` over its height, `sinu`,
/// `cea`, `ob_tran`), rounded to a tenth of a millimetre, angles to 1e-9.
fn known() -> Vec<(Value, Vec<[f64; 4]>)> {
    vec![
        (
            json!({"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25, "grid_north_pole_longitude": -162.0, "earth_radius": 6371229.0}),
            vec![
                [10.0, 50.0, -5.132644800, -0.472428088],
                [-30.0, 65.5, -19.295591346, 21.152764293],
                [18.0, 0.0, 0.000000000, -50.750000000],
            ],
        ),
        (
            json!({"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 6.55, "grid_north_pole_longitude": 0.0, "north_pole_grid_longitude": 25.0, "earth_radius": 6371229.0}),
            vec![[10.0, 89.5, 24.912516982, 7.042396127], [-170.0, 75.0, 27.602720124, -8.223790488]],
        ),
        (
            json!({"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [49.0, 46.0], "latitude_of_projection_origin": 47.5, "longitude_of_central_meridian": 13.33, "false_easting": 400000.0, "false_northing": 400000.0}),
            vec![
                [13.33, 47.5, 400000.0000, 400000.0000],
                [9.1, 46.2, 73701.5930, 264402.2442],
                [-60.0, 20.0, -6897413.7474, 964355.0731],
            ],
        ),
        (
            json!({"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [38.5, 38.5], "latitude_of_projection_origin": 38.5, "longitude_of_central_meridian": -97.5, "earth_radius": 6371229.0}),
            vec![
                [-122.719528, 21.138123, -2697520.1425, -1587306.1526],
                [170.0, 60.0, -4689379.9795, 5031763.9904],
            ],
        ),
        (
            json!({"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [-30.0, -60.0], "latitude_of_projection_origin": -45.0, "longitude_of_central_meridian": 140.0}),
            vec![[150.0, -35.0, 893944.4770, 1022835.6787], [100.0, -70.0, -1586956.3126, -3189276.8610]],
        ),
        (
            json!({"grid_mapping_name": "albers_conical_equal_area", "standard_parallel": [29.5, 45.5], "latitude_of_projection_origin": 23.0, "longitude_of_central_meridian": -96.0, "false_easting": 0.0, "false_northing": 0.0}),
            vec![[-120.0, 40.0, -2009423.5932, 2142068.0284], [-70.0, 25.0, 2623749.1311, 579289.5170]],
        ),
        (
            json!({"grid_mapping_name": "albers_conical_equal_area", "standard_parallel": [-18.0, -36.0], "latitude_of_projection_origin": 0.0, "longitude_of_central_meridian": 132.0, "false_easting": 0.0, "false_northing": 0.0}),
            vec![[120.0, -25.0, -1195798.7661, -2758772.5110]],
        ),
        (
            json!({"grid_mapping_name": "polar_stereographic", "straight_vertical_longitude_from_pole": -45.0, "latitude_of_projection_origin": 90.0, "standard_parallel": 70.0, "semi_major_axis": 6378273.0, "inverse_flattening": 298.279411123064}),
            vec![
                [0.0, 90.0, 0.0000, 0.0000],
                [100.0, 60.0, 1906126.7184, 2722231.0734],
                [-45.0, 31.0, 0.0000, -7000456.5298],
            ],
        ),
        (
            json!({"grid_mapping_name": "polar_stereographic", "straight_vertical_longitude_from_pole": 0.0, "latitude_of_projection_origin": -90.0, "standard_parallel": -71.0}),
            vec![[100.0, -60.0, 3282496.2322, -578792.6498], [-45.0, -88.0, -153672.7307, 153672.7307]],
        ),
        (
            json!({"grid_mapping_name": "polar_stereographic", "straight_vertical_longitude_from_pole": -80.0, "latitude_of_projection_origin": 90.0, "scale_factor_at_projection_origin": 0.93301270189, "earth_radius": 6371200.0}),
            vec![[100.0, 60.0, 0.0000, 3185600.0000]],
        ),
        (
            json!({"grid_mapping_name": "stereographic", "longitude_of_projection_origin": 5.38763888888889, "latitude_of_projection_origin": 52.156160556, "scale_factor_at_projection_origin": 0.9999079, "false_easting": 155000.0, "false_northing": 463000.0, "earth_radius": 6371000.0}),
            vec![[6.0, 52.5, 196447.6562, 501405.1125], [-3.0, 40.0, -566752.4303, -855335.9695]],
        ),
        (
            json!({"grid_mapping_name": "mercator", "longitude_of_projection_origin": -20.0, "standard_parallel": 20.0}),
            vec![[-60.0, -30.0, -4185883.4524, -3273469.3554], [100.0, 70.0, 12557650.3572, 10367473.0236]],
        ),
        (
            json!({"grid_mapping_name": "mercator", "longitude_of_projection_origin": 0.0, "scale_factor_at_projection_origin": 1.0, "semi_major_axis": 6378137.0, "semi_minor_axis": 6378137.0}),
            vec![[-60.0, -30.0, -6679169.4476, -3503549.8435]],
        ),
        (
            json!({"grid_mapping_name": "lambert_azimuthal_equal_area", "longitude_of_projection_origin": 10.0, "latitude_of_projection_origin": 52.0, "false_easting": 4321000.0, "false_northing": 3210000.0}),
            vec![
                [10.0, 52.0, 4321000.0000, 3210000.0000],
                [-9.5, 38.7, 2634521.3264, 1952301.5357],
                [30.0, 70.0, 5081405.5707, 5319011.5071],
            ],
        ),
        (
            json!({"grid_mapping_name": "lambert_azimuthal_equal_area", "longitude_of_projection_origin": 0.0, "latitude_of_projection_origin": 90.0}),
            vec![[45.0, 80.0, 788713.3037, -788713.3037], [-100.0, -10.0, -9609574.6720, 1694427.2878]],
        ),
        (
            json!({"grid_mapping_name": "lambert_azimuthal_equal_area", "longitude_of_projection_origin": 0.0, "latitude_of_projection_origin": -90.0, "earth_radius": 6371228.0}),
            vec![[45.0, -80.0, 785297.3884, 785297.3884]],
        ),
        (
            json!({"grid_mapping_name": "transverse_mercator", "longitude_of_central_meridian": -57.0, "latitude_of_projection_origin": 0.0, "scale_factor_at_central_meridian": 0.9996, "false_easting": 500000.0, "false_northing": 0.0}),
            vec![[-61.3, 72.9, 358984.2874, 8094384.9831], [-57.0, 0.5, 500000.0000, 55265.0371]],
        ),
        (
            json!({"grid_mapping_name": "transverse_mercator", "longitude_of_central_meridian": -2.0, "latitude_of_projection_origin": 49.0, "scale_factor_at_central_meridian": 0.9996012717, "false_easting": 400000.0, "false_northing": -100000.0, "semi_major_axis": 6377563.396, "semi_minor_axis": 6356256.909}),
            vec![[-4.1, 56.7, 271428.6201, 758431.1112]],
        ),
        (
            json!({"grid_mapping_name": "geostationary", "longitude_of_projection_origin": -89.5, "perspective_point_height": 35786023.0, "semi_major_axis": 6378137.0, "semi_minor_axis": 6356752.31414, "sweep_angle_axis": "x", "latitude_of_projection_origin": 0.0}),
            vec![[-95.0, 35.0, -0.013498439, 0.098116888], [-60.0, -40.0, 0.063111264, -0.107170011]],
        ),
        (
            json!({"grid_mapping_name": "geostationary", "longitude_of_projection_origin": 0.0, "perspective_point_height": 35785831.0, "semi_major_axis": 6378169.0, "semi_minor_axis": 6356583.8, "sweep_angle_axis": "y", "latitude_of_projection_origin": 0.0}),
            vec![[10.0, 50.0, 0.018711585, 0.126858186], [-20.0, -61.0, -0.027007894, -0.140545510]],
        ),
        (
            json!({"grid_mapping_name": "sinusoidal", "longitude_of_projection_origin": 0.0, "earth_radius": 6371007.181}),
            vec![[-95.0, 35.0, -8653137.1434, 3891826.8192], [140.0, -60.0, 7783653.6384, -6671703.1186]],
        ),
        (
            json!({"grid_mapping_name": "sinusoidal", "longitude_of_central_meridian": 20.0}),
            vec![[-95.0, 35.0, -10498139.5093, 3874592.9017], [140.0, -60.0, 6696000.1887, -6654072.8195]],
        ),
        (
            json!({"grid_mapping_name": "lambert_cylindrical_equal_area", "longitude_of_central_meridian": 0.0, "standard_parallel": 30.0}),
            vec![[-95.0, 35.0, -9166196.6238, 4198673.8209], [140.0, -60.0, 13508079.2351, -6351419.9973]],
        ),
    ]
}

fn projection(attributes: &Value) -> Projection {
    Projection::from_attributes(attributes.as_object().unwrap()).unwrap()
}

#[test]
fn projections_agree_with_proj_to_a_millimetre_both_ways() {
    for (attributes, points) in known() {
        let p = projection(&attributes);
        let slack = if p.plane() == Plane::Metres { 1e-3 } else { 2e-9 };
        for [lon, lat, x, y] in points {
            let (u, v) = p.forward(lon, lat).unwrap();
            // A rotated longitude is the same a turn further.
            let turn =
                if p.plane() == Plane::RotatedDegrees { ((u - x) / 360.0).round() * 360.0 } else { 0.0 };
            assert!(
                (u - turn - x).abs() < slack && (v - y).abs() < slack,
                "{attributes}: {lon} {lat}: {u} {v}, expected {x} {y}"
            );
            let (lon2, lat2) = p.inverse(u, v).unwrap();
            let off = (lon2 - lon + 180.0).rem_euclid(360.0) - 180.0;
            assert!(
                (off * lat.to_radians().cos()).abs() < 1e-8 && (lat2 - lat).abs() < 1e-8,
                "{attributes}: back from {lon} {lat}: {lon2} {lat2}"
            );
        }
    }
}

#[test]
fn what_a_projection_does_not_show_has_no_place() {
    let goes =
        projection(&json!({"grid_mapping_name": "geostationary", "perspective_point_height": 35786023.0,
        "longitude_of_projection_origin": -75.0, "sweep_angle_axis": "x"}));
    assert_eq!(goes.forward(105.0, 0.0), None);
    assert_eq!(goes.inverse(0.16, 0.1), None);
    let sinusoidal = projection(&json!({"grid_mapping_name": "sinusoidal", "earth_radius": 6371007.181}));
    assert_eq!(sinusoidal.inverse(20015109.0, 8000000.0), None);
    let laea = projection(&json!({"grid_mapping_name": "lambert_azimuthal_equal_area",
        "latitude_of_projection_origin": 52.0, "longitude_of_projection_origin": 10.0}));
    assert_eq!(laea.inverse(9e6, 9.5e6), None);
    assert_eq!(laea.forward(f64::NAN, 0.0), None);
    assert_eq!(laea.forward(0.0, 91.0), None);
}

#[test]
fn attributes_that_make_no_projection_are_named() {
    let wrong = |v: Value| Projection::from_attributes(v.as_object().unwrap()).unwrap_err();
    assert!(wrong(json!({"grid_mapping_name": "oblique_mercator"})).contains("oblique_mercator"));
    assert!(
        wrong(json!({"grid_mapping_name": "rotated_latitude_longitude"}))
            .contains("grid_north_pole_longitude")
    );
    assert!(
        wrong(json!({"grid_mapping_name": "geostationary", "perspective_point_height": -1.0})).contains("-1")
    );
    assert!(
        wrong(json!({"grid_mapping_name": "albers_conical_equal_area", "standard_parallel": [30.0, -30.0]}))
            .contains("cone")
    );
    assert!(wrong(json!({})).contains("grid_mapping_name"));
}
