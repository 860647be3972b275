//! Recognition of grids, and the cells that places fall in.

use serde_json::{Value, json};

use super::areas::Places;
use super::*;
use crate::cube::{Cube, Role};
use crate::zarr::Hierarchy;

fn array(shape: &[u64], dims: &[&str], attributes: Value) -> Value {
    json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "float32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0, "codecs": [{"name": "bytes"}], "dimension_names": dims, "attributes": attributes})
}

fn cube(nodes: Value, attributes: Value) -> Cube {
    let root = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes,
        "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": nodes}});
    Cube::new(&Hierarchy::from_v3(root.to_string().as_bytes()).unwrap())
}

fn grid_of(nodes: Value) -> Option<Horizontal> {
    let c = cube(nodes, json!({}));
    c.variable("v").unwrap().horizontal().cloned()
}

fn lambert() -> Value {
    json!({"grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [38.5, 38.5],
        "latitude_of_projection_origin": 38.5, "longitude_of_central_meridian": -97.5, "earth_radius": 6371229.0})
}

#[test]
fn a_projected_grid_is_known_by_its_mapping_even_beside_two_dimensional_coordinates() {
    let nodes = json!({"v": array(&[4, 5, 6], &["time", "y", "x"], json!({"grid_mapping": "crs", "coordinates": "lat lon"})),
        "y": array(&[5], &["y"], json!({"standard_name": "projection_y_coordinate", "units": "km"})),
        "x": array(&[6], &["x"], json!({"standard_name": "projection_x_coordinate", "units": "km"})),
        "lat": array(&[5, 6], &["y", "x"], json!({"units": "degrees_north"})),
        "lon": array(&[5, 6], &["y", "x"], json!({"units": "degrees_east"})),
        "crs": array(&[], &[], lambert())});
    let Some(Horizontal::Projected(p)) = grid_of(nodes.clone()) else { panic!("not projected") };
    assert_eq!((p.y.as_str(), p.x.as_str(), p.mapping.as_str(), p.unit), ("y", "x", "crs", 1000.0));
    // A mapping that is not read leaves the two-dimensional coordinates, and a note.
    let mut other = nodes;
    other["crs"]["attributes"] = json!({"grid_mapping_name": "oblique_mercator"});
    let c = cube(other, json!({}));
    assert!(matches!(c.variable("v").unwrap().horizontal(), Some(Horizontal::Curvilinear { .. })));
    assert!(c.notes.iter().any(|n| n.contains("oblique_mercator")), "{:?}", c.notes);
}

