//! Every GeoTIFF of the sample data against what GDAL reads.

mod positions;
mod sample;

use graticule_formats::{AttrValue, Limits, Source, Variable, open, open_bytes};
use positions::{close, number, text, values};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn bands(source: &dyn Source) -> Vec<&Variable> {
    source.header().variables.iter().filter(|v| v.shape.len() == 2).collect()
}

/// Problems of one band.
fn compare(source: &dyn Source, v: &Variable, want: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let raw = source.read(&v.path, &[0, 0], &v.shape).unwrap_or_else(|e| panic!("{e}"));
    let (rows, columns) = (v.shape[0], v.shape[1]);
    // A window that cuts through tiles holds the same values.
    let (start, count) = ([rows / 3, columns / 5], [rows / 2, columns / 2]);
    let window = source.read(&v.path, &start, &count).unwrap_or_else(|e| panic!("{e}"));
    let size = v.dtype.size();
    for (i, row) in window.chunks_exact(count[1] as usize * size).enumerate() {
        let at = ((start[0] + i as u64) * columns + start[1]) as usize * size;
        if raw[at..at + row.len()] != *row {
            wrong.push(format!("row {i} of a window differs from the whole"));
            break;
        }
    }
    let hash: String = Sha256::digest(&raw).iter().map(|b| format!("{b:02x}")).collect();
    if want["sha256_raw"] != hash {
        wrong.push("the stored values differ".to_owned());
    }
    let all = v.dtype.to_f64_vec(&raw);
    for (place, sample) in want["unmasked_samples"].as_object().expect("samples") {
        let (i, j) = place.split_once(',').expect("row, column");
        let at =
            i.parse::<usize>().expect("a row") * columns as usize + j.parse::<usize>().expect("a column");
        let same = match sample.as_f64() {
            Some(want) => close(all[at], want),
            None => all[at].is_nan(),
        };
        if !same {
            wrong.push(format!("{place} is {}, expected {sample}", all[at]));
        }
    }
    let fill = v.attribute("_FillValue").and_then(AttrValue::as_f64);
    let valid: Vec<f64> = all.into_iter().filter(|x| !x.is_nan() && Some(*x) != fill).collect();
    let found = [
        ("valid", valid.len() as f64),
        ("min", valid.iter().copied().fold(f64::INFINITY, f64::min)),
        ("max", valid.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        ("mean", valid.iter().sum::<f64>() / valid.len() as f64),
    ];
    for (key, got) in found {
        let want = want["masked"][key].as_f64().expect("a number");
        if !close(got, want) {
            wrong.push(format!("{key} is {got}, expected {want}"));
        }
    }
    wrong
}

#[test]
fn every_geotiff_equals_the_known_answers() {
    let Some((dir, references)) = sample::references() else { return };
    let mut wrong = Vec::new();
    let known = references["geotiff"].as_array().expect("a list");
    for file in known {
        let name = file["file"].as_str().expect("a name");
        let source = open(&dir.join(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let source = source.as_ref();
        let bands = bands(source);
        let mut add = |problem: String| wrong.push(format!("{name}: {problem}"));
        if bands.len() as u64 != file["count"] {
            add(format!("{} bands, expected {}", bands.len(), file["count"]));
        }
        for (i, (v, want)) in bands.iter().zip(file["bands"].as_array().expect("bands")).enumerate() {
            if serde_json::json!(v.shape) != serde_json::json!([file["height"], file["width"]])
                || v.dtype.to_string() != file["dtype"]
            {
                add(format!("{} {:?}", v.dtype, v.shape));
                continue;
            }
            compare(source, v, want).into_iter().for_each(|p| add(format!("{}: {p}", v.path)));
            for (attribute, key, default) in [("scale_factor", "scales", 1.0), ("add_offset", "offsets", 0.0)]
            {
                if number(v, attribute).unwrap_or(default) != file[key][i] {
                    add(format!("{attribute} is {:?}, expected {}", number(v, attribute), file[key][i]));
                }
            }
            let nodata = number(v, "_FillValue");
            let same = match &file["nodata"] {
                Value::Null => nodata.is_none(),
                Value::String(s) => s == "NaN" && nodata.is_some_and(f64::is_nan),
                want => nodata.zip(want.as_f64()).is_some_and(|(a, b)| close(a, b)),
            };
            if !same {
                add(format!("_FillValue is {nodata:?}, expected {}", file["nodata"]));
            }
        }
        let v = bands[0];
        let placed = source.header().variables.iter().any(|c| c.path == v.dims[0]);
        if placed {
            for (axis, offset) in [(1, 0), (0, 3)] {
                let transform = |i: usize| file["transform"][offset + i].as_f64().expect("a number");
                let (step, origin) = (transform(if axis == 1 { 0 } else { 1 }), transform(2));
                let got = values(source, &v.dims[axis]);
                for i in [0, got.len() / 2, got.len() - 1] {
                    let want = origin + (i as f64 + 0.5) * step;
                    if (got[i] - want).abs() > 1e-9 * want.abs().max(1.0) {
                        add(format!("{} {i} is {}, expected {want}", v.dims[axis], got[i]));
                    }
                }
            }
        } else if file["transform"] != serde_json::json!([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]) {
            add("it has no coordinates".to_owned());
        }
        let mapping = source.header().variables.iter().find(|m| m.path == text(v, "grid_mapping"));
        match (mapping, file["epsg"].as_u64()) {
            (Some(m), Some(code)) if text(m, "epsg_code") != format!("EPSG:{code}") => {
                add(format!("the code is {:?}, expected {code}", text(m, "epsg_code")));
            }
            (None, Some(code)) => add(format!("there is no grid mapping, expected EPSG:{code}")),
            (m, _) if m.is_some() == file["crs"].is_null() => add(format!("the grid mapping is {m:?}")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(known.len() >= 14, "the references shrank to {}", known.len());
}

/// By code, and by parameters alone.
#[test]
fn transverse_mercator_parameters_say_which_zone_it_is() {
    let Some(dir) = sample::dir() else { return };
    for (name, meridian, northing) in
        [("cog_dateline_utm60.tif", 177.0, 0.0), ("modis_sinusoidal_scaled.tif", 129.0, 0.0)]
    {
        let source =
            open(&dir.join("geotiff").join(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let m = source.header().variables.iter().find(|v| v.path == "crs").expect("a grid mapping");
        assert_eq!(text(m, "grid_mapping_name"), "transverse_mercator");
        assert_eq!(number(m, "longitude_of_central_meridian"), Some(meridian));
        assert_eq!(number(m, "scale_factor_at_central_meridian"), Some(0.9996));
        assert_eq!(number(m, "false_easting"), Some(500_000.0));
        assert_eq!(number(m, "false_northing"), Some(northing));
    }
}

#[test]
fn an_albers_projection_comes_from_its_own_parameters() {
    let Some(dir) = sample::dir() else { return };
    let source = open(&dir.join("geotiff/lcmap_2019_albers.tif"), Limits::default()).expect("it opens");
    let m = source.header().variables.iter().find(|v| v.path == "crs").expect("a grid mapping");
    assert_eq!(text(m, "grid_mapping_name"), "albers_conical_equal_area");
    assert_eq!(m.attribute("standard_parallel").expect("parallels").to_f64_vec(), [29.5, 45.5]);
    assert_eq!(number(m, "latitude_of_projection_origin"), Some(23.0));
    assert_eq!(number(m, "longitude_of_central_meridian"), Some(-96.0));
}

/// Files of `fixtures/make_geotiff.py`;
/// the numbers are what GDAL reads from the same files.
#[test]
fn every_code_stream_and_layout_gives_the_values_that_gdal_reads() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geotiff");
    // File, type, and of each band: first and last value, sum.
    let known: [(&str, &str, &[(f64, f64, f64)]); 6] = [
        ("chunky_packbits_bigtiff.tif", "uint8", &[(8.0, 211.0, 60250.0), (8.0, 12.0, 3836.0)]),
        ("palette.tif", "uint8", &[(2.0, 4.0, 1158.0)]),
        ("planar_zstd_big_endian.tif", "uint32", &[(8.0, 964.0, 231432.0), (16.0, 1928.0, 462864.0)]),
        ("strips_lzw_predictor3.tif", "float32", &[(2.0, 241.0, 57858.0)]),
        ("tiles_deflate_predictor2.tif", "int16", &[(8.0, 964.0, 231432.0)]),
        ("tiles_jpeg.tif", "uint8", &[(17.0, 196.0, 60283.0), (0.0, 220.0, 52038.0), (0.0, 198.0, 43320.0)]),
    ];
    for (name, dtype, want) in known {
        let source = open(&folder.join(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let source = source.as_ref();
        let bands = bands(source);
        assert_eq!(bands.len(), want.len(), "{name}");
        for (v, (first, last, sum)) in bands.into_iter().zip(want) {
            assert_eq!((v.dtype.to_string().as_str(), &v.shape[..]), (dtype, &[20, 24][..]), "{name}");
            let all = values(source, &v.path);
            let total: f64 = all.iter().sum();
            assert_eq!(all[0], *first, "{name} {}: first", v.path);
            assert_eq!(all[479], *last, "{name} {}: last", v.path);
            assert_eq!(total, *sum, "{name} {}: sum", v.path);
        }
        // Zone 56 south, 30 m cells, tie point at a corner.
        assert_eq!(values(source, "x")[..2], [300_015.0, 300_045.0], "{name}");
        assert_eq!(values(source, "y")[..2], [4_199_985.0, 4_199_955.0], "{name}");
        let m = source.header().variables.iter().find(|v| v.path == "crs").expect("a grid mapping");
        assert_eq!(number(m, "false_northing"), Some(10_000_000.0), "{name}");
        assert_eq!(number(m, "longitude_of_central_meridian"), Some(153.0), "{name}");
    }
}

/// The places are those of rasterio (`xy`, then `warp.transform` to EPSG:4326).
#[test]
fn the_cells_of_a_rotated_image_have_places_instead_of_axes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geotiff");
    let known = [
        (
            "turned_utm.tif",
            [
                (150.066_107_036_791_5, -52.313_900_422_693_7),
                (150.068_667_654_231_04, -52.313_990_506_326_526),
                (150.078_948_787_464_92, -52.315_555_667_390_24),
            ],
        ),
        ("quarter_turned_degrees.tif", [(10.0, 50.0), (8.5, 48.75), (0.5, 44.25)]),
    ];
    for (name, places) in known {
        let source = open(&folder.join(name), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
        let source = source.as_ref();
        let paths: Vec<&str> = source.header().variables.iter().map(|v| v.path.as_str()).collect();
        assert_eq!(paths, ["latitude", "longitude", "band_1"], "{name}");
        assert_eq!(text(&source.header().variables[2], "coordinates"), "latitude longitude");
        assert_eq!(text(&source.header().variables[2], "long_name"), "band 1");
        for ((row, column, value), (longitude, latitude)) in
            [(0, 0, 8.0), (3, 5, 173.0), (19, 23, 964.0)].into_iter().zip(places)
        {
            let at = |path: &str| {
                let bytes = source.read(path, &[row, column], &[1, 1]).unwrap_or_else(|e| panic!("{e}"));
                let v = source.header().variables.iter().find(|v| v.path == path).expect("a variable");
                v.dtype.to_f64_vec(&bytes)[0]
            };
            assert_eq!(at("band_1"), value, "{name}");
            assert!((at("longitude") - longitude).abs() < 1e-9, "{name}: {}", at("longitude"));
            assert!((at("latitude") - latitude).abs() < 1e-9, "{name}: {}", at("latitude"));
        }
        assert!(source.header().notes.iter().any(|n| n.to_string().contains("rotated")), "{name}");
    }
}

#[test]
fn a_rotated_image_without_a_reference_system_or_a_way_back_is_refused() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geotiff/turned_utm.tif");
    let bytes = std::fs::read(path).unwrap();
    let refused = |bytes: Vec<u8>| open_bytes("turned", bytes, Limits::default()).err().unwrap().reason;
    let replaced = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|w| w == from).expect("what is replaced");
        let mut out = bytes.clone();
        out[at..at + to.len()].copy_from_slice(to);
        out
    };
    // The tag of GeoKeys becomes one that nobody knows.
    let why = refused(replaced(&34735u16.to_le_bytes(), &34734u16.to_le_bytes()));
    assert!(why.contains("no coordinate reference system"), "{why}");
    let turn = 30f64.to_radians();
    let term = (30.0 * turn.cos()).to_le_bytes();
    let why = refused(replaced(&term, &f64::NAN.to_le_bytes()));
    assert!(why.contains("expected finite numbers"), "{why}");
}

#[test]
fn a_palette_becomes_flags_with_colours() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geotiff");
    let source = open(&folder.join("palette.tif"), Limits::default()).unwrap_or_else(|e| panic!("{e}"));
    let v = source.header().variables.iter().find(|v| v.path == "band_1").expect("a band");
    assert_eq!(v.attribute("flag_values").expect("flags").to_f64_vec(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(text(v, "flag_colors"), "#000000 #ff0000 #00ff00 #000000 #000000 #12ff80");
}
