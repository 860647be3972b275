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
