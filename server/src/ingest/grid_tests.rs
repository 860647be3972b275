//! Grids that are not regular in latitude and longitude: from a source in memory to
//! a version, its levels and the cells that places fall in.

use graticule_formats::AttrValue;
use graticule_shared::cube::Cube;
use graticule_shared::dtype::DataType;
use graticule_shared::grid::healpix::Healpix;
use graticule_shared::grid::projection::Projection;
use graticule_shared::grid::{Horizontal, Locator};

use super::concat::stored;
use super::tests::{Memory, array, publish, text};
use super::*;
use crate::opened::Opened;

async fn doubles(snapshot: &crate::store::Snapshot, path: &str) -> Vec<f64> {
    let a = &snapshot.hierarchy().arrays[path];
    let bytes = stored(snapshot, path, &vec![0; a.shape.len()], &a.shape).await.unwrap();
    a.dtype.unwrap().to_f64_vec(&bytes)
}

fn attributes(list: &[(&str, &str)]) -> Vec<(String, AttrValue)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), text(v))).collect()
}

fn locator(opened: &Opened, name: &str) -> Horizontal {
    opened.cube.variable(name).unwrap().horizontal().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_grid_keeps_its_pole_at_every_level_and_weighs_by_rotated_latitude() {
    let (rows, columns) = (270usize, 300usize);
    let rlat: Vec<f64> = (0..rows).map(|i| 60.0 - 0.2 * i as f64).collect();
    let rlon: Vec<f64> = (0..columns).map(|i| 350.0 + 0.1 * i as f64).collect();
    let value = |y: usize, x: usize| ((y * 31 + x * 17) % 97) as f64;
    let field: Vec<f64> = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
    let mut pole = attributes(&[("grid_mapping_name", "rotated_latitude_longitude")]);
    pole.push(("grid_north_pole_latitude".into(), AttrValue::Floats(DataType::Float64, vec![39.25])));
    pole.push(("grid_north_pole_longitude".into(), AttrValue::Floats(DataType::Float64, vec![-162.0])));
    let source = Memory::of(vec![
        array(
            "rlat",
            &[("rlat", rows)],
            attributes(&[("standard_name", "grid_latitude"), ("units", "degrees")]),
            &rlat,
        ),
        array(
            "rlon",
            &[("rlon", columns)],
            attributes(&[("standard_name", "grid_longitude"), ("units", "degrees")]),
            &rlon,
        ),
        array("height", &[], attributes(&[("standard_name", "height"), ("units", "m")]), &[2.0]),
        array("pole", &[], pole.clone(), &[0.0]),
        array(
            "t",
            &[("rlat", rows), ("rlon", columns)],
            attributes(&[("units", "K"), ("grid_mapping", "pole"), ("coordinates", "height lat lon")]),
            &field,
        ),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    publish(&store, "r", source).await;
    let snapshot = Arc::new(store.open_version("r", None).await.unwrap());
    let h = snapshot.hierarchy();
    // What a level's array names lies in its own group.
    let level = &h.arrays["1/t"];
    assert_eq!(level.attributes["grid_mapping"], "pole");
    assert_eq!(level.attributes["coordinates"], "height");
    assert_eq!(h.arrays["1/pole"].attributes["grid_north_pole_latitude"], 39.25);
    assert!(h.arrays.contains_key("1/height") && h.arrays.contains_key("1/rlat"));
    assert!(!h.attributes.contains_key("proj:code"));
    let got = doubles(&snapshot, "1/t").await;
    for (y, x) in [(0, 0), (134, 149), (60, 77)] {
        let (mut sum, mut area) = (0.0, 0.0);
        for (j, i) in [(2 * y, 2 * x), (2 * y, 2 * x + 1), (2 * y + 1, 2 * x), (2 * y + 1, 2 * x + 1)] {
            let a = rlat[j].to_radians().cos();
            sum += value(j, i) * a;
            area += a;
        }
        assert!((got[y * 150 + x] - sum / area).abs() < 1e-9);
    }
    let cube = Cube::new(h);
    assert!(matches!(cube.variables[0].levels[1].horizontal, Some(Horizontal::Projected(_))));
    let opened = Opened::new(Arc::clone(&snapshot));
    let found = opened.locator(&locator(&opened, "t")).await.unwrap();
    let map: serde_json::Map<_, _> = pole.iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
    let (lon, lat) = Projection::from_attributes(&map).unwrap().inverse(rlon[280], rlat[40]).unwrap();
    assert_eq!(found.locate(lon, lat).unwrap().index, [40, 280]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_curvilinear_grid_has_coordinates_at_every_level_and_leaves_garbage_out() {
    let (rows, columns) = (260usize, 300usize);
    let (mut lon, mut lat) = (Vec::new(), Vec::new());
    for j in 0..rows {
        for i in 0..columns {
            // Tilted, and across the antimeridian.
            lon.push(170.0 + 0.1 * i as f64 - 0.02 * j as f64);
            lat.push(-10.0 + 0.1 * j as f64 + 0.02 * i as f64);
        }
    }
    let field: Vec<f64> = (0..rows * columns).map(|i| (i % 89) as f64).collect();
    // A fill value, and land written as one constant.
    (lon[1], lat[1]) = (1e20, 1e20);
    for j in 100..110 {
        for i in 100..120 {
            (lon[j * columns + i], lat[j * columns + i]) = (0.0, 0.0);
        }
    }
    let dims = [("j", rows), ("i", columns)];
    let source = Memory::of(vec![
        array(
            "nav_lat",
            &dims,
            attributes(&[("standard_name", "latitude"), ("units", "degrees_north")]),
            &lat,
        ),
        array(
            "nav_lon",
            &dims,
            attributes(&[("standard_name", "longitude"), ("units", "degrees_east")]),
            &lon,
        ),
        array("t", &dims, attributes(&[("units", "K"), ("coordinates", "nav_lon nav_lat")]), &field),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let notes = publish(&store, "c", source).await;
    assert!(notes.iter().any(|n| n.contains("1 have no place and 200 lie where")), "{notes:?}");
    let snapshot = Arc::new(store.open_version("c", None).await.unwrap());
    let h = snapshot.hierarchy();
    assert_eq!(h.arrays["1/nav_lat"].shape, [130, 150]);
    assert_eq!(h.arrays["1/t"].attributes["coordinates"], "nav_lat nav_lon");
    let (values, lats, lons) = (
        doubles(&snapshot, "1/t").await,
        doubles(&snapshot, "1/nav_lat").await,
        doubles(&snapshot, "1/nav_lon").await,
    );
    // The cell without a place counts neither in the mean nor in the place.
    let three = [0, columns, columns + 1];
    let mean = three.iter().map(|i| field[*i]).sum::<f64>() / 3.0;
    assert!((values[0] - mean).abs() < 0.2, "{} {mean}", values[0]);
    assert!((lats[0] - three.iter().map(|i| lat[*i]).sum::<f64>() / 3.0).abs() < 1e-4);
    // All four on land: no value and no place.
    let land = 52 * 150 + 55;
    assert!(values[land].is_nan() && lats[land].is_nan() && lons[land].is_nan());
    let cube = Cube::new(h);
    assert!(cube.variables.len() == 1 && cube.variables[0].levels.len() == 2);
    let opened = Opened::new(Arc::clone(&snapshot));
    let found = opened.locator(&locator(&opened, "t")).await.unwrap();
    let at = 200 * columns + 250;
    assert_eq!(found.locate(lon[at] - 360.0, lat[at] + 0.02).unwrap().index, [200, 250]);
    assert_eq!(found.locate(0.0, 0.0), None, "the constant on land is no place");
    let facts = crate::catalog::Facts::derive(&opened).await.unwrap();
    let [west, south, east, north] = facts.bbox.unwrap();
    assert!((west - 164.82).abs() < 0.01 && (east + 160.1).abs() < 0.01, "{west} {east}");
    assert!((south + 10.0).abs() < 0.01 && (north - 21.88).abs() < 0.01, "{south} {north}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_cells_becomes_regular_grids_that_hide_nothing_and_invent_nothing() {
    // The part of the sphere north of 20 S, in radians, as 30 000 scattered cells, with steps.
    let h = Healpix::new(64, true).unwrap();
    let places: Vec<(f64, f64)> = (0..h.cells()).filter_map(|c| h.place(c)).filter(|p| p.1 > -20.0).collect();
    let n = places.len();
    let value = |(lon, lat): (f64, f64)| {
        let (sin, cos) = lat.to_radians().sin_cos();
        10.0 * sin + 3.0 * cos * cos * (2.0 * lon).to_radians().cos()
    };
    let radians = |f: fn(&(f64, f64)) -> f64| places.iter().map(|p| f(p).to_radians()).collect::<Vec<f64>>();
    let (lon, lat) = (radians(|p| p.0), radians(|p| p.1));
    let steps = 3;
    let field: Vec<f64> =
        (0..steps).flat_map(|t| places.iter().map(move |p| value(*p) + 100.0 * f64::from(t))).collect();
    let kinds: Vec<f64> = places.iter().map(|p| if p.0 < 180.0 { 1.0 } else { 7.0 }).collect();
    let named = |s: &str| attributes(&[("standard_name", s), ("units", "radian")]);
    let source = Memory::of(vec![
        array("clat", &[("cell", n)], named("latitude"), &lat),
        array("clon", &[("cell", n)], named("longitude"), &lon),
        array("time", &[("time", 3)], attributes(&[("units", "days since 2000-01-01")]), &[0.0, 1.0, 2.0]),
        array(
            "t",
            &[("time", 3), ("cell", n)],
            attributes(&[("units", "K"), ("coordinates", "clat clon")]),
            &field,
        ),
        array(
            "kind",
            &[("cell", n)],
            attributes(&[("flag_meanings", "west east"), ("coordinates", "clat clon")]),
            &kinds,
        ),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    publish(&store, "m", source).await;
    let snapshot = Arc::new(store.open_version("m", None).await.unwrap());
    let hierarchy = snapshot.hierarchy();
    assert_eq!(doubles(&snapshot, "t").await, field, "level 0 is the source");
    let cube = Cube::new(hierarchy);
    let v = cube.variable("t").unwrap();
    assert!(matches!(v.levels[0].horizontal, Some(Horizontal::Cells(_))));
    assert!(matches!(v.levels[1].horizontal, Some(Horizontal::Separable { .. })));
    let (lats, lons) = (doubles(&snapshot, "1/latitude").await, doubles(&snapshot, "1/longitude").await);
    // About as fine as the cells, over all longitudes and not beyond the southernmost.
    let spacing = h.spacing_deg();
    assert!((lats[1] - lats[0] - spacing).abs() < 0.2 * spacing, "{} {spacing}", lats[1] - lats[0]);
    assert!((lons.len() as f64 * (lons[1] - lons[0]) - 360.0).abs() < 1e-9 && lats[0] > -21.5);
    let got = doubles(&snapshot, "1/t").await;
    let kinds = doubles(&snapshot, "1/kind").await;
    assert_eq!(got.len(), 3 * lats.len() * lons.len());
    for (j, y) in lats.iter().enumerate() {
        for (i, x) in lons.iter().enumerate() {
            let at = j * lons.len() + i;
            if *y > -19.0 && *y < 85.0 {
                for t in 0..3 {
                    let found = got[t * lats.len() * lons.len() + at] - 100.0 * t as f64;
                    assert!(
                        (found - value((*x, *y))).abs() < 0.25,
                        "{x} {y}: {found}, expected {}",
                        value((*x, *y))
                    );
                }
                let east = (x + 360.0) % 360.0;
                if (10.0..170.0).contains(&east) || (190.0..350.0).contains(&east) {
                    assert_eq!(kinds[at], if east < 180.0 { 1.0 } else { 7.0 }, "{x} {y}");
                }
            }
        }
    }
    // Weighted by area all the way up: the mean of the coarsest is the mean of the cells.
    let top = v.levels.last().unwrap();
    let coarse = doubles(&snapshot, &top.array).await;
    let lat_path = format!("{}/latitude", top.array.split('/').next().unwrap());
    let coarse_lats = doubles(&snapshot, &lat_path).await;
    let (mut sum, mut area) = (0.0, 0.0);
    for (k, value) in coarse[..(top.rows * top.columns) as usize].iter().enumerate() {
        if value.is_finite() {
            let a = coarse_lats[k / top.columns as usize].to_radians().cos();
            sum += value * a;
            area += a;
        }
    }
    let mean = places.iter().map(|p| value(*p)).sum::<f64>() / n as f64;
    assert!((sum / area - mean).abs() < 0.1, "{} {mean}", sum / area);
    let opened = Opened::new(Arc::clone(&snapshot));
    let found: Arc<Locator> = opened.locator(&locator(&opened, "t")).await.unwrap();
    assert_eq!(found.locate(places[777].0, places[777].1).unwrap().index, [777]);
    assert_eq!(found.locate(0.0, -25.0), None);
    let bbox = crate::catalog::Facts::derive(&opened).await.unwrap().bbox.unwrap();
    assert!(bbox[0] == -180.0 && bbox[2] == 180.0 && (bbox[1] + 20.0).abs() < 1.0, "{bbox:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healpix_grid_needs_no_coordinates() {
    let h = Healpix::new(8, false).unwrap();
    let field: Vec<f64> = (0..h.cells()).map(|c| h.place(c).unwrap().1).collect();
    let mut crs = attributes(&[("grid_mapping_name", "healpix"), ("indexing_scheme", "ring")]);
    crs.push(("refinement_level".into(), AttrValue::Ints(DataType::Int32, vec![3])));
    let source = Memory::of(vec![
        array("crs", &[], crs, &[0.0]),
        array("t", &[("cell", field.len())], attributes(&[("grid_mapping", "crs"), ("units", "K")]), &field),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    publish(&store, "h", source).await;
    let snapshot = Arc::new(store.open_version("h", None).await.unwrap());
    let (lats, got) = (doubles(&snapshot, "1/latitude").await, doubles(&snapshot, "1/t").await);
    let columns = got.len() / lats.len();
    for (row, lat) in got.chunks(columns).zip(&lats) {
        // No hole, and every value a latitude close by.
        assert!(row.iter().all(|v| (v - lat).abs() < 9.0), "{lat}: {row:?}");
    }
    let opened = Opened::new(Arc::clone(&snapshot));
    let found = opened.locator(&locator(&opened, "t")).await.unwrap();
    assert_eq!(found.locate(10.0, 41.0).unwrap().index, [h.cell(10.0, 41.0).unwrap()]);
}

#[test]
fn a_grid_without_any_place_is_refused_in_words() {
    let why = super::bins::Bins::new(&[f64::NAN, 1e20], &[0.0, 1e20]).unwrap_err();
    assert!(why.contains("none of its cells"), "{why}");
    // One cell is a grid too.
    let one = super::bins::Bins::new(&[5.0], &[50.0]).unwrap();
    assert_eq!((one.rows, one.columns, one.valid), (1, 1, 1));
    let same = super::bins::Bins::new(&[5.0; 100], &[50.0; 100]).unwrap();
    assert_eq!(same.rows * same.columns, 1);
}
