//! Tiles and strips read in their place are what the file's reader reads.

mod sample;

use std::path::{Path, PathBuf};

use graticule_formats::{FileCodec, Limits, open};

/// GeoTIFFs of every layout, and those of the sample data where it is.
fn files() -> Vec<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geotiff");
    let folders = [Some(made), sample::dir().map(|data| data.join("geotiff"))];
    let inside = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = folders.into_iter().flatten().flat_map(inside).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

#[test]
fn every_tile_that_zarr_has_no_codec_for_decodes_by_itself() {
    let (mut compared, mut own) = (0, Vec::new());
    for path in &files() {
        let Ok(source) = open(path, Limits::default()) else { continue };
        let bytes = std::fs::read(path).unwrap();
        for v in source.header().variables.iter().filter(|v| v.chunks.is_some()) {
            let stored = source.stored(&v.path).unwrap_or_else(|e| panic!("{e}"));
            if !FileCodec::is_one(&stored.codecs) {
                continue;
            }
            own.push(stored.codecs[0]["configuration"].clone());
            let codec = FileCodec::new(&stored.codecs, &stored.chunk_shape, v.dtype, 1 << 28).unwrap();
            let across = v.shape[1].div_ceil(stored.chunk_shape[1]);
            for span in &stored.spans {
                let (y, x) = (span.index / across, span.index % across);
                let start = [y * stored.chunk_shape[0], x * stored.chunk_shape[1]];
                let count = [0, 1].map(|a| stored.chunk_shape[a].min(v.shape[a] - start[a]));
                let expected = source.read(&v.path, &start, &count).unwrap();
                let part = &bytes[span.offset as usize..(span.offset + span.length) as usize];
                let values = codec.decode(part).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                let size = v.dtype.size();
                let rows = values.chunks(stored.chunk_shape[1] as usize * size).take(count[0] as usize);
                let inside: Vec<u8> =
                    rows.flat_map(|row| &row[..count[1] as usize * size]).copied().collect();
                assert!(inside == expected, "{} {} tile {start:?}", path.display(), v.path);
                compared += 1;
            }
        }
    }
    let with = |key: &str, value: u64| own.iter().any(|c| c[key] == value);
    eprintln!("{compared} tiles of {} bands compared", own.len());
    assert!(compared > 20, "{compared} tiles");
    for (key, value, what) in [
        ("compression", 5, "LZW"),
        ("compression", 7, "JPEG"),
        ("compression", 32773, "PackBits"),
        ("predictor", 2, "differences of integers"),
        ("predictor", 3, "differences of floats"),
        ("band", 2, "the last of three bands that lie together"),
        ("last_rows", 4, "a last strip that is shorter"),
    ] {
        assert!(with(key, value), "there is no {what}");
    }
}

#[test]
fn bytes_that_are_damaged_or_cut_off_are_told_without_a_panic() {
    for path in &files() {
        let Ok(source) = open(path, Limits::default()) else { continue };
        let bytes = std::fs::read(path).unwrap();
        for v in source.header().variables.iter().filter(|v| v.chunks.is_some()) {
            let stored = source.stored(&v.path).unwrap_or_else(|e| panic!("{e}"));
            let (Some(span), true) = (stored.spans.first(), FileCodec::is_one(&stored.codecs)) else {
                continue;
            };
            let codec = FileCodec::new(&stored.codecs, &stored.chunk_shape, v.dtype, 1 << 28).unwrap();
            let part = &bytes[span.offset as usize..(span.offset + span.length) as usize];
            let refused = |part: &[u8]| {
                let why = codec.decode(part).err();
                let panicked = why.as_ref().is_some_and(|e| e.contains("stopped its reader"));
                assert!(!panicked, "{}: {why:?}", path.display());
                why.is_some()
            };
            assert!(refused(&[]) && refused(&part[..1]), "{}", path.display());
            let mut state = 1u64;
            for _ in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % part.len();
                refused(&part[..at]);
                let mut odd = part.to_vec();
                odd[at] ^= (state >> 24) as u8 | 1;
                refused(&odd);
            }
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    use graticule_shared::dtype::DataType;
    use serde_json::{Value, json};
    let good = json!({"compression": 5, "predictor": 2, "bits": 16, "photometric": 1, "bands": 3, "band": 1,
        "endian": "little", "last_rows": null, "tables": ""});
    let chunks_of = |shape: &[u64], key: &str, value: Value| {
        let mut c = good.clone();
        c[key] = value;
        let codecs = json!([{"name": "graticule.tiff", "configuration": c}]);
        FileCodec::new(&codecs, shape, DataType::UInt16, 1 << 26)
    };
    let new = |key: &str, value: Value| chunks_of(&[64, 64], key, value);
    assert!(new("band", json!(2)).is_ok() && new("last_rows", json!(63)).is_ok());
    assert!(chunks_of(&[1, 64, 64], "band", json!(0)).is_ok());
    for shape in [&[64][..], &[2, 64, 64], &[0, 64], &[64, 0], &[u64::MAX, u64::MAX]] {
        assert!(chunks_of(shape, "band", json!(0)).is_err(), "{shape:?}");
    }
    // 16 MiB a band are decoded, but not forty of them at once.
    let many = chunks_of(&[2048, 4096], "bands", json!(40)).unwrap_err();
    assert!(many.contains("40 bands") && many.contains("too large"), "{many}");
    for (key, value) in [
        ("band", json!(3)),
        ("bands", json!(1u64 << 40)),
        ("bits", json!(8)),
        ("compression", json!(6)),
        ("compression", json!(7)),
        ("predictor", json!(9)),
        ("tables", json!("xyz")),
        ("tables", json!("abc")),
        ("endian", json!("middle")),
        ("last_rows", json!(0)),
        ("last_rows", json!(64)),
    ] {
        assert!(new(key, value.clone()).is_err(), "{key} {value}");
    }
}
