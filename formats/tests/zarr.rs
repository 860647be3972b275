//! Every array of the Zarr samples, against the values that zarr-python reads.

mod sample;

use graticule_formats::{FormatError, Limits, Source, open};
use sha2::{Digest, Sha256};

/// What an array is called here, in a store whose levels and folders are renamed.
fn shown(store: &str, array: &str) -> String {
    let level = |k: &str, rest: &str| if k == "0" { rest.to_owned() } else { format!("{k}/{rest}") };
    match (store.rsplit('/').next().unwrap_or_default(), array.split_once('/')) {
        (_, None) if array == "." => "data".to_owned(),
        ("v3_multiscale_ostia_sst.zarr", Some((k, rest))) => level(k, rest),
        // The coarsest first.
        ("v2_ndpyramid_etopo60.zarr", Some(("2", rest))) => level("0", rest),
        ("v2_ndpyramid_etopo60.zarr", Some(("0", rest))) => level("2", rest),
        (zip, Some((_, rest))) if zip.starts_with("nczarr_") => rest.to_owned(),
        _ => array.to_owned(),
    }
}

/// SHA-256 of all values, read a slab at a time.
fn digest(source: &dyn Source, path: &str) -> Result<String, FormatError> {
    let v = source.header().variables.iter().find(|v| v.path == path);
    let v = v.ok_or_else(|| FormatError::new("", "no such variable"))?;
    let mut hash = Sha256::new();
    let rows = v.shape.first().copied().unwrap_or(1);
    let step = (4 << 20) / v.shape.iter().skip(1).product::<u64>().max(1) + 1;
    let mut at = 0;
    while at < rows {
        let (mut start, mut count) = (vec![0; v.shape.len()], v.shape.clone());
        if let (Some(s), Some(c)) = (start.first_mut(), count.first_mut()) {
            (*s, *c) = (at, step.min(rows - at));
        }
        hash.update(source.read(path, &start, &count)?);
        at += step;
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

#[test]
fn every_array_of_the_samples_has_the_values_that_zarr_python_reads() {
    let Some((dir, references)) = sample::references() else { return };
    let (mut wrong, mut read) = (Vec::new(), 0);
    for entry in references["zarr"].as_array().unwrap() {
        let store = entry["store"].as_str().unwrap();
        // A level of a pyramid that is several stores is opened as one of its own, too.
        let source = match open(&dir.join(store), Limits::default()) {
            Ok(s) => s,
            Err(e) if e.reason.contains("holds text") => continue,
            Err(e) => {
                wrong.push(e.to_string());
                continue;
            }
        };
        for (array, expected) in entry["arrays"].as_object().unwrap() {
            let name = shown(store, array);
            let skipped = source.header().skipped.iter().any(|(n, _)| *n == name);
            match expected["sha256_raw"].as_str() {
                None if skipped => {}
                None => wrong.push(format!("{store} {array}: not skipped")),
                Some(hash) => match digest(source.as_ref(), &name) {
                    Ok(found) if found == hash => read += 1,
                    Ok(found) => wrong.push(format!("{store} {array}: {found}, expected {hash}")),
                    Err(e) => wrong.push(format!("{store} {array}: {e}")),
                },
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 75, "{read} arrays");
}

#[test]
fn a_pyramid_of_stores_side_by_side_is_one_hierarchy() {
    let Some((dir, references)) = sample::references() else { return };
    let source = open(&dir.join("zarr/v2_pyramid_chl.levels"), Limits::default()).unwrap();
    assert_eq!(source.header().levels, ["1", "2"]);
    for entry in references["zarr"].as_array().unwrap() {
        let store = entry["store"].as_str().unwrap();
        let Some(k) = store.strip_prefix("zarr/v2_pyramid_chl.levels/") else { continue };
        let k = k.trim_end_matches(".zarr");
        for (array, expected) in entry["arrays"].as_object().unwrap() {
            let name = if k == "0" { array.clone() } else { format!("{k}/{array}") };
            assert_eq!(digest(source.as_ref(), &name).unwrap(), expected["sha256_raw"], "{store} {array}");
        }
    }
    let chl = source.header().variables.iter().find(|v| v.path == "1/conc_chl").unwrap();
    assert_eq!(chl.dims, ["time", "1/lat", "1/lon"]);
}

#[test]
fn pyramids_and_their_coordinates_are_found() {
    let Some(dir) = sample::dir() else { return };
    let ostia = open(&dir.join("zarr/v3_multiscale_ostia_sst.zarr"), Limits::default()).unwrap();
    assert_eq!(ostia.header().levels, ["1", "2", "3"]);
    assert!(ostia.header().attributes.iter().all(|(n, _)| n != "multiscales"));
    let relief = open(&dir.join("zarr/v2_ndpyramid_etopo60.zarr"), Limits::default()).unwrap();
    assert_eq!(relief.header().levels, ["1", "2"]);
    let rose = relief.header().variables.iter().find(|v| v.path == "rose").unwrap();
    assert_eq!(rose.shape, [512, 512]);
    assert_eq!(rose.attribute("grid_mapping").and_then(|a| a.as_text()), Some("crs"));
    let plain = open(&dir.join("zarr/v3_sharded_eraint_u.zarr"), Limits::default()).unwrap();
    assert_eq!(plain.header().levels, Vec::<String>::new());
}

#[test]
fn references_give_what_the_file_itself_gives() {
    let Some(dir) = sample::dir() else { return };
    for (json, file) in
        [("local_air.json", "air_kerchunk.nc"), ("local_ostia_20170605.json", "ostia_20170605.nc")]
    {
        let references = open(&dir.join("kerchunk").join(json), Limits::default()).unwrap();
        let direct = open(&dir.join("netcdf").join(file), Limits::default()).unwrap();
        assert_eq!(references.header().format, "kerchunk v2");
        for v in &references.header().variables {
            let same = digest(direct.as_ref(), &v.path).unwrap();
            assert_eq!(digest(references.as_ref(), &v.path).unwrap(), same, "{json}: {}", v.path);
        }
    }
}

#[test]
fn references_to_what_is_not_here_are_refused_in_words() {
    let Some(dir) = sample::dir() else { return };
    for (json, part) in [
        ("gfswave_global_remote.json", "references over s3 are not read"),
        ("nbm_u10_0.json", "it refers to \"example.grb\""),
        ("hrrr_wrfsubhf_subset.json", "one object is read"),
    ] {
        let error = open(&dir.join("kerchunk").join(json), Limits::default()).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_million_references_are_held_compactly() {
    let dir = std::env::temp_dir().join(format!("graticule-references-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("data.bin"), [7u8; 4096]).unwrap();
    let text = r#"{"version": 1, "refs": {".zgroup": "{\"zarr_format\":2}",
        "x/.zarray": {"zarr_format": 2, "shape": [1000, 4000], "chunks": [1, 4], "dtype": "|u1",
            "compressor": null, "fill_value": 0, "order": "C", "filters": null}},
        "gen": [{"key": "x/{{i}}.{{j}}", "url": "data.bin", "offset": "{{ (i * 4) % 4092 }}", "length": "4",
            "dimensions": {"i": {"stop": 1000}, "j": {"stop": 1000}}}]}"#;
    std::fs::write(dir.join("many.json"), text).unwrap();
    let source = open(&dir.join("many.json"), Limits::default()).unwrap();
    assert_eq!(source.read("x", &[999, 3998], &[1, 2]).unwrap(), [7, 7]);
    std::fs::remove_dir_all(dir).unwrap();
}

/// Every stored chunk of every variable, decoded by its codecs alone, against the reader. Counts them.
fn compare_in_place(path: &std::path::Path, refused: &mut Vec<String>) -> usize {
    use graticule_shared::codec::Chain;
    use graticule_shared::zarr::{ArrayMeta, ZarrFormat};
    let source = open(path, Limits { cache_bytes: 0, ..Limits::default() }).unwrap();
    let mut compared = 0;
    for v in source.header().variables.iter().filter(|v| !v.shape.is_empty() && !v.shape.contains(&0)) {
        let stored = match source.stored(&v.path) {
            Ok(stored) => stored,
            Err(e) => {
                refused.push(e.to_string());
                continue;
            }
        };
        let metadata = serde_json::json!({"zarr_format": 3, "node_type": "array", "shape": v.shape,
            "data_type": v.dtype.zarr_name(), "fill_value": 0, "codecs": stored.codecs,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored.chunk_shape}},
            "chunk_key_encoding": {"name": "default"}});
        let array = ArrayMeta::from_v3(&v.path, metadata).unwrap();
        if array.sharding.is_some() {
            continue;
        }
        let chain = Chain::new(&array, ZarrFormat::V3).unwrap();
        let own = [path.to_owned()];
        let files = if stored.files.is_empty() { &own[..] } else { &stored.files };
        for span in stored.spans.iter().step_by(7) {
            let whole = std::fs::read(&files[span.file as usize]).unwrap();
            let bytes = whole[span.offset as usize..(span.offset + span.length) as usize].to_vec();
            let block = graticule_decode::decode(&chain, bytes).unwrap_or_else(|e| panic!("{}: {e}", v.path));
            let (mut start, mut rest) = (vec![0; v.shape.len()], span.index);
            for (axis, n) in array.grid_shape().iter().enumerate().rev() {
                start[axis] = rest % n * stored.chunk_shape[axis];
                rest /= n;
            }
            // The first row of the chunk along its last axis.
            let count: Vec<u64> = (0..v.shape.len())
                .map(|a| {
                    if a + 1 == v.shape.len() { stored.chunk_shape[a].min(v.shape[a] - start[a]) } else { 1 }
                })
                .collect();
            let expected = source.read(&v.path, &start, &count).unwrap();
            assert!(block.starts_with(&expected), "{}: {} at {start:?}", path.display(), v.path);
            compared += 1;
        }
    }
    compared
}

#[test]
fn chunks_in_place_decode_to_what_the_reader_gives() {
    let Some(dir) = sample::dir() else { return };
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut refused = Vec::new();
    for name in [
        "netcdf/ostia_20170605.nc",
        "netcdf/air_kerchunk.nc",
        "netcdf/eraint_uvz.nc",
        "netcdf/projected/goes16_cloud_top_height.nc",
        "geotiff/cog_utm21_uint16.tif",
        "geotiff/albers_cog_i16.tif",
        "zarr/v2_pyramid_chl.levels/2.zarr",
        "zarr/v2_ndpyramid_etopo60.zarr",
        "zarr/fixtures_zarrita_v2.zarr",
        "kerchunk/local_ostia_20170605.json",
    ] {
        let compared = compare_in_place(&dir.join(name), &mut refused);
        assert!(compared > 0 || name.starts_with("geotiff"), "{name}: {refused:?}");
    }
    assert!(compare_in_place(&fixtures.join("netcdf4.nc"), &mut refused) > 5);
    assert!(compare_in_place(&fixtures.join("classic.nc"), &mut refused) > 2);
    eprintln!("{}", refused.join("\n"));
    let why = refused.join(" ");
    assert!(why.contains("bzip2, which the viewer does not read"), "{why}");
}
