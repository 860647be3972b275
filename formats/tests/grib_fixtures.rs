//! Packings and arrangements in small files that the repository carries.

mod positions;

use std::path::PathBuf;

use graticule_formats::{AttrValue, Limits, Source, Variable, open, open_bytes};
use graticule_shared::dtype::DataType;

const COLUMNS: usize = 24;
const ROWS: usize = 15;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/grib").join(name)
}

fn opened(name: &str) -> Box<dyn Source> {
    open(&path(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn variable<'a>(source: &'a dyn Source, path: &str) -> &'a Variable {
    source.header().variables.iter().find(|v| v.path == path).unwrap_or_else(|| panic!("no {path}"))
}

fn whole(source: &dyn Source, path: &str) -> Vec<f64> {
    let v = variable(source, path);
    let bytes = source.read(path, &vec![0; v.shape.len()], &v.shape).unwrap_or_else(|e| panic!("{e}"));
    v.dtype.to_f64_vec(&bytes)
}

/// As `field` in `fixtures/make_grib.py`; NaN where it is `missing`.
fn field(bitmap: bool) -> Vec<f64> {
    let cell = |k: usize| {
        let (j, i) = (k / COLUMNS, k % COLUMNS);
        let value = 270.0 + 10.0 * (j as f64 / 3.0).cos() * (i as f64 / 4.0).sin();
        if bitmap && (i + 2 * j) % 7 == 0 { f64::NAN } else { (value * 64.0).round() / 64.0 }
    };
    (0..ROWS * COLUMNS).map(cell).collect()
}

fn assert_near(name: &str, got: &[f64], want: &[f64], slack: f64) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            g.is_nan() == w.is_nan() && (g.is_nan() || (g - w).abs() <= slack),
            "{name}: value {k} is {g}, not {w}"
        );
    }
}

#[test]
fn every_packing_gives_the_same_field() {
    let mut names: Vec<String> = std::fs::read_dir(path(""))
        .expect("fixtures")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| n.contains(".grib"))
        .collect();
    names.sort();
    let others = ["many_fields", "copies", "contradiction", "hole", "runs", "constant"];
    let mut packings = std::collections::BTreeSet::new();
    for name in names.iter().filter(|n| !others.iter().any(|o| n.starts_with(o))) {
        let source = opened(name);
        let v = variable(source.as_ref(), "t");
        assert_eq!(v.dims, ["time", "latitude", "longitude"], "{name}");
        packings.insert(
            v.attribute("GRIB_packingType").and_then(AttrValue::as_text).expect("a packing").to_owned(),
        );
        // Eight bits for a range of 20 K, and logarithms, cannot hold multiples of 1/64.
        let slack = if name.contains('8') {
            0.0626
        } else if name.starts_with("log") {
            3e-4
        } else {
            1e-9
        };
        assert_near(name, &whole(source.as_ref(), "t"), &field(name.contains("bitmap")), slack);
    }
    assert_eq!(packings.len(), 9, "{packings:?}");
}

#[test]
fn constant_fields_need_no_bits() {
    for name in ["constant.grib1", "constant.grib2"] {
        assert_eq!(whole(opened(name).as_ref(), "t"), [281.5; ROWS * COLUMNS]);
    }
}

#[test]
fn ieee_doubles_stay_doubles() {
    assert_eq!(variable(opened("ieee64.grib2").as_ref(), "t").dtype, DataType::Float64);
    assert_eq!(variable(opened("ieee32.grib2").as_ref(), "t").dtype, DataType::Float32);
}

#[test]
fn coordinates_and_names_are_as_cf_says() {
    let source = opened("simple.grib2");
    let s = source.as_ref();
    let v = variable(s, "t");
    let text = |name: &str| v.attribute(name).and_then(AttrValue::as_text).unwrap_or_default();
    assert_eq!((text("units"), text("standard_name")), ("K", "air_temperature"));
    assert_eq!(text("coordinates"), "forecast_reference_time step isobaricInhPa");
    assert_eq!(whole(s, "isobaricInhPa"), [850.0]);
    assert_eq!(whole(s, "time"), [1_709_208_000.0]);
    let latitudes: Vec<f64> = (0..ROWS).map(|j| 70.0 - 2.0 * j as f64).collect();
    assert_eq!(whole(s, "latitude"), latitudes);
    assert_eq!(whole(s, "longitude")[..3], [-12.0, -10.0, -8.0]);
    assert_eq!(s.header().format, "GRIB2");
}

#[test]
fn a_message_may_hold_many_fields_and_a_bitmap_for_several_of_them() {
    let source = opened("many_fields.grib2");
    let s = source.as_ref();
    assert_eq!(variable(s, "t").shape, [1, 2, ROWS as u64, COLUMNS as u64]);
    assert_eq!(whole(s, "isobaricInhPa"), [850.0, 500.0], "from the ground up");
    let first = field(true);
    let second: Vec<f64> = first.iter().map(|v| v + 1.0).collect();
    assert_near("t", &whole(s, "t"), &[first, second].concat(), 1e-9);
    assert_near("u", &whole(s, "u"), &field(false), 1e-9);
    assert_eq!(
        variable(s, "u").dims,
        ["time", "latitude", "longitude"],
        "a level of its own is no dimension"
    );
    assert_eq!(whole(s, "isobaricInhPa_2"), [500.0]);
}

