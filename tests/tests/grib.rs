//! GRIB files become cubes that a map, a position query and xarray understand.

use graticule_tests::{Server, ingest, root};

fn fixture(name: &str) -> std::path::PathBuf {
    root().join("formats/tests/fixtures/grib").join(name)
}

#[test]
fn a_grib_file_becomes_a_cube_with_cf_axes_and_a_value_at_each_place() {
    let s = Server::start_with(&[], |data| ingest(data, &fixture("many_fields.grib2"), "fields"));
    let root = s.get("/zarr/fields/zarr.json").json();
    let t = &root["consolidated_metadata"]["metadata"]["t"];
    assert_eq!(t["dimension_names"], serde_json::json!(["time", "isobaricInhPa", "latitude", "longitude"]));
    assert_eq!(t["shape"], serde_json::json!([1, 2, 15, 24]));
    assert_eq!(t["attributes"]["units"], "K");
    assert_eq!(root["attributes"]["proj:code"], "EPSG:4326");
    // Row 1, column 1 of `field` in make_grib.py, at 850 hPa: no seventh point, so there is a value.
    let value = (270.0 + 10.0 * (1.0f64 / 3.0).cos() * (1.0f64 / 4.0).sin()) * 64.0;
    let reply = s.get("/api/collections/fields/position?coords=POINT(-10%2068)&parameter-name=t&f=CSV");
    let csv = String::from_utf8_lossy(&reply.body);
    assert!(csv.contains(&format!("{}", value.round() / 64.0)), "{csv}");
}

#[test]
fn granules_of_successive_times_are_one_cube() {
    let files = tempfile::tempdir().expect("a temporary directory");
    let bytes = std::fs::read(fixture("simple.grib2")).expect("a fixture");
    let s = Server::start_with(&[], |data| {
        for hour in [12u8, 18] {
            // Section 1, octet 17: the hour of the reference time.
            let mut granule = bytes.clone();
            granule[16 + 16] = hour;
            let path = files.path().join(format!("{hour}.grib2"));
            std::fs::write(&path, granule).expect("a granule");
            ingest(data, &path, "times");
        }
    });
    let root = s.get("/zarr/times/zarr.json").json();
    let metadata = &root["consolidated_metadata"]["metadata"];
    assert_eq!(metadata["t"]["shape"], serde_json::json!([2, 15, 24]));
    assert_eq!(metadata["time"]["shape"], serde_json::json!([2]));
    assert_eq!(metadata["forecast_reference_time"]["shape"], serde_json::json!([2]));
}