#[test]
fn a_rotated_pole_is_projected_and_degrees_alone_are_not() {
    let rotated = |mapping: Value| {
        grid_of(json!({"v": array(&[5, 6], &["rlat", "rlon"], json!({"grid_mapping": "m"})),
            "rlat": array(&[5], &["rlat"], json!({"standard_name": "grid_latitude", "units": "degrees"})),
            "rlon": array(&[6], &["rlon"], json!({"standard_name": "grid_longitude", "units": "degrees"})),
            "m": array(&[], &[], mapping)}))
    };
    let pole = json!({"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0});
    assert!(matches!(rotated(pole), Some(Horizontal::Projected(_))));
    assert_eq!(rotated(json!({})), None, "rotated coordinates without a pole place nothing");
}

#[test]
fn two_dimensional_coordinates_are_found_by_name_by_units_and_with_a_leading_step() {
    for (coordinates, lat_shape, lat_dims) in [
        ("time nav_lat nav_lon", vec![5, 6], vec!["j", "i"]),
        ("", vec![5, 6], vec!["j", "i"]),
        ("", vec![1, 5, 6], vec!["Time", "j", "i"]),
    ] {
        let nodes = json!({"v": array(&[1, 5, 6], &["Time", "j", "i"], json!({"coordinates": coordinates})),
            "nav_lat": array(&lat_shape, &lat_dims, json!({"units": "degrees latitude"})),
            "nav_lon": array(&lat_shape, &lat_dims, json!({"standard_name": "longitude", "units": "degrees_east"}))});
        let c = cube(nodes, json!({}));
        let [v] = c.variables.as_slice() else { panic!("{:?}", c.variables) };
        let Some(Horizontal::Curvilinear { latitude, longitude }) = v.horizontal() else { panic!("{v:?}") };
        assert_eq!((latitude.path.as_str(), longitude.path.as_str()), ("nav_lat", "nav_lon"));
        assert_eq!((v.dims[1].role, v.dims[2].role), (Role::Y, Role::X));
        assert_eq!(v.leading().len(), 1);
    }
}

#[test]
fn staggered_grids_each_take_the_coordinates_they_name() {
    let c = cube(
        json!({"u": array(&[5, 6], &["y", "x"], json!({"coordinates": "lon_u lat_u"})),
            "lat_u": array(&[5, 6], &["y", "x"], json!({"units": "degree_north"})),
            "lon_u": array(&[5, 6], &["y", "x"], json!({"units": "degree_east"})),
            "lat_c": array(&[5, 6], &["y", "x"], json!({"units": "degree_north"})),
            "lon_c": array(&[5, 6], &["y", "x"], json!({"units": "degree_east"}))}),
        json!({}),
    );
    let Some(Horizontal::Curvilinear { latitude, .. }) = c.variable("u").unwrap().horizontal() else {
        panic!()
    };
    assert_eq!(latitude.path, "lat_u");
}

#[test]
fn cells_are_listed_in_degrees_or_radians_or_computed() {
    let cell = |v: Value, lat: (&str, Value), lon: (&str, Value)| {
        let mut nodes = json!({"v": array(&[3, 768], &["time", "cell"], v)});
        nodes[lat.0] = array(&[768], &["cell"], lat.1);
        nodes[lon.0] = array(&[768], &["cell"], lon.1);
        nodes["crs"] = array(
            &[],
            &[],
            json!({"grid_mapping_name": "healpix", "refinement_level": 3, "indexing_scheme": "nested"}),
        );
        nodes["mesh"] = array(&[], &[], json!({"cf_role": "mesh_topology", "face_coordinates": "fx fy"}));
        grid_of(nodes)
    };
    let listed = |g: Option<Horizontal>, radians: bool| matches!(g, Some(Horizontal::Cells(Cells::Listed { latitude, .. })) if latitude.radians == radians);
    let (north, east) = (json!({"units": "degrees_north"}), json!({"units": "degrees_east"}));
    assert!(listed(cell(json!({"coordinates": "a b"}), ("a", north.clone()), ("b", east.clone())), false));
    let radian = |s: &str| json!({"units": "radian", "standard_name": s});
    assert!(listed(
        cell(
            json!({"coordinates": "clat clon"}),
            ("clat", radian("latitude")),
            ("clon", radian("longitude"))
        ),
        true
    ));
    assert!(listed(cell(json!({}), ("latCell", json!({})), ("lonCell", json!({}))), true));
    assert!(listed(cell(json!({"mesh": "mesh", "location": "face"}), ("fy", north), ("fx", east)), false));
    let healpix = cell(json!({"grid_mapping": "crs"}), ("p", json!({})), ("q", json!({})));
    assert!(matches!(healpix, Some(Horizontal::Cells(Cells::Healpix(h))) if h.cells() == 768));
    assert_eq!(cell(json!({}), ("p", json!({})), ("q", json!({}))), None);
}

#[test]
fn a_track_is_no_grid() {
    let nodes = json!({"v": array(&[30], &["time"], json!({"coordinates": "lat lon"})),
        "time": array(&[30], &["time"], json!({"units": "days since 2000-01-01"})),
        "lat": array(&[30], &["time"], json!({"units": "degrees_north"})),
        "lon": array(&[30], &["time"], json!({"units": "degrees_east"}))});
    assert_eq!(grid_of(nodes), None);
    let stations = json!({"v": array(&[30], &["station"], json!({"coordinates": "lat lon"})),
        "lat": array(&[30], &["station"], json!({"units": "degrees_north"})),
        "lon": array(&[30], &["station"], json!({"units": "degrees_east"}))});
    let c = cube(stations, json!({"featureType": "timeSeries"}));
    assert_eq!(c.variable("v").unwrap().horizontal(), None);
}

#[test]
fn levels_of_cells_are_regular_grids_that_count_from_the_first() {
    let lat = |n: u64| array(&[n], &["latitude"], json!({"units": "degrees_north"}));
    let lon = |n: u64| array(&[n], &["longitude"], json!({"units": "degrees_east"}));
    let level = |r: u64, c: u64| array(&[4, r, c], &["time", "latitude", "longitude"], json!({}));
    let c = cube(
        json!({"v": array(&[4, 900], &["time", "node"], json!({"coordinates": "lat lon"})),
            "lat": array(&[900], &["node"], json!({"units": "degrees_north"})),
            "lon": array(&[900], &["node"], json!({"units": "degrees_east"})),
            "1/v": level(40, 61), "1/latitude": lat(40), "1/longitude": lon(61),
            "2/v": level(20, 31), "2/latitude": lat(20), "2/longitude": lon(31)}),
        json!({"multiscales": {"layout": [{"asset": "."}, {"asset": "1"}, {"asset": "2"}]}}),
    );
    let v = c.variable("v").unwrap();
    assert_eq!(c.variables.len(), 1);
    let factors: Vec<(f64, u64)> = v.levels.iter().map(|l| (l.factor_y, l.rows)).collect();
    assert_eq!(factors, [(1.0, 1), (1.0, 40), (2.0, 20)]);
    let Some(Horizontal::Separable { latitude, .. }) = &v.levels[2].horizontal else { panic!() };
    assert_eq!(latitude, "2/latitude");
}

/// A curvilinear grid around the north pole, turned so that no axis is a meridian.
fn polar() -> (Vec<f64>, Vec<f64>) {
    let mut out = (Vec::new(), Vec::new());
    for j in 0..40 {
        for i in 0..60 {
            let (x, y) = (f64::from(i) - 29.3, f64::from(j) - 18.7);
            out.0.push((y.atan2(x).to_degrees() + 33.0 + 360.0) % 360.0);
            out.1.push(90.0 - x.hypot(y) * 0.25);
        }
    }
    out
}

#[test]
fn the_nearest_centre_is_the_cell_and_beside_the_hull_there_is_none() {
    let (lon, lat) = polar();
    let grid = Locator::curvilinear(Places::new(40, 60, lon.clone(), lat.clone()).unwrap());
    for k in [0usize, 59, 60 * 18 + 29, 60 * 39 + 59] {
        let found = grid.locate(lon[k] - 360.0, lat[k]).unwrap();
        assert_eq!(found.index, [k as u64 / 60, k as u64 % 60]);
        assert!((found.latitude_deg - lat[k]).abs() < 1e-9);
    }
    // Within half a cell of the pole, whatever the longitude.
    assert_eq!(grid.locate(123.0, 90.0).unwrap().index, [19, 29]);
    assert_eq!(grid.locate(0.0, 70.0), None);
    assert_eq!(grid.locate(f64::NAN, 80.0), None);
    let bbox = grid.extent().bbox().unwrap();
    assert_eq!((bbox[0], bbox[2]), (-180.0, 180.0));
}

#[test]
fn garbage_coordinates_are_excluded_and_counted() {
    let (mut lon, mut lat) = polar();
    lat[5] = 1e20;
    lon[6] = f64::NAN;
    lat[7] = -91.5;
    // Land: a block of one constant.
    for j in 10..13 {
        for i in 20..24 {
            (lon[j * 60 + i], lat[j * 60 + i]) = (0.0, 0.0);
        }
    }
    let places = Places::new(40, 60, lon, lat).unwrap();
    assert_eq!((places.without, places.repeated, places.valid()), (3, 12, 2400 - 15));
    let areas = places.areas();
    assert_eq!(areas.iter().filter(|a| **a == 0.0).count(), 15);
    // A quarter of a degree each way, the same all over.
    let cell = 0.25f64.to_radians().powi(2);
    assert!((f64::from(areas[60 * 30 + 30]) / cell - 1.0).abs() < 0.01, "{}", areas[60 * 30 + 30]);
    let grid = Locator::curvilinear(places);
    assert_eq!(grid.locate(0.0, 0.0), None);
}

#[test]
fn a_lone_fill_of_zeros_neither_has_a_place_nor_widens_its_neighbours() {
    let (mut lon, mut lat) = polar();
    let whole = Places::new(40, 60, lon.clone(), lat.clone()).unwrap();
    (lon[60 * 30 + 30], lat[60 * 30 + 30]) = (0.0, 0.0);
    let places = Places::new(40, 60, lon, lat).unwrap();
    assert_eq!((places.stray, places.valid()), (1, 2399));
    let (areas, before) = (places.areas(), whole.areas());
    assert_eq!(areas[60 * 30 + 30], 0.0);
    for beside in [60 * 30 + 29, 60 * 30 + 31, 60 * 29 + 30, 60 * 31 + 30] {
        assert!((areas[beside] / before[beside] - 1.0).abs() < 0.05, "{beside}");
    }
    assert_eq!(Locator::curvilinear(places).locate(0.0, 0.0), None);
}

#[test]
fn a_gap_between_two_parts_of_a_grid_is_no_cell() {
    // Two swaths of 20 columns, 50 degrees apart.
    let lon = (0..400).map(|i| f64::from(i % 40) * 0.1 + if i % 40 >= 20 { 50.0 } else { 0.0 }).collect();
    let lat = (0..400).map(|i| f64::from(i / 40) * 0.1).collect();
    let places = Places::new(10, 40, lon, lat).unwrap();
    assert_eq!(places.stray, 0);
    let cell = 0.1f64.to_radians().powi(2);
    assert!(places.areas().iter().all(|a| (f64::from(*a) / cell - 1.0).abs() < 0.01));
}

#[test]
fn coarser_places_are_means_of_valid_places_across_the_antimeridian() {
    let places =
        Places::new(2, 4, vec![178.0, 179.0, -180.0, -179.0, 178.0, 179.0, f64::NAN, f64::NAN], vec![0.0; 8])
            .unwrap();
    let (rows, columns, lon, lat) = places.coarser(1);
    assert_eq!((rows, columns), (1, 2));
    assert!((lon[0] - 178.5).abs() < 1e-9 && (lon[1] + 179.5).abs() < 1e-9, "{lon:?}");
    assert!(lat.iter().all(|l| l.abs() < 1e-9));
    assert!(Places::new(2, 4, vec![0.0; 7], vec![0.0; 8]).is_none());
}

#[test]
fn cells_of_a_mesh_reach_about_their_own_spacing() {
    let h = healpix::Healpix::new(16, true).unwrap();
    let (lon, lat): (Vec<f64>, Vec<f64>) =
        (0..h.cells()).filter_map(|c| h.place(c)).filter(|p| p.1 > -30.0).unzip();
    let grid = Locator::cells(lon.clone(), lat.clone());
    assert_eq!(grid.locate(lon[77], lat[77]).unwrap().index, [77]);
    assert_eq!(grid.locate(10.0, -45.0), None);
    // No place of the covered part is beside the grid.
    for k in 0..2000 {
        let (x, y) = (f64::from(k) * 7.77 - 180.0, -28.0 + f64::from(k % 118));
        assert!(grid.locate(x, y).is_some(), "{x} {y}");
    }
    let bbox = grid.extent().bbox().unwrap();
    assert!(bbox[0] == -180.0 && bbox[2] == 180.0 && bbox[1] > -30.0);
}

#[test]
fn a_projected_cell_is_found_by_the_projection_and_says_its_own_place() {
    let attributes = json!({"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 6.55,
        "grid_north_pole_longitude": 0.0});
    let grid = Projected {
        y: "rlat".into(),
        x: "rlon".into(),
        mapping: "m".into(),
        projection: projection::Projection::from_attributes(attributes.as_object().unwrap()).unwrap(),
        unit: 1.0,
    };
    // Falling rows, and columns written from 340 to 380.
    let y: Vec<f64> = (0..81).map(|i| 20.0 - f64::from(i) * 0.5).collect();
    let x: Vec<f64> = (0..81).map(|i| 340.0 + f64::from(i) * 0.5).collect();
    let made = locate::ProjectedGrid::new(&grid, &y, &x).unwrap();
    let place = made.place(13, 70).unwrap();
    assert_eq!(made.cell(place.0, place.1), Some((13, 70)));
    assert_eq!(made.cell(place.0, place.1 - 60.0), None);
    let locator = Locator::Projected(made);
    let found = locator.locate(place.0 + 360.0, place.1 + 0.01).unwrap();
    assert_eq!(found.index, [13, 70]);
    // The north pole is among its cells.
    let bbox = locator.extent().bbox().unwrap();
    assert_eq!((bbox[0], bbox[2], bbox[3]), (-180.0, 180.0, 90.0));
}

#[test]
fn a_mercator_grid_may_lie_across_the_seam_of_its_cylinder() {
    let attributes = json!({"grid_mapping_name": "mercator", "standard_parallel": 20.0, "earth_radius": 6371200.0,
        "longitude_of_projection_origin": 0.0});
    let projection = projection::Projection::from_attributes(attributes.as_object().unwrap()).unwrap();
    let (west, north) = projection.forward(130.0, 60.0).unwrap();
    let grid = Projected { y: "y".into(), x: "x".into(), mapping: "m".into(), projection, unit: 1.0 };
    // From 130 east over the antimeridian to 10 east.
    let degree = grid.projection.period().unwrap() / 360.0;
    let x: Vec<f64> = (0..=240).map(|i| west + degree * f64::from(i)).collect();
    let y: Vec<f64> = (0..50).map(|i| north - 1e5 * f64::from(i)).collect();
    let locator = Locator::Projected(locate::ProjectedGrid::new(&grid, &y, &x).unwrap());
    for (lon, column) in [(130.0, 0), (179.9, 50), (-170.0, 60), (0.0, 230), (10.0, 240)] {
        let found = locator.locate(lon, 60.0).unwrap();
        assert_eq!(found.index, [0, column]);
        assert!(sphere::wrap_longitude(found.longitude_deg - lon).abs() < 0.51, "{lon}: {found:?}");
    }
    assert_eq!(locator.locate(60.0, 60.0), None);
    let bbox = locator.extent().bbox().unwrap();
    assert!((bbox[0] - 129.5).abs() < 0.01 && (bbox[2] - 10.5).abs() < 0.01, "{bbox:?}");
}