#[test]
fn copies_are_one_field_and_contradictions_refuse_the_variable() {
    let source = opened("copies.grib2");
    let notes: Vec<String> = source.header().notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|n| n.starts_with("\"t\": 1 messages say again")), "{notes:?}");
    assert!(
        notes.iter().any(|n| n.contains("14 bytes, in 1 places from byte 899 on, are no GRIB message")),
        "{notes:?}"
    );
    assert_near("t", &whole(source.as_ref(), "t"), &field(false), 1e-9);
    let source = opened("contradiction.grib2");
    let (name, why) = &source.header().skipped[0];
    assert_eq!(name, "t (isobaricInhPa)");
    assert!(why.starts_with("message 1 at byte 0 and message 2 at byte 899 claim the same place"), "{why}");
}

#[test]
fn holes_are_missing_values_and_noted() {
    let source = opened("hole.grib2");
    let t = whole(source.as_ref(), "t");
    // time, level: only the second time has no 850 hPa.
    let (f, none) = (field(false), vec![f64::NAN; ROWS * COLUMNS]);
    assert_near("t", &t, &[f.clone(), f.clone(), none, f].concat(), 1e-9);
    let notes: Vec<String> = source.header().notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|n| n.contains("1 of 4 fields are not in the file and are NaN")), "{notes:?}");
}

#[test]
fn runs_that_overlap_keep_reference_time_and_lead_time_apart() {
    let source = opened("runs.grib2");
    let s = source.as_ref();
    assert_eq!(variable(s, "t").dims, ["time", "step", "latitude", "longitude"]);
    let standard = |path: &str| {
        variable(s, path).attribute("standard_name").and_then(AttrValue::as_text).map(str::to_owned)
    };
    assert_eq!(standard("time").as_deref(), Some("forecast_reference_time"));
    assert_eq!(standard("step").as_deref(), Some("forecast_period"));
    assert_eq!(standard("valid_time").as_deref(), Some("time"));
    let midnight = 1_709_164_800.0;
    assert_eq!(whole(s, "time"), [midnight, midnight + 6.0 * 3600.0]);
    assert_eq!(whole(s, "step"), [6.0, 12.0]);
    let hours: Vec<f64> = whole(s, "valid_time").iter().map(|t| (t - midnight) / 3600.0).collect();
    assert_eq!(hours, [6.0, 12.0, 12.0, 18.0]);
}

/// Counts that do not agree are refused with both numbers, never padded.
#[test]
fn a_count_that_contradicts_the_grid_is_refused() {
    let mut bytes = std::fs::read(path("simple.grib2")).expect("a fixture");
    // Section 5, octets 6 to 9: one value fewer.
    let section5 = bytes.windows(5).position(|w| w == [0, 0, 0, 21, 5]).expect("section 5");
    bytes[section5 + 8] -= 1;
    let error = open_bytes("fewer", bytes, Limits::default()).err().expect("a refusal");
    assert!(error.reason.contains("359 values") && error.reason.contains("360 points"), "{error}");
    // GRIB1 has no such number: its data must be long enough.
    let mut bytes = std::fs::read(path("simple.grib1")).expect("a fixture");
    let section4 = bytes.len() - 4 - (11 + 360 * 2) - (bytes.len() - 4 - 11 - 720) % 2;
    let at = (section4..section4 + 2).find(|a| bytes[*a..*a + 2] == [0, 2]).expect("section 4");
    bytes[at + 10] = 17;
    let source = open_bytes("wider", bytes, Limits::default()).expect("its headers are right");
    let v = variable(source.as_ref(), "t");
    let error = source.read("t", &[0; 3], &v.shape).expect_err("too few bits");
    assert!(error.reason.contains("338 values; 360 are expected"), "{error}");
}

/// One file for each kind of grid; positions are those that ecCodes computes, values
/// the index of the point in the file.
#[test]
fn every_kind_of_grid_places_its_cells_where_eccodes_does() {
    let known = std::fs::read_to_string(path("grids/grids.json")).expect("positions");
    let known: serde_json::Value = serde_json::from_str(&known).expect("JSON");
    let mut wrong = Vec::new();
    for (name, points) in known.as_object().expect("files") {
        let source = opened(&format!("grids/{name}"));
        let v = source.header().variables.last().expect("a variable");
        let all = whole(source.as_ref(), &v.path);
        for (k, want) in points.as_object().expect("points") {
            let k: f64 = k.parse().expect("an index");
            let want = (want[0].as_f64().expect("a latitude"), want[1].as_f64().expect("a longitude"));
            // Where the value of this point came to lie.
            let at = all.iter().position(|x| (x - k).abs() < 0.5).expect("the point");
            let got = positions::position(source.as_ref(), v, at);
            if !positions::near_on_the_globe(got, want) {
                wrong.push(format!("{name}: point {k} is at {got:?}, expected {want:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(known.as_object().expect("files").len(), 17);
}
